/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of a terminal: what a text takes, and how many bytes a number of them are. */
#include "unit.h"

#include "front/cli/columns.h"

static void test_columns(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
	} rows[] = {
		{"", 0},
		{"src/main.c", 10},
		{"\\x1b[31m", 8},
		{"caf\xc3\xa9", 4},
		{"cafe\xcc\x81", 4},             /* e and a mark on it */
		{"\xe6\x97\xa5\xe6\x9c\xac", 4}, /* two of two columns */
		{"\xea\xb0\x80", 2},             /* Hangul */
		{"\xf0\x9f\x98\x80", 2},         /* a picture */
		{"\xf0\xa0\x80\x80", 2},         /* the second plane */
		{"\xef\xbd\xb1", 1},             /* half width */
		{"\xd0\x96\xce\xb1\xd7\x90", 3}, /* Cyrillic, Greek, Hebrew */
		{"a\xff\xfe", 3},                /* bytes of no character */
		{"\xe6\x97", 2},                 /* one that was cut off */
		{"e\xcc\x81\xcc\x81\xe2\x80\x8b"
		 "x",
		 2}, /* marks, and a space of no width */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].text);

		assert_int_equal(columns_of(rows[i].text, len), rows[i].columns);
		assert_int_equal(columns_skip(rows[i].text, len, SIZE_MAX), len);
		assert_int_equal(columns_skip(rows[i].text, len, 0), 0);
	}
}

static void test_skip(void **state)
{
	static const struct {
		const char *text;
		size_t columns, bytes;
	} rows[] = {
		{"abc", 2, 2},
		{"abc", 9, 3},
		{"\xe6\x97\xa5\xe6\x9c\xac", 2, 3},
		{"\xe6\x97\xa5\xe6\x9c\xac", 3, 6}, /* half of one is all of it */
		{"\xc3\xa9t\xc3\xa9", 2, 3},
		{"\xff\xff", 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(columns_skip(rows[i].text, strlen(rows[i].text), rows[i].columns),
				 rows[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_skip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
