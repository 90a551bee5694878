/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger for several users: who may ask what, and what a liar gets for it. On both stores. */
#include "unit.h"

#include "base/clock.h"
#include "base/json.h"
#include "ledger-fixture.h"
#include "record/ledger-anchor.h"

enum { ROOT = 0, ALICE = 1001, BOB = 1002 };

static json_t *ask(struct fixture *f, int64_t uid, json_t *request, int code, const char *says)
{
	_cleanup_json_ json_t *taken = request;
	json_t *reply = NULL;
	struct err e = {};
	int r;

	assert_non_null(taken);
	r = ledger_handle_for(f->l, uid, taken, &reply, &e);
	if (r != -code || (says && !strstr(e.msg, says))) {
		fail_msg("%s: %d instead of %d: '%s' does not say '%s'",
			 json_string_value(json_object_get(taken, "op")), r, -code, e.msg,
			 says ? says : "");
	}
	return reply;
}

static void does(struct fixture *f, int64_t uid, json_t *request, int code, const char *says)
{
	json_decref(ask(f, uid, request, code, says));
}

static json_t *of_account(const char *op, const char *account)
{
	return json_pack("{s:s, s:s}", "op", op, "account", account);
}

static json_t *of_sandbox(const char *op, const char *sandbox)
{
	return json_pack("{s:s, s:s, s:s, s:{}, s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s}", "op",
			 op, "sandbox", sandbox, "account", "team", "used", "size", 1, "head", "ab",
			 "root", "ab", "signature", "ab", "model", "m", "in", 1, "out", 1, "why",
			 "", "request", "r-1");
}

static json_t *reservation(const char *sandbox, const char *account, int64_t wall)
{
	return json_pack("{s:s, s:s, s:s, s:{s:I}, s:{s:i}}", "op", "reserve", "sandbox", sandbox,
			 "account", account, "most", "wall", (json_int_t)wall, "step", "wall", 10);
}

static json_t *member(const char *op, const char *account, int uid)
{
	return json_pack("{s:s, s:s, s:i}", "op", op, "account", account, "uid", uid);
}

