/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits: one interface over the mechanisms that arm them.
 *
 * "group": a control group (group.h), which the kernel enforces. "sampler": the keeper itself looks
 * at the sandbox's processes and memory every few milliseconds and kills on excess; unmapped memfds
 * and kernel memory escape it between looks and altogether. Wall clock, idle time, CPU time, output
 * and starts are the keeper's in every case; open files and file size are rlimits.
 *
 * What is armed is armed before the payload's first instruction, and read back. The policy's
 * `mechanism` says whether the sampler is good enough; if it is not, nothing starts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "keeper/group.h"
#include "keeper/sample.h"
#include "linux/tree.h"
#include "policy/plan.h"

struct tier_sandbox;
struct tier_spec;

enum limit {
	LIMIT_NONE,
	LIMIT_WALL,
	LIMIT_CPU_TIME,
	LIMIT_IDLE,
	LIMIT_MEMORY,
	LIMIT_OUTPUT,
	LIMIT_STARTS,
	LIMIT_SCRATCH,
	LIMIT_COPY,
	LIMIT_SESSION,
	LIMIT_PAUSED,
	LIMIT_ACCOUNT,
};

/* Directories of the host that have no limit of their own; FD_NONE: there is none. */
struct limits_places {
	int scratch; /* the scratch directory, where no tmpfs has the limit */
	struct limits_copy {
		int upper; /* the upper layer of a copy, where no file system has the limit */
		struct tree_usage born; /* what that held before */
	} copies[1 + PLAN_MORE_MAX];    /* of the workspace, and of plan->more */
};

/* The word after "limit:" in a reason. */
const char *limit_name(enum limit l);

/* The limits of one sandbox: how they are armed, and what was seen when they were last looked at.
 */
struct limits {
	const struct plan_limits *plan;
	struct group group;  /* GROUP_NONE: the sampler */
	struct err no_group; /* then: why */
	struct sampler sampler;
	int64_t started_ns;
	int64_t wall; /* 0: each command has one of its own */
	int64_t last_look_ns;
	int64_t due_ns;  /* when to look again */
	bool rests;      /* nobody inside can use anything, until something begins */
	bool alone;      /* the sampler saw only pid 1: it rests if nobody was started meanwhile */
	unsigned counts; /* that were asked for, and are not answered yet */
	int64_t last_active_ns;
	struct limits_walk {
		int64_t cost_ns; /* what the last walk over the directory took */
		int64_t look_ns; /* when it ended */
		uint64_t free;   /* bytes on its file system then */
		uint64_t left;   /* that it could still have grown by then */
	} scratch, copies[1 + PLAN_MORE_MAX];
	unsigned pauses;
	int64_t paused_ns;    /* those that are over */
	int64_t paused_at_ns; /* since when it is; 0: it is not */
	uint64_t last_cpu_ns;
	bool exhausted; /* its account has nothing left */
	bool connected; /* there is an open connection, as far as its gateway says */
	uint64_t last_bytes, peak_memory, cpu_ns;

	int64_t starts_since_ns; /* begin of the running second */
	int64_t starts_base;     /* tasks started before it */
	int64_t starts_total;
	int32_t last_pid;
	bool ran_out; /* of memory, when its end was noticed */
};

/* Finds what there is on this host, whatever the plan will be. Makes nothing. */
void limits_find(struct limits *l);

/* Then: decides the mechanism. `lives`: it takes commands until somebody ends it. */
int limits_choose(struct limits *l, const struct plan *plan, bool lives, struct err *e);

/* Fills what the tier must do itself, for want of groups, into *spec. */
void limits_delegate(const struct limits *l, struct tier_spec *spec);

/* Makes and sets the group; `first`: the sandbox's first process, 0 where the group comes first. */
int limits_arm(struct limits *l, const char *id, pid_t first, struct err *e);

/*
 * Reads the armed values back, and that process `pid` is in the groups; one entry for each limit. A
 * difference is -EBADMSG.
 */
int limits_receipt(const struct limits *l, const struct tier_sandbox *sb, pid_t pid, json_t **ret,
		   struct err *e);

/* The clock starts: for the only command, or for a sandbox whose commands each have their own. */
void limits_start(struct limits *l, bool one_command);

/* Somebody begins or has ended a command: not idle, where that counts; and it may use something. */
void limits_begun(struct limits *l);

/* Its gateway says whether there was a connection up to now, and whether there is one. */
void limits_connection(struct limits *l, bool was, bool is);

/* It is paused from now on, or not any more. */
void limits_pause(struct limits *l, bool on);

/* For how long it has been paused, up to now. */
int64_t limits_paused_ns(const struct limits *l);

/* It is paused or resumed: not idle. */
void limits_touch(struct limits *l);

/*
 * Looks at the sandbox; `bytes` is what its output has moved so far. Returns the limit that is
 * broken, or LIMIT_NONE, and sets when to look again. `unused`: it has no command, so that it rests
 * if pid 1 is alone; as it does while it is paused. A sandbox that rests is looked at when one of
 * its times is up, and now and then.
 */
enum limit limits_look(struct limits *l, const struct tier_sandbox *sb,
		       const struct limits_places *places, uint64_t bytes, bool unused);

/* The namespace has handed out pid `last` (of at most `max`), which is asked after each look. */
enum limit limits_count(struct limits *l, int32_t last, int32_t max);

/* As soon as the end is noticed: a service manager may remove the group of the dead, and with it
 * what it has counted. */
void limits_ending(struct limits *l);

/* After the end: final usage, and whether the kernel killed for memory. */
enum limit limits_settle(struct limits *l);

/* Removes the groups. */
int limits_disarm(struct limits *l, struct err *e);
void limits_done(struct limits *l);
