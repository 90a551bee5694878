/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask what of a ledger that is kept for several users (atoll-ledger serve).
 *
 * TRUST: the user id is the kernel's word about who connected; everything else in a request is what
 * a user wants us to believe. Root may everything, and so may the writer's own user, who has the
 * file. Anybody else spends from the accounts that root
 * has let them use (those, and what is below them), sees these, and says things about sandboxes of
 * their own: whoever is the first to name a sandbox, in a reservation, an anchor or a return, is
 * the only one who can name it afterwards. In the transaction of the operation, so that nothing
 * changes between the look and the deed.
 *
 * What they say about a sandbox they can lie about. Amounts only grow (ledger-spend.c), and the
 * time that a reservation has been open is measured here, by a clock that is not theirs: it counts
 * as wall time, and costs what that costs, whatever is told.
 *
 * What they can add is bounded, so that nobody fills the disk: reservations that are open at the
 * same time, and rows in a day. Strangers, who may use no account, add nothing and make the ledger
 * search for nothing: one person can be thousands of them (subuid(5)).
 */
#include <errno.h>
#include <inttypes.h>

#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

/* Sandboxes of one user at the same time; more than a host holds. */
#define OPEN_MAX 1000
/* Reservations, anchors and models of one user in a day: one in a second. */
#define ROWS_MAX 100000

static int refuse_op(const char *op, struct err *e)
{
	return err_set(e, ERR_POLICY, EPERM,
		       "this ledger is kept for several users, and only root may ask it to '%s'",
		       op);
}

int ledger_is_member(struct store *s, int64_t uid, struct err *e)
{
	int64_t n = 0;
	int r = uid <= 0 ? 1
			 : store_ask(s, e, store_number, &n,
				     "SELECT COUNT(*) FROM member WHERE uid = $1", S_INT(uid));

	return r < 0 ? r : uid <= 0 || n > 0;
}

static int check_member(struct ledger_call *c, struct err *e)
{
	int r = ledger_is_member(c->s, c->uid, e);

	return r != 0 ? r
		      : err_set(e, ERR_POLICY, EPERM,
				"uid %" PRId64
				" may use no account of this ledger; root allows it: "
				"'atoll account allow ACCOUNT --user %" PRId64 "'",
				c->uid, c->uid);
}

/* Also of one that is not there: who may not use it need not know. */
int ledger_may_use(struct ledger_call *c, const char *account, struct err *e)
{
	int64_t may = 0;
	int r;

	if (c->uid <= 0) {
		return 0;
	}
	r = store_ask(c->s, e, store_number, &may,
		      "SELECT COUNT(*) FROM chain JOIN member ON member.account = above"
		      " WHERE chain.account = $1 AND uid = $2",
		      S_TEXT(account), S_INT(c->uid));
	return r < 0 ? r
	       : may ? 0
		     : err_set(e, ERR_POLICY, EPERM,
			       "there is no account '%s' that uid %" PRId64
			       " may use; root allows it: 'atoll account allow %s --user %" PRId64
			       "'",
			       account, c->uid, account, c->uid);
}

static int check_account(struct ledger_call *c, struct err *e)
{
	const char *account;
	int r = ledger_name(c, "account", &account, e);

	return r < 0 ? r : ledger_may_use(c, account, e);
}

/* What nobody's name is at, was there before the ledger was served: root's to ask about. */
static int check_sandbox(struct ledger_call *c, struct err *e)
{
	const char *sandbox;
	int64_t others = 0;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &others,
			      "SELECT COUNT(*) FROM"
			      " (SELECT uid FROM reservation WHERE sandbox = $1 UNION ALL"
			      " SELECT uid FROM anchor WHERE sandbox = $1 UNION ALL"
			      " SELECT uid FROM gone WHERE sandbox = $1) named"
			      " WHERE uid IS NULL OR uid <> $2",
			      S_TEXT(sandbox), S_INT(c->uid));
	return r < 0    ? r
	       : others ? err_set(e, ERR_POLICY, EPERM, "sandbox %s is another user's", sandbox)
			: 0;
}

static int check_open(struct ledger_call *c, struct err *e)
{
	int64_t open = 0;
	int r = store_ask(c->s, e, store_number, &open,
			  "SELECT COUNT(*) FROM reservation WHERE uid = $1 AND state = 'open'",
			  S_INT(c->uid));

	return r < 0 ? r
	       : open >= OPEN_MAX
		       ? err_set(e, ERR_POLICY, EDQUOT,
				 "uid %" PRId64 " has %d sandboxes in the ledger, and nobody may "
				 "have more; 'atoll reap' gives back what is left of dead ones",
				 c->uid, OPEN_MAX)
		       : 0;
}

