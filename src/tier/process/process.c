/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's side of the process tier.
 *
 * Theory of operation. The walls are Landlock and seccomp, which need nobody's leave, on the host's
 * own file system. What they cannot decide the keeper does in the payload's stead (broker.c). Where
 * the host allows a user namespace, a pid namespace comes with it: nothing outside has a number
 * inside, and the kernel ends the sandbox as a whole. Where it does not, the filter hands
 * everything that names a process to the keeper (signals.c), and the end is a walk over the tree of
 * processes: stop until nothing runs, then kill. The receipt says which of the two it is.
 */
#include "tier/process/process.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <unistd.h>

#include "base/err.h"
#include "linux/landlock.h"
#include "linux/userns.h"
#include "policy/plan.h"
#include "tier/builder.h"
#include "tier/guard.h"
#include "tier/launch.h"
#include "tier/process/process-internal.h"
#include "tier/tier.h"

/* A directory whose files may be changed themselves, or NULL. */
static const struct plan_path *find_direct(const struct plan *plan)
{
	for (size_t i = 0; i < plan_n_works(plan); i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(plan, i, &mode);

		if (mode == WORKSPACE_DIRECT) {
			return work;
		}
	}
	return NULL;
}

static int check_spec(const struct tier_spec *spec, struct err *e)
{
	const struct plan *plan = spec->plan;
	const struct plan_path *changed = find_direct(plan);

	if (!spec->first) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "a sandbox that waits for commands needs tier container: at the "
			       "process tier nobody behind the walls could start them");
	}
	if (plan->syscalls == SYSCALLS_NESTED) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "'syscalls: nested' needs namespaces of the sandbox's own; use tier "
			       "container");
	}
	if (plan_has_copy(plan)) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "a copy of the workspace needs a mount, which the process tier does "
			       "not have; use tier container, or a workspace that is read-only or "
			       "direct");
	}
	if (plan->identity.from_root && changed) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "root's payload runs as a user id that owns nothing, and at the "
			       "process tier no mount translates the owner of '%s'; start atoll as "
			       "the user whose files these are, or use tier container",
			       changed->path);
	}
	if (landlock_abi() < 1) {
		return err_set(e, ERR_SYSTEM, ENOSYS,
			       "the process tier needs Landlock, which is not available; boot with "
			       "'landlock' in the lsm= list, or use a kernel 5.13 or newer with "
			       "CONFIG_SECURITY_LANDLOCK");
	}
	return 0;
}

/* What the keeper does in the payload's stead it does without its own groups' rights on files. */
static int drop_groups(const struct tier_spec *spec, struct err *e)
{
	return spec->plan->identity.from_root && setgroups(0, NULL) < 0
		       ? err_sys(e, errno, "cannot drop supplementary groups")
		       : 0;
}

static void run_builder(struct builder *b)
{
	process_build(b);
}

/* True for what clone3(2) says where namespaces are forbidden, used up, or not built in. */
static bool no_namespaces(int code)
{
	return code == EPERM || code == EACCES || code == ENOSPC || code == EUSERS ||
	       code == ENOSYS || code == EINVAL;
}

static int process_start(const struct tier_spec *spec, struct tier_sandbox *sb, struct err *e)
{
	const struct plan_identity *id = &spec->plan->identity;
	struct err why = {};
	int refused = 0, r;

	launch_init(sb, &tier_process, spec);
	sb->walls = WALLS_PROCESS;
	r = check_spec(spec, e);
	if (r >= 0) {
		r = drop_groups(spec, e);
	}
	if (r < 0) {
		return r;
	}
	r = launch_clone(sb, CLONE_NEWUSER | CLONE_NEWPID, true, run_builder, &refused, &why);
	if (r >= 0) {
		r = userns_map(sb->init, id->uid, spec->host_uid, id->gid, spec->host_gid, e);
	} else if (no_namespaces(refused)) {
		sb->walls = WALLS_GUARDED;
		r = guard_start(sb, run_builder, e);
		if (r < 0 && sb->init <= 0) {
			err_wrap(e, "user namespaces are refused here; allow them (sysctl "
				    "kernel.unprivileged_userns_clone=1, "
				    "user.max_user_namespaces=10000)");
		}
	} else {
		*e = why;
	}
	sb->tree = sb->init;
	return r >= 0 ? launch_begin(sb, e) : r;
}

const struct tier_ops tier_process = {
	.name = "process",
	.start = process_start,
	.supply = guard_supply,
	.confine = guard_confine,
	.exec = guard_exec,
	.receipt = process_receipt,
	.hear = launch_hear,
	.broker = process_broker,
	.count = guard_count,
	.stop = guard_stop,
	.done = launch_done,
};
