/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text: held against the C library, and with the last second kept. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

static void by_library(int64_t second, long nanoseconds, char out[CLOCK_TEXT_SIZE])
{
	time_t t = second;
	struct tm tm;
	size_t n;

	(void)gmtime_r(&t, &tm);
	n = strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, CLOCK_TEXT_SIZE - n, ".%06ldZ", nanoseconds / 1000);
}

static void assert_same(struct clock_second *s, int64_t second, long nanoseconds)
{
	char ours[CLOCK_TEXT_SIZE], theirs[CLOCK_TEXT_SIZE];

	by_library(second, nanoseconds, theirs);
	clock_format(s, second, nanoseconds, ours);
	assert_string_equal(ours, theirs);
	clock_format(NULL, second, nanoseconds, ours);
	assert_string_equal(ours, theirs);
}

static void test_edges(void **state)
{
	static const int64_t seconds[] = {0,          1,          59,         60,
					  86399,      86400,      951782399,  951782400,
					  1798761599, 1798761600, 4102444800, 253402300799};
	static const long parts[] = {0,         999,       1000,      1999,     999999,
				     100000000, 123456789, 999999000, 999999999};
	struct clock_second s = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		for (size_t n = 0; n < ARRAY_SIZE(parts); n++) {
			assert_same(&s, seconds[i], parts[n]);
		}
	}
}

/* Forwards, backwards, and the same one again: a clock may be set. */
static void test_kept_second(void **state)
{
	struct clock_second s = {};
	int64_t second = 1780000000;

	(void)state;
	srandom(1);
	for (int i = 0; i < 50000; i++) {
		second += random() % 3 == 0 ? random() % 200001 - 100000 : random() % 2;
		assert_same(&s, second, random() % 1000000000);
	}
}

static void test_now(void **state)
{
	struct clock_second s = {};
	char before[CLOCK_TEXT_SIZE], now[CLOCK_TEXT_SIZE], after[CLOCK_TEXT_SIZE];

	(void)state;
	clock_text(before);
	clock_text_again(&s, now);
	clock_text(after);
	assert_int_equal(strlen(now), 27);
	assert_true(strcmp(before, now) <= 0 && strcmp(now, after) <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_kept_second),
		cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
