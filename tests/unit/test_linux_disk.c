/* SPDX-License-Identifier: Apache-2.0 */
/* Which file systems a limit of bandwidth cannot hold, from what is mounted; the disks there are.
 */
#include "unit.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "linux/disk.h"
#include "linux/mountinfo.h"

#define ROOT   "24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
#define NFS    "90 24 0:50 /export /srv/data rw shared:5 - nfs4 server:/export rw,vers=4.2\n"
#define DEEP   "91 24 0:51 / /srv/project/deep\\040er rw - fuse.sshfs host: rw\n"
#define MEMORY "92 24 0:52 / /srv/project/tmp rw - tmpfs tmpfs rw\n"
#define LAYERS "93 24 0:53 / /srv/layers rw - overlay overlay rw,lowerdir=/a\n"

static void test_elsewhere(void **state)
{
	static const struct {
		const char *mountinfo, *path;
		unsigned major, minor;
		const char *type; /* NULL: nothing */
	} rows[] = {
		{ROOT, "/srv/project", 254, 1, NULL},
		{ROOT NFS, "/srv/project", 254, 1, NULL},
		{ROOT NFS, "/srv/data", 0, 50, "nfs4"},
		{ROOT NFS, "/srv/data/below", 0, 50, "nfs4"},
		{ROOT NFS, "/srv", 254, 1, "nfs4"},
		{ROOT NFS, "/srv/dat", 254, 1, NULL},
		{ROOT NFS, "/", 254, 1, "nfs4"},
		{ROOT DEEP MEMORY, "/srv/project", 254, 1, "fuse.sshfs"},
		{ROOT DEEP MEMORY, "/srv/project/deep er", 0, 51, "fuse.sshfs"},
		{ROOT DEEP MEMORY, "/srv/project/deep", 254, 1, NULL},
		{ROOT MEMORY LAYERS, "/work", 254, 1, NULL},
		{ROOT LAYERS, "/srv/layers", 0, 53, NULL},
		{"", "/work", 0, 50, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mount_table t = {};
		const char *type = "";
		int r;

		assert_int_equal(mount_table_parse(strdup(rows[i].mountinfo), &t), 0);
		r = disk_find_elsewhere(&t, rows[i].path, makedev(rows[i].major, rows[i].minor),
					&type);
		if (r != (rows[i].type != NULL) ||
		    strcmp(type, rows[i].type ? rows[i].type : "") != 0) {
			fail_msg("row %zu: %d, '%s'", i, r, type);
		}
		mount_table_done(&t);
	}
}

/* Whole disks only, each once, and as many as /sys/block has with something on them. */
static void test_list(void **state)
{
	struct err e = {};
	struct disk *list = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(disk_list(&list, &n, &e), 0);
	for (size_t i = 0; i < n; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", list[i].major,
			       list[i].minor);
		assert_int_equal(access(path, F_OK), 0);
		(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", list[i].major,
			       list[i].minor);
		assert_int_not_equal(access(path, F_OK), 0);
		for (size_t j = 0; j < i; j++) {
			assert_true(list[i].major != list[j].major ||
				    list[i].minor != list[j].minor);
		}
	}
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
