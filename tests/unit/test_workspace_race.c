/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that turns into a link out of the tree and back, as fast as another thread can do it,
 * while ours is looked at, taken over, measured and removed. What lies behind the link is neither
 * seen nor touched; and both has been met often, the directory and the link, or the race was none.
 */
#include "unit.h"

#include <pthread.h>

#include "linux/tree.h"
#include "workspace/apply.h"
#include "workspace/change-internal.h"
#include "workspace/change.h"

#define ROUNDS (getenv("ATOLL_TEST_LONG") ? 100000 : 10000)
#define OFTEN  100 /* each outcome, at least */
#define SECRET "a secret behind the link"
#define EVER   INT64_MAX /* begun so late that nothing was changed since */

struct race {
	int top;
	const char *a, *b; /* are exchanged */
	pthread_t thread;
	bool stop;
	unsigned long swaps;
	unsigned long rounds;
};

static void *swap(void *data)
{
	struct race *r = data;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		r->swaps += renameat2(r->top, r->a, r->top, r->b, RENAME_EXCHANGE) == 0;
	}
	return NULL;
}

static void put(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void expect(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char found[64] = "";

	assert_true(fd >= 0 && read(fd, found, sizeof(found) - 1) >= 0);
	assert_string_equal(found, text);
	(void)close(fd);
}

static int dir_at(int top, const char *name)
{
	int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* In memory where there is such a place, for an apply waits for the disk. */
static int setup(void **state)
{
	char made[] = "/dev/shm/atoll-unit-XXXXXX";

	*state = mkdtemp(made) ? strdup(made) : NULL;
	return *state ? 0 : unit_dir_setup(state);
}

/* o is the tree, o/d/f in it, secret/f outside. */
static struct race begin(void **state)
{
	struct race r = {.a = "o/d", .b = "away", .rounds = (unsigned long)ROUNDS};

	(void)umask(022);
	r.top = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(r.top >= 0);
	assert_int_equal(mkdirat(r.top, "o", 0755) | mkdirat(r.top, "o/d", 0755) |
				 mkdirat(r.top, "u", 0755) | mkdirat(r.top, "j", 0755) |
				 mkdirat(r.top, "secret", 0755) |
				 symlinkat("../secret", r.top, "away"),
			 0);
	put(r.top, "o/d/f", "text");
	put(r.top, "secret/f", SECRET);
	return r;
}

static void go(struct race *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, swap, r), 0);
}

