/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock file of a run: what it depended on, so that a later one can be refused that would depend
 * on something else. What nothing fixes in this version stands in "absent", with the reason.
 */
#pragma once

#include <jansson.h>

struct err;
struct plan;

/* Writes the lock of a run that has ended, or of a sandbox that was made: `result` is its result.
 */
int lock_write(const char *path, const struct plan *plan, const json_t *result, struct err *e);

/* 0 if everything that the file fixes is as it was; -ESTALE, with everything that differs, if not.
 */
int lock_check(const char *path, const struct plan *plan, struct err *e);