/* org > team > sub, and other. ALICE may use team, BOB other. */
static void make(struct fixture *f)
{
	static const char *const pairs[][2] = {
		{"org", NULL}, {"team", "org"}, {"sub", "team"}, {"other", NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		does(f, ROOT,
		     json_pack("{s:s, s:s, s:s*}", "op", "create", "account", pairs[i][0], "parent",
			       pairs[i][1]),
		     0, NULL);
	}
	does(f, ROOT,
	     json_pack("{s:s, s:s, s:s, s:i}", "op", "set-budget", "account", "org", "dimension",
		       "wall", "amount", 100000),
	     0, NULL);
	does(f, ROOT, member("allow", "team", ALICE), 0, NULL);
	does(f, ROOT, member("allow", "other", BOB), 0, NULL);
}

/* Every operation there is, by somebody who has no business with it. */
static void test_the_table(void **state)
{
	static const struct {
		const char *op;
		bool account; /* else about a sandbox */
		const char *says;
	} rows[] = {
		{"create", true, "only root"},
		{"close", true, "only root"},
		{"set-budget", true, "only root"},
		{"price-add", true, "only root"},
		{"allow", true, "only root"},
		{"disallow", true, "only root"},
		{"show", true, "no account 'team' that uid 1002 may use"},
		{"usage", true, "no account 'team' that uid 1002 may use"},
		{"reserve", true, "no account 'team' that uid 1002 may use"},
		{"settle", false, "is another user's"},
		{"release", false, "is another user's"},
		{"return", false, "is another user's"},
		{"tokens", false, "is another user's"},
		{"tokens-reserve", false, "is another user's"},
		{"anchor", false, "is another user's"},
		{"retire", false, "is another user's"},
	};
	struct fixture *f = *state;

	make(f);
	does(f, ALICE, reservation("s-1", "team", 100), 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		does(f, BOB,
		     rows[i].account ? of_account(rows[i].op, "team")
				     : of_sandbox(rows[i].op, "s-1"),
		     EPERM, rows[i].says);
	}
	/* Of a user's own, in the order in which it can be. */
	for (size_t i = 9; i < ARRAY_SIZE(rows); i++) {
		bool over = strncmp(rows[i].op, "tokens", 6) == 0;

		does(f, ALICE, of_sandbox(rows[i].op, "s-1"), over ? ESTALE : 0, NULL);
	}
	/* Root's are the same doors. */
	does(f, ROOT, reservation("s-root", "team", 1), 0, NULL);
	does(f, ALICE, of_sandbox("settle", "s-root"), EPERM, "another user's");
	does(f, ROOT, of_sandbox("return", "s-1"), 0, NULL);
}

static size_t rows_of(struct fixture *f, int64_t uid, const char *op, const char *key)
{
	_cleanup_json_ json_t *reply = ask(f, uid, json_pack("{s:s}", "op", op), 0, NULL);

	return json_array_size(json_object_get(reply, key));
}

static void test_what_is_seen(void **state)
{
	static const char *const looks[] = {"list", "report", "usage", "orphans", "price-show"};
	struct fixture *f = *state;

	make(f);
	does(f, ROOT,
	     json_pack("{s:s, s:s, s:s, s:{s:i}}", "op", "price-add", "name", "default", "currency",
		       "USD", "prices", "wall", 3600),
	     0, NULL);
	does(f, ALICE, reservation("s-1", "sub", 100), 0, NULL);
	does(f, ALICE, of_sandbox("anchor", "s-1"), 0, NULL);
	assert_int_equal(rows_of(f, ROOT, "list", "accounts"), 4);
	assert_int_equal(rows_of(f, ALICE, "list", "accounts"), 2);
	assert_int_equal(rows_of(f, BOB, "list", "accounts"), 1);
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		does(f, 4294967294, json_pack("{s:s}", "op", looks[i]), EPERM,
		     "may use no account");
	}
	does(f, 5, of_sandbox("anchor", "s-5"), EPERM, "may use no account");
	does(f, 5, of_sandbox("return", "s-5"), EPERM, "may use no account");
	assert_int_equal(rows_of(f, 5, "anchors", "anchors"), 1);
	assert_int_equal(rows_of(f, ALICE, "report", "accounts"), 2);
	assert_int_equal(rows_of(f, ALICE, "usage", "usage"), 2);
	assert_int_equal(rows_of(f, BOB, "usage", "usage"), 0);
	assert_int_equal(rows_of(f, BOB, "price-show", "prices"), 1);
	f->now_ms += 10 * 60000;
	assert_int_equal(rows_of(f, ROOT, "orphans", "orphans"), 1);
	assert_int_equal(rows_of(f, ALICE, "orphans", "orphans"), 1);
	assert_int_equal(rows_of(f, BOB, "orphans", "orphans"), 0);
	/* What is allowed above is allowed below; what is taken back is. */
	does(f, ROOT, member("allow", "org", BOB), 0, NULL);
	assert_int_equal(rows_of(f, BOB, "list", "accounts"), 4);
	does(f, BOB, reservation("s-2", "sub", 1), 0, NULL);
	does(f, ROOT, member("disallow", "org", BOB), 0, NULL);
	does(f, BOB, reservation("s-3", "sub", 1), EPERM, "root allows it");
	does(f, BOB, of_sandbox("settle", "s-2"), 0, NULL);
	does(f, ROOT, member("disallow", "org", BOB), ENOENT, "was not allowed");
	does(f, ROOT, member("allow", "org", 0), EINVAL, "root may");
	does(f, ROOT, member("allow", "nobody", ALICE), ENOENT, "no account");
	does(f, LEDGER_OWNER, member("allow", "org", ALICE), EOPNOTSUPP, "knows no users");
}

static void change(struct fixture *f, const char *sql)
{
	struct store *s = fixture_store(f);

	assert_true(store_run(s, sql, NULL, 0, NULL, NULL, NULL) >= 0);
	s->ops->close(s);
}

static int64_t spent(struct fixture *f, const char *account)
{
	_cleanup_json_ json_t *reply = ask(f, ROOT, of_account("show", account), 0, NULL);
	const json_t *budget = json_array_get(json_object_get(reply, "budgets"), 0);

	return json_integer_value(json_object_get(budget, "spent"));
}

