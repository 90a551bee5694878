/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier puts a payload behind walls. The keeper drives every tier through one table of operations:
 *
 *   start    begin to build the walls in a process of their own
 *   supply   hand over what only the keeper can make
 *   confine  wait until every wall stands
 *   exec     begin to start a program inside; launch.h holds it before its first instruction
 *   receipt  read back from the kernel what is in force and compare it with the plan
 *   hear, broker, count, stop, done
 *
 * A tier never relaxes: whatever cannot be put up makes start() or receipt() fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "tier/net.h"
#include "tier/spec.h"

struct err;
struct plan;
struct seccomp_denial;
struct tier_sandbox;

/* A program on its way into a sandbox. All zeros but FD_NONE in start and channel is none. */
struct tier_command {
	const struct tier_program *program; /* borrowed */
	enum tier_stage {
		COMMAND_ASKED,    /* the process that will be it has not spoken yet */
		COMMAND_SEIZED,   /* it is under our trace, on its way to its exec */
		COMMAND_HELD,     /* stopped before its first instruction */
		COMMAND_RELEASED, /* it runs, or has run */
		COMMAND_DYING,    /* killed on its way, and not yet collected */
	} stage;
	pid_t pid;   /* as the keeper sees it; from COMMAND_SEIZED on */
	int start;   /* to it, until it is released */
	int channel; /* to its parent, for as long as it lives */
};

/* A started sandbox. Descriptors belong to it; done() closes them. */
struct tier_sandbox {
	const struct tier_ops *ops;
	const struct tier_spec *spec;
	pid_t init; /* pid 1 of the sandbox, as the keeper sees it */
	int init_pidfd;
	int control;      /* to pid 1; readable when hear() has an event */
	int start;        /* process tier: of its only command, until exec() */
	int channel;      /* the same */
	int listener;     /* seccomp notifications, FD_NONE where the tier has none */
	int proc;         /* a /proc that shows the sandbox's processes */
	pid_t tree;       /* they are this one and what it started; 0: all that `proc` shows */
	int landlock_abi; /* the ABI that was enforced and probed */
	bool bounded;     /* the capability bounding set could be emptied, and was */
	bool killable;    /* only a fatal signal interrupts a call that the keeper has before it */
	int ptmx;         /* O_PATH: where the sandbox's terminals are made; FD_NONE: the host's */
	int denials;      /* TIER_DENIALS, to append to; or FD_NONE. Who ends the sandbox closes
			     it, last of all: with it goes the file system, which takes its time. */
	int upper;        /* the upper layer of a copy on the tier's own tmpfs; else FD_NONE */
	enum wall_kind walls;
	int64_t starts; /* new tasks so far, where the keeper lets each begin; -1: it does not */
	uint64_t tasks; /* at most so many exist, there */
	uint64_t refused_starts; /* beyond the limit of processes, there */
	bool survivors;          /* stop() did not end everything inside */
	struct tier_net net;
	json_t *survey; /* the part of the receipt that was read before the payload's exec */
};

/* Where the payload reads what was refused, a line of JSON for each. */
#define TIER_DENIALS "run/atoll/denials"

/* What pid 1 of a sandbox, or the parent of a command, has to say. */
enum tier_event_kind {
	TIER_NOTHING,
	TIER_COUNTED, /* value: the last process id handed out inside, max: the largest there is */
	TIER_EXITED,  /* value: wait status of the command */
	TIER_STOPPED, /* value: the signal that stopped the command's group */
	TIER_CONTINUED,
	TIER_GONE, /* pid 1 itself, and everything inside with it; or the parent of a command */
};

struct tier_event {
	enum tier_event_kind kind;
	int value;
	int max;
};

struct tier_ops {
	const char *name;
	int (*start)(const struct tier_spec *spec, struct tier_sandbox *ret, struct err *e);
	/*
	 * `groups` are task lists of control groups, which the sandbox joins before anything of the
	 * payload exists.
	 */
	int (*supply)(struct tier_sandbox *sb, const int *groups, size_t n_groups, struct err *e);
	/* What the keeper has to do besides is done before: the walls are being put up meanwhile.
	 */
	int (*confine)(struct tier_sandbox *sb, struct err *e);
	/* Begins to start a program; cmd->program is set. */
	int (*exec)(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e);
	/* What belongs to the sandbox rather than to one process, read while that is on its way.
	 * NULL: nothing does. */
	int (*survey)(struct tier_sandbox *sb, struct err *e);
	/*
	 * Sets *ret to an object with a member for each wall, as they are around a command that is
	 * held, or around pid 1 if that is NULL; a mismatch is -EBADMSG.
	 */
	int (*receipt)(struct tier_sandbox *sb, const struct tier_command *cmd, json_t **ret,
		       struct err *e);
	/* Takes one event, without waiting, once `control` is readable. */
	int (*hear)(struct tier_sandbox *sb, struct tier_event *ret, struct err *e);
	/*
	 * A call that the filter does not let through and that the keeper may do in the payload's
	 * stead: true when it has been answered. NULL: there are none.
	 */
	bool (*broker)(struct tier_sandbox *sb, const struct seccomp_denial *d);
	/* Asks for TIER_COUNTED. */
	void (*count)(struct tier_sandbox *sb);
	/* Kills everything inside and waits until nothing is left. Safe to repeat. */
	void (*stop)(struct tier_sandbox *sb);
	void (*done)(struct tier_sandbox *sb);
};

/*
 * What becomes pid 1, for tier_spec.image: a private, sealed copy, which nobody can change
 * (CVE-2019-5736). No tier is known yet, so that it can be made before there is a plan.
 */
int tier_image(struct err *e);

/* The operations of the plan's tier; -EOPNOTSUPP with the remedy if this version has none. */
int tier_find(const struct plan *plan, const struct tier_ops **ret, struct err *e);
