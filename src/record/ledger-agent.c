/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents: how much trust one may have at most.
 *
 * A table that is only added to. Each row has an agent's ceiling from then on, who set it and why;
 * the last one of an agent is what counts, and an agent without any has no ceiling. A sandbox in
 * which an escape was suspected lowers it to one level below the trust that it had, or that the
 * ceiling let it have; a person gives all of it back. Levels are numbers here, from 0 (none) to
 * LEDGER_TRUST_FULL.
 *
 * In a ledger that is kept for several users an agent is one of the user who named it: nobody
 * lowers another one's. What root says of a name (`uid` is NULL) counts for every user's.
 */
#include <errno.h>
#include <stdio.h>

#include "record/ledger-agent.h"
#include "record/ledger-internal.h"

#define WHO_MAX 64
#define WHY_MAX 512

static json_t *row_of(const struct store_cell *cells)
{
	return json_pack("{s:s, s:I, s:I, s:s, s:s}", "agent", cells[0].text, "ceiling",
			 (json_int_t)cells[1].num, "time_ms", (json_int_t)cells[2].num, "who",
			 cells[3].text, "why", cells[4].text);
}

static int take_one(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t **row = arg;

	json_decref(*row);
	*row = row_of(cells);
	return *row ? 0 : ledger_no_memory(e);
}