int ledger_count_rows(struct ledger_call *c, int64_t rows, struct err *e)
{
	int64_t today = ledger_day(c->now_ms), n = 0;
	int r = 0;

	if (c->uid <= 0) {
		return 0;
	}
	r = check_member(c, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "INSERT INTO written (uid, day, n) VALUES ($1, $2, $3)"
			     " ON CONFLICT (uid, day) DO UPDATE SET n = written.n + excluded.n",
			     S_INT(c->uid), S_INT(today), S_INT(rows));
	r = r < 0 ? r
		  : store_do(c->s, e, "DELETE FROM written WHERE uid = $1 AND day < $2",
			     S_INT(c->uid), S_INT(today));
	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &n, "SELECT n FROM written WHERE uid = $1",
			      S_INT(c->uid));
	return r < 0 ? r
	       : n > ROWS_MAX
		       ? err_set(e, ERR_POLICY, EDQUOT,
				 "uid %" PRId64 " has added %d rows to the ledger today, and "
				 "nobody may add more; it goes on tomorrow (UTC)",
				 c->uid, ROWS_MAX)
		       : 0;
}

int ledger_count_row(struct ledger_call *c, struct err *e)
{
	return ledger_count_rows(c, 1, e);
}

int ledger_may(struct ledger_call *c, const char *op, enum ledger_right right, struct err *e)
{
	int r = 0;

	if (right == RIGHT_MEMBERS && c->uid == LEDGER_OWNER) {
		return err_set(e, ERR_USER, EOPNOTSUPP,
			       "this ledger knows no users: whoever can reach it may use every "
			       "account; see 'ledger: system' in atoll-account(1)");
	}
	if (c->uid <= 0) {
		return 0;
	}
	switch (right) {
	case RIGHT_ANYBODY:
		return 0;
	case RIGHT_SEE:
		return json_object_get(c->in, "account") ? check_account(c, e) : check_member(c, e);
	case RIGHT_ACCOUNT:
		return check_account(c, e);
	case RIGHT_RESERVE:
		r = check_account(c, e);
		r = r < 0 ? r : check_sandbox(c, e);
		r = r < 0 ? r : check_open(c, e);
		return r < 0 ? r : ledger_count_row(c, e);
	case RIGHT_SANDBOX:
		return check_sandbox(c, e);
	case RIGHT_ADD:
		r = check_sandbox(c, e);
		return r < 0 ? r : ledger_count_row(c, e);
	case RIGHT_ADD_OWN:
		return ledger_count_row(c, e);
	case RIGHT_ROOT:
	case RIGHT_MEMBERS:
		break;
	}
	return refuse_op(op, e);
}

/* ---- members ---- */

static int take_member(struct ledger_call *c, const char **account, int64_t *uid, struct err *e)
{
	struct ledger_account a;
	int r = ledger_name(c, "account", account, e);

	r = r < 0 ? r : ledger_amount(c->in, "uid", -1, uid, e);
	if (r >= 0 && (*uid == 0 || *uid >= UINT32_MAX)) {
		return err_set(e, ERR_USER, EINVAL,
			       *uid == 0 ? "root may use every account"
					 : "there is no such user id");
	}
	return r < 0 ? r : ledger_find(c, *account, &a, e);
}

int ledger_op_allow(struct ledger_call *c, struct err *e)
{
	const char *account;
	int64_t uid;
	int r = take_member(c, &account, &uid, e);

	return r < 0 ? r
		     : store_do(c->s, e,
				"INSERT INTO member (account, uid) VALUES ($1, $2)"
				" ON CONFLICT (account, uid) DO NOTHING",
				S_TEXT(account), S_INT(uid));
}

int ledger_op_disallow(struct ledger_call *c, struct err *e)
{
	const char *account;
	int64_t uid;
	int r = take_member(c, &account, &uid, e);

	r = r < 0 ? r
		  : store_do(c->s, e, "DELETE FROM member WHERE account = $1 AND uid = $2",
			     S_TEXT(account), S_INT(uid));
	return r != 0 ? r
		      : err_set(e, ERR_USER, ENOENT,
				"uid %" PRId64
				" was not allowed to use '%s' itself; 'atoll account "
				"show' tells who is, of accounts above as well",
				uid, account);
}
