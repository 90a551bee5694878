/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's tables, as the steps that lead to them. A step that has been released is never
 * changed: what changes is a step of its own behind it. `meta` says how many have been taken; a
 * ledger that knows more of them than this program is refused.
 *
 * chain: each account with itself and with every account above it. used: by day (since 1970, UTC),
 * of each account with those below it. hold: what a reservation holds of one dimension, which is
 * what is in it and not settled, as long as it is open. What a sum adds up to goes no
 * further than 2^61 (STORE_SUM; LEDGER_MOST is half of it): SQLite would go on with a number that
 * is no whole one.
 *
 * uid: who said it, where the ledger is kept for several users; else null. member: who may use an
 * account. up_boot, up_since: when a reservation was made, by a clock that nobody sets. written:
 * how many rows a user has added on a day. gone: sandboxes that can reserve no more, though they
 * never did (ledger_op_return()).
 */
#include <errno.h>

#include "record/ledger-internal.h"

static const char *const steps[] = {
	"CREATE TABLE account (name TEXT PRIMARY KEY, parent TEXT REFERENCES account (name),"
	" currency TEXT NOT NULL, prices TEXT NOT NULL, created BIGINT NOT NULL, closed BIGINT)",

	"CREATE TABLE chain (account TEXT NOT NULL REFERENCES account (name),"
	" above TEXT NOT NULL REFERENCES account (name), far BIGINT NOT NULL,"
	" PRIMARY KEY (account, above))",

	"CREATE INDEX chain_above ON chain (above)",

	"CREATE TABLE budget (account TEXT NOT NULL REFERENCES account (name),"
	" dimension TEXT NOT NULL, model TEXT NOT NULL, period TEXT NOT NULL,"
	" amount BIGINT NOT NULL CHECK (amount >= 0), warn BIGINT NOT NULL,"
	" PRIMARY KEY (account, dimension, model, period))",

	"CREATE TABLE sheet (id BIGINT PRIMARY KEY, name TEXT NOT NULL, since BIGINT NOT NULL,"
	" currency TEXT NOT NULL, UNIQUE (name, currency, since))",

	"CREATE TABLE price (sheet BIGINT NOT NULL REFERENCES sheet (id), item TEXT NOT NULL,"
	" model TEXT NOT NULL, amount BIGINT NOT NULL CHECK (amount >= 0),"
	" PRIMARY KEY (sheet, item, model))",

	"CREATE TABLE reservation (sandbox TEXT PRIMARY KEY,"
	" account TEXT NOT NULL REFERENCES account (name), person TEXT NOT NULL,"
	" sheet BIGINT NOT NULL, keeper BIGINT NOT NULL, boot TEXT NOT NULL, state TEXT NOT NULL,"
	" idle BIGINT NOT NULL, created BIGINT NOT NULL, heartbeat BIGINT NOT NULL)",

	"CREATE INDEX reservation_open ON reservation (account) WHERE state = 'open'",

	"CREATE TABLE hold (sandbox TEXT NOT NULL REFERENCES reservation (sandbox),"
	" dimension TEXT NOT NULL, ceiling BIGINT NOT NULL CHECK (ceiling >= 0),"
	" step BIGINT NOT NULL CHECK (step >= 0), settled BIGINT NOT NULL CHECK (settled >= 0),"
	" PRIMARY KEY (sandbox, dimension))",

	"CREATE TABLE used (account TEXT NOT NULL REFERENCES account (name),"
	" dimension TEXT NOT NULL, model TEXT NOT NULL, day BIGINT NOT NULL,"
	" amount BIGINT NOT NULL CHECK (amount BETWEEN 0 AND 2305843009213693952),"
	" PRIMARY KEY (account, dimension, model, day))",

	"CREATE TABLE model_use (sandbox TEXT NOT NULL, model TEXT NOT NULL,"
	" version TEXT NOT NULL, tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL,"
	" money BIGINT NOT NULL, PRIMARY KEY (sandbox, model, version))",

	"CREATE TABLE anchor (n BIGINT PRIMARY KEY, prev TEXT NOT NULL, time BIGINT NOT NULL,"
	" sandbox TEXT NOT NULL, size BIGINT NOT NULL, head TEXT NOT NULL, root TEXT NOT NULL,"
	" signature TEXT NOT NULL, retired TEXT)",

	"CREATE INDEX anchor_sandbox ON anchor (sandbox)",

	/* A ledger that is kept for several users (ledger-rights.c). */
	"CREATE TABLE member (account TEXT NOT NULL REFERENCES account (name),"
	" uid BIGINT NOT NULL, PRIMARY KEY (account, uid))",

	"CREATE INDEX member_uid ON member (uid)",

	"ALTER TABLE reservation ADD COLUMN uid BIGINT",

	"ALTER TABLE reservation ADD COLUMN up_boot TEXT",

	"ALTER TABLE reservation ADD COLUMN up_since BIGINT",

	"CREATE INDEX reservation_uid ON reservation (uid) WHERE state = 'open'",

	"ALTER TABLE anchor ADD COLUMN uid BIGINT",

	"CREATE TABLE written (uid BIGINT NOT NULL, day BIGINT NOT NULL, n BIGINT NOT NULL,"
	" PRIMARY KEY (uid, day))",

	"CREATE TABLE gone (sandbox TEXT PRIMARY KEY, uid BIGINT, time BIGINT NOT NULL)",

	/* What a request to a model may use, until it is told what it has used. */
	"CREATE TABLE token_hold (sandbox TEXT NOT NULL REFERENCES reservation (sandbox),"
	" request TEXT NOT NULL, account TEXT NOT NULL, model TEXT NOT NULL,"
	" tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL, money BIGINT NOT NULL,"
	" PRIMARY KEY (sandbox, request))",

	"CREATE INDEX token_hold_account ON token_hold (account, model)",

	/* The sum of those, of tokens and of money. */
	"ALTER TABLE hold ADD COLUMN asked BIGINT NOT NULL DEFAULT 0 CHECK (asked >= 0)",

	/* Only ever added to: the last row of an agent is what counts (ledger-agent.c). */
	"CREATE TABLE agent (n BIGINT PRIMARY KEY, name TEXT NOT NULL,"
	" ceiling BIGINT NOT NULL CHECK (ceiling BETWEEN 0 AND 4), time BIGINT NOT NULL,"
	" uid BIGINT, who TEXT NOT NULL, why TEXT NOT NULL)",

	"CREATE INDEX agent_name ON agent (name, n)",
};

