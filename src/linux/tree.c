/* SPDX-License-Identifier: Apache-2.0 */
/* Removing and measuring trees of somebody else's. */
#include "linux/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Opens a directory that may have taken its owner's rights away; `put_back`: not for long. */
static int open_own(int dir, const char *name, bool put_back)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char link[48];
	_cleanup_fd_ int path = FD_NONE;
	struct stat st;

	if (fd >= 0 || errno != EACCES) {
		return fd < 0 ? -errno : fd;
	}
	path = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
	if (path < 0 || fstat(path, &st) < 0 || chmod(link, 0700) < 0) {
		return -errno;
	}
	fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = fd < 0 ? -errno : fd;
	if (put_back) {
		(void)chmod(link, st.st_mode & 07777);
	}
	return fd;
}

/* And with the right to remove what is in it. */
static int open_to_empty(int dir, const char *name)
{
	_cleanup_fd_ int fd = open_own(dir, name, false);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 ||
			((st.st_mode & S_IRWXU) != S_IRWXU && fchmod(fd, S_IRWXU) < 0))) {
		return -errno;
	}
	return TAKE_FD(fd);
}

/*
 * Removes the files in `sub`, and moves its directories up into `top` under names of our own, so
 * that no depth has to be remembered. Its own rights may have to be given back first, to be moved.
 */
static int flatten(int top, int sub, unsigned *counter)
{
	int copy = fcntl(sub, F_DUPFD_CLOEXEC, 0), r = 0;
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;

	if (!list) {
		(void)fd_close(copy);
		return -errno;
	}
	while (r >= 0 && (entry = readdir(list))) {
		char name[32];

		if (is_dot(entry->d_name) || unlinkat(sub, entry->d_name, 0) == 0) {
			continue;
		}
		if (errno != EISDIR && errno != EPERM) {
			r = errno == ENOENT ? 0 : -errno;
			continue;
		}
		if (unlinkat(sub, entry->d_name, AT_REMOVEDIR) == 0) {
			continue;
		}
		r = open_to_empty(sub, entry->d_name); /* renaming a directory writes its ".." */
		(void)fd_close(r);
		do {
			(void)snprintf(name, sizeof(name), ".atoll-%u", (*counter)++);
		} while (r >= 0 && renameat2(sub, entry->d_name, top, name, RENAME_NOREPLACE) < 0 &&
			 (r = -errno) == -EEXIST && (r = 0) == 0);
	}
	(void)closedir(list);
	return r;
}

/* One directory of `top`: what is in it goes or moves up, then it goes itself. */
static int remove_one(int top, const char *name, unsigned *counter)
{
	_cleanup_fd_ int sub = open_to_empty(top, name);
	int r = sub < 0 ? sub : flatten(top, sub, counter);

	if (r < 0) {
		return r;
	}
	return unlinkat(top, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Empties `top`, round by round; each takes one level of the tree away. */
static int empty(int top)
{
	unsigned counter = 0;
	bool more = true;
	int r = 0;

	while (more && r >= 0) {
		int copy = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
		struct dirent *entry;

		if (!list) {
			(void)fd_close(copy);
			return -errno;
		}
		more = false;
		while (r >= 0 && (entry = readdir(list))) {
			if (is_dot(entry->d_name)) {
				continue;
			}
			more = true;
			r = unlinkat(top, entry->d_name, 0) == 0
				    ? 0
				    : remove_one(top, entry->d_name, &counter);
		}
		(void)closedir(list);
	}
	return r;
}

int tree_remove(int dir, const char *name, struct err *e)
{
	_cleanup_fd_ int top = open_to_empty(dir, name);
	int r = top < 0 ? top : empty(top);

	if (r >= 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0) {
		r = -errno;
	}
	return r < 0 && r != -ENOENT ? err_sys(e, -r, "cannot remove '%s'", name) : 0;
}

static bool over(const struct tree_usage *u, const struct tree_usage *limit)
{
	return u->bytes > limit->bytes || u->inodes > limit->inodes;
}

/* `dir` again, which may have taken its owner's rights away as those below it. */
static int open_root(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 || errno != EACCES) {
		return fd < 0 ? -errno : fd;
	}
	if (fstat(dir, &st) < 0 || fchmod(dir, S_IRWXU) < 0) {
		return -errno;
	}
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = fd < 0 ? -errno : fd;
	(void)fchmod(dir, st.st_mode & 07777);
	return fd;
}

static DIR *open_level(int dir, const char *name)
{
	int fd = name ? open_own(dir, name, true) : open_root(dir);
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

	if (!list) {
		errno = fd < 0 ? -fd : errno;
		(void)fd_close(fd);
	}
	return list;
}

bool tree_measure(int dir, const struct tree_usage *limit, struct tree_usage *ret)
{
	DIR *levels[TREE_DEPTH_MAX];
	bool seen = true;
	size_t n = 0;

	*ret = (struct tree_usage){};
	levels[n] = open_level(dir, NULL);
	seen = levels[n] != NULL;
	n += seen;
	while (n > 0 && seen && !over(ret, limit)) {
		struct dirent *entry = readdir(levels[n - 1]);
		struct stat st;

		if (!entry) {
			(void)closedir(levels[--n]);
			continue;
		}
		if (is_dot(entry->d_name) ||
		    fstatat(dirfd(levels[n - 1]), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue; /* gone meanwhile */
		}
		ret->inodes++;
		ret->bytes += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode) && n == TREE_DEPTH_MAX) {
			seen = false;
		} else if (S_ISDIR(st.st_mode)) {
			levels[n] = open_level(dirfd(levels[n - 1]), entry->d_name);
			seen = levels[n] != NULL || errno == ENOENT; /* gone meanwhile */
			n += levels[n] != NULL;
		}
	}
	while (n > 0) {
		(void)closedir(levels[--n]);
	}
	return seen || over(ret, limit);
}
