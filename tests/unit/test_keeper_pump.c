/* SPDX-License-Identifier: Apache-2.0 */
/* Pumps: every byte and no other, budgets, readers that leave or do not read, both ways to move. */
#include "unit.h"

#include <sys/ioctl.h>

#include "keeper/pump.h"

struct line {
	struct pump pump;
	int source; /* the payload's end */
	int sink;   /* the front's end */
	uint64_t budget;
};

static void line_init(struct line *l, bool copy, int in_size, int out_size, uint64_t budget)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_true(fcntl(in[1], F_SETPIPE_SZ, in_size) >= in_size);
	assert_true(fcntl(out[1], F_SETPIPE_SZ, out_size) >= out_size);
	assert_int_equal(fcntl(in[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	l->source = in[1];
	l->sink = out[0];
	l->budget = budget;
	assert_int_equal(pump_init(&l->pump, in[0], out[1], copy, &l->budget), 0);
}

static void line_done(struct line *l)
{
	l->source = fd_close(l->source);
	l->sink = fd_close(l->sink);
	pump_done(&l->pump);
}

static unsigned char byte_at(size_t n)
{
	return (unsigned char)(n * 31 + n / 251 + n / 65521);
}

/* Writes bytes [from, to) as far as there is room; returns where it stopped. */
static size_t feed(struct line *l, size_t from, size_t to)
{
	unsigned char block[7919];

	while (from < to) {
		size_t n = to - from < sizeof(block) ? to - from : sizeof(block), i;
		ssize_t done;

		for (i = 0; i < n; i++) {
			block[i] = byte_at(from + i);
		}
		done = write(l->source, block, n);
		if (done < 0) {
			assert_int_equal(errno, EAGAIN);
			break;
		}
		from += (size_t)done;
	}
	return from;
}

/* Reads what is there, at most `max`, and compares it; returns the new position. */
static size_t drain(struct line *l, size_t at, size_t max)
{
	unsigned char block[6007];

	while (max > 0) {
		ssize_t n = read(l->sink, block, max < sizeof(block) ? max : sizeof(block)), i;

		if (n <= 0) {
			break;
		}
		for (i = 0; i < n; i++) {
			if (block[i] != byte_at(at + (size_t)i)) {
				fail_msg("byte %zu is wrong", at + (size_t)i);
			}
		}
		at += (size_t)n;
		max -= (size_t)n;
	}
	return at;
}

static void move_all(bool copy, int in_size, int out_size, size_t total)
{
	struct line l;
	size_t fed = 0, got = 0;

	line_init(&l, copy, in_size, out_size, UINT64_MAX);
	while (pump_active(&l.pump)) {
		fed = feed(&l, fed, total);
		if (fed == total) {
			l.source = fd_close(l.source);
		}
		pump_run(&l.pump);
		got = drain(&l, got, 10007);
	}
	got = drain(&l, got, SIZE_MAX);
	assert_int_equal(got, total);
	assert_int_equal(l.pump.bytes, total);
	assert_int_equal(l.budget, UINT64_MAX - total);
	assert_false(l.pump.over);
	line_done(&l);
}

static void test_every_byte(void **state)
{
	static const int sizes[] = {4096, 65536, 1048576};
	static const size_t totals[] = {0, 1, 4095, 4097, 65537, 3000000};
	size_t i, j, t;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			for (t = 0; t < ARRAY_SIZE(totals); t++) {
				move_all(false, sizes[i], sizes[j], totals[t]);
				move_all(true, sizes[i], sizes[j], totals[t]);
			}
		}
	}
}

/* Exactly the budget is no excess, whether the end comes with it or later. */
static void budget_hit(bool copy, uint64_t budget)
{
	struct line l;
	size_t got;

	line_init(&l, copy, 65536, 65536, budget);
	assert_int_equal(feed(&l, 0, budget), budget);
	pump_run(&l.pump);
	pump_run(&l.pump);
	assert_true(pump_active(&l.pump));
	assert_false(l.pump.over);
	l.source = fd_close(l.source);
	pump_run(&l.pump);
	assert_false(pump_active(&l.pump));
	assert_false(l.pump.over);
	got = drain(&l, 0, SIZE_MAX);
	assert_int_equal(got, budget);
	line_done(&l);
}

