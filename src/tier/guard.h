/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiers whose payload raises its own walls, if there are any. The keeper clones a builder; that
 * forks the payload and becomes the guard (guest/init.c), which collects what dies and is outside
 * of the walls, with no more than the payload's user id. Such a sandbox has one command, and
 * without a pid namespace it is the tree of processes below the guard (linux/proctree.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct builder;
struct err;
struct seccomp_denial;
struct tier_command;
struct tier_sandbox;
struct walls_raised;

/* ---- the keeper's side ---- */

/* Without namespaces: clones the builder, where a tree of processes can be held together. */
int guard_start(struct tier_sandbox *sb, void (*run)(struct builder *), struct err *e);

/* These are operations of struct tier_ops as they stand. */
int guard_supply(struct tier_sandbox *sb, const int *groups, size_t n_groups, struct err *e);
int guard_confine(struct tier_sandbox *sb, struct err *e);
int guard_exec(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e);
void guard_count(struct tier_sandbox *sb);
void guard_stop(struct tier_sandbox *sb);

/*
 * A new process or thread, which waits for the keeper: counts it, and where no control group limits
 * them refuses it (-EAGAIN) when there are as many as there may be. 0: it may begin.
 */
int guard_let_begin(struct tier_sandbox *sb);

/* ---- the builder's ---- */

struct guard_walls {
	void *arg;
	int landlock_abi; /* for the report */
	/* Before the payload's process is forked, as the payload's user. NULL: nothing. */
	int (*prepare)(struct builder *b, void *arg, struct err *e);
	/* In the payload's process, where it starts. Returns the listener of its filter. */
	int (*raise)(const struct builder *b, void *arg, struct walls_raised *ret, struct err *e);
};

/* The whole life of the process that becomes the guard. Every failure before the payload's exec is
 * reported and ends both. */
_Noreturn void guard_build(struct builder *b, const struct guard_walls *walls);
