/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler's eye: what a sandbox uses now, summed over the processes in its own /proc. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sample {
	uint64_t memory; /* bytes: resident and swapped of all processes, and tmpfs contents */
	uint64_t cpu_ns; /* of all processes that were ever seen, and all that they have waited for
			  */
};

/* What one look remembers for the next. All zeros is a valid start; sampler_done() frees. */
struct sampler {
	struct sample_task {
		int pid;
		uint64_t born;     /* start time in ticks, which tells a pid's owners apart */
		uint64_t own;      /* ns of CPU */
		uint64_t children; /* ns of CPU of the children it has waited for */
	} * seen;
	size_t n;
	size_t listed;       /* how many the last look began with: some may have gone in it */
	uint64_t lost_ns;    /* of processes that went without being waited for */
	uint64_t missing_ns; /* of those that went before the last look, as far as it could tell */
};

void sampler_done(struct sampler *s);

/*
 * `proc` is the sandbox's /proc; or, if `tree` is not 0, one that shows the process of that number,
 * and it and what came from it are the sandbox (proctree.h). CPU time of a child whose parent
 * ignores SIGCHLD goes to nobody when it ends, so a task that was seen before and is gone counts
 * again from the next look on, unless that much was added to the children's time of others; what
 * begins and ends between two looks without being waited for is not seen. Resident sizes count
 * shared pages once for each process, so they are an upper bound; only when that bound exceeds
 * `limit` is the exact proportional share read, which costs a walk over every page table, and for
 * at most a second; then the rest counts as resident. False: out of memory.
 */
bool sample_take(struct sampler *s, int proc, pid_t tree, uint64_t limit, struct sample *ret);
