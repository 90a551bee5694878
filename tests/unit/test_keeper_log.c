/* SPDX-License-Identifier: Apache-2.0 */
/* Kept output: its bounds, its gaps, its order, and files that nobody should believe. */
#include "unit.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/state.h"

#define DAY_NS (86400LL * 1000000000)

static struct state home;

static int log_setup(void **state)
{
	struct err e = {};

	return unit_dir_setup(state) == 0 && setenv("ATOLL_HOME", *state, 1) == 0 &&
			       state_open(&home, &e) == 0
		       ? 0
		       : -1;
}

static int log_teardown(void **state)
{
	state_done(&home);
	return unit_dir_teardown(state);
}

/* Bytes of both parts on disk. */
static off_t on_disk(const char *id)
{
	off_t total = 0;
	int i;

	for (i = 0; i < 2; i++) {
		char path[64];
		struct stat st;

		(void)snprintf(path, sizeof(path), "logs/%s.%d", id, i);
		total += fstatat(home.home, path, &st, 0) == 0 ? st.st_size : 0;
	}
	return total;
}

static char byte_at(uint64_t n)
{
	return (char)(n * 31 + n / 251);
}

static void add(struct log *l, uint64_t from, size_t len)
{
	_cleanup_free_ char *data = malloc(len);
	size_t i;

	assert_non_null(data);
	for (i = 0; i < len; i++) {
		data[i] = byte_at(from + i);
	}
	log_add(l, 1, LOG_STDOUT, data, len);
}

/* Reads all; checks each byte by its position. Returns how many there were, and in *first where the
 * first one stood. */
static uint64_t read_all(const char *id, uint64_t *first)
{
	struct log_reader *r = malloc(sizeof(*r));
	struct err e = {};
	struct log_frame f;
	uint64_t total = 0, next = UINT64_MAX;
	uint32_t i;

	assert_non_null(r);
	assert_int_equal(log_open(r, &home, id, &e), 0);
	while (log_next(r, &f)) {
		if (next == UINT64_MAX) {
			*first = f.position;
		} else {
			assert_true(f.position >= next);
		}
		next = f.position + f.len;
		for (i = 0; i < f.len; i++) {
			assert_int_equal(r->data[i], byte_at(f.position + i));
		}
		total += f.len;
	}
	log_close(r);
	free(r);
	return total;
}

static void test_bounds(void **state)
{
	static const uint64_t limits[] = {1, 4096, 5000, 65536, 262144, 1 << 20};
	static const size_t pieces[] = {1, 100, 4095, 65536, 200000};
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		for (j = 0; j < ARRAY_SIZE(pieces); j++) {
			uint64_t most = limits[i] < 4096 ? 4096 : limits[i], at = 0, first = 0,
				 kept;
			struct log l;
			char id[16];

			(void)snprintf(id, sizeof(id), "s-%zu-%zu", i, j);
			log_init(&l, &home, id, limits[i], DAY_NS, 0);
			while (at < 3 * most && at < 40000 * pieces[j]) {
				add(&l, at, pieces[j]);
				at += pieces[j];
				assert_true(on_disk(id) <= (off_t)most);
			}
			assert_int_equal(l.position, at);
			assert_int_equal(l.lost, 0);
			log_done(&l);
			kept = read_all(id, &first);
			assert_int_equal(first + kept, at);
			assert_true(on_disk(id) > (off_t)(most / 2) || at < most);
		}
	}
}

static void test_none(void **state)
{
	struct log_reader *r = malloc(sizeof(*r));
	struct err e = {};
	struct log l;

	(void)state;
	assert_non_null(r);
	log_init(&l, &home, "s-none", 0, DAY_NS, 0);
	assert_false(log_is_on(&l));
	add(&l, 0, 100);
	log_done(&l);
	assert_int_equal(faccessat(home.home, "logs", F_OK, 0), -1);
	assert_int_equal(log_open(r, &home, "s-none", &e), -ENOENT);
	assert_int_equal(e.code, 0);
	log_close(r);
	assert_false(log_remove(&home, "s-none"));
	free(r);
}

