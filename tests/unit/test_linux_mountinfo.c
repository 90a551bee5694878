/* SPDX-License-Identifier: Apache-2.0 */
/* The mount table: what its lines say, what is none of them, and which place lies below which. */
#include "unit.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "linux/mountinfo.h"

static int parse(const char *text, struct mount_table *t)
{
	return mount_table_parse(strdup(text), t);
}

static void test_lines(void **state)
{
	struct mount_table t = {};

	(void)state;
	assert_int_equal(parse("36 35 98:7 /mnt1 /mnt2 ro,noatime master:1 propagate_from:2 - ext3 "
			       "/dev/root "
			       "rw,errors=continue\n"
			       "37 36 0:50 /a\\040b\\134 /c\\011d\\999 rw - fuse.x  rw\n"
			       "4294967296 37 0:3 / / rw shared:12 - tmpfs none\n",
			       &t),
			 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.list[0].id, 36);
	assert_true(t.list[0].dev == makedev(98, 7));
	assert_string_equal(t.list[0].root, "/mnt1");
	assert_string_equal(t.list[0].point, "/mnt2");
	assert_string_equal(t.list[0].attrs, "ro,noatime");
	assert_false(t.list[0].is_private);
	assert_string_equal(t.list[0].type, "ext3");
	assert_string_equal(t.list[0].options, "rw,errors=continue");
	assert_string_equal(t.list[1].root, "/a b\\");
	assert_string_equal(t.list[1].point, "/c\td\\999");
	assert_true(t.list[1].is_private);
	assert_string_equal(t.list[1].type, "fuse.x");
	assert_string_equal(t.list[1].options, "rw");
	assert_true(t.list[2].id == 4294967296);
	assert_false(t.list[2].is_private);
	assert_string_equal(t.list[2].options, "");
	mount_table_done(&t);
}

static void test_what_is_no_line(void **state)
{
	static const char *const rows[] = {
		"no line of mountinfo\n",
		" - \n",
		"1 2 3 / / rw - nfs x\n",
		"1 2 0:50 / - nfs x",
		"1 2 0:50 / /x rw shared:1\n",
		"1 2 0:50 / relative rw - nfs x\n",
		"36 35 98:7 / / rw - ext3 x rw\n1 2\n",
	};
	struct mount_table t = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (parse(rows[i], &t) != -EBADMSG) {
			fail_msg("row %zu", i);
		}
		assert_null(t.list);
	}
	assert_int_equal(parse("", &t), 0);
	assert_int_equal(t.n, 0);
	mount_table_done(&t);
}

static void test_below(void **state)
{
	static const struct {
		const char *path, *point; /* NULL: nothing */
	} rows[] = {
		{"/srv", "/srv/a"},   {"/srv/a", "/srv/a/b"}, {"/srv/a/b", NULL}, {"/sr", NULL},
		{"/srv/a/b/c", NULL}, {"/", "/srv/a"},        {"/srv/ab", NULL},
	};
	struct mount_table t = {};

	(void)state;
	assert_int_equal(
		parse("1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / /srv/a rw - ext4 x rw\n"
		      "3 1 8:2 / /srv/a/b rw - ext4 x rw\n4 1 8:2 / /srv/ab rw - ext4 x rw\n",
		      &t),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct mount_entry *m = mount_table_below(&t, rows[i].path);

		if (!m != !rows[i].point || (m && strcmp(m->point, rows[i].point) != 0)) {
			fail_msg("row %zu: %s", i, m ? m->point : "nothing");
		}
	}
	mount_table_done(&t);
}

