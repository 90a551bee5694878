/* SPDX-License-Identifier: Apache-2.0 */
/* Between the limits of a sandbox and the ledger. */
#include "keeper/account.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/program.h"
#include "policy/config.h"
#include "record/ledger-flight.h"
#include "record/ledger.h"

extern char **environ;

#define MS  1000000LL
#define MIB (1024 * 1024ULL)
/* More than any ledger takes: what is larger is asked for as this, and refused. */
#define MOST (1LL << 60)

/* While the sandbox runs its limits must be looked at, so a ledger that somebody else has locked is
 * waited for in pieces: so long at once, so long between them, and no longer than anybody waits. */
#define BUSY_MS      100
#define BUSY_REST_NS (100 * MS)
#define BUSY_MOST_NS (LEDGER_PATIENCE_MS * MS)

/* a * b / c, rounded up and bounded. */
static int64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 n = ((unsigned __int128)a * b + c - 1) / c;

	return n > MOST ? MOST : (int64_t)n;
}

static int open_ledger(int home, int ms, struct ledger **ret, int64_t *ret_period_ns, struct err *e)
{
	_cleanup_(config_done) struct config config = {};
	struct ledger_config c = {.home = home, .answer_ms = ms};
	char program[PATH_MAX];
	int r = config_load(environ, &config, e);

	if (r < 0) {
		return r;
	}
	c.url = config.ledger;
	if (strncmp(config.ledger, "postgres", 8) == 0) {
		r = program_find("atoll-ledger", "the ledger's database cannot be reached", program,
				 e);
		c.program = program;
	}
	if (ret_period_ns) {
		*ret_period_ns = config.settle;
	}
	r = r < 0 ? r : ledger_open(ret, &c, e);
	if (r >= 0 && ms > 0) {
		ledger_patience(*ret, ms);
	}
	return r;
}

int account_open_ledger(int home, struct ledger **ret, int64_t *ret_period_ns, struct err *e)
{
	return open_ledger(home, 0, ret, ret_period_ns, e);
}

int account_open_ledger_in(int home, int ms, struct ledger **ret, struct err *e)
{
	return open_ledger(home, ms, ret, NULL, e);
}

/* The longest life that the plan allows, in ns. */
static int64_t life(const struct keeper *k)
{
	const struct plan_limits *p = &k->plan.limits;
	int64_t ns = k->main && p->wall < p->session ? p->wall : p->session;

	return k->plan.expires > 0 && (int64_t)k->plan.expires < ns ? (int64_t)k->plan.expires : ns;
}

/* What it can use in that time at most. */
static void ceilings(const struct keeper *k, int64_t ns, int64_t of[LEDGER_DIMENSIONS])
{
	const struct plan_limits *p = &k->plan.limits;
	int64_t cpu = scale((uint64_t)ns, p->cpus_milli, 1000 * MS);
	int64_t limit = scale((uint64_t)p->cpu_time, 1, MS);

	of[LEDGER_CPU] = cpu < limit ? cpu : limit;
	of[LEDGER_MEMORY] = scale((uint64_t)ns, scale(p->memory, 1, MIB), 1000 * MS);
	of[LEDGER_WALL] = scale((uint64_t)ns, 1, MS);
	/* Nothing bounds how fast that goes. */
	of[LEDGER_EGRESS] = plan_has_gateway(&k->plan) ? scale(p->net.bytes, 1, 1) : 0;
	of[LEDGER_SANDBOXES] = 1;
}

static int record_reserved(struct keeper *k, const json_t *reply, struct err *e)
{
	return keeper_record(k, "reserved",
			     json_pack("{s:s, s:O?, s:O?, s:I}", "account", k->plan.account,
				       "amounts", json_object_get(reply, "reserved"), "currency",
				       json_object_get(reply, "currency"), "settled_every_ms",
				       (json_int_t)(k->account.period_ns / MS)),
			     e);
}