/* One byte more is: it stays behind, nothing moves any more, and it is said. */
static void budget_exceeded(bool copy, uint64_t budget)
{
	struct line l;

	line_init(&l, copy, 65536, 65536, budget);
	assert_int_equal(feed(&l, 0, budget + 1), budget + 1);
	pump_run(&l.pump);
	pump_run(&l.pump);
	assert_true(l.pump.over);
	assert_int_equal(l.pump.bytes, budget);
	assert_int_equal(l.budget, 0);
	(void)feed(&l, budget + 1, budget + 100);
	pump_run(&l.pump);
	assert_int_equal(drain(&l, 0, SIZE_MAX), budget);
	line_done(&l);
}

static void test_budget(void **state)
{
	static const uint64_t budgets[] = {0, 1, 4095, 4096, 4097, 20000};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(budgets); i++) {
		budget_hit(false, budgets[i]);
		budget_hit(true, budgets[i]);
		budget_exceeded(false, budgets[i]);
		budget_exceeded(true, budgets[i]);
	}
}

/* Two streams spend one budget. */
static void test_common_budget(void **state)
{
	struct line a, b;

	(void)state;
	line_init(&a, false, 65536, 65536, 1000);
	line_init(&b, true, 65536, 65536, 0);
	b.pump.budget = &a.budget;
	assert_int_equal(feed(&a, 0, 700), 700);
	assert_int_equal(feed(&b, 0, 700), 700);
	pump_run(&a.pump);
	assert_false(a.pump.over);
	pump_run(&b.pump);
	assert_true(b.pump.over);
	assert_int_equal(a.pump.bytes + b.pump.bytes, 1000);
	assert_int_equal(drain(&a, 0, SIZE_MAX), 700);
	assert_int_equal(drain(&b, 0, SIZE_MAX), 300);
	line_done(&a);
	line_done(&b);
}

/* Nobody reads any more: the pump ends, and the payload's next write sees it. */
static void reader_gone(bool copy)
{
	struct line l;

	line_init(&l, copy, 65536, 65536, UINT64_MAX);
	l.sink = fd_close(l.sink);
	assert_int_equal(feed(&l, 0, 100), 100);
	pump_run(&l.pump);
	assert_false(pump_active(&l.pump));
	assert_int_equal(write(l.source, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	line_done(&l);
}

static void test_reader_gone(void **state)
{
	(void)state;
	reader_gone(false);
	reader_gone(true);
}

/* Full: it waits for room alone, and goes on from where it stopped. */
static void back_pressure(bool copy)
{
	struct pollfd pfd;
	struct line l;
	size_t got = 0;

	line_init(&l, copy, 65536, 4096, UINT64_MAX);
	pump_poll(&l.pump, &pfd);
	assert_int_equal(pfd.fd, l.pump.in);
	assert_int_equal(pfd.events, POLLIN);
	assert_int_equal(feed(&l, 0, 60000), 60000);
	pump_run(&l.pump);
	assert_true(l.pump.full);
	pump_poll(&l.pump, &pfd);
	assert_int_equal(pfd.fd, l.pump.out);
	assert_int_equal(pfd.events, POLLOUT);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	while (got < 60000) {
		size_t before = got;

		got = drain(&l, got, 4096);
		assert_true(got > before);
		pump_run(&l.pump);
	}
	pump_poll(&l.pump, &pfd);
	assert_int_equal(pfd.fd, l.pump.in);
	assert_true(pump_active(&l.pump));
	line_done(&l);
}

static void test_back_pressure(void **state)
{
	(void)state;
	back_pressure(false);
	back_pressure(true);
}

/* The end of a terminal is EIO on its master; what was written before it arrives. */
static void test_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), out[2], slave;
	uint64_t budget = UINT64_MAX;
	char text[16] = {};
	struct pump p;

	(void)state;
	assert_true(master >= 0 && unlockpt(master) == 0);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pump_init(&p, master, out[1], true, &budget), 0);
	assert_int_equal(write(slave, "bye", 3), 3);
	pump_run(&p);
	assert_true(pump_active(&p));
	(void)close(slave);
	pump_run(&p);
	assert_false(pump_active(&p));
	assert_int_equal(read(out[0], text, sizeof(text)), 3);
	assert_string_equal(text, "bye");
	(void)close(out[0]);
	pump_done(&p);
}

