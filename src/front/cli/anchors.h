/* SPDX-License-Identifier: Apache-2.0 */
/* What was said of trails elsewhere: how long they were, and what their last record was. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "record/line.h"
#include "record/verify.h"

struct err;
struct state;

struct anchor_row {
	char sandbox[TRAIL_ID_SIZE];
	bool retired; /* its trail was removed by who may do that */
	struct verify_anchor at;
};

/* Sorted by sandbox, and of one sandbox by size. */
struct anchor_list {
	struct anchor_row *rows;
	size_t n;
};

/* A file of lines of JSON, each a checkpoint with "sandbox", "size" (records with it) and "head".
 */
int anchors_read_file(struct anchor_list *a, const char *path, struct err *e);

/* What the ledger knows, where there is one. -EBADMSG where its own chain does not hold. */
int anchors_read_ledger(struct anchor_list *a, int home, struct err *e);

/* When all are there. */
void anchors_sort(struct anchor_list *a);

/* The anchors of one sandbox: a new array of them, free(); *ret_n is 0 where there are none.
 * -ENOMEM with *e set. */
int anchors_of(const struct anchor_list *a, const char *sandbox, struct verify_anchor **ret,
	       size_t *ret_n, struct err *e);

int anchors_add(struct anchor_list *a, const struct anchor_row *row, struct err *e);

void anchors_done(struct anchor_list *a);
