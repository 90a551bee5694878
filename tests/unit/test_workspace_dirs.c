/* SPDX-License-Identifier: Apache-2.0 */
/* Which directories stood where: found again, and nothing else, also from a file. */
#include "unit.h"

#include <sys/stat.h>

#include "workspace/dirs.h"

#define MANY 1000

static int top; /* global: the directory of the test, for unit_faults() */

static int setup(void **state)
{
	int r = unit_dir_setup(state);

	top = r < 0 ? FD_NONE : open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)close(top);
	return unit_dir_teardown(state);
}

static void test_found_again(void **state)
{
	struct dirs d = {};

	(void)state;
	assert_false(dirs_has(&d, "a", NULL, 1));
	assert_int_equal(dirs_add(&d, "a", 7), 0);
	assert_int_equal(dirs_add(&d, "a/b", 8), 0);
	assert_int_equal(dirs_add(&d, "\xff\n", UINT64_MAX), 0);
	dirs_sort(&d);
	assert_true(dirs_has(&d, "a", NULL, 7) && dirs_has(&d, "", "a", 7));
	assert_true(dirs_has(&d, "a/b", NULL, 8) && dirs_has(&d, "a", "b", 8));
	assert_true(dirs_has(&d, "", "\xff\n", UINT64_MAX));
	assert_false(dirs_has(&d, "a", NULL, 8)); /* another stands there now */
	assert_false(dirs_has(&d, "b", NULL, 8)); /* it stands elsewhere now */
	assert_false(dirs_has(&d, "", "b", 8) || dirs_has(&d, "a", "b", 7) ||
		     dirs_has(&d, "a/b", "", 8));
	dirs_done(&d);
}

static void assert_all(const struct dirs *d)
{
	char path[32];

	assert_int_equal(d->n, MANY);
	for (ino_t i = 0; i < MANY; i++) {
		(void)snprintf(path, sizeof(path), "d%llu", (unsigned long long)i);
		assert_true(dirs_has(d, path, NULL, i));
		assert_false(dirs_has(d, path, NULL, i + 1));
	}
}

static void through_a_file(bool may_fail)
{
	struct dirs d = {}, again = {};
	char path[32];
	int r = 0;

	for (ino_t i = 0; r == 0 && i < MANY; i++) {
		(void)snprintf(path, sizeof(path), "d%llu", (unsigned long long)i);
		r = dirs_add(&d, path, i);
	}
	dirs_sort(&d);
	r = r < 0 ? r : dirs_write(&d, top, "dirs");
	r = r < 0 ? r : dirs_read(top, "dirs", &again);
	assert_true(r == 0 || (may_fail && again.n == 0 && !again.keys));
	if (r == 0) {
		assert_all(&d);
		assert_all(&again);
	}
	dirs_done(&d);
	dirs_done(&again);
	(void)unlinkat(top, "dirs", 0);
}

static void test_through_a_file(void **state)
{
	(void)state;
	unit_faults(through_a_file);
}

/* What is no such file has nothing in it, and opening it does not wait. */
static void test_other_files(void **state)
{
	struct dirs d;
	int fd;

	(void)state;
	assert_int_equal(dirs_read(top, "none", &d), -ENOENT);
	assert_int_equal(mknodat(top, "odd", S_IFREG | 0600, 0), 0);
	assert_int_equal(dirs_read(top, "odd", &d), 0);
	assert_int_equal(d.n, 0);
	fd = openat(top, "odd", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "twelve bytes", 12), 12);
	assert_int_equal(dirs_read(top, "odd", &d), -EBADMSG);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_int_equal(dirs_read(top, "odd", &d), -EBADMSG);
	(void)close(fd);
	assert_int_equal(mkfifoat(top, "pipe", 0600), 0);
	assert_int_equal(dirs_read(top, "pipe", &d), -EBADMSG);
	assert_int_equal(symlinkat("odd", top, "link"), 0);
	assert_int_equal(dirs_read(top, "link", &d), -ELOOP);
	assert_int_equal(dirs_write(&(struct dirs){}, top, "odd"), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_again),
		cmocka_unit_test_setup_teardown(test_through_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
