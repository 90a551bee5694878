/* SPDX-License-Identifier: Apache-2.0 */
/* The pace at which calls are answered. */
#include "unit.h"

#include "keeper/calls.h"

#define MS 1000000LL

/* Answers as fast as it is let, for so long; returns how much of it went into answering. */
static int64_t storm(struct calls *c, int64_t *now, int64_t length)
{
	int64_t until = *now + length, worked = 0, due;

	while (*now < until) {
		if (calls_rest(c, *now, &due)) {
			assert_true(due > *now);
			assert_true(due <= *now + 200 * MS);
			*now = due;
			continue;
		}
		assert_int_equal(due, INT64_MAX);
		c->credit_ns -= 10 * MS; /* as a turn of the loop does */
		worked += 10 * MS;
		*now += 10 * MS;
	}
	return worked;
}

static void test_pace(void **state)
{
	struct calls c = {};
	int64_t now = 5000 * MS, due, worked;

	(void)state;
	/* A burst is answered at once, and then a quarter of the time. */
	worked = storm(&c, &now, 1000 * MS);
	assert_true(worked >= 990 * MS);
	worked = storm(&c, &now, 500 * MS); /* what is left of the burst */
	worked = storm(&c, &now, 20000 * MS);
	assert_true(worked > 4800 * MS && worked < 5200 * MS);
	/* Who has rested long enough has a burst again, and no more than one. */
	now += 1000000 * MS;
	assert_false(calls_rest(&c, now, &due));
	assert_int_equal(c.credit_ns, CALLS_BURST_NS);
}

/* One call that took very long is paid for before the next. */
static void test_debt(void **state)
{
	struct calls c = {};
	int64_t due;

	(void)state;
	assert_false(calls_rest(&c, 1000 * MS, &due));
	c.credit_ns = -250 * MS;
	assert_true(calls_rest(&c, 1000 * MS, &due));
	assert_int_equal(due, 1000 * MS + 255 * MS * CALLS_SHARE);
	assert_true(calls_rest(&c, due - 100, &due));
	assert_false(calls_rest(&c, due, &due));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_debt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
