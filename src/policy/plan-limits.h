/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a plan. */
#pragma once

#include <stdint.h>

enum limit_mechanism { MECHANISM_GROUP, MECHANISM_ANY }; /* strictest first */

/* What keeps a sandbox from being idle: bits, in the order of the schema's words. */
enum idle_signal {
	IDLE_OUTPUT = 1,
	IDLE_CPU = 2,
	IDLE_EXEC = 4,
	IDLE_CONNECTION = 8,
	IDLE_ALL = 15
};

/* Sizes in bytes, times in nanoseconds; 0 never stands for "unlimited": each
 * limit but io is armed. */
struct plan_limits {
	enum limit_mechanism mechanism;
	uint64_t memory;     /* anonymous, page cache and tmpfs, swap included */
	uint32_t cpus_milli; /* thousandths of a CPU: 2 CPUs are 2000 */
	uint32_t processes;  /* tasks, threads counted */
	uint32_t open_files;
	uint64_t file_size;
	uint64_t scratch; /* all writable tmpfs of the sandbox together */
	uint64_t copy;    /* what a copy of the workspace holds beyond the original */
	uint64_t output;  /* bytes of standard output and error together */
	uint32_t starts;  /* new tasks in any one second */
	uint64_t io;      /* bytes in a second, of each disk and each direction; 0: not asked for */
	int64_t wall;
	int64_t cpu_time;
	int64_t idle;
	uint32_t idle_signals; /* of enum idle_signal, at least one */
	uint32_t pauses;       /* how often; 0: never */
	int64_t paused;        /* all pauses together */
	int64_t session;       /* from its start to its end, whatever it does */
	struct plan_net_limits {
		uint32_t connections; /* at one time */
		uint64_t bytes;       /* both ways, of all connections */
		uint64_t host_bytes;  /* of those to one host */
		uint32_t requests;    /* in a minute */
		int64_t cooldown;     /* ns in which nothing is let through after too many */
	} net;
	int64_t keep; /* from its end until what it changed in a copy is removed */
};
