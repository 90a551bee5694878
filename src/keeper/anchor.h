/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchoring: saying elsewhere how far a trail has come, so that its end cannot be cut off, nor all
 * of it removed, without that being noticed. Always in the ledger; and where config.yaml says so
 * (`anchor`), outside: a line of JSON, {"sandbox", "size", "head", "root", "time", "key",
 * "signature", "ledger"}, is added to a file, given to a command, or sent by HTTP.
 */
#pragma once

#include <stdbool.h>

struct checkpoint;
struct err;
struct state;
struct trail;

/* A trail that was just sealed by this checkpoint. Outside only for who can `wait`: it may take
 * seconds. */
int anchor_trail(const struct state *s, const struct trail *t, const struct checkpoint *c,
		 bool wait, struct err *e);