int account_reserve(struct keeper *k, struct err *e)
{
	struct account *a = &k->account;
	struct ledger_reservation v = {
		.sandbox = k->home.id, .account = k->plan.account, .keeper = getpid()};
	int64_t most[LEDGER_DIMENSIONS] = {}, step[LEDGER_DIMENSIONS] = {};
	_cleanup_json_ json_t *reply = NULL;
	char person[32];
	int r;

	if (!k->plan.account) {
		return 0;
	}
	(void)snprintf(person, sizeof(person), "uid:%u", (unsigned)getuid());
	v.user = k->plan.owner ? k->plan.owner : person;
	r = account_open_ledger(k->state.home, &a->ledger, &a->period_ns, e);
	if (r < 0) {
		return r;
	}
	ceilings(k, life(k), most);
	ceilings(k, a->period_ns, step);
	for (int d = 0; d < LEDGER_DIMENSIONS; d++) {
		v.of[d] = (struct ledger_ceiling){most[d], step[d] < most[d] ? step[d] : most[d]};
	}
	r = ledger_reserve(a->ledger, &v, &reply, e);
	if (r < 0) {
		a->unsure = ledger_is_remote(a->ledger) && e->kind == ERR_SYSTEM;
		ledger_close(a->ledger);
		a->ledger = NULL;
		return r;
	}
	ledger_patience(a->ledger, BUSY_MS);
	a->due_ns = clock_now_ns() + a->period_ns;
	return record_reserved(k, reply, e);
}

/* Memory is what it has held at most so far, for as long as it has been there. */
static struct ledger_usage usage(struct keeper *k)
{
	struct account *a = &k->account;
	const struct limits *l = &k->limits;
	int64_t now = k->down_ns ? k->down_ns : clock_now_ns();
	struct ledger_usage u = {};

	if (l->started_ns == 0) {
		return u; /* nothing has run */
	}
	a->memory_ns = a->memory_ns ? a->memory_ns : l->started_ns;
	a->memory_ms += scale((uint64_t)(now - a->memory_ns), scale(l->peak_memory, 1, MIB), MS);
	a->memory_ms = a->memory_ms > MOST ? MOST : a->memory_ms;
	a->memory_ns = now;
	u.of[LEDGER_CPU] = scale(l->cpu_ns, 1, MS);
	u.of[LEDGER_MEMORY] = scale((uint64_t)a->memory_ms, 1, 1000);
	u.of[LEDGER_WALL] = scale((uint64_t)(now - l->started_ns), 1, MS);
	u.of[LEDGER_EGRESS] = scale(k->egress.bytes, 1, 1);
	u.idle = now - l->last_active_ns >= a->period_ns;
	return u;
}

/* The first warning, and the end. */
static void tell(struct keeper *k, const char *answer)
{
	if (keeper_record(k, "budget",
			  json_pack("{s:s, s:s, s:o}", "account", k->plan.account, "answer", answer,
				    "why", json_text(k->account.why)),
			  &k->error) < 0) {
		k->limits.exhausted = true;
	}
}

/* Somebody else has the ledger, and it is asked again in a moment. */
static bool is_put_off(struct account *a, int r, int64_t now)
{
	if (r != -EBUSY || ledger_is_remote(a->ledger)) {
		a->busy_ns = 0;
		return false;
	}
	a->busy_ns = a->busy_ns ? a->busy_ns : now;
	return now - a->busy_ns < BUSY_MOST_NS;
}

/* What the ledger has said; -EBUSY where it is asked again in a moment, -EAGAIN where it has not
 * said anything yet. */
static int ask(struct keeper *k, int64_t now, enum ledger_answer *ret, struct err *e)
{
	struct account *a = &k->account;
	struct ledger_usage u = {};
	int r = 0;

	if (!a->asked) {
		a->due_ns = now + a->period_ns;
		u = usage(k);
	}
	if (!ledger_is_remote(a->ledger)) {
		return ledger_settle(a->ledger, k->home.id, &u, ret, a->why, e);
	}
	if (!a->asked) {
		r = ledger_settle_begin(a->ledger, k->home.id, &u, e);
	}
	r = r < 0 ? r : ledger_settle_hear(a->ledger, ret, a->why, e);
	a->asked = r == -EAGAIN;
	return r;
}