/* Who says that nothing was used pays for the time. */
static void test_measured(void **state)
{
	struct fixture *f = *state;

	make(f);
	does(f, ALICE, reservation("s-1", "team", 20000), 0, NULL);
	f->up_ms += 5000;
	does(f, ALICE, of_sandbox("settle", "s-1"), 0, NULL);
	assert_int_equal(spent(f, "team"), 5000);
	/* A wall clock that is set does not count, either way. */
	f->now_ms += 2 * DAY_MS;
	does(f, ALICE, of_sandbox("settle", "s-1"), 0, NULL);
	assert_int_equal(spent(f, "team"), 5000);
	/* Tearing down is no overrun; going on is. */
	f->up_ms += 16000;
	does(f, ALICE, of_sandbox("settle", "s-1"), 0, NULL);
	assert_int_equal(spent(f, "team"), 20000);
	f->up_ms += 30000;
	does(f, ALICE, of_sandbox("release", "s-1"), 0, NULL);
	assert_int_equal(spent(f, "team"), 51000);
	/* Of the dead no more than they could live. */
	does(f, ALICE, reservation("s-2", "team", 1000), 0, NULL);
	f->up_ms += 3600000;
	does(f, ALICE, of_sandbox("return", "s-2"), 0, NULL);
	assert_int_equal(spent(f, "team"), 52000);
	/* And of a host that was started again meanwhile. */
	does(f, ALICE, reservation("s-3", "team", 1000), 0, NULL);
	change(f, "UPDATE reservation SET up_boot = 'another'");
	f->up_ms = 7;
	f->now_ms += DAY_MS;
	does(f, ALICE, of_sandbox("release", "s-3"), 0, NULL);
	assert_int_equal(spent(f, "team"), 53000);
	/* In a ledger of one's own nobody is held to that. */
	does(f, LEDGER_OWNER, reservation("s-4", "team", 1000), 0, NULL);
	f->up_ms += 900;
	does(f, LEDGER_OWNER, of_sandbox("release", "s-4"), 0, NULL);
	assert_int_equal(spent(f, "team"), 53000);
}

/* One sandbox is one, and takes time, also where a user says otherwise. */
static void test_what_is_reserved(void **state)
{
	struct fixture *f = *state;

	make(f);
	does(f, ROOT,
	     json_pack("{s:s, s:s, s:s, s:i}", "op", "set-budget", "account", "team", "dimension",
		       "sandboxes", "amount", 2),
	     0, NULL);
	does(f, ALICE, reservation("s-1", "team", 1), 0, NULL);
	does(f, ALICE, reservation("s-2", "team", 0), EINVAL, "takes no time");
	does(f, ALICE, reservation("s-2", "team", 1), 0, NULL);
	does(f, ALICE, reservation("s-3", "team", 1), EDQUOT, "of sandboxes");
}

/* What was never reserved, and is returned, never will be. */
static void test_returned_before(void **state)
{
	struct fixture *f = *state;

	make(f);
	does(f, ALICE, of_sandbox("return", "s-1"), 0, NULL);
	does(f, ALICE, of_sandbox("return", "s-1"), 0, NULL);
	does(f, ALICE, reservation("s-1", "team", 1), EEXIST, "already");
	does(f, BOB, of_sandbox("return", "s-1"), EPERM, "another user's");
	does(f, LEDGER_OWNER, of_sandbox("return", "s-2"), 0, NULL);
	does(f, LEDGER_OWNER, reservation("s-2", "team", 1), EEXIST, "already");
}

static void test_bounds(void **state)
{
	struct fixture *f = *state;

	make(f);
	does(f, ALICE, reservation("s-1", "team", 1), 0, NULL);
	change(f, "UPDATE written SET n = 99999");
	does(f, ALICE, of_sandbox("anchor", "s-1"), 0, NULL);
	does(f, ALICE, of_sandbox("anchor", "s-1"), EDQUOT, "nobody may add more");
	does(f, ALICE,
	     json_pack("{s:s, s:s, s:s, s:i, s:i}", "op", "tokens", "sandbox", "s-1", "model", "m",
		       "in", 1, "out", 1),
	     EDQUOT, "nobody may add more");
	does(f, ALICE, of_sandbox("return", "s-9"), EDQUOT, "nobody may add more");
	does(f, ALICE, reservation("s-2", "team", 1), EDQUOT, "nobody may add more");
	/* What ends is not in the way of that, and others go on, and so does tomorrow. */
	does(f, ALICE, of_sandbox("release", "s-1"), 0, NULL);
	does(f, BOB, reservation("s-3", "other", 1), 0, NULL);
	f->now_ms += DAY_MS;
	does(f, ALICE, reservation("s-2", "team", 1), 0, NULL);
}

