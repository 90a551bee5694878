/* SPDX-License-Identifier: Apache-2.0 */
/* RTM_GETROUTE. */
#include "linux/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>

int route_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

/* What is left of an answer that nobody took. */
static void drain(int fd)
{
	char bin[16];

	while (recv(fd, bin, sizeof(bin), MSG_DONTWAIT | MSG_TRUNC) >= 0) {
	}
}

bool route_is_local(int fd, sa_family_t family, const void *address)
{
	unsigned char size = family == AF_INET ? 4 : 16;
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
		struct rtattr attribute;
		char address[16];
	} ask = {
		.head = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
		.route = {.rtm_family = (unsigned char)family,
			  .rtm_dst_len = (unsigned char)(size * 8)},
		.attribute = {.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = RTA_DST},
	};
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
		char rest[2048];
	} reply;
	ssize_t n;

	drain(fd);
	memcpy(ask.address, address, size);
	ask.head.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(ask.route)) + RTA_LENGTH(size));
	if (send(fd, &ask, ask.head.nlmsg_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		return true;
	}
	/* The kernel answers before send() returns. */
	n = recv(fd, &reply, sizeof(reply), MSG_DONTWAIT);
	if (n >= (ssize_t)NLMSG_LENGTH(sizeof(reply.route)) &&
	    reply.head.nlmsg_type == RTM_NEWROUTE) {
		return reply.route.rtm_type == RTN_LOCAL || reply.route.rtm_type == RTN_ANYCAST;
	}
	return n < (ssize_t)sizeof(reply.head) || reply.head.nlmsg_type != NLMSG_ERROR;
}
