/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of models, which sandboxes spend from their accounts. */
#pragma once

#include <stdint.h>

struct err;
struct ledger;

/*
 * Before a request to a model is sent: the most that it can use. `request` is a name of the
 * caller's, once in a sandbox. All of it, or nothing and -EDQUOT: tokens of the model and of all,
 * and what they cost, from every budget of the account and of those above it.
 */
int ledger_tokens_reserve(struct ledger *l, const char *sandbox, const char *request,
			  const char *model, int64_t in, int64_t out, struct err *e);

/* What it has used; the rest is free. As ledger_tokens(); -ESTALE: nothing is reserved by that
 * name, or it has been told, and nothing has changed. What is not told by the end of the sandbox
 * counts as used. */
int ledger_tokens_tell(struct ledger *l, const char *sandbox, const char *request,
		       const char *model, const char *version, int64_t in, int64_t out,
		       int64_t *ret_money, struct err *e);

/* Without having reserved. Tokens of a model, for a sandbox that is there: what they cost in
 * *ret_money. -EDQUOT, when they have been recorded, if its account is exhausted by now. Of a
 * ledger that is served, where no budget has room for them: -EDQUOT, and they are not recorded. So
 * it is with what ledger_tokens_tell() tells of beyond what was reserved, which stays reserved
 * then. */
int ledger_tokens(struct ledger *l, const char *sandbox, const char *model, const char *version,
		  int64_t in, int64_t out, int64_t *ret_money, struct err *e);