struct seen {
	int n;
	int64_t last;
};

static int count_row(void *arg, const struct ledger_anchor_row *row, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	s->n++;
	s->last = row->n;
	return 0;
}

/* A row is no place to keep things in. */
static void test_size_of_an_anchor(void **state)
{
	static const char *const keys[] = {"head", "root", "signature"};
	struct fixture *f = *state;
	char digits[130] = {};

	make(f);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t most = i == 2 ? 128 : 64;
		json_t *row = of_sandbox("anchor", "s-a");

		memset(digits, 'a', most + 1);
		digits[most + 1] = '\0';
		assert_int_equal(json_put(row, keys[i], json_string(digits)), 0);
		does(f, ALICE, row, EINVAL, "too long");
		row = of_sandbox("anchor", "s-a");
		assert_int_equal(json_put(row, keys[i], json_string(digits + 1)), 0);
		does(f, ALICE, row, 0, NULL);
	}
}

/* The whole chain holds for whoever sees a part of it. */
static void test_anchors_of_others(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {};
	_cleanup_json_ json_t *page = NULL;
	json_t *row;
	size_t i;

	make(f);
	does(f, ALICE, of_sandbox("anchor", "s-a"), 0, NULL);
	does(f, BOB, of_sandbox("anchor", "s-b"), 0, NULL);
	does(f, LEDGER_OWNER, of_sandbox("anchor", "s-c"), 0, NULL);
	does(f, ALICE, of_sandbox("anchor", "s-a"), 0, NULL);
	assert_int_equal(ledger_anchors(f->l, NULL, count_row, &seen, NULL), 0);
	assert_int_equal(seen.n, 4);
	page = ask(f, ALICE, json_pack("{s:s}", "op", "anchors"), 0, NULL);
	json_array_foreach(json_object_get(page, "anchors"), i, row)
	{
		assert_int_equal(json_object_get(row, "sandbox") != NULL, i == 0 || i == 3);
		assert_int_equal(json_object_get(row, "digest") != NULL, i == 1 || i == 2);
		assert_int_equal(json_object_get(row, "time_ms") != NULL, i == 0 || i == 3);
	}
	assert_int_equal(i, 4);
}

static json_t *lowered(const char *agent, int trust)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:s}", "op", "agent-lower", "agent", agent, "trust",
			 trust, "who", "keeper", "why", "s-x");
}

static json_int_t ceiling(struct fixture *f, int64_t uid, const char *agent)
{
	_cleanup_json_ json_t *reply =
		ask(f, uid, json_pack("{s:s, s:s}", "op", "agent", "agent", agent), 0, NULL);
	const json_t *n = json_object_get(reply, "ceiling");

	return n ? json_integer_value(n) : -1;
}

/* Nobody lowers another one's agent, nor gives the trust of one's own back. */
static void test_agents(void **state)
{
	struct fixture *f = *state;
	json_t *restore = json_pack("{s:s, s:s, s:s, s:s}", "op", "agent-restore", "agent", "bot",
				    "who", "root", "why", "looked at");

	make(f);
	does(f, ALICE, lowered("bot", 2), 0, NULL);
	assert_int_equal(ceiling(f, ALICE, "bot"), 1);
	assert_int_equal(ceiling(f, BOB, "bot"), -1);
	assert_int_equal(ceiling(f, LEDGER_OWNER, "bot"), -1);
	does(f, BOB, lowered("bot", 3), 0, NULL);
	assert_int_equal(ceiling(f, ALICE, "bot"), 1);
	assert_int_equal(ceiling(f, BOB, "bot"), 2);
	does(f, ALICE, json_incref(restore), EPERM, "only root");
	does(f, LEDGER_OWNER, restore, 0, NULL);
	assert_int_equal(ceiling(f, ALICE, "bot"), 4);
	assert_int_equal(ceiling(f, BOB, "bot"), 4);
	does(f, LEDGER_OWNER, lowered("bot", 1), 0, NULL);
	assert_int_equal(ceiling(f, BOB, "bot"), 0);
}

