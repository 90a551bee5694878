/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about kept copies share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "keeper/kept.h"
#include "keeper/state.h"
#include "workspace/change.h"
#include "workspace/hazard.h"

struct apply;
struct buf;
struct err;

/* A kept copy, and what is different in it. */
struct review {
	struct state state;
	struct kept kept;
	struct changes changes;
	struct hazards hazards;
};

/* One that holds nothing, so that review_done() has nothing to do. */
#define REVIEW_NONE                                   \
	((struct review){                             \
		.state = {FD_NONE, FD_NONE, FD_NONE}, \
		.kept = {.home = {.dir = FD_NONE}, .original = FD_NONE, .upper = FD_NONE}})

/* Opens a copy, which is ours alone until review_done(); that is due whatever this returns. */
int review_open(struct review *r, const char *id, struct err *e);

/* The same, or that of a sandbox that runs: to look at (kept_watch()). */
int review_open_any(struct review *r, const char *id, struct err *e);

/* To an error with what is in a copy, the remedy where its sandbox runs. Returns it. */
int review_advise(const struct review *r, struct err *e);

/* Finds what changed, also once more. */
int review_find(struct review *r, bool renames, struct err *e);

/* Keeps the changes that `paths` name, and finds their hazards. */
int review_select(struct review *r, char *const *paths, size_t n, struct err *e);
void review_done(struct review *r);

/* An error where an apply was interrupted: the copy is neither the one nor the other. */
int review_refuse_pending(const struct review *r, struct err *e);

/* What an apply is told of the copy. */
struct apply review_apply(const struct review *r);

/* A path of a change into a document; one that is no UTF-8 has its bytes beside it, in hexadecimal.
 */
int review_put_path(json_t *row, const char *key, const char *path);

/* The document of `atoll diff --json`. NULL: out of memory. */
json_t *review_json(const struct review *r);

/* The bytes of `atoll diff --patch`, as they are where nobody's terminal shows them. */
int review_patch(const struct review *r, FILE *out, struct err *e);

/* One line for change number i, without its end: "M  src/main.c". */
void review_line(const struct review *r, size_t i, struct buf *out);

/* The first hazard of change number i, or NULL; *next goes on to the next one. */
const struct hazard *review_hazard(const struct review *r, size_t i, size_t *next);

/*
 * What `atoll audit` is to know: the event, with the copy's id and the changes that are in `r`
 * (NULL: none are said), is added to the sandbox's record. A copy without a record, of which only
 * its directory was left, is none's.
 */
int review_record(const struct review *r, const char *event, json_t *changes, struct err *e);

/* "2 modified, 1 added"; "" without changes. */
void review_sum(const struct changes *c, struct buf *out);

/* After a run: says what is kept and what can be done with it; throws away what is no change.
 * False: that was all, nothing is kept any more. */
bool review_after_run(const char *id, bool quiet);
