/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tier none.
 *
 * Theory of operation. The payload has the user's ids, capabilities, files, processes and network.
 * Its filter refuses nothing of its own: what it holds are the calls that begin a program or a
 * process, until the keeper has recorded or counted them, and it needs no_new_privs to be loaded
 * without a capability. Calls under a foreign ABI are refused, for a program that is started by one
 * would be in no record. Limits, descriptors and environment are as at any tier. The end is that of
 * the process tier without namespaces: the tree below the guard, and the control group if there is
 * one. Whoever wants to get away from all this can: the keeper is a process of the same user.
 */
#include "tier/none/none.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "linux/seccomp.h"
#include "policy/plan.h"
#include "tier/builder.h"
#include "tier/guard.h"
#include "tier/launch.h"
#include "tier/reading.h"
#include "tier/tier.h"
#include "tier/walls.h"

static int raise_none(const struct builder *b, void *arg, struct walls_raised *ret, struct err *e)
{
	int r = walls_limits(b->spec, WALLS_NONE, e);

	(void)arg;
	return r >= 0 ? walls_seccomp(b->spec, WALLS_NONE, b->control, ret, e) : r;
}

static void run_builder(struct builder *b)
{
	const struct guard_walls walls = {.raise = raise_none};

	guard_build(b, &walls);
}

static int none_start(const struct tier_spec *spec, struct tier_sandbox *sb, struct err *e)
{
	int r;

	launch_init(sb, &tier_none, spec);
	sb->walls = WALLS_NONE;
	if (!spec->first) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "a sandbox that waits for commands needs tier container: without "
			       "walls there is nothing to wait behind");
	}
	r = guard_start(sb, run_builder, e);
	sb->tree = sb->init;
	return r >= 0 ? launch_begin(sb, e) : r;
}

/* A new process or thread; all else that comes here is a foreign ABI's. */
static bool none_broker(struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	int r;

	if (!seccomp_is_fork(d)) {
		return false;
	}
	r = guard_let_begin(sb);
	if (r < 0) {
		seccomp_answer(sb->listener, d, r);
	} else {
		seccomp_continue(sb->listener, d); /* nothing of it was looked at */
	}
	return true;
}

static int check_walls(const struct reading *r)
{
	return reading_add(r, "walls", "read",
			   json_string("none: the files, processes and network of the user"));
}

static int none_receipt(struct tier_sandbox *sb, const struct tier_command *cmd, json_t **ret,
			struct err *e)
{
	static reading_check *const checks[] = {
		check_walls,       reading_namespaces,  reading_status,
		reading_directory, reading_descriptors, reading_environment,
		reading_rlimits,   reading_affinity,    reading_starts,
	};
	_cleanup_json_ json_t *out = json_object();
	int r = reading_run(sb, cmd, out, checks, ARRAY_SIZE(checks), e);

	if (r >= 0) {
		*ret = TAKE_PTR(out);
	}
	return r;
}

const struct tier_ops tier_none = {
	.name = "none",
	.start = none_start,
	.supply = guard_supply,
	.confine = guard_confine,
	.exec = guard_exec,
	.receipt = none_receipt,
	.hear = launch_hear,
	.broker = none_broker,
	.count = guard_count,
	.stop = guard_stop,
	.done = launch_done,
};