static json_t *large(const char *op, const char *sandbox, const char *account, const char *what)
{
	const json_int_t most = 1LL << 60;

	return json_pack("{s:s, s:s, s:s, s:{s:i, s:I}, s:{}, s:{s:I}}", "op", op, "sandbox",
			 sandbox, "account", account, "most", "wall", 1, what, most, "step", "used",
			 what, most);
}

static json_t *tokens(const char *op, const char *request, json_int_t n)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "op", op, "sandbox", "s-t", "request",
			 request, "model", "m", "in", n, "out", n);
}

/* Who tells of more than anybody could use is in nobody else's way, and not in root's. */
static void test_large_sums(void **state)
{
	struct fixture *f = *state;
	char id[8];

	make(f);
	does(f, ROOT,
	     json_pack("{s:s, s:s, s:s}", "op", "create", "account", "side", "parent", "org"), 0,
	     NULL);
	does(f, ROOT, member("allow", "side", BOB), 0, NULL);
	does(f, BOB, reservation("s-bob", "side", 1000), 0, NULL);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(id, sizeof(id), "s-%d", i);
		does(f, ALICE, large("reserve", id, "team", "egress"), 0, NULL);
		if (i < 21) {
			f->now_ms += i % 2 ? DAY_MS : 0;
			does(f, ALICE, large("settle", id, "team", "egress"), 0, NULL);
		}
	}
	does(f, BOB, large("settle", "s-bob", "side", "cpu"), 0, NULL);
	does(f, BOB, large("settle", "s-bob", "side", "egress"), 0, NULL);
	assert_int_equal(rows_of(f, ROOT, "report", "accounts"), 5);
	does(f, ROOT,
	     json_pack("{s:s, s:s, s:s, s:i}", "op", "set-budget", "account", "org", "dimension",
		       "egress", "amount", 1000),
	     0, NULL);
	does(f, ROOT, of_account("show", "org"), 0, NULL);
	does(f, BOB, of_sandbox("settle", "s-bob"), 0, NULL);
	does(f, BOB, large("reserve", "s-more", "side", "egress"), EDQUOT, "of egress");
	does(f, BOB, of_sandbox("release", "s-bob"), 0, NULL);
}

/* What is reserved can be released, whatever it was, and whatever became of who did. */
static void test_large_tokens(void **state)
{
	struct fixture *f = *state;

	make(f);
	does(f, ALICE, reservation("s-t", "team", 1), 0, NULL);
	does(f, ALICE, tokens("tokens-reserve", "r-1", 1LL << 60), EDQUOT, "more than the ledger");
	does(f, ALICE, tokens("tokens-reserve", "r-1", 1LL << 59), 0, NULL);
	does(f, ALICE, tokens("tokens-reserve", "r-2", 1), EDQUOT, "more than the ledger");
	does(f, ALICE, tokens("tokens", "r-1", 1LL << 60), 0, NULL);
	does(f, ALICE, tokens("tokens-reserve", "r-2", 1LL << 59), 0, NULL);
	change(f, "UPDATE written SET n = 100000");
	does(f, ALICE, of_sandbox("settle", "s-t"), 0, NULL);
	does(f, ROOT, member("disallow", "team", ALICE), 0, NULL);
	does(f, ALICE, of_sandbox("release", "s-t"), 0, NULL);
}

/* A model that is new to a sandbox is a row that somebody adds, told or not; one that is new to its
 * account is many, for it is one of each account above, and of each day. */
static void test_untold_models(void **state)
{
	struct fixture *f = *state;

	make(f);
	does(f, ALICE, reservation("s-t", "team", 1), 0, NULL);
	change(f, "UPDATE written SET n = 99799");
	does(f, ALICE, tokens("tokens-reserve", "r-1", 1), 0, NULL);
	does(f, ALICE, tokens("tokens-reserve", "r-2", 1), 0, NULL);
	does(f, ALICE,
	     json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "op", "tokens-reserve", "sandbox", "s-t",
		       "request", "r-3", "model", "another", "in", 1, "out", 1),
	     EDQUOT, "nobody may add more");
	does(f, ALICE, of_sandbox("release", "s-t"), 0, NULL);
}

