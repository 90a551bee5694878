/* SPDX-License-Identifier: Apache-2.0 */
/* Path and arguments of a start, out of memory that is made up: bounds, edges, holes. */
#include "unit.h"

#include "linux/execve-args.h"

#define BASE  0x10000u
#define PAGE  4096u
#define PAGES 40u
#define AT(n) (BASE + (n))

/* Foreign memory: pages from BASE on, some of which are not there. */
struct fake {
	char bytes[PAGES * PAGE];
	bool missing[PAGES];
	unsigned calls;
};

static ssize_t fake_read(void *arg, const struct iovec *to, const struct iovec *from, unsigned n)
{
	struct fake *f = arg;
	ssize_t done = 0;
	unsigned i;

	f->calls++;
	for (i = 0; i < n; i++) {
		uint64_t at = (uintptr_t)from[i].iov_base;
		size_t len = from[i].iov_len;

		assert_int_equal(to[i].iov_len, len);
		assert_true(len > 0);
		if (at < BASE || at - BASE + len > sizeof(f->bytes) ||
		    f->missing[(at - BASE) / PAGE] || f->missing[(at - BASE + len - 1) / PAGE]) {
			return done ? done : -EFAULT;
		}
		memcpy(to[i].iov_base, f->bytes + (at - BASE), len);
		done += (ssize_t)len;
	}
	return done;
}

static struct fake *new_fake(void **state)
{
	struct fake *f = *state;

	memset(f, 0, sizeof(*f));
	return f;
}

static void put(struct fake *f, uint64_t at, const char *text)
{
	for (size_t i = 0; i <= strlen(text); i++) {
		f->bytes[at - BASE + i] = text[i];
	}
}

static void put_pointer(struct fake *f, uint64_t at, uint64_t value)
{
	memcpy(f->bytes + (at - BASE), &value, sizeof(value));
}

static void take(struct fake *f, uint64_t path, uint64_t argv, struct execve_args *ret)
{
	const struct execve_memory m = {.read = fake_read, .arg = f};

	memset(ret, 0xa5, sizeof(*ret));
	f->calls = 0;
	execve_args_read(&m, path, argv, ret);
	assert_true(ret->n <= EXECVE_ARGS_KEPT);
	assert_true(ret->n == 0 || ret->end[ret->n - 1] <= EXECVE_ARGS_TEXT);
	assert_non_null(memchr(ret->path, '\0', sizeof(ret->path)));
}

static void expect(const struct execve_args *a, unsigned i, const char *text)
{
	size_t from = i ? a->end[i - 1] : 0;

	assert_true(i < a->n);
	assert_int_equal(a->end[i] - from, strlen(text));
	assert_memory_equal(a->text + from, text, strlen(text));
}

/* Two looks are enough where everything is where it mostly is. */
static void test_ordinary(void **state)
{
	struct fake *f = new_fake(state);
	struct execve_args a;

	put(f, AT(100), "/bin/echo");
	put(f, AT(200), "echo");
	put(f, AT(300), "");
	put(f, AT(400), "three");
	put_pointer(f, AT(1000), AT(200));
	put_pointer(f, AT(1008), AT(300));
	put_pointer(f, AT(1016), AT(400));
	take(f, AT(100), AT(1000), &a);
	assert_string_equal(a.path, "/bin/echo");
	assert_int_equal(a.n, 3);
	expect(&a, 0, "echo");
	expect(&a, 1, "");
	expect(&a, 2, "three");
	assert_false(a.unread || a.cut || a.more);
	assert_int_equal(f->calls, 2);
	take(f, AT(100), 0, &a); /* which Linux takes for an empty list */
	assert_int_equal(a.n, 0);
	assert_false(a.unread);
}

/* Text and list that end right before a page that is not there, or go on into it. */
static void test_edges(void **state)
{
	struct fake *f = new_fake(state);
	struct execve_args a;

	f->missing[1] = true;
	put(f, AT(PAGE - 5), "/bin");
	put(f, AT(100), "x");
	put_pointer(f, AT(PAGE - 24), AT(100)); /* before the text: 24 bytes, the last ones zero */
	put_pointer(f, AT(PAGE - 16), 0);
	take(f, AT(PAGE - 5), AT(PAGE - 24), &a);
	assert_string_equal(a.path, "/bin");
	assert_int_equal(a.n, 1);
	assert_false(a.unread);
	f->bytes[PAGE - 1] = 's';
	take(f, AT(PAGE - 5), AT(PAGE - 24), &a);
	assert_string_equal(a.path, "/bins");
	assert_true(a.unread);
	assert_int_equal(a.n, 1);
	f->missing[1] = false;
	put(f, AT(PAGE), "tail");
	take(f, AT(PAGE - 5), AT(PAGE - 24), &a);
	assert_string_equal(a.path, "/binstail");
	assert_false(a.unread);
	/* A list that is not aligned, across two pages. */
	put_pointer(f, AT(3 * PAGE - 4), AT(100));
	put_pointer(f, AT(3 * PAGE + 4), AT(100));
	take(f, AT(100), AT(3 * PAGE - 4), &a);
	assert_int_equal(a.n, 2);
	assert_false(a.unread);
	f->missing[3] = true;
	take(f, AT(100), AT(3 * PAGE - 4), &a);
	assert_int_equal(a.n, 0);
	assert_true(a.unread);
}