static int take_steps(struct store *s, struct err *e)
{
	int64_t n = 0;
	int r = store_run(s, "SELECT num FROM meta WHERE name = 'steps'", NULL, 0, store_number, &n,
			  e);

	if (r >= 0 && n > (int64_t)ARRAY_SIZE(steps)) {
		return err_set(e, ERR_SYSTEM, EPROTONOSUPPORT,
			       "the ledger was made by a later version; use that one");
	}
	for (size_t i = (size_t)n; r >= 0 && i < ARRAY_SIZE(steps); i++) {
		r = store_run(s, steps[i], NULL, 0, NULL, NULL, e);
	}
	return r < 0 ? r
		     : store_do(s, e,
				"INSERT INTO meta (name, num, word) VALUES ('steps', $1, '')"
				" ON CONFLICT (name) DO UPDATE SET num = excluded.num",
				S_INT(ARRAY_SIZE(steps)));
}

/* Most who come find everything done, and do not wait for a turn to write. */
static bool is_done(struct store *s)
{
	int64_t n = 0;

	return store_run(s, "SELECT num FROM meta WHERE name = 'steps'", NULL, 0, store_number, &n,
			 NULL) == 1 &&
	       n == (int64_t)ARRAY_SIZE(steps);
}

int ledger_migrate(struct store *s, struct err *e)
{
	int r;

	if (is_done(s)) {
		return 0;
	}
	r = s->ops->begin(s, e);
	if (r < 0) {
		return r;
	}
	r = store_run(s,
		      "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, num BIGINT NOT NULL,"
		      " word TEXT NOT NULL)",
		      NULL, 0, NULL, NULL, e);
	r = r < 0 ? r : take_steps(s, e);
	r = r < 0 ? r : s->ops->commit(s, e);
	if (r < 0) {
		s->ops->rollback(s);
		return err_wrap(e, "cannot bring the ledger up to date");
	}
	return 0;
}
