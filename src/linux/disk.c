/* SPDX-License-Identifier: Apache-2.0 */
/* Disks, and file systems that are on none. */
#include "linux/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "linux/mountinfo.h"

#define SYS_BLOCK "/sys/block"

/* The text of SYS_BLOCK/NAME/FILE, or "". */
static const char *attribute(int dir, const char *name, const char *file, struct buf *b)
{
	_cleanup_buf_ struct buf path = {};
	_cleanup_fd_ int fd = FD_NONE;

	buf_init(&path, 1024);
	buf_clear(b);
	if (buf_addf(&path, "%s/%s", name, file) < 0) {
		return "";
	}
	fd = openat(dir, buf_str(&path), O_RDONLY | O_CLOEXEC);
	return fd < 0 || buf_read_fd(b, fd) < 0 ? "" : buf_str(b);
}

/* True with its numbers if it has any and is not empty, as a drive without a medium is. */
static bool look(int dir, const char *name, struct disk *ret)
{
	_cleanup_buf_ struct buf b = {};
	char *rest;

	buf_init(&b, 4096);
	if (strtoull(attribute(dir, name, "size", &b), NULL, 10) == 0) {
		return false;
	}
	ret->major = (unsigned)strtoul(attribute(dir, name, "dev", &b), &rest, 10);
	if (*rest != ':') {
		return false;
	}
	ret->minor = (unsigned)strtoul(rest + 1, NULL, 10);
	return true;
}

int disk_list(struct disk **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ struct disk *list = NULL;
	DIR *dir = opendir(SYS_BLOCK);
	const struct dirent *d;
	struct disk found;
	size_t n = 0;

	if (!dir) {
		return err_sys(e, errno, "cannot list the disks in '%s'", SYS_BLOCK);
	}
	while ((d = readdir(dir)) && n < DISKS_MAX) {
		struct disk *grown;

		if (d->d_name[0] == '.' || !look(dirfd(dir), d->d_name, &found)) {
			continue;
		}
		grown = reallocarray(list, n + 1, sizeof(*list));
		if (!grown) {
			(void)closedir(dir);
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
		list = grown;
		list[n++] = found;
	}
	(void)closedir(dir);
	if (n == DISKS_MAX) {
		return err_set(e, ERR_SYSTEM, E2BIG, "there are more than %d disks", DISKS_MAX);
	}
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

/* File systems without a device number of a disk that all the same use this host's disks, or none.
 */
static bool is_local(const char *type)
{
	static const char *const types[] = {
		"tmpfs",    "ramfs",       "devtmpfs", "hugetlbfs", "proc",     "sysfs",
		"devpts",   "mqueue",      "cgroup",   "cgroup2",   "debugfs",  "tracefs",
		"configfs", "securityfs",  "efivarfs", "pstore",    "bpf",      "nsfs",
		"autofs",   "binfmt_misc", "overlay",  "btrfs",     "bcachefs",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(type, types[i]) == 0) {
			return true;
		}
	}
	return false;
}

int disk_find_elsewhere(const struct mount_table *t, const char *path, dev_t dev,
			const char **ret_type)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct mount_entry *m = &t->list[i];

		if (major(m->dev) == 0 && (m->dev == dev || mount_entry_within(m, path)) &&
		    !is_local(m->type)) {
			*ret_type = m->type;
			return 1;
		}
	}
	return 0;
}