/* Paths that are not there lie on the mount of the root; of its file system a part is at /x/p. */
static void test_shares(void **state)
{
	static const struct {
		const char *root; /* of what is mounted at /x/p */
		const char *one, *other;
		int wanted;
	} rows[] = {
		{"/x/r", "/x", "/x/r", 1},
		{"/x/q", "/x", "/y", 0},
		{"/y", "/x", "/y", 1},
		{"/y", "/y", "/x", 1},
		{"/y/below", "/x", "/y", 1},
		{"/", "/x", "/y", 1},
		{"/y", "/x", "/y/below/deeper", 1},
		{"/yy", "/x", "/y", 0},
		{"/y", "/x", "/yy", 0},
		{"/x/q", "/x", "/x/r", 0},
	};
	struct mount_table own = {};
	struct err e = {};
	struct statx st;
	dev_t dev = 0;

	(void)state;
	assert_int_equal(statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &st), 0);
	assert_int_equal(mount_table_read(&own, &e), 0);
	for (size_t i = 0; i < own.n; i++) {
		dev = own.list[i].id == st.stx_mnt_id ? own.list[i].dev : dev;
	}
	mount_table_done(&own);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mount_table t = {};
		const char *point = NULL;
		char text[512];
		int r;

		(void)snprintf(text, sizeof(text),
			       "%llu 1 %u:%u / / rw - ext4 x rw\n1 1 %u:%u %s /x/p rw - ext4 x rw\n"
			       "2 1 0:0 %s /x/other rw - ext4 x rw\n",
			       (unsigned long long)st.stx_mnt_id, major(dev), minor(dev),
			       major(dev), minor(dev), rows[i].root, rows[i].root);
		assert_int_equal(parse(text, &t), 0);
		r = mount_table_shares(&t, rows[i].one, rows[i].other, &point, &e);
		if (r != rows[i].wanted || (r && strcmp(point, "/x/p") != 0)) {
			fail_msg("row %zu: %d, %s", i, r, point ? point : "");
		}
		mount_table_done(&t);
	}
}

/* As in a chroot: the mount that the root lies on is not in the table. */
static void test_shares_where_the_root_is_no_mount(void **state)
{
	static const struct {
		const char *one, *other;
		int wanted;
		bool elsewhere; /* what is mounted at /x/p is of another file system */
	} rows[] = {
		{"/y", "/z", 0, false},      {"/y", "/y/below", 0, false},
		{"/x", "/y", -EXDEV, false}, {"/y", "/x", -EXDEV, false},
		{"/x", "/y", 0, true},
	};
	struct statx st;

	(void)state;
	assert_int_equal(statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &st), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mount_table t = {};
		const char *point = NULL;
		struct err e = {};
		char text[512];
		int r;

		(void)snprintf(text, sizeof(text), "1 1 %u:%u /y /x/p rw - ext4 x rw\n",
			       rows[i].elsewhere ? 0 : st.stx_dev_major,
			       rows[i].elsewhere ? 0 : st.stx_dev_minor);
		assert_int_equal(parse(text, &t), 0);
		r = mount_table_shares(&t, rows[i].one, rows[i].other, &point, &e);
		if (r != rows[i].wanted || e.code != -r) {
			fail_msg("row %zu: %d, %s", i, r, e.msg);
		}
		mount_table_done(&t);
	}
}

/* NFS calls the root of each of its mounts a slash; what was mounted says which part it is. */
static void test_nfs(void **state)
{
	struct mount_table t = {};

	(void)state;
	assert_int_equal(parse("1 0 0:50 / /home/a rw - nfs4 host:/export/a\\040b rw\n"
			       "2 0 0:50 / /home/b rw - nfs [fe80::1]:/export/b rw\n"
			       "3 0 0:50 / /home rw - nfs4 host:/ rw\n"
			       "4 0 0:51 / /x rw - nfs4 none rw\n"
			       "5 0 0:52 /in /y rw - fuse.sshfs host:/export rw\n",
			       &t),
			 0);
	assert_string_equal(t.list[0].root, "/export/a b");
	assert_string_equal(t.list[1].root, "/export/b");
	assert_string_equal(t.list[2].root, "/");
	assert_string_equal(t.list[3].root, "/");
	assert_string_equal(t.list[4].root, "/in");
	mount_table_done(&t);
}

/* What was read ahead is read again where something was mounted since, and only there. */
static void test_ahead(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		struct mount_ahead a = {.fd = -1};
		const struct mount_table *t = NULL;
		struct err e = {};
		const char *text;
		size_t n;

		if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0) {
			_exit(77);
		}
		mount_ahead_read(&a);
		text = a.table.text;
		n = a.table.n;
		if (n == 0 || mount_ahead_get(&a, &t, &e) < 0 || t->text != text || t->n != n) {
			_exit(1);
		}
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("none", "/tmp", "tmpfs", 0, NULL) < 0) {
			_exit(77);
		}
		if (mount_ahead_get(&a, &t, &e) < 0 || t->n != n + 1) {
			_exit(2);
		}
		mount_ahead_done(&a);
		/* Nothing was read ahead: it is read now. */
		if (mount_ahead_get(&a, &t, &e) < 0 || t->n != n + 1) {
			_exit(3);
		}
		mount_ahead_done(&a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_is_no_line),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_shares_where_the_root_is_no_mount),
		cmocka_unit_test(test_nfs),
		cmocka_unit_test(test_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
