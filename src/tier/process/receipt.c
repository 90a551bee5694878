/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receipt of the process tier: what reading.h says of the container's, with what takes the
 * place of the walls that this tier does not have.
 */
#include "tier/process/process-internal.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "tier/reading.h"
#include "tier/tier.h"

/* What Landlock of this ABI does not know, and who knows it instead. */
static json_t *stand_ins(int abi)
{
	static const struct {
		int from; /* the ABI that knows it */
		const char *what, *by;
	} rows[] = {
		{3, "truncate", "seccomp, keeper"},
		{4, "tcp", "seccomp: no sockets"},
		{5, "device ioctl", "seccomp: no opening without access"},
		{6, "abstract sockets", "seccomp: no sockets"},
	};
	_cleanup_json_ json_t *list = json_object();
	size_t i;

	for (i = 0; list && i < ARRAY_SIZE(rows); i++) {
		if (abi < rows[i].from &&
		    json_put(list, rows[i].what, json_string(rows[i].by)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

static int check_landlock(const struct reading *r)
{
	int abi = r->sb->landlock_abi;

	/* The payload's own probe came back refused, or there would be no BUILD_READY. */
	return reading_add(r, "landlock", "probed",
			   json_pack("{s:i, s:s, s:o}", "abi", abi, "everything",
				     "refused outside the places of the plan", "stand_ins",
				     stand_ins(abi)));
}

/* The filter that was read back has no rule for a socket; its digest names it. */
static int check_network(const struct reading *r)
{
	return reading_add(r, "network", "read", json_string("none: seccomp, no sockets"));
}

static int check_signals(const struct reading *r)
{
	return reading_add(r, "signals", "read",
			   json_string(r->sb->walls == WALLS_GUARDED
					       ? "the keeper's: no pid namespace"
					       : "a pid namespace"));
}

static int check_scratch(const struct reading *r)
{
	return reading_add(r, "scratch", "read",
			   json_pack("{s:o, s:s}", "path", json_text(r->spec->scratch), "measured",
				     "by the keeper"));
}

int process_receipt(struct tier_sandbox *sb, const struct tier_command *cmd, json_t **ret,
		    struct err *e)
{
	static reading_check *const checks[] = {
		reading_namespaces,  reading_status,  reading_directory, reading_descriptors,
		reading_environment, reading_rlimits, reading_affinity,  check_landlock,
		check_network,       check_signals,   check_scratch,     reading_execution,
		reading_starts,
	};
	_cleanup_json_ json_t *out = json_object();
	int r = reading_run(sb, cmd, out, checks, ARRAY_SIZE(checks), e);

	if (r >= 0) {
		*ret = TAKE_PTR(out);
	}
	return r;
}
