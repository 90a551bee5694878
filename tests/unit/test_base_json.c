/* SPDX-License-Identifier: Apache-2.0 */
/* JSON helpers: construction that survives any bytes, the canonical form, typed access. */
#include "unit.h"

#include "base/buf.h"
#include "base/json.h"

static void test_text(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"\xc3\xbc", "\xc3\xbc"},
		{"a\xff", "a\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ json_t *j = json_text(rows[i].bytes);

		assert_non_null(j);
		assert_string_equal(json_string_value(j), rows[i].text);
	}
}

static void test_text_with_nul(void **state)
{
	_cleanup_json_ json_t *j = json_text_n("a\0\xff", 3);

	(void)state;
	assert_int_equal(json_string_length(j), 5);
	assert_memory_equal(json_string_value(j), "a\0\xef\xbf\xbd", 5);
}

static void test_canonical(void **state)
{
	_cleanup_json_ json_t *j = json_loads("{ \"b\" : [1, 2.5, null ], \"a\" : {\"z\":true, "
					      "\"\\u00fc\":\"x\\ny\"}, \"B\":\"\"}",
					      0, NULL);
	_cleanup_free_ char *text = NULL, *word = NULL;
	_cleanup_json_ json_t *string = json_string("x");
	size_t len = 0;

	(void)state;
	text = json_canonical(j, &len);
	assert_string_equal(
		text, "{\"B\":\"\",\"a\":{\"z\":true,\"\xc3\xbc\":\"x\\ny\"},\"b\":[1,2.5,null]}");
	assert_int_equal(len, strlen(text));
	word = json_canonical(string, NULL);
	assert_string_equal(word, "\"x\"");
}

static void test_access(void **state)
{
	_cleanup_json_ json_t *o = json_loads("{\"s\":\"text\",\"n\":-7,\"t\":true,\"f\":false,"
					      "\"x\":null,\"r\":1.0,\"nul\":\"a\\u0000b\"}",
					      JSON_ALLOW_NUL, NULL);
	struct err e = {};
	const char *s = NULL;
	int64_t n = 0;
	bool b = false;

	(void)state;
	assert_int_equal(json_get_str(o, "s", &s, &e), 0);
	assert_string_equal(s, "text");
	assert_int_equal(json_get_int(o, "n", &n, &e), 0);
	assert_int_equal(n, -7);
	assert_int_equal(json_get_bool(o, "t", &b, &e), 0);
	assert_true(b);
	assert_int_equal(json_get_bool(o, "f", &b, &e), 0);
	assert_false(b);
	assert_int_equal(e.code, 0);
	b = true;
	assert_int_equal(json_get_str(o, "n", &s, &e), -EINVAL);
	assert_int_equal(json_get_str(o, "absent", &s, &e), -EINVAL);
	assert_int_equal(json_get_str(o, "nul", &s, &e), -EINVAL);
	assert_int_equal(json_get_int(o, "r", &n, &e), -EINVAL);
	assert_int_equal(json_get_int(o, "s", &n, &e), -EINVAL);
	assert_int_equal(json_get_bool(o, "x", &b, &e), -EINVAL);
	assert_int_equal(json_get_bool(NULL, "x", &b, &e), -EINVAL);
	assert_string_equal(s, "text");
	assert_int_equal(n, -7);
	assert_true(b);
	assert_non_null(strstr(e.msg, "'x'"));
}

/* Any text, so that every byte that is escaped comes up. */
static json_t *any_text(unsigned *seed)
{
	char text[24];
	size_t len = (size_t)rand_r(seed) % sizeof(text);

	for (size_t i = 0; i < len; i++) {
		text[i] = (char)(rand_r(seed) % 128);
	}
	return json_stringn(text, len);
}

static json_t *any_value(unsigned *seed, unsigned depth)
{
	json_t *j;
	int n = rand_r(seed) % 5;

	switch (rand_r(seed) % (depth > 0 ? 9 : 7)) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(n & 1);
	case 2:
		return json_integer(((json_int_t)rand_r(seed) << 32 ^ rand_r(seed)) *
				    (n & 1 ? -1 : 1));
	case 3:
		return json_real((rand_r(seed) - RAND_MAX / 2) / (1.0 + rand_r(seed) % 1000));
	case 4:
	case 5:
	case 6:
		return any_text(seed);
	case 7:
		j = json_array();
		while (n-- > 0) {
			(void)json_array_append_new(j, any_value(seed, depth - 1));
		}
		return j;
	default:
		j = json_object();
		n = n == 4 ? (rand_r(seed) % 8 ? 40 : 80) : n; /* 80: more than are sorted here */
		while (n-- > 0) {
			char key[16];

			(void)snprintf(key, sizeof(key), "k\n%x", (unsigned)rand_r(seed) % 4096);
			(void)json_object_set_new(j, key, any_value(seed, depth - 1));
		}
		return j;
	}
}

/* The quick one writes what the library writes. */
static void test_append(void **state)
{
	unsigned seed = 20261130;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		_cleanup_json_ json_t *j = any_value(&seed, i % 20);
		_cleanup_free_ char *expected = NULL, *canonical = NULL;
		_cleanup_buf_ struct buf b = {};
		size_t len = 0, own = 0;

		buf_init(&b, 256 << 20);
		(void)buf_adds(&b, "before ");
		expected = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		assert_non_null(expected);
		len = strlen(expected);
		canonical = json_canonical(j, &own);
		assert_non_null(canonical);
		assert_int_equal(own, len);
		assert_memory_equal(canonical, expected, len);
		assert_int_equal(json_append(&b, j), 0);
		assert_int_equal(b.len, len + 7);
		assert_memory_equal(b.data + 7, expected, len);
	}
}

static void test_append_limits(void **state)
{
	_cleanup_json_ json_t *least = json_integer(INT64_MIN), *most = json_integer(INT64_MAX);
	_cleanup_json_ json_t *text = json_string("a longer text than there is room for");
	_cleanup_buf_ struct buf b = {};

	(void)state;
	buf_init(&b, 64);
	assert_int_equal(json_append(&b, least), 0);
	assert_int_equal(json_append(&b, most), 0);
	assert_string_equal(buf_str(&b), "-92233720368547758089223372036854775807");
	assert_true(json_append(&b, text) < 0);
}

static void build(bool may_fail)
{
	_cleanup_json_ json_t *o = json_object();
	_cleanup_free_ char *text = NULL;
	int r = o ? json_put(o, "good", json_text("x")) : -ENOMEM;

	r = r < 0 ? r : json_put(o, "bad", json_text("x\xff"));
	text = r < 0 ? NULL : json_canonical(o, NULL);
	if (text) {
		assert_string_equal(text, "{\"bad\":\"x\xef\xbf\xbd\",\"good\":\"x\"}");
	} else {
		assert_true(may_fail);
	}
}

static void test_faults(void **state)
{
	_cleanup_json_ json_t *o = json_object();

	(void)state;
	assert_int_equal(json_put(o, "none", NULL), -ENOMEM);
	json_set_alloc_funcs(unit_malloc, free);
	unit_faults(build);
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),          cmocka_unit_test(test_text_with_nul),
		cmocka_unit_test(test_canonical),     cmocka_unit_test(test_access),
		cmocka_unit_test(test_faults),        cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
