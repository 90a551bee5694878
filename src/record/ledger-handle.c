/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, one transaction, one reply.
 *
 * TRUST: a request comes from whoever may write to the store anyway, or, of a ledger that is
 * served, from any user of the host: then the table says what they may ask (ledger-rights.c). It is
 * checked all the same, for a member that is missing or is too large must not become a sum that is
 * wrong.
 *
 * Time. What a day and a month are is decided by the wall clock, which can be set. The ledger keeps
 * the latest time that it has seen, and time in it never goes back: a clock that was set back, or
 * another host's that is late, does not open again a period that was spent, nor does anything get a
 * negative age. A clock that was wrong in the other direction stays where it was until the right
 * one has caught up: budgets of a day or a month do not begin anew meanwhile, and a refusal says
 * so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

struct op {
	const char *name;
	int (*run)(struct ledger_call *c, struct err *e);
	bool writes;
	enum ledger_right right;
};

static const struct op ops[] = {
	{"create", ledger_op_create, true, RIGHT_ROOT},
	{"close", ledger_op_close, true, RIGHT_ROOT},
	{"list", ledger_op_list, false, RIGHT_SEE},
	{"show", ledger_op_show, false, RIGHT_ACCOUNT},
	{"set-budget", ledger_op_set_budget, true, RIGHT_ROOT},
	{"price-add", ledger_op_price_add, true, RIGHT_ROOT},
	{"price-show", ledger_op_price_show, false, RIGHT_SEE},
	{"reserve", ledger_op_reserve, true, RIGHT_RESERVE},
	{"settle", ledger_op_settle, true, RIGHT_SANDBOX},
	{"release", ledger_op_release, true, RIGHT_SANDBOX},
	{"return", ledger_op_return, true, RIGHT_SANDBOX},
	{"tokens-reserve", ledger_op_tokens_reserve, true, RIGHT_SANDBOX},
	{"tokens", ledger_op_tokens, true, RIGHT_SANDBOX},
	{"usage", ledger_op_usage, false, RIGHT_SEE},
	{"report", ledger_op_report, false, RIGHT_SEE},
	{"orphans", ledger_op_orphans, false, RIGHT_SEE},
	{"anchor", ledger_op_anchor, true, RIGHT_ADD},
	{"retire", ledger_op_retire, true, RIGHT_ADD},
	{"allow", ledger_op_allow, true, RIGHT_MEMBERS},
	{"disallow", ledger_op_disallow, true, RIGHT_MEMBERS},
	/* rows and their number are of one moment */
	{"anchors", ledger_op_anchors, true, RIGHT_ANYBODY},
	{"agent", ledger_op_agent, false, RIGHT_ANYBODY},
	{"agents", ledger_op_agents, false, RIGHT_ANYBODY},
	{"agent-lower", ledger_op_agent_lower, true, RIGHT_ADD_OWN},
	{"agent-restore", ledger_op_agent_restore, true, RIGHT_ROOT},
};

int ledger_no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* ---- members ---- */

int ledger_text(const struct ledger_call *c, const char *key, size_t max, const char *otherwise,
		const char **ret, struct err *e)
{
	const json_t *v = json_object_get(c->in, key);
	const char *s = json_string_value(v);

	if (!v && otherwise) {
		*ret = otherwise;
		return 0;
	}
	if (!s || strlen(s) != json_string_length(v) || strlen(s) > max) {
		return err_set(e, ERR_USER, EINVAL, "'%s' is missing, or too long", key);
	}
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			return err_set(e, ERR_USER, EINVAL, "'%s' has a control character", key);
		}
	}
	*ret = s;
	return 0;
}

int ledger_name(const struct ledger_call *c, const char *key, const char **ret, struct err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	int r = ledger_text(c, key, LEDGER_NAME_MAX, NULL, ret, e);

	if (r >= 0 && (**ret == '\0' || (*ret)[strspn(*ret, letters)] != '\0')) {
		return err_set(e, ERR_USER, EINVAL,
			       "'%s' is no name; letters, digits, '.', '_' and '-', up to %d", *ret,
			       LEDGER_NAME_MAX);
	}
	return r;
}

int ledger_amount(const json_t *in, const char *key, int64_t otherwise, int64_t *ret, struct err *e)
{
	const json_t *v = json_object_get(in, key);

	if (!v && otherwise >= 0) {
		*ret = otherwise;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > LEDGER_MOST) {
		return err_set(e, ERR_USER, EINVAL, "'%s' must be a whole number from 0 to 2^60",
			       key);
	}
	*ret = json_integer_value(v);
	return 0;
}

