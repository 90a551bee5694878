/* SPDX-License-Identifier: Apache-2.0 */
/* Why a run ended: each reason, and which one stands where several could. */
#include "unit.h"

#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/result.h"

#define EXITED(status) ((status) << 8)

static const char *reason_of(const struct keeper *k)
{
	static char text[64]; /* global: storage of a test helper */

	keeper_reason(k, text, sizeof(text));
	return text;
}

static void test_each(void **state)
{
	static const struct {
		enum limit limit;
		const char *reason;
	} limits[] = {
		{LIMIT_WALL, "limit:wall"},     {LIMIT_IDLE, "limit:idle"},
		{LIMIT_CPU_TIME, "limit:cpu"},  {LIMIT_MEMORY, "limit:memory"},
		{LIMIT_OUTPUT, "limit:output"}, {LIMIT_STARTS, "limit:starts"},
		{LIMIT_PAUSED, "limit:paused"},
	};
	struct command c = {.exited = true, .status = EXITED(3)};
	struct keeper k = {.main = &c};
	char want[64];
	size_t i;

	(void)state;
	assert_string_equal(reason_of(&k), "exited");
	c.status = SIGKILL;
	assert_string_equal(reason_of(&k), "signalled");
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		k.broken = limits[i].limit;
		assert_string_equal(reason_of(&k), limits[i].reason);
	}
	k = (struct keeper){.denied = true, .denials.n = 2};
	for (i = 0; i < DENIAL_COUNT; i++) {
		k.denials.entries[0].code = (enum denial_code)i;
		k.denials.entries[1].code = DENIAL_NETWORK;
		(void)snprintf(want, sizeof(want), "denied:%s",
			       denial_kind((enum denial_code)i)->code);
		assert_string_equal(reason_of(&k), want);
	}
}

/* Denials that were only recorded are no reason. */
static void test_recorded_only(void **state)
{
	struct command c = {.exited = true};
	struct keeper k = {.main = &c};

	(void)state;
	assert_true(denials_add(&k.denials, DENIAL_MOUNT, "mount", NULL, 1));
	assert_string_equal(reason_of(&k), "exited");
}

/* From the weakest to the strongest: each takes over from those before. */
static void test_precedence(void **state)
{
	struct command c = {.exited = true};
	struct keeper k = {.main = &c, .broken = LIMIT_MEMORY};

	(void)state;
	assert_string_equal(reason_of(&k), "limit:memory");
	assert_true(denials_add(&k.denials, DENIAL_MOUNT, "mount", NULL, 1));
	k.denied = true;
	assert_string_equal(reason_of(&k), "denied:mount.refused");
	k.stopped = true;
	assert_string_equal(reason_of(&k), "stopped");
	(void)err_set(&k.error, ERR_SYSTEM, EIO, "the record failed");
	assert_string_equal(reason_of(&k), "error:system");
	c.exec_error = ENOENT;
	assert_string_equal(reason_of(&k), "error:exec");
}

static void document(bool may_fail)
{
	struct keeper k = {.denied = true};
	_cleanup_json_ json_t *doc = NULL;

	(void)denials_add(&k.denials, DENIAL_KERNEL, "bpf", NULL, 1);
	doc = keeper_result(&k, true);
	if (!doc) {
		assert_true(may_fail);
		return;
	}
	assert_string_equal(json_string_value(json_object_get(doc, "reason")),
			    "denied:kernel.surface");
	assert_true(json_is_null(json_object_get(doc, "exit")));
	assert_true(json_is_null(json_object_get(doc, "error")));
	assert_int_equal(json_array_size(json_object_get(doc, "denials")), 1);
}

static void test_document(void **state)
{
	(void)state;
	json_set_alloc_funcs(unit_malloc, free);
	unit_faults(document);
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_recorded_only),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