/* What can be read stands, whatever cannot. */
static void test_holes(void **state)
{
	static const uint64_t nowhere[] = {0,
					   8,
					   BASE - 1,
					   AT(PAGES * PAGE),
					   UINT64_MAX,
					   UINT64_MAX - 4095,
					   0xffffffff81000000};
	struct fake *f = new_fake(state);
	struct execve_args a;
	size_t i;

	put(f, AT(100), "/x");
	put_pointer(f, AT(1000), AT(100));
	put_pointer(f, AT(1016), AT(100));
	for (i = 0; i < ARRAY_SIZE(nowhere); i++) {
		take(f, nowhere[i], AT(1000), &a);
		assert_true(a.unread);
		assert_string_equal(a.path, "");
		assert_int_equal(a.n, 1);
		if (nowhere[i]) {
			take(f, AT(100), nowhere[i], &a);
			assert_true(a.unread);
			assert_string_equal(a.path, "/x");
			assert_int_equal(a.n, 0);
			put_pointer(f, AT(1008), nowhere[i]);
			take(f, AT(100), AT(1000), &a);
			assert_true(a.unread);
			assert_int_equal(a.n, 1);
			assert_int_equal(a.more, 2);
			put_pointer(f, AT(1008), 0);
		}
	}
}

/* No more than there is room for; and how many more there were. */
static void test_bounds(void **state)
{
	struct fake *f = new_fake(state);
	struct execve_args a;
	uint32_t i;

	put(f, AT(100), "/x");
	memset(f->bytes + PAGE, 'y', 3 * PAGE);
	for (i = 0; i < EXECVE_ARGS_COUNT + 500; i++) {
		put_pointer(f, AT(8 * PAGE + i * 8), AT(100));
	}
	take(f, AT(100), AT(8 * PAGE), &a);
	assert_int_equal(a.n, EXECVE_ARGS_KEPT);
	assert_int_equal(a.more, EXECVE_ARGS_COUNT - EXECVE_ARGS_KEPT);
	assert_false(a.unread || a.cut);
	for (i = 0; i < 40; i++) {
		put_pointer(f, AT(8 * PAGE + (EXECVE_ARGS_KEPT + i) * 8), 0);
		take(f, AT(100), AT(8 * PAGE), &a);
		assert_int_equal(a.n, EXECVE_ARGS_KEPT);
		assert_int_equal(a.more, i);
		put_pointer(f, AT(8 * PAGE + (EXECVE_ARGS_KEPT + i) * 8), AT(100));
		i += i ? 6 : 0;
	}
	put_pointer(f, AT(8 * PAGE + 3 * 8), 0);
	put_pointer(f, AT(8 * PAGE + 8), AT(PAGE + 7)); /* 12,281 bytes and more */
	take(f, AT(100), AT(8 * PAGE), &a);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.more, 1);
	assert_true(a.cut);
	assert_false(a.unread);
	assert_int_equal(a.end[1], EXECVE_ARGS_TEXT);
	/* Exactly as much as fits, and one byte more. */
	f->bytes[PAGE + 7 + EXECVE_ARGS_TEXT - 2] = '\0';
	take(f, AT(100), AT(8 * PAGE), &a);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.more, 1);
	assert_false(a.unread || a.cut);
	f->bytes[PAGE + 7 + EXECVE_ARGS_TEXT - 3] = '\0';
	take(f, AT(100), AT(8 * PAGE), &a);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.more, 0);
	assert_true(a.cut);
	assert_int_equal(a.end[2], EXECVE_ARGS_TEXT);
	/* A path that is longer than any. */
	take(f, AT(PAGE), AT(8 * PAGE), &a);
	assert_true(a.unread == (strlen(a.path) >= PATH_MAX - 1));
	memset(f->bytes + PAGE, 'y', 3 * PAGE);
	take(f, AT(PAGE), AT(8 * PAGE), &a);
	assert_int_equal(strlen(a.path), PATH_MAX - 1);
	assert_true(a.unread);
}

static int set_up(void **state)
{
	*state = malloc(sizeof(struct fake));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
