/* SPDX-License-Identifier: Apache-2.0 */
/* Time: monotonic for measuring, wall clock for records. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t clock_now_ns(void);

/* CLOCK_REALTIME in nanoseconds. */
int64_t clock_real_ns(void);

/* The same from the clock that file systems stamp files with (CLOCK_REALTIME_COARSE): what is
 * changed from now on has a ctime that is not smaller. */
int64_t clock_stamp_ns(void);

#define CLOCK_TEXT_SIZE 32

/* The wall clock as RFC 3339 in UTC with microseconds: 2026-11-21T02:46:24.000001Z. */
void clock_text(char out[CLOCK_TEXT_SIZE]);

/* The last second that was written out, for who asks often: zeros before the first. */
struct clock_second {
	int64_t second;
	char text[CLOCK_TEXT_SIZE]; /* "": there is none yet */
	size_t len;                 /* up to the fraction */
};

/* The same at a given time. `s` may be NULL. */
void clock_format(struct clock_second *s, int64_t second, long nanoseconds,
		  char out[CLOCK_TEXT_SIZE]);
/* The same now. */
void clock_text_again(struct clock_second *s, char out[CLOCK_TEXT_SIZE]);
