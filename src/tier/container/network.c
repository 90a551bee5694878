/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network namespace of a container, from inside.
 *
 * Theory of operation. Without destinations there is lo with its own addresses and nothing else.
 * With them every IPv4 address is local. The builder, which still has all capabilities here, makes
 * the sockets that have to be there from the start, and sends them out: a socket belongs to the
 * namespace that it was made in, whoever holds it. They are the server's for names, one for each
 * destination that is an address, and one that sees what was refused. Destinations that are names
 * get theirs when they are first asked for (keeper/egress.c), in addresses that nobody can know
 * before. At EGRESS_OWN every port of a destination is held, so that a payload's server on all
 * addresses cannot take what is meant for them.
 */
#include "tier/container/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "linux/fdpass.h"
#include "linux/loopback.h"
#include "policy/address.h"
#include "policy/egress.h"
#include "policy/hostname.h"
#include "policy/plan.h"
#include "tier/builder.h"
#include "tier/spec.h"

/* What is to be sent, closed when it is. */
struct sockets {
	int fds[TIER_NET_MAX];
	uint16_t ports[EGRESS_PORTS_MAX]; /* that are held */
	size_t n, held;
};

static void sockets_done(struct sockets *s)
{
	while (s->n > 0) {
		(void)fd_close(s->fds[--s->n]);
	}
}

static int add(struct sockets *s, int fd, const char *what, struct err *e)
{
	if (fd < 0) {
		return err_sys(e, errno, "cannot make %s in the sandbox's network", what);
	}
	if (s->n == TIER_NET_MAX) {
		(void)fd_close(fd);
		return err_set(e, ERR_BUG, E2BIG, "too many sockets");
	}
	s->fds[s->n++] = fd;
	return 0;
}

static int bound(int type, const struct sockaddr *name, socklen_t len, bool listens)
{
	_cleanup_fd_ int fd = socket(name->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	/* IPv6 asks for an address of an interface, whatever the routes say. */
	if (fd < 0 ||
	    (name->sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, 78 /* IPV6_FREEBIND */, &on, sizeof(on)) < 0) ||
	    bind(fd, name, len) < 0 || (listens && listen(fd, SOMAXCONN) < 0)) {
		return -1;
	}
	return TAKE_FD(fd);
}

static int bound4(int type, uint32_t address, uint16_t port, bool listens)
{
	const struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};

	return bound(type, (const struct sockaddr *)&name, sizeof(name), listens);
}

static int bound6(const struct in6_addr *address, uint16_t port, bool listens)
{
	const struct sockaddr_in6 name = {
		.sin6_family = AF_INET6, .sin6_addr = *address, .sin6_port = htons(port)};

	return bound(SOCK_STREAM, (const struct sockaddr *)&name, sizeof(name), listens);
}

/*
 * Sees, of the packets on lo, the refusals of connections (RST and ACK with the sequence number 0,
 * which answer a SYN: RFC 9293, 3.10.7.1) and datagrams, but not what has to do with 127.0.0.0/8 or
 * the server for names. Offsets are from the IP header.
 */
static int observer(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12), /* source */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, EGRESS_DNS, 16, 0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 24),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 127, 14, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16), /* destination */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, EGRESS_DNS, 12, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* a later fragment has no ports */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 10, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 7, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 7),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 13), /* flags */
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x14),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x14, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 4), /* sequence number */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 96),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = {ARRAY_SIZE(code), code};
	const struct sockaddr_ll name = {.sll_family = AF_PACKET,
					 .sll_protocol = htons(ETH_P_IP),
					 .sll_ifindex = (int)if_nametoindex("lo")};
	/* No protocol until the filter is there: nothing gets in before. */
	_cleanup_fd_ int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0) {
		return -1;
	}
	return TAKE_FD(fd);
}

