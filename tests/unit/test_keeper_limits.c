/* SPDX-License-Identifier: Apache-2.0 */
/* Counting starts from the pids that a namespace hands out: bursts, rates, and the wrap-around. */
#include "unit.h"

#include "base/clock.h"
#include "keeper/limits.h"

#define SECOND  1000000000LL
#define PID_MAX 32768
#define FIRST   300 /* where pids begin again after the largest (RESERVED_PIDS, kernel/pid.c) */

struct counted {
	struct plan_limits plan;
	struct limits limits;
};

static void begin(struct counted *c, uint32_t starts, int32_t last)
{
	*c = (struct counted){.plan = {.starts = starts}};
	c->limits.plan = &c->plan;
	limits_start(&c->limits, true);
	c->limits.last_pid = last;
}

/* The running second began so long ago. */
static void ago(struct counted *c, int64_t ns)
{
	c->limits.starts_since_ns = clock_now_ns() - ns;
}

static void test_within(void **state)
{
	struct counted c;
	int i;

	(void)state;
	begin(&c, 100, 2);
	assert_int_equal(limits_count(&c.limits, 2, PID_MAX), LIMIT_NONE);
	assert_int_equal(limits_count(&c.limits, 102, PID_MAX), LIMIT_NONE);
	assert_int_equal(limits_count(&c.limits, 102, PID_MAX), LIMIT_NONE);
	assert_int_equal(c.limits.starts_total, 100);
	for (i = 1; i <= 10; i++) {
		ago(&c, 2 * SECOND);
		assert_int_equal(limits_count(&c.limits, 102 + i * 50, PID_MAX), LIMIT_NONE);
	}
}

static void test_burst(void **state)
{
	struct counted c;

	(void)state;
	begin(&c, 100, 2);
	assert_int_equal(limits_count(&c.limits, 103, PID_MAX), LIMIT_STARTS);
	begin(&c, 100, 2);
	assert_int_equal(limits_count(&c.limits, 60, PID_MAX), LIMIT_NONE);
	assert_int_equal(limits_count(&c.limits, 110, PID_MAX), LIMIT_STARTS);
}

/* A look that comes late sees more than one second's worth, and that is fine at the same rate. */
static void test_late_look(void **state)
{
	struct counted c;

	(void)state;
	begin(&c, 100, 2);
	ago(&c, 3 * SECOND);
	assert_int_equal(limits_count(&c.limits, 2 + 290, PID_MAX), LIMIT_NONE);
	begin(&c, 100, 2);
	ago(&c, 3 * SECOND);
	assert_int_equal(limits_count(&c.limits, 2 + 320, PID_MAX), LIMIT_STARTS);
}

/* After a full second the count begins anew. */
static void test_new_second(void **state)
{
	struct counted c;

	(void)state;
	begin(&c, 100, 2);
	ago(&c, SECOND);
	assert_int_equal(limits_count(&c.limits, 92, PID_MAX), LIMIT_NONE);
	assert_int_equal(c.limits.starts_base, 90);
	assert_int_equal(limits_count(&c.limits, 192, PID_MAX), LIMIT_NONE);
	assert_int_equal(limits_count(&c.limits, 193, PID_MAX), LIMIT_STARTS);
}

/* The largest pid is PID_MAX - 1, and the next one is FIRST. */
static void test_wrap_around(void **state)
{
	static const struct {
		int32_t from, to;
		int64_t made;
	} rows[] = {
		{PID_MAX - 1, FIRST, 1},
		{PID_MAX - 2, FIRST, 2},
		{PID_MAX - 10, FIRST + 10, 20},
		{PID_MAX - 1, PID_MAX - 1, 0},
	};
	struct counted c;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&c, 100, rows[i].from);
		assert_int_equal(limits_count(&c.limits, rows[i].to, PID_MAX), LIMIT_NONE);
		assert_int_equal(c.limits.starts_total, rows[i].made);
	}
	begin(&c, 100, PID_MAX - 1);
	assert_int_equal(limits_count(&c.limits, FIRST + 100, PID_MAX), LIMIT_STARTS);
}

/* What init could not read is no count; nothing ever counts backwards. */
static void test_odd_values(void **state)
{
	struct counted c;

	(void)state;
	begin(&c, 100, 50);
	assert_int_equal(limits_count(&c.limits, -1, PID_MAX), LIMIT_NONE);
	assert_int_equal(c.limits.last_pid, 50);
	assert_int_equal(c.limits.starts_total, 0);
	begin(&c, 100, PID_MAX - 1);
	assert_int_equal(limits_count(&c.limits, 5, PID_MAX), LIMIT_NONE);
	assert_int_equal(c.limits.starts_total, 0);
}

