/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger in another process, and a settlement that nobody waits for. */
#pragma once

#include "record/ledger.h"

struct pollfd;

/* It is in another process: what failed for want of an answer may have been done. */
bool ledger_is_remote(const struct ledger *l);

/* The same with a ledger in another process (ledger_is_remote()), which nobody waits for: it is
 * asked, and heard when poll(2) has news, or it is due (clock_now_ns()). -EAGAIN: it has not
 * answered. One that a settlement can reach again while it is due is asked again. */
int ledger_settle_begin(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
			struct err *e);
int ledger_settle_hear(struct ledger *l, enum ledger_answer *ret, char why[256], struct err *e);
void ledger_poll(const struct ledger *l, struct pollfd *w);
int64_t ledger_due_ns(const struct ledger *l);
