/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of models, which sandboxes spend from their accounts. */
#pragma once

#include <stdint.h>

struct err;
struct ledger;

/* Tokens of a model, for a sandbox that is there: what they cost in *ret_money. -EDQUOT, when they
 * have been recorded, if its account is exhausted by now. */
int ledger_tokens(struct ledger *l, const char *sandbox, const char *model, const char *version,
		  int64_t in, int64_t out, int64_t *ret_money, struct err *e);