/* A disk without room: what could not be written is missing, and what comes later is whole. */
static void test_no_room(void **state)
{
	struct rlimit before, small;
	uint64_t first = 0, kept;
	struct log l;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){10000, before.rlim_max};
	log_init(&l, &home, "s-full", 1 << 20, DAY_NS, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	add(&l, 0, 8000);
	add(&l, 8000, 8000);
	add(&l, 16000, 500);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	add(&l, 16500, 1000);
	log_done(&l);
	assert_int_equal(l.position, 17500);
	assert_int_equal(l.lost, 8000);
	kept = read_all("s-full", &first);
	assert_int_equal(first, 0);
	assert_int_equal(kept, 9500);
}

/* A reader that was at the end of the older part when it was exchanged misses nothing. */
static void test_reader_behind(void **state)
{
	struct log_reader *r = malloc(sizeof(*r));
	struct err e = {};
	struct log_frame f;
	uint64_t at = 0;
	struct log l;

	(void)state;
	assert_non_null(r);
	log_init(&l, &home, "s-behind", 8192, DAY_NS, 0);
	add(&l, 0, 1000);
	assert_int_equal(log_open(r, &home, "s-behind", &e), 0);
	assert_true(log_next(r, &f));
	assert_false(log_next(r, &f));
	for (at = 1000; at < 20000; at += 2500) {
		add(&l, at, 1000);
		add(&l, at + 1000, 1500);
		assert_true(log_next(r, &f));
		assert_int_equal(f.position, at);
		assert_true(log_next(r, &f));
		assert_int_equal(f.position, at + 1000);
		assert_false(log_next(r, &f));
	}
	log_done(&l);
	log_close(r);
	free(r);
}

/* Nor one that they have changed places behind twice: what is next is the older part by then. */
static void test_reader_far_behind(void **state)
{
	struct log_reader *r = malloc(sizeof(*r));
	struct err e = {};
	struct log_frame f;
	struct log l;

	(void)state;
	assert_non_null(r);
	log_init(&l, &home, "s-far", 8192, DAY_NS, 0);
	add(&l, 0, 1000);
	assert_int_equal(log_open(r, &home, "s-far", &e), 0);
	assert_true(log_next(r, &f));
	add(&l, 1000, 3500);
	add(&l, 4500, 3500);
	assert_true(log_next(r, &f));
	assert_int_equal(f.position, 1000);
	assert_true(log_next(r, &f));
	assert_int_equal(f.position, 4500);
	assert_false(log_next(r, &f));
	log_done(&l);
	log_close(r);
	free(r);
}

/* One that is bound, and another one at its place, end where they began, whatever comes then. */
static void test_bound_reader(void **state)
{
	struct log_reader *readers[2] = {malloc(sizeof(**readers)), malloc(sizeof(**readers))};
	const uint64_t before = 5000;
	struct err e = {};
	struct log_frame f;
	struct log l;
	size_t i;

	(void)state;
	assert_true(readers[0] && readers[1]);
	log_init(&l, &home, "s-bound", 8192, DAY_NS, 0);
	add(&l, 0, 3000);
	add(&l, 3000, 2000);
	assert_int_equal(log_open(readers[0], &home, "s-bound", &e), 0);
	log_bind(readers[0]);
	add(&l, before, 100);
	assert_int_equal(log_copy(readers[1], readers[0]), 0);
	add(&l, before + 100, 20000);
	log_done(&l);
	for (i = 0; i < 2; i++) {
		assert_true(log_next(readers[i], &f));
		assert_int_equal(f.position, 0);
		assert_true(log_next(readers[i], &f));
		assert_int_equal(f.position + f.len, before);
		assert_false(log_next(readers[i], &f));
		log_close(readers[i]);
		free(readers[i]);
	}
}

static void keep_until(const char *id, int64_t keep_ns, int64_t until_ns)
{
	struct log l;

	log_init(&l, &home, id, 65536, keep_ns, until_ns);
	add(&l, 0, 10);
	log_done(&l);
}

static void keep(const char *id, int64_t keep_ns)
{
	keep_until(id, keep_ns, 0);
}

