/* SPDX-License-Identifier: Apache-2.0 */
/* Agents in the ledger: their trust is lowered step by step, and given back whole. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "ledger-fixture.h"
#include "record/ledger-agent.h"

static int64_t ceiling(struct ledger *l, const char *agent)
{
	struct ledger_agent a;
	struct err e = {};

	assert_int_equal(ledger_agent(l, agent, &a, &e), 0);
	return a.ceiling;
}

static void lower(struct ledger *l, const char *agent, int64_t trust, int64_t from, int64_t to)
{
	int64_t was = -1, is = -1;
	struct err e = {};

	assert_int_equal(ledger_agent_lower(l, agent, trust, "uid:0", "sandbox s-1", &was, &is, &e),
			 0);
	assert_int_equal(was, from);
	assert_int_equal(is, to);
	assert_int_equal(ceiling(l, agent), to);
}

static int restore(struct ledger *l, const char *agent, const char *why, struct err *e)
{
	return ledger_call(l,
			   json_pack("{s:s, s:s, s:s, s:s}", "op", "agent-restore", "agent", agent,
				     "who", "uid:7", "why", why),
			   NULL, e);
}

static void test_down_and_up(void **state)
{
	struct fixture *f = *state;
	struct ledger_agent a;
	struct err e = {};

	assert_int_equal(ceiling(f->l, "one"), LEDGER_TRUST_FULL);
	lower(f->l, "one", 3, 3, 2);
	assert_int_equal(ceiling(f->l, "two"), LEDGER_TRUST_FULL);
	/* One that was started before still has what it had, and the ceiling goes on down. */
	lower(f->l, "one", 3, 2, 1);
	lower(f->l, "one", 1, 1, 0);
	lower(f->l, "one", 0, 0, 0);
	assert_int_equal(ledger_agent(f->l, "one", &a, &e), 0);
	assert_string_equal(a.why, "sandbox s-1");
	assert_int_equal(a.time_ms, f->now_ms);
	/* Below the ceiling that it has: from what this one had. */
	lower(f->l, "two", 4, 4, 3);
	lower(f->l, "two", 1, 1, 0);
	f->now_ms += 1000;
	assert_int_equal(restore(f->l, "one", "looked at", &e), 0);
	assert_int_equal(ceiling(f->l, "one"), LEDGER_TRUST_FULL);
	assert_int_equal(ceiling(f->l, "two"), 0);
	lower(f->l, "one", 2, 2, 1);
}

static void test_refusals(void **state)
{
	static const char *const names[] = {"", "a b", "a/b", "a\n"};
	struct fixture *f = *state;
	struct ledger_agent a;
	struct err e = {};
	int64_t from, to;

	assert_int_equal(restore(f->l, "one", "why", &e), -ENOENT);
	lower(f->l, "one", 2, 2, 1);
	e = (struct err){};
	assert_int_equal(restore(f->l, "one", "", &e), -EINVAL);
	e = (struct err){};
	assert_int_equal(restore(f->l, "one", "a\x1b", &e), -EINVAL);
	assert_int_equal(ceiling(f->l, "one"), 1);
	e = (struct err){};
	assert_int_equal(restore(f->l, "one", "why", &e), 0);
	assert_int_equal(restore(f->l, "one", "why", &e), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		e = (struct err){};
		assert_int_equal(ledger_agent(f->l, names[i], &a, &e), -EINVAL);
		e = (struct err){};
		assert_int_equal(
			ledger_agent_lower(f->l, names[i], 2, "uid:0", "why", &from, &to, &e),
			-EINVAL);
	}
	e = (struct err){};
	assert_int_equal(ledger_agent_lower(f->l, "one", -1, "uid:0", "why", &from, &to, &e),
			 -EINVAL);
}

/* Who, when and why stay, also of what was given back. */
static void test_history(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *reply = NULL;
	json_t *rows, *row;
	struct err e = {};
	struct store *s;

	lower(f->l, "b", 3, 3, 2);
	lower(f->l, "a", 2, 2, 1);
	assert_int_equal(restore(f->l, "b", "a test", &e), 0);
	assert_int_equal(ledger_call(f->l, json_pack("{s:s}", "op", "agents"), &reply, &e), 0);
	rows = json_object_get(reply, "agents");
	assert_int_equal(json_array_size(rows), 2);
	row = json_array_get(rows, 0);
	assert_string_equal(json_string_value(json_object_get(row, "agent")), "a");
	assert_int_equal(json_integer_value(json_object_get(row, "ceiling")), 1);
	row = json_array_get(rows, 1);
	assert_string_equal(json_string_value(json_object_get(row, "agent")), "b");
	assert_int_equal(json_integer_value(json_object_get(row, "ceiling")), LEDGER_TRUST_FULL);
	assert_string_equal(json_string_value(json_object_get(row, "who")), "uid:7");
	assert_string_equal(json_string_value(json_object_get(row, "why")), "a test");
	s = fixture_store(f);
	assert_int_equal(fixture_ask(s, "SELECT COUNT(*) FROM agent"), 3);
	s->ops->close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_down_and_up),
		ON_BOTH(test_refusals),
		ON_BOTH(test_history),
	};

	return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
