/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test begins with: cmocka with what it needs, and fault injection where built. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"

#ifndef ATOLL_FAULT
static inline void fault_arm(unsigned long n)
{
	(void)n;
}

static inline unsigned long fault_seen(void)
{
	return 0;
}
#endif

/* An allocator for json_set_alloc_funcs() that takes part in fault injection. */
static inline void *unit_malloc(size_t size)
{
	return fault_hit() ? NULL : malloc(size);
}

/*
 * Runs the operation with each of its fallible calls failing in turn, until it meets none; without
 * fault injection once. The operation checks for itself what it returns.
 */
static inline void unit_faults(void (*operation)(bool may_fail))
{
	unsigned long n = 0, seen;

	do {
		fault_arm(++n);
		operation(true);
		seen = fault_seen();
		fault_arm(0);
		assert_true(n < 10000);
	} while (n <= seen);
	operation(false);
}

static inline int unit_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* A directory of the test's own as its state: a string, freed and removed by the teardown. */
static inline int unit_dir_setup(void **state)
{
	char made[] = "/tmp/atoll-unit-XXXXXX";

	*state = mkdtemp(made) ? strdup(made) : NULL;
	return *state ? 0 : -1;
}

static inline int unit_dir_teardown(void **state)
{
	int r = nftw(*state, unit_remove, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return r;
}

/* How many descriptors this process has. */
static inline int unit_count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 1024; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}
