/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder of the process tier, and the payload until its exec.
 *
 * The builder makes the Landlock rules while the keeper makes what outlives it; the payload, which
 * it forks (tier/guard.h), adds the one of the scratch directory and raises every wall around
 * itself.
 */
#include "tier/process/process-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "tier/builder.h"
#include "tier/guard.h"
#include "tier/tier.h"

/* What the walls are made of, between the builder and the payload that raises them. */
struct material {
	enum wall_kind kind;
	int abi;
	int ruleset;
	struct places places;
	char terminal[64];
};

/* All rules but that of the scratch directory, which the keeper makes meanwhile. */
static int make_rules(struct builder *b, void *arg, struct err *e)
{
	struct material *m = arg;
	int terminal = b->spec->first->terminal;
	_cleanup_fd_ int ruleset = FD_NONE;
	int r;

	if (terminal >= 0 && ptsname_r(terminal, m->terminal, sizeof(m->terminal)) != 0) {
		return err_sys(e, errno, "cannot name the sandbox's terminal");
	}
	r = places_fill(b->spec, terminal >= 0 ? m->terminal : NULL, &m->places, e);
	if (r >= 0) {
		r = ruleset = walls_ruleset(b->spec->plan, m->abi, m->places.rows + 1,
					    m->places.n - 1, e);
	}
	if (r < 0) {
		return r;
	}
	/* Out of the way of the numbers that init is born with. */
	m->ruleset = fcntl(ruleset, F_DUPFD_CLOEXEC, 20);
	return m->ruleset < 0 ? err_sys(e, errno, "cannot keep the Landlock ruleset") : 0;
}

static int raise_walls(const struct builder *b, void *arg, struct walls_raised *ret, struct err *e)
{
	const struct material *m = arg;
	const struct tier_spec *spec = b->spec;
	char scratch[512];
	int r = walls_limits(spec, m->kind, e);

	(void)snprintf(scratch, sizeof(scratch), "%s/tmp", spec->scratch);
	if (r >= 0) {
		r = walls_allow(spec->plan, m->ruleset, m->abi, &m->places.rows[0], e);
	}
	if (r >= 0) {
		r = walls_enforce(spec->plan, m->ruleset, scratch, e);
	}
	return r >= 0 ? walls_seccomp(spec, m->kind, b->control, ret, e) : r;
}

_Noreturn void process_build(struct builder *b)
{
	struct material m = {.kind = b->mapped ? WALLS_PROCESS : WALLS_GUARDED,
			     .abi = landlock_abi(),
			     .ruleset = FD_NONE};
	const struct guard_walls walls = {
		.arg = &m, .landlock_abi = m.abi, .prepare = make_rules, .raise = raise_walls};

	guard_build(b, &walls);
}