static int hold_port(struct sockets *s, uint16_t port, struct err *e)
{
	int r;

	for (size_t i = 0; i < s->held; i++) {
		if (s->ports[i] == port) {
			return 0;
		}
	}
	if (s->held == EGRESS_PORTS_MAX) {
		return err_set(e, ERR_POLICY, E2BIG, "network.allow: more than %d different ports",
			       EGRESS_PORTS_MAX);
	}
	r = add(s, bound4(SOCK_STREAM, EGRESS_OWN, port, false), "a port", e);
	if (r >= 0) {
		s->ports[s->held++] = port;
	}
	return r;
}

/* The listener of a destination that is an address; a second rule for it makes no other. */
static int listen_at(struct sockets *s, const struct destination *d, bool *six, struct err *e)
{
	struct address a;
	int fd;

	if (!address_parse(d->host, &a)) {
		return 0;
	}
	if (a.family == AF_INET6 && !*six) {
		*six = true;
		if (loopback_take_all(AF_INET6, e) < 0) {
			return -e->code;
		}
	}
	fd = a.family == AF_INET ? bound4(SOCK_STREAM, ntohl(a.v4.s_addr), d->port, true)
				 : bound6(&a.v6, d->port, true);
	return fd < 0 && errno == EADDRINUSE ? 0 : add(s, fd, "a listener", e);
}

static int make_sockets(const struct plan *plan, struct sockets *s, struct err *e)
{
	bool six = false;
	int r;

	r = add(s, bound4(SOCK_DGRAM, EGRESS_DNS, 53, false), "the server for names", e);
	r = r < 0 ? r
		  : add(s, bound4(SOCK_STREAM, EGRESS_DNS, 53, true), "the server for names", e);
	r = r < 0 ? r : add(s, observer(), "a view of what is refused", e);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < plan->n_net && r >= 0; i++) {
			struct destination d;

			r = destination_parse(plan->net[i], &d, e);
			r = r < 0       ? r
			    : pass == 0 ? hold_port(s, d.port, e)
					: listen_at(s, &d, &six, e);
		}
	}
	return r;
}

static int write_setting(int proc, const char *path, const char *text, struct err *e)
{
	_cleanup_fd_ int fd = openat(proc, path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)
		       ? err_sys(e, errno, "cannot write '/proc/%s'", path)
		       : 0;
}

/* Every address is local; none of them is to look as if somebody were there. */
static int take_addresses(int proc, struct err *e)
{
	int r = loopback_add_address((struct in_addr){htonl(EGRESS_OWN)}, e);

	r = r < 0 ? r : loopback_take_all(AF_INET, e);
	return r < 0 ? r : write_setting(proc, "sys/net/ipv4/icmp_echo_ignore_all", "1", e);
}

/* In as many messages as their number needs. */
static int send_sockets(const struct builder *b, const struct sockets *s, struct err *e)
{
	struct build_report report = {.op = BUILD_NET, .held = (uint32_t)s->held};
	int r = 0;

	for (size_t i = 0; i < s->n && r >= 0; i += FDPASS_MAX) {
		size_t n = s->n - i < FDPASS_MAX ? s->n - i : FDPASS_MAX;

		r = fdpass_send(b->control, &report, sizeof(report), s->fds + i, n);
	}
	return r < 0 ? err_sys(e, -r, "cannot reach the keeper") : 0;
}

static int open_namespace(struct sockets *s, int proc, const char *path, struct err *e)
{
	return add(s, openat(proc, path, O_RDONLY | O_CLOEXEC), "a door", e);
}

int network_build(const struct builder *b, int proc, struct err *e)
{
	const struct plan *plan = b->spec->plan;
	_cleanup_(sockets_done) struct sockets s = {};
	int r = MUTANT(ATOLL_MUTATE_NETNS) ? 0 : loopback_up(e);

	if (r < 0 || !plan_has_gateway(plan)) {
		return r;
	}
	r = take_addresses(proc, e);
	r = r < 0 ? r : open_namespace(&s, proc, "self/ns/net", e);
	r = r < 0 ? r : open_namespace(&s, proc, "self/ns/user", e);
	r = r < 0 ? r : make_sockets(plan, &s, e);
	return r < 0 ? r : send_sockets(b, &s, e);
}
