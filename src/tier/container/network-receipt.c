/* SPDX-License-Identifier: Apache-2.0 */
/* The network namespace of a container, read back before anything of the payload runs. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "policy/address.h"
#include "policy/egress.h"
#include "policy/hostname.h"
#include "tier/container/network.h"
#include "tier/reading.h"
#include "tier/tier.h"

static const char *next_line(const char *line)
{
	line = strchr(line, '\n');
	return line && line[1] ? line + 1 : NULL;
}

/* Two heading lines, then one for each interface. */
static int check_interfaces(const struct reading *r, const char *text)
{
	int lines = 0;

	for (const char *line = text; line && *line; line = next_line(line), lines++) {
		if (lines >= 2 && strncmp(line + strspn(line, " "), "lo:", 3) != 0) {
			return reading_differs(r, "a network interface", "present", "only lo");
		}
	}
	return 0;
}

static bool is_destination(const struct plan *plan, const struct address *a, uint16_t port)
{
	for (size_t i = 0; i < plan->n_net; i++) {
		struct destination d;
		struct address rule;
		struct err ignored = {};

		if (destination_parse(plan->net[i], &d, &ignored) >= 0 && d.port == port &&
		    address_parse(d.host, &rule) && rule.family == a->family &&
		    memcmp(&rule.v6, &a->v6, a->family == AF_INET ? 4 : 16) == 0) {
			return true;
		}
	}
	return false;
}

/* The address as the kernel writes it in these tables: words of 32 bits, as they lie in memory. */
static bool take_address(const char *hex, struct address *ret)
{
	size_t words = strspn(hex, "0123456789ABCDEF") / 8;

	*ret = (struct address){.family = words == 4 ? AF_INET6 : AF_INET};
	for (size_t i = 0; i < words; i++) {
		char word[9] = {};

		memcpy(word, hex + 8 * i, 8);
		ret->v6.s6_addr32[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	return words == 1 || words == 4;
}

/* " 0: 020012C6:0035 00000000:0000 0A ...": after a heading line (proc_pid_net(5)). */
static int check_sockets(const struct reading *r, const char *text)
{
	const struct plan *plan = r->spec->plan;

	for (const char *line = next_line(text); line; line = next_line(line)) {
		const char *hex = strstr(line, ": "), *colon = hex ? strchr(hex + 2, ':') : NULL;
		struct address a;
		uint16_t port;

		if (!colon || !take_address(hex + 2, &a)) {
			return reading_differs(r, "a socket", "of an unknown form", "none");
		}
		port = (uint16_t)strtoul(colon + 1, NULL, 16);
		if (plan->n_net > 0 && a.family == AF_INET && ntohl(a.v4.s_addr) == EGRESS_DNS &&
		    port == 53) {
			continue;
		}
		if (!is_destination(plan, &a, port)) {
			return reading_differs(r, "a socket", "present", "none");
		}
	}
	return 0;
}

static int no_routes(const struct reading *r, const char *text)
{
	return next_line(text) ? reading_differs(r, "a route", "present", "none") : 0;
}

int network_check(const struct reading *r)
{
	static const struct {
		const char *file;
		int (*check)(const struct reading *r, const char *text);
	} files[] = {
		{"net/dev", check_interfaces}, {"net/route", no_routes},
		{"net/tcp", check_sockets},    {"net/tcp6", check_sockets},
		{"net/udp", check_sockets},    {"net/udp6", check_sockets},
	};
	size_t n = r->spec->plan->n_net;
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && err >= 0; i++) {
		_cleanup_buf_ struct buf b = {};

		buf_init(&b, READING_MAX_TEXT);
		err = reading_file(r, r->dir, files[i].file, &b);
		err = err < 0 ? err : files[i].check(r, buf_str(&b));
	}
	return err < 0 ? err
		       : reading_add(
				 r, "network", "read",
				 n == 0 ? json_string("none but its own loopback")
					: json_sprintf("its own loopback, and the gateway for %zu "
						       "destination%s",
						       n, n == 1 ? "" : "s"));
}
