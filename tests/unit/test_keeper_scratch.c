/* SPDX-License-Identifier: Apache-2.0 */
/* Scratch directories: whose they are, what points there, and that they go. */
#include "unit.h"

#include "keeper/scratch.h"

static void make_id(char id[16])
{
	(void)snprintf(id, 16, "s-u%d", (int)getpid());
}

static const char *find(char *const *env, const char *name)
{
	size_t len = strlen(name);
	const char *hit = NULL;

	for (; *env; env++) {
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
			assert_null(hit); /* once */
			hit = *env + len + 1;
		}
	}
	return hit;
}

static void test_life(void **state)
{
	char *const env[] = {(char *)"A=1", (char *)"HOMELY=2", NULL};
	struct scratch s;
	struct err e = {};
	struct stat st;
	char id[16];

	(void)state;
	make_id(id);
	scratch_init(&s);
	assert_int_equal(scratch_name(&s, id, env, &e), 0);
	assert_int_equal(scratch_make(&s, 12345, 12346, &e), 0);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 12345 : geteuid());
	assert_int_equal(stat(s.home, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_string_equal(find(s.env, "HOME"), s.home);
	assert_true(strncmp(find(s.env, "TMPDIR"), s.path, strlen(s.path)) == 0);
	assert_string_equal(find(s.env, "A"), "1");
	assert_string_equal(find(s.env, "HOMELY"), "2");
	assert_int_equal(scratch_remove(id, &e), 0);
	assert_int_equal(stat(s.path, &st), -1);
	assert_int_equal(scratch_remove(id, &e), 0);
	scratch_done(&s);
}

static void test_declared(void **state)
{
	char *const env[] = {(char *)"HOME=/h", (char *)"TMPDIR=/t",
			     (char *)"GIT_CONFIG_NOSYSTEM=0", NULL};
	struct scratch s;
	struct err e = {};
	char id[16];

	(void)state;
	make_id(id);
	scratch_init(&s);
	assert_int_equal(scratch_name(&s, id, env, &e), 0);
	assert_int_equal(scratch_make(&s, 12345, 12346, &e), 0);
	assert_string_equal(find(s.env, "HOME"), "/h");
	assert_string_equal(find(s.env, "TMPDIR"), "/t");
	assert_string_equal(find(s.env, "GIT_CONFIG_NOSYSTEM"), "0");
	assert_int_equal(scratch_remove(id, &e), 0);
	scratch_done(&s);
}

/* Somebody was there before: whatever it is, it is not taken, and not followed. */
static void test_taken(void **state)
{
	char *const env[] = {NULL};
	struct scratch s;
	struct err e = {};
	char id[16], path[64];

	(void)state;
	make_id(id);
	(void)snprintf(path, sizeof(path), "/tmp/atoll-%s", id);
	assert_int_equal(symlink("/usr", path), 0);
	scratch_init(&s);
	assert_int_equal(scratch_name(&s, id, env, &e), 0);
	assert_int_equal(scratch_make(&s, 12345, 12346, &e), -EEXIST);
	assert_false(s.made);
	assert_true(scratch_remove(id, &e) < 0);
	assert_int_equal(access("/usr/bin", F_OK), 0);
	assert_int_equal(unlink(path), 0);
	scratch_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_declared),
		cmocka_unit_test(test_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
