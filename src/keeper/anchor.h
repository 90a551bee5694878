/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchoring: saying elsewhere how far a trail has come, so that its end cannot be cut off, nor all
 * of it removed, without that being noticed. Always in the ledger; and where config.yaml says so
 * (`anchor`), outside: a line of JSON, {"sandbox", "size", "head", "root", "time", "key",
 * "signature"}, is added to a file, given to a command, or sent by HTTP.
 */
#pragma once

#include <stddef.h>

struct checkpoint;
struct err;
struct state;
struct trail;
struct verify_anchor;

/* In the ledger, or on its way there (record/pending.h): a trail that was just sealed by this
 * checkpoint. `ms`: as account_open_ledger_in() has it. */
int anchor_in_ledger(const struct state *s, const struct trail *t, const struct checkpoint *c,
		     int ms, struct err *e);

/* Brings into the ledger what is on its way. How many, or -errno. */
int anchor_pending(const struct state *s, struct err *e);

/* What the ledger knows of one trail, the smallest first; free(). *ret_n is 0 where it knows of
 * none. */
int anchor_known(const struct state *s, const char *sandbox, struct verify_anchor **ret,
		 size_t *ret_n, struct err *e);

/* Where else config.yaml wants it: free(); NULL: nowhere. */
int anchor_place(char **ret, struct err *e);

/* Outside, which may take seconds. */
int anchor_outside(const char *place, const struct trail *t, const struct checkpoint *c,
		   struct err *e);
