/* SPDX-License-Identifier: Apache-2.0 */
/* Time: monotonic for measuring, wall clock for records. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t clock_now_ns(void);

/* CLOCK_REALTIME in nanoseconds, as file systems stamp files: to compare with a ctime. */
int64_t clock_real_ns(void);

#define CLOCK_TEXT_SIZE 32

/* The wall clock as RFC 3339 in UTC with microseconds: 2026-11-21T02:46:24.000001Z. */
void clock_text(char out[CLOCK_TEXT_SIZE]);
