/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchors on their way into a ledger that is a file: HOME/ledger/pending.jsonl.
 *
 * To open a database takes a start longer than everything else that its end has to do, so a sandbox
 * that ends adds a line here, and whoever has time for it (pending_take()) brings the lines into
 * the ledger: every command that looks for the dead, `atoll audit verify` before it looks, and
 * every hundredth or so of those that add. A line has the checkpoint's signature, so one that was
 * changed is none; what is removed before somebody has brought it in is not anchored, as if it had
 * not been written yet. Whoever adds or takes holds flock(2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "record/checkpoint.h"

struct err;
struct key_list;

struct pending {
	struct checkpoint checkpoint;
	uint64_t size; /* records with the checkpoint */
	char head[DIGEST_HEX_SIZE];
};

/* Adds one; *ret_many: there are so many that somebody should take them. */
int pending_add(int home, const struct pending *p, bool *ret_many, struct err *e);

/* What one is told to; negative ends it, and leaves all of them there. */
typedef int pending_fn(void *arg, const struct pending *p, struct err *e);

/* Tells of each that one of the keys has signed, and then all are gone. How many there were. */
int pending_take(int home, const struct key_list *keys, pending_fn *fn, void *arg, struct err *e);