/* A command and a connection count where the policy says so; a pause in every case. */
static void test_what_counts_as_busy(void **state)
{
	struct counted c;
	uint32_t signals;

	(void)state;
	for (signals = 1; signals <= IDLE_ALL; signals++) {
		begin(&c, 100, 2);
		c.plan.idle_signals = signals;
		c.limits.last_active_ns = 1;
		limits_begun(&c.limits);
		assert_int_equal(c.limits.last_active_ns != 1, (signals & IDLE_EXEC) != 0);
		limits_touch(&c.limits);
		assert_true(c.limits.last_active_ns > 1);
	}
}

/* One that began, one that is, one that has ended, and one that was over before it was heard of. */
static void test_connections(void **state)
{
	static const struct {
		bool before, was, is;
		bool counts;
	} rows[] = {
		{false, false, false, false}, {false, false, true, true},
		{true, false, false, true},   {true, false, true, true},
		{false, true, false, true},
	};
	struct counted c;
	uint32_t signals;
	size_t i;

	(void)state;
	for (signals = 1; signals <= IDLE_ALL; signals++) {
		for (i = 0; i < ARRAY_SIZE(rows); i++) {
			begin(&c, 100, 2);
			c.plan.idle_signals = signals;
			c.limits.last_active_ns = 1;
			c.limits.connected = rows[i].before;
			limits_connection(&c.limits, rows[i].was, rows[i].is);
			assert_int_equal(c.limits.last_active_ns != 1,
					 rows[i].counts && (signals & IDLE_CONNECTION) != 0);
			assert_int_equal(c.limits.connected, rows[i].is);
		}
	}
}

/* A pause counts when it begins; of time only what it was paused for. */
static void test_pauses(void **state)
{
	struct counted c;
	int64_t first;

	(void)state;
	begin(&c, 100, 2);
	assert_int_equal(limits_paused_ns(&c.limits), 0);
	limits_pause(&c.limits, true);
	c.limits.paused_at_ns -= 5 * SECOND;
	assert_true(limits_paused_ns(&c.limits) >= 5 * SECOND);
	limits_pause(&c.limits, false);
	first = limits_paused_ns(&c.limits);
	assert_in_range(first, 5 * SECOND, 8 * SECOND);
	assert_int_equal(limits_paused_ns(&c.limits), first);
	assert_int_equal(c.limits.pauses, 1);
	limits_pause(&c.limits, true);
	c.limits.paused_at_ns -= 2 * SECOND;
	assert_in_range(limits_paused_ns(&c.limits), first + 2 * SECOND, first + 5 * SECOND);
	assert_int_equal(c.limits.pauses, 2);
}

/* To the sampler somebody may be invisible who starts the next one and ends: two counts tell. */
static void test_alone_for_the_sampler(void **state)
{
	static const struct {
		unsigned asked;  /* before the look, and not answered by then */
		int32_t last[2]; /* the answers */
		bool begun;      /* a command, between the look and the answer */
		bool rests;
	} rows[] = {
		{0, {7, -1}, false, true},
		{0, {8, -1}, false, false}, /* somebody was started */
		{1, {7, 7}, false, false},  /* the first answer may be older than the look */
		{0, {7, -1}, true, false},
	};
	struct counted c;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&c, 100, 7);
		c.plan.session = c.plan.idle = 1000 * SECOND;
		c.limits.alone = rows[i].asked == 0;
		c.limits.counts = rows[i].asked + 1;
		if (rows[i].begun) {
			limits_begun(&c.limits);
		}
		assert_int_equal(limits_count(&c.limits, rows[i].last[0], PID_MAX), LIMIT_NONE);
		if (rows[i].last[1] > 0) {
			assert_int_equal(limits_count(&c.limits, rows[i].last[1], PID_MAX),
					 LIMIT_NONE);
		}
		assert_int_equal(c.limits.rests, rows[i].rests);
		assert_int_equal(c.limits.counts, 0);
	}
}

static void test_names(void **state)
{
	int i, j;

	(void)state;
	for (i = LIMIT_NONE; i <= LIMIT_PAUSED; i++) {
		for (j = LIMIT_NONE; j < i; j++) {
			assert_string_not_equal(limit_name((enum limit)i),
						limit_name((enum limit)j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_late_look),
		cmocka_unit_test(test_new_second),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_counts_as_busy),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_alone_for_the_sampler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