/* The thread is through; what lies outside is as it was; the link is where it was made. */
static void stop(struct race *r)
{
	struct stat st;

	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	(void)pthread_join(r->thread, NULL);
	expect(r->top, "secret/f", SECRET);
	assert_int_equal(faccessat(r->top, "secret/new", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	if (fstatat(r->top, r->b, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
		assert_int_equal(renameat2(r->top, r->a, r->top, r->b, RENAME_EXCHANGE), 0);
	}
	assert_true(r->swaps >= r->rounds / 100);
}

static void end(struct race *r)
{
	static const char *const all[] = {"o", "u", "j", "secret"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(tree_remove(r->top, all[i], NULL), 0);
	}
	assert_int_equal(unlinkat(r->top, "away", 0), 0);
	(void)close(r->top);
}

static void say(const char *what, const struct race *r, unsigned long one, unsigned long other)
{
	(void)fprintf(stderr, "# %s: %lu rounds, %lu swaps, %lu met the directory, %lu the link\n",
		      what, r->rounds, r->swaps, one, other);
	assert_true(one >= OFTEN && other >= OFTEN);
}

/* Listing and reading, as a diff does it. */
static void test_looked_at(void **state)
{
	struct race r = begin(state);
	unsigned long directory = 0, link = 0, read_ = 0, not_read = 0, i;
	int original = dir_at(r.top, "o"), upper = dir_at(r.top, "u");

	assert_int_equal(mkdirat(upper, "d", 0755), 0);
	put(upper, "d/f", "text and more");
	go(&r);
	for (i = 0; i < r.rounds; i++) {
		struct changes c;
		struct err e = {};
		char found[64] = "";
		int fd, failed = changes_find(original, upper, NULL, false, &c, &e);

		assert_int_equal(failed, 0);
		if (c.n != 1 && c.n != 2) {
			for (size_t k = 0; k < c.n; k++) {
				(void)fprintf(stderr, "# %s %s %lu %o\n",
					      change_word(c.list[k].kind), c.list[k].path,
					      c.list[k].before.size, c.list[k].before.mode);
			}
			fail_msg("%zu changes in round %lu", c.n, i);
		}
		if (c.n == 1 && c.list[0].kind == CHANGE_MODIFIED) {
			assert_int_equal(c.list[0].before.size, 4);
			directory++;
		} else { /* d is something else, or was when it was to be entered; d/f is new */
			assert_true(c.n == 1 || c.list[0].kind == CHANGE_TYPE ||
				    c.list[0].kind == CHANGE_ADDED);
			assert_int_equal(c.list[c.n - 1].kind, CHANGE_ADDED);
			assert_int_equal(c.list[c.n - 1].before.size, 0);
			link++;
		}
		changes_done(&c);
		fd = entry_open_file(original, "d/f", false);
		if (fd >= 0) {
			assert_true(read(fd, found, sizeof(found) - 1) >= 0);
			assert_string_equal(found, "text");
			(void)close(fd);
			read_++;
		} else {
			not_read++;
		}
	}
	stop(&r);
	say("listed", &r, directory, link);
	say("read", &r, read_, not_read);
	(void)close(original);
	(void)close(upper);
	end(&r);
}

/* A file is replaced and one is made in the directory, or neither. */
static void test_taken_over(void **state)
{
	struct race r = begin(state);
	int inside = dir_at(r.top, "o/d");
	struct apply a = {.original = dir_at(r.top, "o"),
			  .upper = dir_at(r.top, "u"),
			  .journal = dir_at(r.top, "j"),
			  .id = "s-test",
			  .begun_ns = EVER};
	unsigned long done = 0, refused = 0, pending = 0, i;
	struct changes c;
	struct err e = {};

	assert_int_equal(mkdirat(a.upper, "d", 0755), 0);
	put(a.upper, "d/f", "text and more");
	put(a.upper, "d/new", "new");
	assert_int_equal(changes_find(a.original, a.upper, NULL, false, &c, &e), 0);
	assert_int_equal(c.n, 2);
	go(&r);
	for (i = 0; i < r.rounds; i++) {
		bool all = apply_changes(&a, &c, &(struct err){}) == 0;

		/* The way back meets the link as well, and is gone until it is through. */
		pending += apply_pending(a.journal);
		while (apply_pending(a.journal)) {
			(void)apply_recover(&a, true, &(struct err){});
		}
		(void)apply_clean(&a, &(struct err){});
		expect(inside, "f", all ? "text and more" : "text");
		assert_int_equal(faccessat(inside, "new", F_OK, 0), all ? 0 : -1);
		if (all) {
			assert_int_equal(unlinkat(inside, "new", 0), 0);
			put(inside, "f", "text");
			done++;
		} else {
			refused++;
		}
	}
	stop(&r);
	assert_int_equal(faccessat(a.original, ".atoll-apply-s-test", F_OK, 0), -1);
	say("taken over", &r, done, refused);
	(void)fprintf(stderr, "# of which %lu had to be undone in a second attempt\n", pending);
	changes_done(&c);
	(void)close(inside);
	(void)close(a.original);
	(void)close(a.upper);
	(void)close(a.journal);
	end(&r);
}

/* What the payload writes is measured while it does; a directory without rights gets them for that.
 */
static void test_measured(void **state)
{
	const struct tree_usage plenty = {1U << 30, 1U << 20};
	struct race r = begin(state);
	unsigned long directory = 0, link = 0, i;
	struct stat st;

	assert_int_equal(fchmodat(r.top, "o/d", 0300, 0), 0);
	put(r.top, "secret/2", "x");
	put(r.top, "secret/3", "x");
	assert_int_equal(fchmodat(r.top, "secret", 0100, 0), 0);
	go(&r);
	for (i = 0; i < r.rounds; i++) {
		struct tree_usage u;
		int top = dir_at(r.top, "o");

		(void)tree_measure(top, &plenty, &u);
		directory += u.inodes == 2; /* d, f */
		link += u.inodes == 1;
		assert_true(u.inodes <= 2);
		(void)close(top);
	}
	assert_int_equal(fstatat(r.top, "secret", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0100);
	stop(&r);
	say("measured", &r, directory, link);
	end(&r);
}

/* Nobody should write there any more; where somebody does all the same, nothing outside goes. */
static void test_removed(void **state)
{
	struct race r = begin(state);
	unsigned long whole = 0, rest = 0, i;
	struct stat st;

	r.a = "t/d";
	r.b = "t/link";
	assert_int_equal(fchmodat(r.top, "secret", 0500, 0), 0);
	go(&r);
	for (i = 0; i < r.rounds; i++) {
		bool gone;

		/* Of what a round has left, either name may be there. */
		assert_true(mkdirat(r.top, "t", 0755) == 0 || errno == EEXIST);
		assert_true(mkdirat(r.top, "t/d", 0755) == 0 || errno == EEXIST);
		assert_true(symlinkat("../secret", r.top, "t/link") == 0 || errno == EEXIST);
		gone = tree_remove(r.top, "t", &(struct err){}) == 0;
		whole += gone;
		rest += !gone;
		assert_int_equal(faccessat(r.top, "secret/f", F_OK, 0), 0);
		assert_int_equal(fstatat(r.top, "secret", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, 0500);
	}
	stop(&r);
	assert_int_equal(tree_remove(r.top, "t", NULL), 0);
	(void)fprintf(stderr, "# removed: %lu rounds, %lu swaps, %lu at once, %lu not\n", r.rounds,
		      r.swaps, whole, rest);
	assert_true(whole >= OFTEN);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_looked_at, setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_measured, setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_removed, setup, unit_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
