/* SPDX-License-Identifier: Apache-2.0 */
/* What was used: day by day, and for each account in numbers that somebody looks at. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

/* An open reservation that nobody has settled for so long, and for two of its own periods (which is
 * its step of wall time), is an orphan. */
#define STALE_MS 60000

static int take_since(struct ledger_call *c, const char *key, const char *otherwise, int64_t *ret,
		      struct err *e)
{
	const char *text;
	int r = ledger_text(c, key, 10, otherwise, &text, e);

	return r < 0 ? r : ledger_day_parse(text, ret, e);
}

static int add_used(void *arg, const struct store_cell *cells, struct err *e)
{
	char day[16];
	json_t *row;

	ledger_day_text(cells[0].num, day);
	row = json_pack("{s:s, s:s, s:s, s:s?, s:I}", "day", day, "account", cells[1].text,
			"dimension", cells[2].text, "model",
			cells[3].text && *cells[3].text ? cells[3].text : NULL, "amount",
			(json_int_t)cells[4].num);
	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

int ledger_op_usage(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	const char *account, *dimension;
	struct ledger_account a;
	int64_t since, until, from;
	int r = take_since(c, "since", "1970-01-01", &since, e);

	r = r < 0 ? r : take_since(c, "until", "9999-12-31", &until, e);
	r = r < 0 ? r : ledger_text(c, "account", LEDGER_NAME_MAX, "", &account, e);
	r = r < 0 ? r : ledger_text(c, "dimension", 16, "", &dimension, e);
	r = r < 0 ? r : ledger_amount(c->in, "from", 0, &from, e);
	r = r < 0 || !*account ? r : ledger_find(c, account, &a, e);
	r = r < 0 ? r
		  : store_ask(c->s, e, add_used, list,
			      "SELECT day, account, dimension, model, amount FROM used"
			      " WHERE day BETWEEN $1 AND $2 AND ($3 = '' OR account = $3)"
			      " AND ($4 = '' OR dimension = $4) AND " LEDGER_SEES(
				      "$7", "used.account") " ORDER BY day, account, dimension, "
							    "model LIMIT $5 OFFSET $6",
			      S_INT(since), S_INT(until), S_TEXT(account), S_TEXT(dimension),
			      S_INT(LEDGER_PAGE), S_INT(from), S_INT(c->uid));
	return r < 0 ? r : json_object_set(c->out, "usage", list) < 0 ? ledger_no_memory(e) : 0;
}

/* What one active user costs, rounded up; null where nobody was. */
static json_t *each(int64_t money, int64_t users)
{
	return users > 0 ? json_integer(money / users + (money % users != 0)) : json_null();
}

static int add_account(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t *row = json_pack("{s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:{}}", "account",
				cells[0].text, "currency", cells[1].text, "money",
				(json_int_t)cells[2].num, "users", (json_int_t)cells[3].num,
				"money_per_user", each(cells[2].num, cells[3].num), "sandboxes",
				(json_int_t)cells[4].num, "idle", (json_int_t)cells[5].num,
				"orphans", (json_int_t)cells[6].num, "used");

	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

static int add_sum(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)arg, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "account"));

		if (name && cells[0].text && strcmp(name, cells[0].text) == 0) {
			return json_put(json_object_get(row, "used"), cells[1].text,
					json_integer(cells[2].num)) < 0
				       ? ledger_no_memory(e)
				       : 0;
		}
	}
	return 0;
}

/* Nobody has settled it since then, and for two of its own periods. */
#define SILENT(stale)                                                                \
	"r.heartbeat < " stale " - 2 * (SELECT COALESCE(MAX(h.step), 0) FROM hold h" \
	" WHERE h.sandbox = r.sandbox AND h.dimension = 'wall')"

#define BELOW " FROM chain d JOIN reservation r ON r.account = d.account WHERE d.above = a.name"

int ledger_op_report(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	int64_t since = 0, stale = c->now_ms - STALE_MS;
	char month[16];
	const char *after;
	int r;

	ledger_day_text(ledger_month(ledger_day(c->now_ms)), month);
	r = take_since(c, "since", month, &since, e);
	r = r < 0 ? r : ledger_text(c, "after", LEDGER_NAME_MAX, "", &after, e);
	r = r < 0 ? r
		  : store_ask(c->s, e, add_account, list,
			      "SELECT a.name, a.currency,"
			      " (SELECT " STORE_SUM(
				      "u.amount") " FROM used u"
						  " WHERE u.account = a.name AND u.dimension = "
						  "'money'"
						  " AND u.day >= $1),"
						  " (SELECT COUNT(DISTINCT r.person)" BELOW
						  " AND r.heartbeat >= $2),"
						  " (SELECT COUNT(*)" BELOW
						  " AND r.state = 'open'),"
						  " (SELECT COUNT(*)" BELOW
						  " AND r.state = 'open' AND r.idle = 1),"
						  " (SELECT COUNT(*)" BELOW " AND r.state = 'open'"
						  " AND " SILENT(
							  "$3") ")"
								" FROM account a WHERE a.name > $4 "
								"AND " LEDGER_SEES(
									"$6",
									"a.name") " ORDER BY "
										  "a.name LIMIT $5",
			      S_INT(since), S_INT(since * LEDGER_DAY_MS), S_INT(stale),
			      S_TEXT(after), S_INT(LEDGER_PAGE), S_INT(c->uid));
	r = r < 0 ? r
		  : store_ask(c->s, e, add_sum, list,
			      "SELECT account, dimension, " STORE_SUM(
				      "amount") " FROM used"
						" WHERE day >= $1 AND model = '' GROUP BY account, "
						"dimension",
			      S_INT(since));
	if (r < 0) {
		return r;
	}
	ledger_day_text(since, month);
	return json_object_set(c->out, "accounts", list) < 0 ||
			       json_put(c->out, "since", json_string(month)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}

static int add_orphan(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t *row = json_pack("{s:s, s:s, s:o, s:I, s:o}", "sandbox", cells[0].text, "account",
				cells[1].text, "user", json_text(cells[2].text), "silent_ms",
				(json_int_t)cells[3].num, "uid",
				cells[4].num < 0 ? json_null() : json_integer(cells[4].num));

	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

/* Of a user's own; root sees all. */
int ledger_op_orphans(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	const char *after;
	int r = ledger_text(c, "after", LEDGER_NAME_MAX, "", &after, e);

	r = r < 0 ? r
		  : store_ask(c->s, e, add_orphan, list,
			      "SELECT r.sandbox, r.account, r.person,"
			      " CAST($2 AS BIGINT) - r.heartbeat, COALESCE(r.uid, -1)"
			      " FROM reservation r WHERE r.state = 'open' AND r.sandbox > $1"
			      " AND (CAST($3 AS BIGINT) < 1 OR r.uid = $3) AND " SILENT(
				      "$4") " ORDER BY r.sandbox LIMIT $5",
			      S_TEXT(after), S_INT(c->now_ms), S_INT(c->uid),
			      S_INT(c->now_ms - STALE_MS), S_INT(LEDGER_PAGE));
	return r < 0 ? r : json_object_set(c->out, "orphans", list) < 0 ? ledger_no_memory(e) : 0;
}
