/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls that a process raises around itself, shared by the tiers: resource limits,
 * no_new_privs, Landlock, capabilities, seccomp. Each needs what the next one takes away, so they
 * are raised in the order of this header.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "linux/seccomp.h"
#include "policy/plan.h"
#include "tier/tier.h"

struct err;

/* What nobody sees from outside of the walls that stand. */
struct walls_raised {
	bool bounded;  /* the capability bounding set is empty */
	bool killable; /* as seccomp_load_listener() says */
};

/* The filter of a profile; SECCOMP_FILTER_COUNT where there is none. */
enum seccomp_filter walls_filter(enum wall_kind kind, enum syscall_profile profile);

/* What Landlock grants at and below one path; every other path has nothing. */
struct wall_path {
	const char *path;
	unsigned access;              /* enum landlock_access */
	bool required;                /* false: a host without it has no rule */
	const struct plan_path *same; /* what it must still be, or NULL */
};

/* Landlock forbids every mount call, which a nested sandbox needs. */
static inline bool plan_uses_landlock(const struct plan *plan)
{
	return plan->syscalls != SYSCALLS_NESTED;
}

/* Resource limits but that of descriptors, CPU affinity, no_new_privs. */
int walls_limits(const struct tier_spec *spec, enum wall_kind kind, struct err *e);

/* RLIMIT_NPROC counts what is in one's own user namespace; outside of one, all that the user runs.
 */
static inline bool walls_limit_nproc(const struct tier_spec *spec, enum wall_kind kind)
{
	return spec->limit_nproc && !walls_have_no_namespace(kind);
}

/*
 * Landlock, and proof that it holds: Landlock does not show in /proc, so something that only it
 * refuses is tried. Where the plan lists programs, these and the loaders may be executed, whatever
 * the rows say, and an empty file in directory `scratch`, which is not on the list, is tried too.
 */
int walls_landlock(const struct plan *plan, int abi, const struct wall_path *paths, size_t n,
		   const char *scratch, struct err *e);

/*
 * The same in steps: a ruleset with the rows and the programs, which may be made early and by
 * another process; one row more; and what it is made for.
 */
int walls_ruleset(const struct plan *plan, int abi, const struct wall_path *paths, size_t n,
		  struct err *e);
int walls_allow(const struct plan *plan, int ruleset, int abi, const struct wall_path *path,
		struct err *e);
int walls_enforce(const struct plan *plan, int ruleset, const char *scratch, struct err *e);

/* Empties the capability bounding set; false, with errno, where that is not allowed. */
bool walls_bound(void);

/*
 * Every set of capabilities is emptied on this only thread; then the filter is loaded, and with it
 * the payload's limit of descriptors, for its listener is the last one of ours. Returns the
 * listener; `spare` stands in for it where a mutant has no filter.
 *
 * Outside of a container nobody may have CAP_SETPCAP to empty the bounding set with: there is no
 * user namespace, or a host that gives its first process no capability (AppArmor's
 * unprivileged_userns). It stays as it is then, which no_new_privs makes meaningless, and
 * ret->bounded is false.
 */
int walls_seccomp(const struct tier_spec *spec, enum wall_kind kind, int spare,
		  struct walls_raised *ret, struct err *e);
