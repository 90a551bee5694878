/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the container tier share. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "policy/plan.h"

struct tier_spec;

/*
 * keeper to builder: the id maps are written, begin; then, with descriptors, what only the keeper
 * can make. Builder to keeper: every wall stands, or what failed.
 */
enum { BUILD_MAPPED = 100, BUILD_PARTS, BUILD_READY, BUILD_FAILED };

/* builder to keeper: ready, with the descriptors below, or what failed. */
struct build_report {
	uint32_t op;
	uint32_t landlock_abi;
	uint32_t refused; /* it failed at namespaces and mounts as such, not at a path */
	struct err error;
};

/* Order of the descriptors that come with BUILD_READY; the terminal only where there is one. */
enum { BUILD_FD_PROC, BUILD_FD_LISTENER, BUILD_FD_TERMINAL, BUILD_FDS };

/*
 * The descriptors that come with BUILD_PARTS: first mounts, in the order of their bits, then task
 * lists of control groups.
 */
struct build_parts {
	uint32_t op;
	uint32_t mounts; /* bit 0: the workspace, bit n + 1: plan->read[n] */
	uint32_t groups; /* how many */
};

#define BUILD_MAX_READS 24

/* Everything the builder was born with. */
struct builder {
	const struct tier_spec *spec;
	int control;
	int start;
	int image;   /* sealed memfd of atoll-init */
	int root;    /* the new root, from view_build() on */
	int scratch; /* the one writable tmpfs; never in the view as a whole */
	int proc;
	int terminal;
	mode_t umask;                    /* the caller's, for the payload */
	bool refused;                    /* what failed was a namespace or a mount as such */
	cpu_set_t cpus;                  /* the keeper's affinity, for everything inside */
	bool pushed;                     /* we may be somewhere else, and take it back */
	int mounts[BUILD_MAX_READS + 1]; /* FD_NONE where the builder copies the mount itself */
	int groups[8];
	size_t n_groups;
};

/* build.c: the whole life of the process that becomes pid 1. Never returns. */
_Noreturn void builder_run(struct builder *b);

/* view.c: the mount tree under b->root, with everything but the plan's own paths. */
int view_build(struct builder *b, struct err *e);

/* The plan's paths, once BUILD_PARTS is here. */
int view_show_paths(const struct builder *b, struct err *e);

/* Makes the root and what is left of /proc read-only, once the namespaces' sysctls are set. */
int view_seal(const struct builder *b, struct err *e);

/* etc.c: the synthesised /etc in the new root. */
int etc_build(struct builder *b, struct err *e);

/* walls.c: rlimits, no_new_privs, Landlock with its probe, capabilities; seccomp comes last. */
int walls_raise(struct builder *b, int landlock_abi, struct err *e);
int walls_seccomp(struct builder *b, struct err *e);

/* One rule of the view: what a mount at this path must be. */
struct view_rule {
	const char *path;
	bool tree;      /* holds for mounts below as well */
	bool required;  /* must be there */
	unsigned attrs; /* MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC that must be set */
};

#define VIEW_MAX_RULES 96

/* The rules that follow from a plan, for the receipt; returns their number. */
size_t view_rules(const struct plan *plan, struct view_rule rules[VIEW_MAX_RULES]);

/* Where the walls change with the plan. */
static inline bool plan_uses_landlock(const struct plan *plan)
{
	/* Landlock forbids every mount call, which a nested sandbox needs. */
	return plan->syscalls != SYSCALLS_NESTED;
}

/* receipt.c: the read-back. */
struct tier_sandbox;
int container_receipt(struct tier_sandbox *sb, json_t **ret, struct err *e);

/*
 * The part of it that belongs to the namespaces rather than to one process (mounts, network, id
 * maps), read from pid 1 while that starts the payload; container_receipt() then checks that the
 * payload is in these very namespaces.
 */
int container_survey(struct tier_sandbox *sb, struct err *e);
