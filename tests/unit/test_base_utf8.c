/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: tables of what is valid, how it is repaired, and how it is made safe to show. */
#include "unit.h"

#include "base/buf.h"
#include "base/utf8.h"

struct row {
	const char *bytes;
	size_t len;
	const char *repaired;    /* NULL: as it is */
	const char *neutralised; /* NULL: as it is */
};

#define ROW(bytes, ...)                               \
	{                                             \
		bytes, sizeof(bytes) - 1, __VA_ARGS__ \
	}
#define R "\xef\xbf\xbd"

static const struct row valid[] = {
	ROW("", NULL, NULL),
	ROW("plain text 09~", NULL, NULL),
	ROW("\xc2\xa0", NULL, NULL),
	ROW("\xc3\xbc\xe2\x82\xac\xf0\x9f\xa7\xaa", NULL, NULL),
	ROW("\xdf\xbf", NULL, NULL),
	ROW("\xe0\xa0\x80", NULL, NULL),
	ROW("\xed\x9f\xbf", NULL, NULL),
	ROW("\xee\x80\x80", NULL, NULL),
	ROW("\xef\xbf\xbf", NULL, NULL),
	ROW("\xf0\x90\x80\x80", NULL, NULL),
	ROW("\xf4\x8f\xbf\xbf", NULL, NULL),
	ROW("a\tb\nc", NULL, "a\\x09b\\x0ac"),
	ROW("\x1b[2J\x7f", NULL, "\\x1b[2J\\x7f"),
	ROW("a\0b", NULL, "a\\x00b"),
	ROW("\xc2\x80\xc2\x9b"
	    "31m",
	    NULL, "\\u{0080}\\u{009b}31m"),
	ROW("\xd8\x9c", NULL, "\\u{061c}"),
	ROW("\xe2\x80\x8e\xe2\x80\x8f", NULL, "\\u{200e}\\u{200f}"),
	ROW("\xe2\x80\xa8\xe2\x80\xa9", NULL, "\\u{2028}\\u{2029}"),
	ROW("x\xe2\x80\xae"
	    "txt",
	    NULL, "x\\u{202e}txt"),
	ROW("\xe2\x81\xa6\xe2\x81\xa9", NULL, "\\u{2066}\\u{2069}"),
	ROW("\xef\xbb\xbf", NULL, "\\u{feff}"),
};

static const struct row invalid[] = {
	ROW("\x80", R, "\\x80"),
	ROW("a\xff"
	    "b",
	    "a" R "b", "a\\xffb"),
	ROW("\xfe\xfe", R R, "\\xfe\\xfe"),
	ROW("\xc0\xaf", R R, "\\xc0\\xaf"),
	ROW("\xc1\xbf", R R, "\\xc1\\xbf"),
	ROW("\xe0\x80\xaf", R R R, "\\xe0\\x80\\xaf"),
	ROW("\xe0\x9f\xbf", R R R, "\\xe0\\x9f\\xbf"),
	ROW("\xf0\x80\x80\xaf", R R R R, "\\xf0\\x80\\x80\\xaf"),
	ROW("\xf0\x8f\xbf\xbf", R R R R, "\\xf0\\x8f\\xbf\\xbf"),
	ROW("\xed\xa0\x80", R R R, "\\xed\\xa0\\x80"),
	ROW("\xed\xbf\xbf", R R R, "\\xed\\xbf\\xbf"),
	ROW("\xf4\x90\x80\x80", R R R R, "\\xf4\\x90\\x80\\x80"),
	ROW("\xf5\x80\x80\x80", R R R R, "\\xf5\\x80\\x80\\x80"),
	ROW("\xf8\x88\x80\x80\x80", R R R R R, "\\xf8\\x88\\x80\\x80\\x80"),
	ROW("\xc3", R, "\\xc3"),
	ROW("\xe2\x82", R R, "\\xe2\\x82"),
	ROW("\xf0\x9f\xa7", R R R, "\\xf0\\x9f\\xa7"),
	ROW("\xc3\x28", R "(", "\\xc3("),
	ROW("\xe2\x28\xa1", R "(" R, "\\xe2(\\xa1"),
	ROW("\xc3\xc3\xbc", R "\xc3\xbc", "\\xc3\xc3\xbc"),
};

static void check(const struct row *row, bool is_valid)
{
	_cleanup_buf_ struct buf repaired = {}, safe = {};
	/* Exactly as long as it says, so that a sanitizer sees a read beyond. */
	_cleanup_free_ char *bytes = malloc(row->len ? row->len : 1);
	const char *want;

	memcpy(bytes, row->bytes, row->len);
	buf_init(&repaired, 1000);
	buf_init(&safe, 1000);
	assert_int_equal(utf8_valid(bytes, row->len), is_valid);
	assert_int_equal(utf8_repair(&repaired, bytes, row->len), 0);
	assert_int_equal(utf8_neutralise(&safe, bytes, row->len), 0);
	assert_true(utf8_valid(buf_str(&repaired), repaired.len));
	want = row->repaired ? row->repaired : row->bytes;
	assert_int_equal(repaired.len, row->repaired ? strlen(want) : row->len);
	assert_memory_equal(buf_str(&repaired), want, repaired.len);
	assert_string_equal(buf_str(&safe), row->neutralised ? row->neutralised : row->bytes);
}

static void test_valid(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(valid); i++) {
		check(&valid[i], true);
	}
}

static void test_invalid(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(invalid); i++) {
		check(&invalid[i], false);
	}
}

/* Each code point written by the book is one sequence; surrogates are none. */
static void test_every_code_point(void **state)
{
	uint32_t cp;

	(void)state;
	for (cp = 0; cp <= 0x10ffff; cp++) {
		char s[4];
		size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4, i;
		static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

		for (i = n; i-- > 0;) {
			s[i] = (char)(i ? 0x80 | ((cp >> 6 * (n - 1 - i)) & 0x3f)
					: first[n] | (cp >> 6 * (n - 1)));
		}
		if (utf8_sequence(s, n) != (cp >= 0xd800 && cp <= 0xdfff ? 0 : n) ||
		    (n > 1 && utf8_sequence(s, n - 1) != 0)) {
			fail_msg("U+%04X", (unsigned)cp);
		}
	}
	assert_int_equal(utf8_sequence("", 0), 0);
}

static void test_no_room(void **state)
{
	_cleanup_buf_ struct buf b = {};

	(void)state;
	buf_init(&b, 2);
	assert_int_equal(utf8_repair(&b, "\xff", 1), -E2BIG);
	assert_int_equal(utf8_neutralise(&b, "\x01", 1), -E2BIG);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_every_code_point),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
