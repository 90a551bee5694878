/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host's files a payload of the process tier may use. */
#include "tier/process/process-internal.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "policy/deny.h"
#include "policy/path.h"
#include "tier/hostview.h"
#include "tier/tier.h"

#define RX (LANDLOCK_READ | LANDLOCK_EXECUTE)
#define RW (LANDLOCK_READ | LANDLOCK_WRITE_FILE)

/*
 * Beside the host view. /proc is not among it: it would show every process of the host with its
 * arguments, and a rule for /proc/self would name one process for good. These files of it say
 * nothing about processes, and libraries read them to size their pools.
 */
static const struct wall_path fixed[] = {
	{"/etc/passwd", LANDLOCK_READ, false, NULL},
	{"/etc/group", LANDLOCK_READ, false, NULL},
	{"/etc/nsswitch.conf", LANDLOCK_READ, false, NULL},
	{"/dev/null", RW, true, NULL},
	{"/dev/zero", RW, true, NULL},
	{"/dev/full", RW, true, NULL},
	{"/dev/random", RW, true, NULL},
	{"/dev/urandom", RW, true, NULL},
	{"/dev/tty", RW, false, NULL},
	{"/proc/cpuinfo", LANDLOCK_READ, false, NULL},
	{"/proc/filesystems", LANDLOCK_READ, false, NULL},
	{"/proc/loadavg", LANDLOCK_READ, false, NULL},
	{"/proc/meminfo", LANDLOCK_READ, false, NULL},
	{"/proc/stat", LANDLOCK_READ, false, NULL},
	{"/proc/uptime", LANDLOCK_READ, false, NULL},
	{"/proc/version", LANDLOCK_READ, false, NULL},
	{"/proc/sys/kernel/cap_last_cap", LANDLOCK_READ, false, NULL},
	{"/proc/sys/kernel/ngroups_max", LANDLOCK_READ, false, NULL},
	{"/proc/sys/kernel/osrelease", LANDLOCK_READ, false, NULL},
	{"/proc/sys/kernel/ostype", LANDLOCK_READ, false, NULL},
	{"/proc/sys/kernel/pid_max", LANDLOCK_READ, false, NULL},
	{"/proc/sys/kernel/threads-max", LANDLOCK_READ, false, NULL},
	{"/proc/sys/vm/max_map_count", LANDLOCK_READ, false, NULL},
	{"/proc/sys/vm/overcommit_memory", LANDLOCK_READ, false, NULL},
};

static void add(struct places *p, const char *path, unsigned access, bool required,
		const struct plan_path *same)
{
	if (p->n < PLACES_MAX) {
		p->rows[p->n] = (struct wall_path){path, access, required, same};
	}
	p->n++;
}

/* Landlock gives, and takes nothing out of what it has given. The scratch directory is ours. */
static int check_denied(const struct plan *plan, const struct places *p, struct err *e)
{
	for (size_t i = 1; i < p->n && i < PLACES_MAX; i++) {
		const char *rule = NULL;
		int v = deny_judge(plan->deny, plan->n_deny, p->rows[i].path, &rule);

		if (v < 0) {
			return err_set(e, ERR_SYSTEM, -v, "out of memory");
		}
		if (v > 0) {
			return err_set(e, ERR_POLICY, EOPNOTSUPP,
				       "filesystem.deny: '%s' cannot be held in '%s': the process "
				       "tier shows the host's own files and cannot take any out; "
				       "use tier container",
				       rule, p->rows[i].path);
		}
	}
	return 0;
}

int places_fill(const struct tier_spec *spec, const char *terminal, struct places *ret,
		struct err *e)
{
	const struct plan *plan = spec->plan;
	size_t i;

	ret->n = 0;
	add(ret, spec->scratch, RX | LANDLOCK_WRITE_TREE, true, NULL);
	for (i = 0; hostview_trees[i]; i++) {
		add(ret, hostview_trees[i], RX, false, NULL);
	}
	for (i = 0; hostview_etc[i]; i++) {
		add(ret, hostview_etc[i], LANDLOCK_READ, false, NULL);
	}
	for (i = 0; i < ARRAY_SIZE(fixed); i++) {
		add(ret, fixed[i].path, fixed[i].access, fixed[i].required, NULL);
	}
	for (i = 0; i < plan->n_read; i++) {
		add(ret, plan->read[i].path, RX, true, &plan->read[i]);
	}
	for (i = 0; i < plan_n_works(plan); i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(plan, i, &mode);

		add(ret, work->path, RX | (mode == WORKSPACE_DIRECT ? LANDLOCK_WRITE_TREE : 0),
		    true, work);
	}
	if (terminal) {
		add(ret, terminal, RW, true, NULL);
	}
	if (check_denied(plan, ret, e) < 0) {
		return -e->code;
	}
	return ret->n > PLACES_MAX ? err_set(e, ERR_POLICY, E2BIG,
					     "the plan has too many paths: at most %zu read-only "
					     "ones can be shown",
					     (size_t)PLACES_MAX - (ret->n - plan->n_read))
				   : 0;
}

bool places_allow(const struct places *p, const char *path, unsigned access)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		if ((p->rows[i].access & access) && path_within(path, p->rows[i].path)) {
			return true;
		}
	}
	return false;
}