int64_t account_settle(struct keeper *k)
{
	struct account *a = &k->account;
	enum ledger_answer answer = LEDGER_EXHAUSTED;
	struct err e = {};
	int64_t now = clock_now_ns();
	int r;

	if (!a->ledger || k->limits.exhausted) {
		return INT64_MAX;
	}
	if (!a->asked && now < a->due_ns) {
		return a->due_ns;
	}
	r = ask(k, now, &answer, &e);
	if (r == -EAGAIN) {
		return ledger_due_ns(a->ledger);
	}
	if (is_put_off(a, r, now)) {
		a->due_ns = clock_now_ns() + BUSY_REST_NS;
	} else if (r < 0) {
		/* Who cannot be asked has not agreed. */
		(void)snprintf(a->why, sizeof(a->why), "it cannot be settled: %.200s", e.msg);
		k->limits.exhausted = true;
		tell(k, "failed");
	} else if (answer == LEDGER_EXHAUSTED) {
		k->limits.exhausted = true;
		tell(k, "exhausted");
	} else if (answer == LEDGER_WARN && !a->warned) {
		a->warned = true;
		tell(k, "warn");
	}
	if (k->limits.exhausted) {
		k->limits.due_ns = now; /* the next look ends it */
	}
	return a->due_ns;
}

void account_poll(const struct account *a, struct pollfd *w)
{
	*w = (struct pollfd){.fd = FD_NONE};
	if (a->ledger && a->asked) {
		ledger_poll(a->ledger, w);
	}
}

int account_release(struct keeper *k, bool gone, struct err *e)
{
	struct account *a = &k->account;
	enum ledger_answer unused;
	struct ledger_usage u;
	int r;

	if (a->unsure) {
		return err_set(e, ERR_SYSTEM, EIO,
			       "what sandbox %s may have reserved waits for 'atoll reap'",
			       k->home.id);
	}
	if (!a->ledger) {
		return 0;
	}
	u = usage(k);
	ledger_patience(a->ledger, LEDGER_PATIENCE_MS);
	r = gone ? ledger_release(a->ledger, k->home.id, &u, &a->spent, e)
		 : ledger_settle(a->ledger, k->home.id, &u, &unused, a->why, e);
	if (r >= 0 && !gone) {
		r = err_set(e, ERR_SYSTEM, EBUSY, "something of the sandbox is still there");
	}
	if (r < 0) {
		return err_wrap(e, "what sandbox %s has reserved waits for 'atoll reap'",
				k->home.id);
	}
	return keeper_record(k, "settled",
			     json_pack("{s:s, s:O?, s:O?}", "account", k->plan.account, "amounts",
				       json_object_get(a->spent, "spent"), "currency",
				       json_object_get(a->spent, "currency")),
			     e);
}

json_t *account_to_json(const struct keeper *k)
{
	const struct account *a = &k->account;

	return k->plan.account ? json_pack("{s:s, s:O?, s:O?, s:o}", "account", k->plan.account,
					   "spent", json_object_get(a->spent, "spent"), "currency",
					   json_object_get(a->spent, "currency"), "why",
					   *a->why ? json_text(a->why) : json_null())
			       : json_null();
}

/* Nobody here has had an account, if there is no ledger. */
static bool is_without_ledger(int home)
{
	_cleanup_(config_done) struct config config = {};

	return config_load(environ, &config, NULL) >= 0 && strcmp(config.ledger, "sqlite") == 0 &&
	       faccessat(home, "ledger/ledger.db", F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

int account_return(const struct state *s, const char *id, const char *account, int ms, json_t *note,
		   struct err *e)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	_cleanup_json_ json_t *reply = NULL;
	bool held;
	int r;

	if (!account && is_without_ledger(s->home)) {
		return 0;
	}
	r = open_ledger(s->home, ms, &l, NULL, e);
	r = r < 0 ? r
		  : ledger_call(l, json_pack("{s:s, s:s}", "op", "return", "sandbox", id), &reply,
				e);
	if (r < 0) {
		return err_wrap(e, "cannot return what sandbox %s has reserved of %s%s", id,
				account ? "account " : "its account", account ? account : "");
	}
	held = json_is_true(json_object_get(reply, "held"));
	if (account || held) {
		(void)json_put(note, "account",
			       account ? json_string(account)
				       : json_incref(json_object_get(reply, "account")));
		(void)json_put(note, "returned", json_boolean(held));
	}
	return 0;
}

void account_done(struct account *a)
{
	ledger_close(a->ledger);
	a->ledger = NULL;
	json_decref(a->spent);
	a->spent = NULL;
}