const char *ledger_dimension(enum ledger_dimension d)
{
	static const char *const words[] = {
		[LEDGER_MONEY] = "money",   [LEDGER_CPU] = "cpu",
		[LEDGER_MEMORY] = "memory", [LEDGER_WALL] = "wall",
		[LEDGER_EGRESS] = "egress", [LEDGER_SANDBOXES] = "sandboxes",
		[LEDGER_TOKENS] = "tokens",
	};

	return (unsigned)d < ARRAY_SIZE(words) ? words[d] : "?";
}

int ledger_dimension_of(const char *word)
{
	for (int d = 0; d < LEDGER_DIMENSIONS; d++) {
		if (strcmp(ledger_dimension((enum ledger_dimension)d), word) == 0) {
			return d;
		}
	}
	return -1;
}

/* ---- days ---- */

int64_t ledger_day(int64_t ms)
{
	return ms / LEDGER_DAY_MS;
}

static bool calendar(int64_t day, struct tm *tm)
{
	time_t t = (time_t)(day * (LEDGER_DAY_MS / 1000));

	return gmtime_r(&t, tm) != NULL;
}

int64_t ledger_month(int64_t day)
{
	struct tm tm;

	return calendar(day, &tm) ? day - tm.tm_mday + 1 : 0;
}

void ledger_day_text(int64_t day, char text[16])
{
	struct tm tm;

	if (!calendar(day, &tm) || strftime(text, 16, "%Y-%m-%d", &tm) == 0) {
		(void)snprintf(text, 16, "?");
	}
}

int ledger_day_parse(const char *text, int64_t *ret, struct err *e)
{
	struct tm tm = {};
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	char again[16];
	time_t t = end && *end == '\0' ? timegm(&tm) : -1;

	*ret = t / (LEDGER_DAY_MS / 1000);
	ledger_day_text(*ret, again);
	return t < 0 || strcmp(text, again) != 0
		       ? err_set(e, ERR_USER, EINVAL, "'%s' is no day; write it as 2026-11-30",
				 text)
		       : 0;
}

/* ---- the transaction ---- */

static int read_clock(const struct ledger *l, struct ledger_call *c, bool writes, struct err *e)
{
	int64_t seen = 0;
	int r = 0;

	if (l->clock_ms) {
		c->host_ms = l->clock_ms(l->clock_arg);
	} else {
		r = c->s->ops->clock(c->s, &c->host_ms, e);
	}
	if (r >= 0 && c->host_ms < 0) {
		c->host_ms = 0; /* before 1970: the ledger's own time stands */
	}
	r = r < 0 ? r
		  : store_run(c->s, "SELECT num FROM meta WHERE name = 'clock'", NULL, 0,
			      store_number, &seen, e);
	c->now_ms = c->host_ms > seen ? c->host_ms : seen;
	if (r >= 0 && writes && c->now_ms > seen) {
		r = store_do(c->s, e,
			     "INSERT INTO meta (name, num, word) VALUES ('clock', $1, '')"
			     " ON CONFLICT (name) DO UPDATE SET num = excluded.num",
			     S_INT(c->now_ms));
	}
	return r < 0 ? r : 0;
}

static int64_t up_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static const struct op *find(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));

	for (size_t i = 0; name && i < ARRAY_SIZE(ops); i++) {
		if (strcmp(ops[i].name, name) == 0) {
			return &ops[i];
		}
	}
	return NULL;
}

int ledger_handle_for(struct ledger *l, int64_t uid, const json_t *request, json_t **reply,
		      struct err *e)
{
	const struct op *op = find(request);
	_cleanup_json_ json_t *out = json_object();
	struct ledger_call c = {
		.s = l->store, .in = request, .out = out, .uid = uid, .boot = l->boot};
	int r;

	if (!op) {
		return err_set(e, ERR_USER, EINVAL, "the ledger has no such request");
	}
	if (!out) {
		return ledger_no_memory(e);
	}
	r = op->writes ? c.s->ops->begin(c.s, e) : 0;
	if (r < 0) {
		return r;
	}
	c.up_ms = l->up_ms ? l->up_ms(l->clock_arg) : up_ms();
	r = read_clock(l, &c, op->writes, e);
	r = r < 0 ? r : ledger_may(&c, op->name, op->right, e);
	r = r < 0 ? r : op->run(&c, e);
	if (op->writes) {
		r = r < 0 ? r : c.s->ops->commit(c.s, e);
		if (r < 0) {
			c.s->ops->rollback(c.s);
		}
	}
	if (r >= 0) {
		*reply = TAKE_PTR(out);
	}
	return r < 0 ? r : 0;
}

int ledger_handle(struct ledger *l, const json_t *request, json_t **reply, struct err *e)
{
	return ledger_handle_for(l, LEDGER_OWNER, request, reply, e);
}
