/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler's eye: what a sandbox uses now, summed over the processes in its own /proc. */
#pragma once

#include <stdint.h>

struct sample {
	uint64_t memory; /* bytes: resident and swapped of all processes, and tmpfs contents */
	uint64_t cpu_ns; /* of live processes and all that they have waited for */
};

/*
 * `proc` is the sandbox's /proc. Resident sizes count shared pages once for each process, so they
 * are an upper bound; only when that bound exceeds `limit` is the exact proportional share read,
 * which costs a walk over every page table.
 */
void sample_take(int proc, uint64_t limit, struct sample *ret);
