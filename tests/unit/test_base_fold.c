/* SPDX-License-Identifier: Apache-2.0 */
/* Names that some file system takes for the same, and names that none does. */
#include "unit.h"

#include "base/fold.h"

static void fold(const char *s, size_t len, char *out)
{
	size_t n = fold_name(s, len, out);

	assert_true(n <= len * FOLD_GROWTH);
	assert_int_equal(strlen(out), n);
}

static bool same(const char *a, const char *b)
{
	char x[256], y[256];

	fold(a, strlen(a), x);
	fold(b, strlen(b), y);
	return strcmp(x, y) == 0;
}

static void test_same(void **state)
{
	static const struct {
		const char *a, *b;
	} rows[] = {
		{".env", ".ENV"},
		{"caf\u00e9", "cafe\u0301"}, /* composed and not */
		{"\u00c9", "e\u0301"},       /* and another case */
		{"\u1ed9", "o\u0323\u0302"}, /* two combining characters */
		{"\u1ed9", "o\u0302\u0323"}, /* in the other order */
		{"\u1ed9", "\u00f4\u0323"},  /* half composed */
		{"stra\u00dfe", "STRASSE"},  /* one letter becomes two */
		{"\u1e9e", "ss"},            /* a capital of it */
		{"\ufb01le", "FILE"},        /* a ligature */
		{"\u017fecret", "Secret"},   /* a long s */
		{"\u212aey", "key"},         /* the sign of kelvin */
		{"\u0130", "i\u0307"},       /* a capital with a dot */
		{"\ud55c\uae00",
		 "\u1112\u1161\u11ab\u1100\u1173\u11af"}, /* syllables and letters */
		{"\u03a3\u03c2", "\u03c3\u03c3"},         /* three sigmas */
		{"a\u200db", "ab"},                       /* ignorable */
		{"\u00adx\ufeff", "x"},
		{"\u0390", "\u03b9\u0308\u0301"}, /* as much longer as any gets */
		{"\u212b", "\u00e5"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!same(rows[i].a, rows[i].b)) {
			fail_msg("'%s' and '%s' are not the same", rows[i].a, rows[i].b);
		}
	}
}

static void test_other(void **state)
{
	static const char *const names[] = {
		"a",      "b",      "\u00e9",     "e",      "\u00e8", "\u00df", "s",     "\u4e2d",
		"\u6587", "\ud55c", "\ud55d",     "\xff",   "\xfe",   "\xc3",   "a\xcc", "-",
		"_",      ".",      "\U0001f511", "\u03c3", "\u03c4", "",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (size_t j = 0; j < i; j++) {
			if (same(names[i], names[j])) {
				fail_msg("'%s' and '%s' are the same", names[i], names[j]);
			}
		}
	}
}

/* Folding again changes nothing, whatever the bytes; a name is folded character by character. */
static void test_parts(void **state)
{
	static const char text[] = "\xc3\xa9\xcc\x81"
				   "E\xcc\xa3\xcc\x82\xff\xed\x95\x9c\xe1\x86\xab"
				   "\xe2\x80\x8d\xcc\x81 \xf0\x9d\x85\xa0\xcc";
	char whole[256], again[256], parts[256] = "";

	(void)state;
	for (size_t len = 1; len < sizeof(text); len++) {
		size_t n = 0;

		fold(text, len, whole);
		fold(whole, strlen(whole), again);
		assert_string_equal(whole, again);
		for (size_t i = 0; i < len;) {
			size_t step = fold_character(text + i, len - i);

			assert_true(step >= 1 && i + step <= len);
			n += fold_name(text + i, step, parts + n);
			i += step;
		}
		assert_string_equal(parts, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
