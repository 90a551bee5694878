/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as JSON: exact both ways, and nothing but a whole plan is read. */
#include "policy-fixture.h"

#include "base/buf.h"
#include "base/json.h"
#include "policy/document.h"

/* A plan that uses every member. */
static struct plan full_plan(const struct fixture *f)
{
	struct asked a;

	make_dir(f, "data \xc3\xbc\"\\");
	ask(&a, f,
	    make_file(f, "p.yaml", 0644,
		      "version: 1\nname: full\nprovenance: reviewed\ntrust: high\n"
		      "filesystem: {workspace: {path: ws, mode: direct}}\n"
		      "execution: {allow: [env, sh], syscalls: nested, denials: end}\n"
		      "data: {env: {QUOTED: 'a\"b\\c=d', UMLAUT: \"\xc3\xbc\"}}\n"
		      "governance: {owner: me, account: team, purpose: 'to test'}\n"));
	option(&a, "filesystem.read", at(f, "data \xc3\xbc\"\\"));
	return planned(&a);
}

static json_t *as_json(const struct plan *p)
{
	json_t *j = plan_to_json(p);

	assert_non_null(j);
	return j;
}

/* What is the caller's own is in no JSON but that of the values. */
static void test_inherited(void **state)
{
	const struct fixture *f = *state;
	_cleanup_json_ json_t *j = NULL, *values = NULL, *other = json_pack("{s:s}", "OTHER", "x");
	_cleanup_free_ char *text = NULL;
	struct plan p, back = {};
	struct err e = {};
	struct asked a;

	ask(&a, f, NULL);
	a.req.environ = (char *[]){"PATH=/usr/bin", "TOKEN=hunter2", "EMPTY=", NULL};
	option(&a, "data.env", "TOKEN");
	option(&a, "data.env", "EMPTY");
	option(&a, "data.env", "ABSENT");
	option(&a, "data.env", "SAID=hunter3");
	p = planned(&a);
	assert_string_equal(plan_variable(&p, "TOKEN"), "hunter2");
	j = as_json(&p);
	text = json_canonical(j, NULL);
	assert_non_null(strstr(text, "\"inherited\":[\"TOKEN\",\"EMPTY\"]"));
	assert_null(strstr(text, "hunter2"));
	assert_non_null(strstr(text, "hunter3"));
	values = plan_values(&p);
	assert_int_equal(json_object_size(values), 2);
	assert_int_equal(plan_from_json(j, &back, &e), 0);
	assert_int_equal(plan_take_values(&back, NULL, &e), -EINVAL);
	assert_int_equal(plan_take_values(&back, other, &e), -EINVAL);
	assert_null(plan_variable(&back, "TOKEN"));
	assert_int_equal(plan_take_values(&back, values, &e), 0);
	assert_string_equal(plan_variable(&back, "TOKEN"), "hunter2");
	assert_string_equal(plan_variable(&back, "EMPTY"), "");
	assert_int_equal(back.n_env, p.n_env);
	/* Twice is once too often. */
	assert_int_equal(plan_take_values(&back, values, &e), -EINVAL);
	plan_done(&p);
	plan_done(&back);
}

