/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder: the process that the keeper clones to put up the walls from inside. This is what
 * the builders of the tiers share, and what they and the keeper say to each other.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "policy/plan.h"
#include "tier/net.h"

struct tier_spec;
struct walls_raised;

/*
 * keeper to builder: the id maps are written (where there are any), begin; then, with descriptors,
 * what only the keeper can make. Builder to keeper: every wall stands, or what failed.
 */
enum { BUILD_MAPPED = 100, BUILD_PARTS, BUILD_NET, BUILD_READY, BUILD_FAILED };

/* builder to keeper: ready, with the descriptors below, or what failed. */
struct build_report {
	uint32_t op;
	uint32_t landlock_abi;
	uint32_t bounded; /* these two: struct walls_raised */
	uint32_t killable;
	uint32_t refused; /* it failed at namespaces and mounts as such, not at a path */
	uint32_t held;    /* with BUILD_NET, of which there may be several: tier_net.n_held */
	struct err error;
};

/* Order of the descriptors that come with BUILD_READY; the third and fourth only where the sandbox
 * has a view of its own, the last only where its copy is on a tmpfs. */
enum {
	BUILD_FD_LISTENER,
	BUILD_FD_PROC,
	BUILD_FD_PTMX,
	BUILD_FD_DENIALS,
	BUILD_FD_UPPER,
	BUILD_FDS
};

/*
 * The descriptors that come with BUILD_PARTS: first mounts, in the order of their bits, then task
 * lists of control groups.
 */
struct build_parts {
	uint32_t op;
	uint32_t mounts; /* bits: places in the lists of mounts */
	uint32_t groups; /* how many */
};

/* Places in the lists of mounts: the workspace and its copy's layers, the same for plan->more[n],
 * two places on for each, and plan->read[n]. One message has room for all but some of them. */
enum { BUILD_WORKSPACE, BUILD_COPY, BUILD_MORE, BUILD_READ = BUILD_MORE + 2 * PLAN_MORE_MAX };
#define BUILD_MAX_READS 22
#define BUILD_MOUNTS    (BUILD_READ + BUILD_MAX_READS)
#define BUILD_MAX_MORE  BUILD_MAX_READS /* descriptors of both */

/* Everything the builder was born with. */
struct builder {
	const struct tier_spec *spec;
	int control;
	int start;    /* of the command that it becomes the parent of; else FD_NONE */
	int channel;  /* the same */
	int image;    /* sealed memfd of atoll-init */
	int ptmx;     /* O_PATH: where the sandbox's terminals are made; FD_NONE: the host's */
	int denials;  /* of struct tier_sandbox; FD_NONE where ptmx is */
	int upper;    /* the upper layer of a copy that is made here, for the keeper; or FD_NONE */
	bool refused; /* what failed was a namespace or a mount as such */
	bool mapped;  /* in a user namespace of its own */
	mode_t umask; /* the caller's, for the payload */
	cpu_set_t cpus;           /* the keeper's affinity, for everything inside */
	bool pushed;              /* we may be somewhere else, and take it back */
	int mounts[BUILD_MOUNTS]; /* FD_NONE where the builder copies the mount itself */
	int groups[8];
	size_t n_groups;
};

/* First of all: the tie to the keeper, signals, the mask of modes. */
void builder_begin(struct builder *b);

/* Waits for the id maps, and becomes the payload's id. */
int builder_take_identity(struct builder *b, struct err *e);

/* Collects what only the keeper can make: its mounts and the control groups. */
int builder_take_parts(struct builder *b, struct err *e);

/* Joins the control groups that were handed over. */
int builder_join_groups(const struct builder *b, struct err *e);

/* Puts the payload's descriptors, if it is started here, at 0, 1 and 2, init's at theirs, and the
 * image out of the way. */
int builder_arrange(struct builder *b, struct err *e);

/* Tells the keeper that every wall stands. */
int builder_ready(const struct builder *b, int landlock_abi, const struct walls_raised *raised,
		  int listener, int proc);

/* Reports the failure; the exit status says no more. */
_Noreturn void builder_fail(const struct builder *b, const struct err *e);

/*
 * Becomes atoll-init with these arguments and no environment, and no descriptors but 0, 1, 2 and
 * init's own.
 */
_Noreturn void builder_become_init(const struct builder *b, char *const *argv);
