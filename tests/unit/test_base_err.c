/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: codes, kinds, messages, context, and what happens without room or storage. */
#include "unit.h"

static void test_set(void **state)
{
	struct err e = {};

	(void)state;
	assert_int_equal(err_set(&e, ERR_POLICY, EPERM, "no '%s' here", "x"), -EPERM);
	assert_int_equal(e.code, EPERM);
	assert_int_equal(e.kind, ERR_POLICY);
	assert_string_equal(e.msg, "no 'x' here");
	assert_int_equal(err_set(NULL, ERR_BUG, EINVAL, "nobody listens"), -EINVAL);
}

static void test_code_that_is_none(void **state)
{
	struct err e = {};

	(void)state;
	assert_int_equal(err_set(&e, ERR_BUG, 0, "zero"), -EIO);
	assert_int_equal(e.code, EIO);
	assert_int_equal(err_set(&e, ERR_BUG, -EPERM, "negative"), -EIO);
	assert_int_equal(err_sys(&e, 0, "zero"), -EIO);
	assert_int_equal(err_sys(NULL, -5, "zero"), -EIO);
}

static void test_sys(void **state)
{
	struct err e = {};

	(void)state;
	assert_int_equal(err_sys(&e, ENOENT, "cannot open '%s'", "/x"), -ENOENT);
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_string_equal(e.msg, "cannot open '/x': No such file or directory");
}

static void test_wrap(void **state)
{
	struct err e = {};

	(void)state;
	(void)err_set(&e, ERR_GUEST, EPROTO, "bad bytes");
	assert_int_equal(err_wrap(&e, "sandbox %d", 7), -EPROTO);
	assert_string_equal(e.msg, "sandbox 7: bad bytes");
	assert_int_equal(e.kind, ERR_GUEST);
	assert_int_equal(err_wrap(NULL, "context"), -EIO);
}

/* A message that is too long is cut, never written past its end. */
static void test_long_messages(void **state)
{
	char text[4096];
	struct err e = {};
	int i;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, ERR_USER, EINVAL, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	(void)err_sys(&e, EINVAL, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	for (i = 0; i < 10; i++) {
		(void)err_wrap(&e, "%s", text + sizeof(text) - 200);
		assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	}
}

static void test_kind_names(void **state)
{
	static const struct {
		enum err_kind kind;
		const char *name;
	} rows[] = {
		{ERR_NONE, "none"},         {ERR_USER, "user"},     {ERR_POLICY, "policy"},
		{ERR_GUEST, "guest"},       {ERR_SYSTEM, "system"}, {ERR_BUG, "bug"},
		{(enum err_kind)99, "bug"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(err_kind_name(rows[i].kind), rows[i].name);
	}
}

/* A remedy follows the message, once. */
static void test_advise(void **state)
{
	struct err e = {};

	(void)state;
	(void)err_sys(&e, EPERM, "cannot do it");
	assert_int_equal(err_advise(&e, "ask"), -EPERM);
	assert_string_equal(e.msg, "cannot do it: Operation not permitted; ask");
	assert_int_equal(err_advise(&e, "ask somebody else"), -EPERM);
	assert_string_equal(e.msg, "cannot do it: Operation not permitted; ask");
	assert_int_equal(err_advise(NULL, "ask"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_advise),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_code_that_is_none),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_long_messages),
		cmocka_unit_test(test_kind_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
