/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors of trails in the ledger. */
#pragma once

#include <stdint.h>

struct err;
struct ledger;

/* One row, in a table that is chained as a trail is: each has the digest of the one before. */
struct ledger_anchor_row {
	int64_t n; /* from 1 */
	int64_t time_ms;
	const char *sandbox;
	int64_t size; /* records up to here; 0 in a row of ledger_retire() */
	const char *head;
	const char *root;
	const char *signature;
	const char *retired; /* why the trail was removed; NULL: it was not */
};

/* A trail stands at `size` records, with that head, root and signature (hexadecimal). */
int ledger_anchor(struct ledger *l, const char *sandbox, int64_t size, const char *head,
		  const char *root, const char *signature, int64_t *ret_n, struct err *e);

/* The trail was removed for a reason: what is not there any more is not missing. */
int ledger_retire(struct ledger *l, const char *sandbox, const char *why, struct err *e);

typedef int ledger_anchor_fn(void *arg, const struct ledger_anchor_row *row, struct err *e);

/* Those of one sandbox (NULL: all) in their order; the whole table is verified on the way, also
 * where only some are told of. -EBADMSG, with the row, where it does not hold: what was told of
 * before that stands for nothing either. */
int ledger_anchors(struct ledger *l, const char *sandbox, ledger_anchor_fn *fn, void *arg,
		   struct err *e);
