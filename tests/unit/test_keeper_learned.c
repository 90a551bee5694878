/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from what was tried: the gateway's words are foreign. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "keeper/learned.h"
#include "policy/plan.h"
#include "unit.h"

struct row {
	enum gateway_denial why;
	const char *host;
	uint16_t port;
	const char *rule; /* NULL: none */
};

static const struct row rows[] = {
	{GATEWAY_DENY_NAME, "a.example", 443, "a.example:443"},
	{GATEWAY_DENY_NAME, "A.Example.", 5432, "a.example:5432"},
	{GATEWAY_DENY_NAME, "a.example", 0, NULL}, /* asked for, and never connected to */
	{GATEWAY_DENY_NAME, ".", 0, NULL},
	{GATEWAY_DENY_ADDRESS, "9.9.9.9", 80, "9.9.9.9:80"},
	{GATEWAY_DENY_ADDRESS, "a.example", 81, "a.example:81"},
	{GATEWAY_DENY_ADDRESS, "10.0.0.1", 22, "10.0.0.1:22,private"},
	{GATEWAY_DENY_ADDRESS, "[fd00::1]", 22, "[fd00::1]:22,private"},
	{GATEWAY_DENY_ADDRESS, "198.18.1.7", 80, NULL}, /* stands for a name, or for none */
	{GATEWAY_DENY_ADDRESS, "198.19.255.254", 80, NULL},
	{GATEWAY_DENY_PRIVATE, "in.example", 80, "in.example:80,private"},
	{GATEWAY_DENY_PROTOCOL, "a.example", 443, "a.example:443/tcp"},
	{GATEWAY_DENY_PROTOCOL, "b.example", 443, "b.example:443/tcp,private"},
	{GATEWAY_DENY_PRIVATE, "c.example", 443, "c.example:443/tcp,private"},
	{GATEWAY_DENY_ADDRESS, "169.254.169.254", 80, NULL}, /* metadata */
	{GATEWAY_DENY_DENIED, "a.example", 443, NULL},
	{GATEWAY_DENY_UDP, "a.example", 443, NULL},
	{GATEWAY_DENY_LIMIT, "a.example", 443, NULL},
	/* What a gateway that was taken over could say. */
	{GATEWAY_DENY_NAME, "", 443, NULL},
	{GATEWAY_DENY_NAME, "*", 443, NULL},
	{GATEWAY_DENY_NAME, "*.example.com", 443, NULL},
	{GATEWAY_DENY_NAME, "a.example:1/tcp,private", 443, NULL},
	{GATEWAY_DENY_NAME, "a]}\"b", 443, NULL},
	{GATEWAY_DENY_NAME, "a.example:443,private#", 443, NULL},
};

static void expect(const struct learned *l, const char *only)
{
	_cleanup_json_ json_t *list = learned_to_json(l);

	assert_non_null(list);
	assert_int_equal(json_array_size(list), only ? 1 : 0);
	if (only) {
		assert_string_equal(json_string_value(json_array_get(list, 0)), only);
	}
}

static void test_refused(void **state)
{
	char *rules[] = {"b.example:443,private", "c.example:443/tcp", NULL};
	const struct plan plan = {.net = rules, .n_net = 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct learned l = {};

		assert_int_equal(
			learned_refused(&l, &plan, rows[i].why, rows[i].host, rows[i].port), 0);
		assert_int_equal(
			learned_refused(&l, &plan, rows[i].why, rows[i].host, rows[i].port), 0);
		expect(&l, rows[i].rule);
		learned_done(&l);
	}
}

static void test_allowed(void **state)
{
	static const struct {
		const char *rule, *host, *learned;
	} all[] = {
		{"*:8080", "a.example", "a.example:8080"},
		{"*:443", "a.example", "a.example:443"},
		{"*:443/tcp", "a.example", "a.example:443/tcp"},
		{"*:5432,private", "in.example", "in.example:5432,private"},
		{"a.example:443", "a.example", NULL}, /* a rule names it already */
		{"*.example.com:443", "a.example.com", NULL},
		{"*:443", "*", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct learned l = {};

		assert_int_equal(learned_allowed(&l, all[i].rule, all[i].host), 0);
		expect(&l, all[i].learned);
		learned_done(&l);
	}
}

static void test_many(void **state)
{
	struct learned l = {};
	_cleanup_json_ json_t *list = NULL;
	const struct plan none = {};

	(void)state;
	for (unsigned i = 0; i < LEARNED_MAX + 10; i++) {
		char host[32];

		(void)snprintf(host, sizeof(host), "n%03u.example", 999 - i);
		assert_int_equal(learned_refused(&l, &none, GATEWAY_DENY_NAME, host, 443), 0);
		assert_int_equal(l.more, i >= LEARNED_MAX);
	}
	list = learned_to_json(&l);
	assert_int_equal(json_array_size(list), LEARNED_MAX);
	assert_string_equal(json_string_value(json_array_get(list, 0)), "n744.example:443");
	learned_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
