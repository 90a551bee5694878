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

/* What of `name`, as mountinfo writes it (blanks and the like in octal), is left behind `path`;
 * NULL: it does not begin with it. */
static const char *behind(const char *name, const char *path)
{
	for (; *path; path++) {
		char c = *name;
		int used = 1;

		if (c == '\\' && strspn(name + 1, "01234567") >= 3) {
			c = (char)((name[1] - '0') << 6 | (name[2] - '0') << 3 | (name[3] - '0'));
			used = 4;
		}
		if (c != *path) {
			return NULL;
		}
		name += used;
	}
	return name;
}

/* It is that path, or below it. */
static bool lies_in(const char *name, const char *path)
{
	const char *rest = behind(name, path);

	return rest && (*rest == '\0' || *rest == '/' || path[strlen(path) - 1] == '/');
}

/* Fields of a line of mountinfo that matter here; points into the line. */
struct mounted {
	dev_t dev;
	const char *point, *type;
};

static bool parse(char *line, struct mounted *ret)
{
	char *type = strstr(line, " - "), *rest = line, *numbers, *end;
	unsigned long major, minor;

	if (!type) {
		return false;
	}
	*type = '\0';
	ret->type = type + 3;
	type[3 + strcspn(type + 3, " ")] = '\0';
	(void)strsep(&rest, " "); /* its id, its parent's */
	(void)strsep(&rest, " ");
	numbers = strsep(&rest, " ");
	(void)strsep(&rest, " "); /* the root within the file system */
	ret->point = strsep(&rest, " ");
	if (!ret->point) {
		return false;
	}
	major = strtoul(numbers, &end, 10);
	if (*end != ':') {
		return false;
	}
	minor = strtoul(end + 1, NULL, 10);
	ret->dev = makedev((unsigned)major, (unsigned)minor);
	return true;
}

int disk_find_elsewhere(const char *mountinfo, const char *path, dev_t dev,
			char type[DISK_TYPE_SIZE])
{
	_cleanup_free_ char *copy = strdup(mountinfo);
	char *rest = copy, *line;
	struct mounted m;

	if (!copy) {
		return -ENOMEM;
	}
	while ((line = strsep(&rest, "\n"))) {
		if (parse(line, &m) && major(m.dev) == 0 &&
		    (m.dev == dev || lies_in(m.point, path)) && !is_local(m.type)) {
			(void)snprintf(type, DISK_TYPE_SIZE, "%s", m.type);
			return 1;
		}
	}
	return 0;
}

int disk_find_below(const char *mountinfo, const char *path, char *place, size_t size)
{
	_cleanup_free_ char *copy = strdup(mountinfo);
	char *rest = copy, *line;
	struct mounted m;

	if (!copy) {
		return -ENOMEM;
	}
	while ((line = strsep(&rest, "\n"))) {
		if (parse(line, &m) && lies_in(m.point, path) && *behind(m.point, path)) {
			(void)snprintf(place, size, "%s", m.point);
			return 1;
		}
	}
	return 0;
}