/* What the tap has seen. */
struct seen {
	const struct pump *pump;
	size_t bytes;
};

static void look(void *data, const struct pump *p, const char *bytes, size_t len)
{
	struct seen *s = data;
	size_t i;

	assert_ptr_equal(p, s->pump);
	for (i = 0; i < len; i++) {
		assert_int_equal((unsigned char)bytes[i], byte_at(s->bytes + i));
	}
	s->bytes += len;
}

/* Both see all of it, in order, also where the one is slow. */
static void test_tap(void **state)
{
	size_t fed = 0, got = 0;
	struct seen s = {};
	struct line l;

	(void)state;
	line_init(&l, false, 65536, 4096, UINT64_MAX);
	s.pump = &l.pump;
	assert_int_equal(pump_tap_to(&l.pump, look, &s), 0);
	while (pump_active(&l.pump)) {
		fed = feed(&l, fed, 500000);
		if (fed == 500000) {
			l.source = fd_close(l.source);
		}
		pump_run(&l.pump);
		got = drain(&l, got, 3001);
		assert_true(s.bytes >= got && s.bytes <= got + 4096 + PUMP_BUFFER);
	}
	got = drain(&l, got, SIZE_MAX);
	assert_int_equal(got, 500000);
	assert_int_equal(s.bytes, 500000);
	line_done(&l);
}

/* Nobody takes it: it is seen, counted, and held by the budget. */
static void test_tap_alone(void **state)
{
	uint64_t budget = 100000;
	struct seen s = {};
	struct line l;
	int pair[2];
	size_t fed = 0;

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	l = (struct line){.source = pair[1], .sink = FD_NONE};
	assert_int_equal(pump_init(&l.pump, pair[0], FD_NONE, false, &budget), 0);
	s.pump = &l.pump;
	assert_int_equal(pump_tap_to(&l.pump, look, &s), 0);
	while (fed < 100000) {
		fed = feed(&l, fed, 100000);
		pump_run(&l.pump);
		assert_false(l.pump.full);
	}
	assert_int_equal(s.bytes, 100000);
	assert_false(l.pump.over);
	(void)feed(&l, fed, fed + 1);
	pump_run(&l.pump);
	assert_true(l.pump.over);
	assert_int_equal(s.bytes, 100000);
	assert_int_equal(l.pump.bytes, 100000);
	line_done(&l);
}

/* What was there when its writer ended goes out, and nothing that somebody else writes later. */
static void test_tap_ends(void **state)
{
	struct seen s = {};
	struct line l;

	(void)state;
	line_init(&l, false, 65536, 65536, UINT64_MAX);
	s.pump = &l.pump;
	assert_int_equal(pump_tap_to(&l.pump, look, &s), 0);
	assert_int_equal(feed(&l, 0, 1000), 1000);
	pump_end(&l.pump);
	assert_int_equal(feed(&l, 1000, 3000), 3000);
	pump_run(&l.pump);
	assert_false(pump_active(&l.pump));
	assert_int_equal(s.bytes, 1000);
	assert_int_equal(drain(&l, 0, SIZE_MAX), 1000);
	line_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_budget),
		cmocka_unit_test(test_common_budget), cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_tap),           cmocka_unit_test(test_tap_alone),
		cmocka_unit_test(test_tap_ends),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
