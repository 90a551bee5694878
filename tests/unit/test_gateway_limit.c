/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in any minute, and the time to cool down: by a clock of our own. */
#include "unit.h"

#include "gateway/limit.h"

#define SECOND 1000000000LL
#define START  (1000 * SECOND + SECOND / 2)

static unsigned let_through(struct gateway_limits *l, int64_t now, unsigned tries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++) {
		n += limit_request(l, now) == NULL;
	}
	return n;
}

/* Whenever they come, in no sixty seconds there are more than so many. */
static void test_any_minute(void **state)
{
	static const int64_t steps[] = {0, 1, 59, 60, 61, 62, 120, 1000000};
	struct gateway_limits l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		l = (struct gateway_limits){.requests = 10};
		assert_int_equal(let_through(&l, START, 20), 10);
		/* That second has to be over for a minute, whole. */
		assert_int_equal(let_through(&l, START + steps[i] * SECOND, 20),
				 steps[i] >= GATEWAY_SECONDS ? 10 : 0);
	}
	l = (struct gateway_limits){.requests = 10};
	for (int64_t s = 0; s < 600; s++) {
		unsigned n = let_through(&l, START + s * SECOND, 1);

		assert_int_equal(n, s % GATEWAY_SECONDS < 10);
	}
}

static void test_cool_down(void **state)
{
	struct gateway_limits l = {.requests = 2, .cooldown_ns = 300 * SECOND};

	(void)state;
	assert_int_equal(let_through(&l, START, 2), 2);
	assert_int_equal(limit_pause(&l, START), 61); /* full, and nobody has asked for more */
	assert_int_equal(let_through(&l, START, 1), 0);
	assert_int_equal(limit_pause(&l, START), 300);
	/* The minute has room long before. */
	assert_int_equal(let_through(&l, START + 299 * SECOND, 3), 0);
	assert_int_equal(limit_pause(&l, START + 299 * SECOND), 1);
	assert_int_equal(let_through(&l, START + 300 * SECOND, 3), 2);
}

/* Who comes back when it was told to is let through. */
static void test_when_to_come_back(void **state)
{
	static const int64_t cool[] = {0, 1, 5, 60, 61, 200};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cool); i++) {
		struct gateway_limits l = {.requests = 3, .cooldown_ns = cool[i] * SECOND};
		int64_t now = START;
		unsigned refused = 0;

		for (unsigned n = 0; n < 20; n++) {
			if (limit_request(&l, now) == NULL) {
				now += 7 * SECOND;
				refused = 0;
				continue;
			}
			assert_int_equal(refused++, 0);
			now += limit_pause(&l, now) * SECOND;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_minute),
		cmocka_unit_test(test_cool_down),
		cmocka_unit_test(test_when_to_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
