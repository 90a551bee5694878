/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: the trail of a sandbox that is gone is removed when config.yaml says so (trail_keep).
 * First the ledger is told, so that what is not there any more is not missing; where it cannot be
 * told, nothing is removed.
 */
#pragma once

#include <stdbool.h>

struct err;
struct state;

/* At most once in RETIRE_EVERY_S seconds, unless `now`; with `look` nothing is removed. Of how many
 * sandboxes, or -errno. */
#define RETIRE_EVERY_S 600
int retire_trails(const struct state *s, bool now, bool look, struct err *e);
