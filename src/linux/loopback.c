/* SPDX-License-Identifier: Apache-2.0 */
/* Three requests of rtnetlink, and one ioctl. */
#include "linux/loopback.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

int loopback_up(struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0) {
		return err_sys(e, errno, "cannot bring up the sandbox's loopback interface");
	}
	return 0;
}

struct request {
	struct nlmsghdr head;
	union {
		struct ifaddrmsg address;
		struct rtmsg route;
	};
	char attributes[64];
};

static void add_attribute(struct request *r, unsigned short type, const void *value, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), value, len);
	r->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

/* Sends it, and waits for what the kernel makes of it. */
static int ask(struct request *r, const char *what, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
		char rest[256];
	} reply = {};
	ssize_t n;

	r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	if (fd < 0 || send(fd, r, r->head.nlmsg_len, 0) < 0) {
		return err_sys(e, errno, "cannot %s", what);
	}
	n = recv(fd, &reply, sizeof(reply), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(reply.body)) || reply.head.nlmsg_type != NLMSG_ERROR) {
		return err_sys(e, n < 0 ? errno : EBADMSG, "cannot %s", what);
	}
	return reply.body.error == 0 ? 0 : err_sys(e, -reply.body.error, "cannot %s", what);
}

int loopback_add_address(struct in_addr address, struct err *e)
{
	struct request r = {
		.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
			 .nlmsg_type = RTM_NEWADDR},
		.address = {.ifa_family = AF_INET,
			    .ifa_prefixlen = 32,
			    .ifa_index = if_nametoindex("lo")},
	};

	add_attribute(&r, IFA_LOCAL, &address, sizeof(address));
	return ask(&r, "give the sandbox's loopback interface an address", e);
}

int loopback_take_all(sa_family_t family, struct err *e)
{
	struct request r = {
		.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
			 .nlmsg_type = RTM_NEWROUTE},
		.route = {.rtm_family = (unsigned char)family,
			  .rtm_table = RT_TABLE_LOCAL,
			  .rtm_protocol = RTPROT_STATIC,
			  .rtm_scope = RT_SCOPE_HOST,
			  .rtm_type = RTN_LOCAL},
	};
	uint32_t lo = if_nametoindex("lo");

	add_attribute(&r, RTA_OIF, &lo, sizeof(lo));
	return ask(&r, "route all addresses to the sandbox's loopback interface", e);
}
