/* SPDX-License-Identifier: Apache-2.0 */
/* Sweeps socket(2): every family and type, and every netlink protocol. */
#include <linux/netlink.h>
#include <sys/socket.h>

#include "probe.h"

static const struct {
	const char *name;
	int type;
} types[] = {
	{"STREAM", SOCK_STREAM},
	{"DGRAM", SOCK_DGRAM},
	{"RAW", SOCK_RAW},
	{"SEQPACKET", SOCK_SEQPACKET},
};

static void one(int family, int type, int protocol, const char *type_name)
{
	int fd = socket(family, type, protocol);

	probe_callf(fd, "%d:%s:%d", family, type_name, protocol);
	if (fd >= 0) {
		(void)close(fd);
	}
}

int main(void)
{
	for (int family = 0; family < 64; family++) {
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
			one(family, types[t].type, 0, types[t].name);
		}
	}
	for (int protocol = 1; protocol < 32; protocol++) {
		one(AF_NETLINK, SOCK_RAW, protocol, "RAW");
	}
	one(AF_INET, SOCK_STREAM, 262 /* MPTCP */, "STREAM");
	one(AF_INET, SOCK_STREAM, 132 /* SCTP */, "STREAM");
	one(AF_INET6, SOCK_DGRAM, 136 /* UDPLITE */, "DGRAM");
	return 0;
}