static void test_round_trip(void **state)
{
	const struct fixture *f = *state;
	struct plan p = full_plan(f), back = {};
	char one[DIGEST_HEX_SIZE], two[DIGEST_HEX_SIZE];
	_cleanup_json_ json_t *j = NULL, *again = NULL;
	struct err e = {};

	/* The edges of what members can hold. */
	p.workspace.ino = UINT64_MAX;
	p.workspace.dev = UINT64_MAX - 1;
	p.limits.memory = 1ULL << 50;
	p.limits.io = 1ULL << 50;
	p.limits.wall = 365LL * 86400 * 1000000000;
	p.identity.uid = UINT32_MAX - 1;
	j = as_json(&p);
	if (plan_from_json(j, &back, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	again = as_json(&back);
	assert_true(json_equal(j, again));
	assert_int_equal(plan_digest(&p, one), 0);
	assert_int_equal(plan_digest(&back, two), 0);
	assert_string_equal(one, two);
	assert_int_equal(back.workspace.ino, UINT64_MAX);
	assert_int_equal(back.limits.io, p.limits.io);
	assert_int_equal(back.limits.wall, p.limits.wall);
	assert_int_equal(back.denials, DENIALS_END);
	assert_string_equal(back.read[0].path, p.read[0].path);
	assert_string_equal(plan_variable(&back, "QUOTED"), "a\"b\\c=d");
	assert_null(back.env[back.n_env]);
	plan_done(&back);
	plan_done(&p);
}

static void test_digest_covers_everything(void **state)
{
	struct plan p = full_plan(*state);
	char one[DIGEST_HEX_SIZE], two[DIGEST_HEX_SIZE];

	assert_int_equal(plan_digest(&p, one), 0);
	p.limits.starts++;
	assert_int_equal(plan_digest(&p, two), 0);
	assert_string_not_equal(one, two);
	plan_done(&p);
}

static void expect_unreadable(const json_t *whole, const char *what)
{
	struct plan back = {};
	struct err e = {};

	if (plan_from_json(whole, &back, &e) >= 0) {
		plan_done(&back);
		fail_msg("read although %s", what);
	}
	assert_int_equal(e.kind, ERR_BUG);
	assert_null(back.name);
}

/* Each member in turn: missing, of every other type, and one too many. */
static void spoil(json_t *whole, json_t *object)
{
	_cleanup_json_ json_t *copy = json_copy(object);
	const char *key;
	json_t *value;

	json_object_foreach(copy, key, value)
	{
		static const char *const others[] = {"null", "true", "-1",          "1.5",
						     "[]",   "{}",   "\"no such\"", "[null]"};
		_cleanup_json_ json_t *kept = json_incref(value);

		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			json_t *other = json_loads(others[i], JSON_DECODE_ANY, NULL);
			bool may_be = json_typeof(other) == json_typeof(kept) ||
				      /* booleans; null for undeclared governance */
				      (json_is_boolean(other) && json_is_boolean(kept)) ||
				      ((json_is_null(other) || json_is_string(other)) &&
				       (strcmp(key, "owner") == 0 || strcmp(key, "account") == 0 ||
					strcmp(key, "agent") == 0 || strcmp(key, "purpose") == 0 ||
					strcmp(key, "review") == 0)) ||
				      (json_is_array(other) && json_is_array(kept));

			assert_int_equal(json_object_set_new(object, key, other), 0);
			if (!may_be) {
				expect_unreadable(whole, key);
			}
		}
		assert_int_equal(json_object_del(object, key), 0);
		expect_unreadable(whole, key);
		assert_int_equal(json_object_set(object, key, kept), 0);
	}
	assert_int_equal(json_object_set_new(object, "extra", json_true()), 0);
	expect_unreadable(whole, "of a member too many");
	assert_int_equal(json_object_del(object, "extra"), 0);
}

static void test_spoilt(void **state)
{
	struct plan p = full_plan(*state), back = {};
	_cleanup_json_ json_t *j = as_json(&p);
	struct err e = {};

	spoil(j, j);
	spoil(j, json_object_get(j, "limits"));
	spoil(j, json_object_get(j, "identity"));
	spoil(j, json_object_get(j, "workspace"));
	spoil(j, json_array_get(json_object_get(j, "read"), 0));
	spoil(j, json_array_get(json_object_get(j, "exec"), 0));
	assert_int_equal(plan_from_json(j, &back, &e), 0); /* whole again */
	plan_done(&back);
	plan_done(&p);
}

/* Values of the right type that no plan has: {object, member, JSON}. */
static void test_impossible(void **state)
{
	static const struct {
		const char *object, *member, *value;
	} rows[] = {
		{NULL, "trust", "\"?\""},
		{NULL, "denials", "\"stop\""},
		{NULL, "tier", "\"none\""},
		{NULL, "net_default", "\"open\""},
		{NULL, "workspace_mode", "\"none\""},
		{NULL, "exec_any", "true"},
		{NULL, "exec", "[]"},
		{NULL, "idle_signals", "[]"},
		{NULL, "idle_signals", "[\"cpu\", \"cpu\"]"},
		{NULL, "idle_signals", "[\"network\"]"},
		{NULL, "idle_signals", "[1]"},
		{NULL, "env", "[]"},
		{NULL, "env", "[\"NOVALUE\"]"},
		{NULL, "env", "[\"=x\"]"},
		{NULL, "inherited", "[\"\"]"},
		{NULL, "inherited", "[\"A=\"]"},
		{NULL, "inherited", "[\"PATH\"]"},
		{NULL, "inherited", "[1]"},
		{NULL, "env", "[\"A=x\\u0000y\"]"},
		{NULL, "notes", "[1]"},
		{NULL, "policy_digest", "\"00\""},
		{NULL, "workspace", "null"},
		{"limits", "memory", "0"},
		{"limits", "memory", "-1"},
		{"limits", "memory", "9223372036854775807"},
		{"limits", "cpus_milli", "4294967296"},
		{"limits", "io", "1"},
		{"limits", "io", "-1"},
		{"limits", "io", "null"},
		{"limits", "wall_ns", "0"},
		{"limits", "processes", "0"},
		{"limits", "mechanism", "\"none\""},
		{"limits", "pauses", "-1"},
		{"limits", "pauses", "4294967296"},
		{"limits", "paused_ns", "0"},
		{"identity", "uid", "4294967296"},
		{"identity", "uid", "-1"},
		{"identity", "home", "\"relative\""},
		{"identity", "home", "\"/a/../b\""},
		{"identity", "user", "\"\""},
		{"identity", "user", "\"a:b\""},
		{"identity", "user", "\"a/b\""},
		{"workspace", "path", "\"relative\""},
		{"workspace", "path", "\"/a/./b\""},
		{"workspace", "path", "\"/a//b\""},
		{"workspace", "path", "\"/a/\""},
		{"workspace", "path", "\"\""},
		{"workspace", "is_dir", "false"},
	};
	struct plan p = full_plan(*state);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ json_t *j = as_json(&p);
		json_t *object = rows[i].object ? json_object_get(j, rows[i].object) : j;
		json_t *value = json_loads(rows[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		assert_non_null(value);
		assert_int_equal(json_object_set_new(object, rows[i].member, value), 0);
		expect_unreadable(j, rows[i].value);
	}
	plan_done(&p);
	expect_unreadable(NULL, "there is nothing");
}

static char *digestless(const struct plan *p)
{
	_cleanup_json_ json_t *j = as_json(p);

	assert_int_equal(json_object_del(j, "policy_digest"), 0);
	return json_canonical(j, NULL);
}

/* Written out and loaded again, from elsewhere, it means the same. */
static void test_written_again(void **state)
{
	const struct fixture *f = *state;
	struct plan p = full_plan(f), again;
	_cleanup_free_ char *one = NULL, *two = NULL, *text = NULL;
	_cleanup_buf_ struct buf b = {};
	struct asked a;
	struct err e = {};

	buf_init(&b, 1 << 20);
	if (policy_write(p.policy, &b, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	make_dir(f, "elsewhere");
	ask(&a, f, make_file(f, "elsewhere/again.yaml", 0644, buf_str(&b)));
	again = planned(&a);
	one = digestless(&p);
	two = digestless(&again);
	assert_string_equal(one, two);
	/* All that was relative is not any more: what is written now is what was read. */
	text = json_canonical(again.policy, NULL);
	free(one);
	one = json_canonical(p.policy, NULL);
	assert_string_equal(one, text);
	plan_done(&p);
	plan_done(&again);
}

/* TRUST: a record may have been written by anybody; nothing in it becomes more than a value. */
static void test_written_from_anything(void **state)
{
	static const char *const records[] = {
		"{}",
		"[]",
		"{\"trust\": 1}",
		"{\"trust\": \"high\\nversion: 2\"}",
		"{\"trust\": \"\"}",
		"{\"time.wall\": \"1m # \"}",
		"{\"trust\": \"high\", \"unknown\": \"x\"}",
		"{\"time\": \"x\"}",
		"{\"filesystem.read\": \"/x\"}",
		"{\"filesystem.read\": [1]}",
		"{\"data.env\": [\"A\"]}",
		"{\"data.env\": {\"A: b\": \"x\"}}",
		"{\"data.env\": {\"A\": 1}}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(records); i++) {
		_cleanup_json_ json_t *j = json_loads(records[i], 0, NULL);
		_cleanup_buf_ struct buf b = {};
		struct err e = {};

		buf_init(&b, 4096);
		assert_non_null(j);
		assert_int_equal(policy_write(j, &b, &e), -EBADMSG);
		assert_non_null(strstr(e.msg, "the recorded policy"));
	}
}

/* The schema has a place for every key, and closes every object. */
static void test_schema(void **state)
{
	_cleanup_json_ json_t *j = policy_json_schema();
	const json_t *limits;

	(void)state;
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "$schema")),
			    "https://json-schema.org/draft/2020-12/schema");
	assert_true(json_is_false(json_object_get(j, "additionalProperties")));
	limits = json_object_get(
		json_object_get(json_object_get(json_object_get(json_object_get(j, "properties"),
								"execution"),
						"properties"),
				"limits"),
		"properties");
	assert_int_equal(json_object_size(limits), 11);
	assert_non_null(json_object_get(json_object_get(limits, "memory"), "description"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_inherited),
		TEST(test_digest_covers_everything),
		TEST(test_spoilt),
		TEST(test_impossible),
		TEST(test_schema),
		TEST(test_written_again),
		TEST(test_written_from_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
