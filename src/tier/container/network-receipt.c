/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network namespace of a container, read back before anything of the payload runs. Not its
 * sockets: to list them the kernel walks the tables of the whole host, which takes milliseconds.
 */
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
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
		{"net/dev", check_interfaces},
		{"net/route", no_routes},
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
				 !plan_has_gateway(r->spec->plan)
					 ? json_string("none but its own loopback")
					 : json_sprintf("its own loopback, and the gateway for %zu "
							"destination%s",
							n, n == 1 ? "" : "s"));
}