static void test_find(void **state)
{
	char id[STATE_ID_SIZE];
	struct err e = {};

	(void)state;
	keep("s-abcd", DAY_NS);
	keep("s-abef", DAY_NS);
	assert_int_equal(log_find(&home, "s-abc", id, &e), 0);
	assert_string_equal(id, "s-abcd");
	assert_int_equal(log_find(&home, "s-ab", id, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "several"));
	assert_int_equal(log_find(&home, "s-", id, &e), -ENOENT);
	assert_int_equal(log_find(&home, "s-abcde", id, &e), -ENOENT);
	assert_int_equal(log_find(&home, "../x", id, &e), -ENOENT);
	assert_true(log_remove(&home, "s-abcd"));
	assert_false(log_remove(&home, "s-abcd"));
	assert_int_equal(log_find(&home, "s-ab", id, &e), 0);
}

/* Of the dead only, when their time is up. */
static void test_reap(void **state)
{
	(void)state;
	keep("s-old", 1);
	keep("s-new", DAY_NS);
	keep("s-alive", 1);
	assert_int_equal(mkdirat(home.sandboxes, "s-alive", 0700), 0);
	assert_int_equal(log_reap(&home, false, true), 1);
	assert_true(on_disk("s-old") > 0);
	assert_int_equal(log_reap(&home, false, false), 1);
	assert_true(on_disk("s-old") == 0 && on_disk("s-new") > 0 && on_disk("s-alive") > 0);
	keep("s-old", 1);
	assert_int_equal(log_reap(&home, false, false), 0);
	assert_int_equal(log_reap(&home, true, false), 1);
	/* At the time that was said, however lately something was put out; and not later either. */
	keep_until("s-over", DAY_NS, clock_real_ns() - 1);
	keep_until("s-later", DAY_NS, clock_real_ns() + DAY_NS / 2);
	keep_until("s-soon", 1, clock_real_ns() + DAY_NS);
	assert_int_equal(log_reap(&home, true, false), 2);
	assert_true(on_disk("s-over") == 0 && on_disk("s-later") > 0 && on_disk("s-soon") == 0);
}

/* A part as somebody else wrote it, `days` ago. */
static void plant(const char *name, const void *data, size_t len, int days)
{
	const time_t then = (time_t)(clock_real_ns() / 1000000000) - days * 86400L;
	const struct timespec times[2] = {{.tv_sec = then}, {.tv_sec = then}};
	char path[64];
	int fd;

	(void)mkdirat(home.home, "logs", 0700);
	(void)snprintf(path, sizeof(path), "logs/%s", name);
	fd = openat(home.home, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(futimens(fd, times), 0);
	(void)close(fd);
}

/* What an earlier version wrote is not read, and goes like the rest; so does what has nothing in
 * it. What a later one wrote is its own affair. */
static void test_reap_other_versions(void **state)
{
	struct log_head first = {LOG_MAGIC, 1, DAY_NS, 1 /* a frame's, by then */};
	struct log_head later = {LOG_MAGIC, LOG_VERSION + 1, 1, 1};
	struct log_reader r;
	struct err e = {};

	(void)state;
	plant("s-first.0", &first, sizeof(first), 2);
	plant("s-first.1", &first, sizeof(first), 3);
	plant("s-older.1", &first, 16, 2);
	plant("s-fresh.0", &first, sizeof(first), 0);
	plant("s-half.0", "", 0, 0);
	plant("s-half.1", &first, sizeof(first), 0);
	plant("s-empty.0", "", 0, 0);
	plant("s-cut.0", &later, 15, 0);
	plant("s-later.0", &later, sizeof(later), 400);
	plant("s-other.0", "no log of anybody's, and as long as one", 39, 400);
	assert_int_equal(log_open(&r, &home, "s-first", &e), -ENOENT);
	log_close(&r);
	assert_int_equal(log_reap(&home, true, true), 4);
	assert_int_equal(log_reap(&home, true, false), 4);
	assert_true(on_disk("s-first") == 0 && on_disk("s-older") == 0);
	assert_true(on_disk("s-half") > 0);
	assert_true(on_disk("s-fresh") > 0 && on_disk("s-later") > 0 && on_disk("s-other") > 0);
	assert_int_equal(faccessat(home.home, "logs/s-empty.0", F_OK, 0), -1);
	assert_int_equal(log_reap(&home, true, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bounds, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_none, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_no_room, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_reader_behind, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_reader_far_behind, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_bound_reader, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_find, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_reap, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_reap_other_versions, log_setup, log_teardown),
	};

	(void)signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
