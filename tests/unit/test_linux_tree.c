/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of somebody else's: removed and measured, whatever is in them, and nothing outside. */
#include "unit.h"

#include "linux/tree.h"

static int enter(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fchdir(fd), 0);
	return fd;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void test_remove(void **state)
{
	int top = enter(*state), i;
	struct err e = {};

	put("kept", "outside");
	assert_int_equal(mkdir("kept-too", 0700), 0);
	put("kept-too/file", "outside");
	assert_int_equal(mkdir("t", 0700), 0);
	assert_int_equal(symlink("../kept", "t/link"), 0);
	assert_int_equal(symlink("../kept-too", "t/dirlink"), 0);
	assert_int_equal(mkfifo("t/fifo", 0), 0);
	assert_int_equal(link("kept", "t/hard"), 0);
	assert_int_equal(mkdir("t/.atoll-0", 0700), 0); /* a name that is ours */
	put("t/.atoll-0/x", "x");
	put("t/.atoll-1", "x");
	assert_int_equal(mkdir("t/a", 0700), 0);
	assert_int_equal(mkdir("t/a/b", 0700), 0);
	put("t/a/b/\n\xff", "x");
	assert_int_equal(mkdir("t/a/b/c", 0), 0);
	assert_int_equal(chmod("t/a/b", 0500), 0);
	assert_int_equal(chmod("t/a", 0), 0);
	assert_int_equal(chdir("t"), 0);
	for (i = 0; i < 3000; i++) { /* deeper than any path */
		assert_int_equal(mkdir("d", 0700), 0);
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(fchdir(top), 0);
	assert_int_equal(chmod("t", 0), 0);
	assert_int_equal(tree_remove(top, "t", &e), 0);
	assert_int_equal(access("t", F_OK), -1);
	assert_int_equal(access("kept", F_OK), 0);
	assert_int_equal(access("kept-too/file", F_OK), 0);
	assert_int_equal(tree_remove(top, "t", &e), 0); /* not there: nothing to do */
	assert_int_equal(e.code, 0);
	/* A link in the place of the tree is not followed. */
	assert_int_equal(symlink("kept-too", "t"), 0);
	assert_true(tree_remove(top, "t", &e) < 0);
	assert_int_equal(access("kept-too/file", F_OK), 0);
	(void)close(top);
}

static void test_measure(void **state)
{
	const struct tree_usage plenty = {1U << 30, 1U << 20}, few = {1U << 30, 3},
				small = {100, 1000};
	struct tree_usage u;
	int top = enter(*state), i;

	assert_int_equal(mkdir("m", 0700), 0);
	assert_int_equal(symlink("/usr", "m/link"), 0);
	put("m/file", "text");
	assert_int_equal(mkdir("m/d", 0700), 0);
	put("m/d/file", "text");
	assert_int_equal(chmod("m/d", 0), 0); /* gets its rights back, to be looked at */
	assert_int_equal(fchdir(enter("m")), 0);
	i = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(tree_measure(i, &plenty, &u));
	assert_int_equal(u.inodes, 4);
	assert_true(u.bytes > 0 && u.bytes < 1U << 20);
	assert_true(tree_measure(i, &few, &u));
	assert_int_equal(u.inodes, 4);
	assert_true(tree_measure(i, &small, &u));
	assert_true(u.bytes > 100);
	(void)close(i);
	i = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int n = 0; n < TREE_DEPTH_MAX; n++) {
		assert_int_equal(mkdir("deep", 0700), 0);
		assert_int_equal(chdir("deep"), 0);
	}
	assert_false(tree_measure(i, &plenty, &u));
	(void)close(i);
	assert_int_equal(fchdir(top), 0);
	assert_int_equal(tree_remove(top, "m", NULL), 0);
	(void)close(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_remove, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_measure, unit_dir_setup, unit_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