static void set_budget(struct fixture *f, const char *account, const char *dimension, int amount)
{
	does(f, ROOT,
	     json_pack("{s:s, s:s, s:s, s:i}", "op", "set-budget", "account", account, "dimension",
		       dimension, "amount", amount),
	     0, NULL);
}

static void answers(struct fixture *f, int64_t uid, json_t *request, const char *answer)
{
	_cleanup_json_ json_t *reply = ask(f, uid, request, 0, NULL);

	assert_string_equal(json_string_value(json_object_get(reply, "answer")), answer);
}

/* What a user has not reserved they cannot spend: it is what others have. */
static void test_beyond_what_is_reserved(void **state)
{
	struct fixture *f = *state;

	make(f);
	set_budget(f, "org", "egress", 1000);
	set_budget(f, "org", "tokens", 1000);
	does(f, ROOT, member("allow", "org", BOB), 0, NULL);
	does(f, BOB, reservation("s-bob", "org", 1000), 0, NULL);
	does(f, ALICE, reservation("s-t", "team", 1000), 0, NULL);
	answers(f, ALICE, large("settle", "s-t", "team", "egress"), "exhausted");
	answers(f, ALICE, large("settle", "s-t", "team", "cpu"), "ok");
	answers(f, BOB, of_sandbox("settle", "s-bob"), "ok");
	does(f, ALICE, tokens("tokens", "r-1", 1), ESTALE, "reserved nothing");
	does(f, ALICE, tokens("tokens-reserve", "r-1", 10), 0, NULL);
	does(f, ALICE, tokens("tokens", "r-1", 501), EDQUOT, "of tokens");
	does(f, ALICE,
	     json_pack("{s:s, s:s, s:s, s:i, s:i}", "op", "tokens", "sandbox", "s-t", "model", "m",
		       "in", 981, "out", 0),
	     EDQUOT, "of tokens");
	answers(f, ALICE, tokens("tokens", "r-1", 100), "ok");
	answers(f, BOB, of_sandbox("settle", "s-bob"), "ok");
	/* Whoever keeps the ledger for nobody else spends what was used. */
	does(f, LEDGER_OWNER, reservation("s-own", "team", 1000), 0, NULL);
	answers(f, LEDGER_OWNER, large("settle", "s-own", "team", "egress"), "exhausted");
	answers(f, LEDGER_OWNER, of_sandbox("settle", "s-own"), "exhausted");
}

static double seconds_of(struct fixture *f, int64_t uid, const char *op, size_t n, const char *key)
{
	int64_t since = clock_now_ns();

	assert_int_equal(rows_of(f, uid, op, key), n);
	return (double)(clock_now_ns() - since) / 1e9;
}

/* Who adds as much as they may has nobody wait for the writer. */
static void test_many_agents(void **state)
{
	static const char *const names[] = {"'a' || CAST(i AS TEXT)", "'x'"};
	struct fixture *f = *state;
	char sql[512];

	make(f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		change(f, "DELETE FROM agent");
		(void)snprintf(sql, sizeof(sql),
			       "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c"
			       " WHERE i < 20000) INSERT INTO agent (n, name, ceiling, time, uid,"
			       " who, why) SELECT i, %s, 3, 0, 1001, 'keeper', 's-x' FROM c",
			       names[i]);
		change(f, sql);
		assert_true(seconds_of(f, ALICE, "agents", i == 0 ? 500 : 1, "agents") < 3);
		assert_true(seconds_of(f, 5, "agents", 0, "agents") < 3);
		assert_true(seconds_of(f, ROOT, "agents", i == 0 ? 500 : 1, "agents") < 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_the_table),
		ON_BOTH(test_what_is_seen),
		ON_BOTH(test_what_is_reserved),
		ON_BOTH(test_measured),
		ON_BOTH(test_returned_before),
		ON_BOTH(test_bounds),
		ON_BOTH(test_anchors_of_others),
		ON_BOTH(test_size_of_an_anchor),
		ON_BOTH(test_agents),
		ON_BOTH(test_many_agents),
		ON_BOTH(test_large_sums),
		ON_BOTH(test_large_tokens),
		ON_BOTH(test_untold_models),
		ON_BOTH(test_beyond_what_is_reserved),
	};

	return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
