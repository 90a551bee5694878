/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask what of a ledger that is served: the ledger's own files alone. */
#pragma once

struct err;
struct ledger_call;
struct store;

enum ledger_right {
	RIGHT_ROOT, /* root alone */
	RIGHT_ANYBODY,
	RIGHT_SEE, /* who may use any account; the operation shows no more than who asks may see */
	RIGHT_ACCOUNT, /* "account" must be one that they may use */
	RIGHT_RESERVE, /* that, "sandbox" nobody else's, and not too many of them */
	RIGHT_SANDBOX, /* "sandbox" must be nobody else's */
	RIGHT_ADD,     /* that, and a row is added */
	RIGHT_ADD_OWN, /* a row is added that is about nobody else's */
	RIGHT_MEMBERS, /* root alone, of a ledger that is served */
};
int ledger_may(struct ledger_call *c, const char *op, enum ledger_right right, struct err *e);

/* A row that somebody adds is one of the many that they may add in a day. */
int ledger_count_row(struct ledger_call *c, struct err *e);
int ledger_count_rows(struct ledger_call *c, int64_t rows, struct err *e);

/* 1: root, or somebody who may use some account; 0: a stranger. */
int ledger_is_member(struct store *s, int64_t uid, struct err *e);

/* Whoever asks may (still) use the account. */
int ledger_may_use(struct ledger_call *c, const char *account, struct err *e);

/* In a statement: the account `name` is one that parameter `uid` may see. */
#define LEDGER_SEES(uid, name)                                                        \
	"(CAST(" uid " AS BIGINT) < 1 OR EXISTS (SELECT 1 FROM chain v JOIN member m" \
	" ON m.account = v.above WHERE v.account = " name " AND m.uid = " uid "))"

int ledger_op_allow(struct ledger_call *c, struct err *e);
int ledger_op_disallow(struct ledger_call *c, struct err *e);