static int take_each(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t *row = row_of(cells);

	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

/* Root's own, and the owner's of a ledger of one. */
#define NOBODYS 0

static int64_t whose(const struct ledger_call *c)
{
	return c->uid > 0 ? c->uid : NOBODYS;
}

/* What counts for a user; *ret stays NULL where nobody has ever lowered it. */
static int find(struct ledger_call *c, const char *agent, json_t **ret, struct err *e)
{
	int r = store_ask(c->s, e, take_one, ret,
			  "SELECT name, ceiling, time, who, why FROM agent WHERE name = $1"
			  " AND (uid IS NULL OR uid = $2) ORDER BY n DESC LIMIT 1",
			  S_TEXT(agent), S_INT(whose(c)));

	return r < 0 ? r : 0;
}

static int64_t ceiling_of(const json_t *row)
{
	return row ? json_integer_value(json_object_get(row, "ceiling")) : LEDGER_TRUST_FULL;
}

static int append(struct ledger_call *c, const char *agent, int64_t ceiling, struct err *e)
{
	const char *who, *why;
	int64_t n = 0;
	int r = ledger_text(c, "who", WHO_MAX, NULL, &who, e);

	r = r < 0 ? r : ledger_text(c, "why", WHY_MAX, NULL, &why, e);
	if (r >= 0 && !*why) {
		r = err_set(e, ERR_USER, EINVAL, "say why");
	}
	r = r < 0 ? r
		  : store_run(c->s, "SELECT COALESCE(MAX(n), 0) FROM agent", NULL, 0, store_number,
			      &n, e);
	return r < 0 ? r
		     : store_do(c->s, e,
				"INSERT INTO agent (n, name, ceiling, time, who, why, uid)"
				" VALUES ($1, $2, $3, $4, $5, $6, NULLIF(CAST($7 AS BIGINT), 0))",
				S_INT(n + 1), S_TEXT(agent), S_INT(ceiling), S_INT(c->now_ms),
				S_TEXT(who), S_TEXT(why), S_INT(whose(c)));
}

static int reply(struct ledger_call *c, int64_t from, int64_t to, struct err *e)
{
	return json_put(c->out, "from", json_integer(from)) < 0 ||
			       json_put(c->out, "to", json_integer(to)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}

int ledger_op_agent(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *row = NULL;
	const char *agent;
	int r = ledger_name(c, "agent", &agent, e);

	r = r < 0 ? r : find(c, agent, &row, e);
	return r >= 0 && row && json_object_update(c->out, row) < 0 ? ledger_no_memory(e) : r;
}

/* Each row is looked at once: there can be as many as users may add, and others wait meanwhile. */
int ledger_op_agents(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *rows = json_array();
	const char *after;
	int r = ledger_text(c, "after", LEDGER_NAME_MAX, "", &after, e);

	if (r < 0 || !rows) {
		return r < 0 ? r : ledger_no_memory(e);
	}
	r = store_ask(c->s, e, take_each, rows,
		      "SELECT name, ceiling, time, who, why FROM agent WHERE n IN"
		      " (SELECT MAX(n) FROM agent WHERE name > $1 AND"
		      " (CAST($2 AS BIGINT) = 0 OR uid IS NULL OR uid = $2)"
		      " GROUP BY name ORDER BY name LIMIT $3) ORDER BY name",
		      S_TEXT(after), S_INT(whose(c)), S_INT(LEDGER_PAGE));
	return r < 0 ? r : json_put(c->out, "agents", TAKE_PTR(rows)) < 0 ? ledger_no_memory(e) : 0;
}

int ledger_op_agent_lower(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *row = NULL;
	const char *agent;
	int64_t had, to;
	int r = ledger_name(c, "agent", &agent, e);

	r = r < 0 ? r : ledger_amount(c->in, "trust", -1, &had, e);
	r = r < 0 ? r : find(c, agent, &row, e);
	if (r < 0) {
		return r;
	}
	had = had < ceiling_of(row) ? had : ceiling_of(row);
	to = had > 0 ? had - 1 : 0;
	r = append(c, agent, to, e);
	return r < 0 ? r : reply(c, had, to, e);
}

/* For every user that has one of that name. */
int ledger_op_agent_restore(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *row = NULL;
	const char *agent;
	int r = ledger_name(c, "agent", &agent, e);

	r = r < 0 ? r
		  : store_ask(c->s, e, take_one, &row,
			      "SELECT name, ceiling, time, who, why FROM agent WHERE name = $1"
			      " ORDER BY n DESC LIMIT 1",
			      S_TEXT(agent));
	if (r >= 0 && ceiling_of(row) == LEDGER_TRUST_FULL) {
		r = err_set(e, ERR_USER, ENOENT,
			    "the trust of agent '%s' is not lowered; 'atoll account agents' shows "
			    "whose is",
			    agent);
	}
	r = r < 0 ? r : append(c, agent, LEDGER_TRUST_FULL, e);
	return r < 0 ? r : reply(c, ceiling_of(row), LEDGER_TRUST_FULL, e);
}

/* ---- who asks ---- */

int ledger_agent(struct ledger *l, const char *agent, struct ledger_agent *ret, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	const char *why;
	int r = ledger_call(l, json_pack("{s:s, s:s}", "op", "agent", "agent", agent), &reply, e);

	if (r < 0) {
		return r;
	}
	*ret = (struct ledger_agent){.ceiling = LEDGER_TRUST_FULL};
	if (json_object_get(reply, "ceiling")) {
		why = json_string_value(json_object_get(reply, "why"));
		ret->ceiling = json_integer_value(json_object_get(reply, "ceiling"));
		ret->time_ms = json_integer_value(json_object_get(reply, "time_ms"));
		(void)snprintf(ret->why, sizeof(ret->why), "%.200s", why ? why : "");
	}
	return 0;
}

int ledger_agent_lower(struct ledger *l, const char *agent, int64_t trust, const char *who,
		       const char *why, int64_t *ret_from, int64_t *ret_to, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ledger_call(l,
			    json_pack("{s:s, s:s, s:I, s:s, s:s}", "op", "agent-lower", "agent",
				      agent, "trust", (json_int_t)trust, "who", who, "why", why),
			    &reply, e);

	if (r >= 0) {
		*ret_from = json_integer_value(json_object_get(reply, "from"));
		*ret_to = json_integer_value(json_object_get(reply, "to"));
	}
	return r;
}
