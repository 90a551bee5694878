/* SPDX-License-Identifier: Apache-2.0 */
/* Names below a directory descriptor, in a tree of somebody else's. */
#include "workspace/change-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/mutant.h"

#define LINK_SIZE 48

/* The name of what a descriptor is, not of the path that led to it. */
static const char *self_link(int fd, char link[LINK_SIZE])
{
	(void)snprintf(link, LINK_SIZE, "/proc/self/fd/%d", fd);
	return link;
}

int rights_lend(int fd, mode_t bits, struct rights *ret)
{
	char link[LINK_SIZE];
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & bits) == bits) {
		return -EACCES;
	}
	/* Without that group, chmod(2) would clear the bit for good. */
	if ((st.st_mode & S_ISGID) && st.st_gid != getegid()) {
		return -EACCES;
	}
	st.st_mode &= 07777;
	if (chmod(self_link(fd, link), st.st_mode | bits) < 0) {
		return -EACCES;
	}
	*ret = (struct rights){fd, st.st_mode, st.st_mode | bits};
	return 0;
}

void rights_give_back(struct rights *r)
{
	int saved = errno;
	char link[LINK_SIZE];
	struct stat st;

	/* Of a sandbox that runs, somebody inside may have set a mode of their own by now. */
	if (r->fd >= 0 && fstat(r->fd, &st) == 0 && (st.st_mode & 07777) == r->lent) {
		(void)chmod(self_link(r->fd, link), r->mode);
	}
	*r = RIGHTS_NONE;
	errno = saved;
}

bool entry_is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool entry_failed(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -E2BIG;
}

void entry_pass(int dir, struct rights *ret)
{
	struct stat st;

	if (fstatat(dir, ".", &st, 0) < 0 && errno == EACCES) {
		(void)rights_lend(dir, S_IXUSR, ret);
	}
}

static int open_beneath(int dir, const char *path, int flags, unsigned long long resolve)
{
	struct open_how how = {.flags = (unsigned long long)flags | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS | resolve};

	if (MUTANT(ATOLL_MUTATE_FOLLOW_LINKS)) {
		how.flags &= ~(unsigned long long)O_NOFOLLOW;
		how.resolve = 0;
	}

	long fd = fault_hit() ? (errno = EMFILE, -1)
			      : syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int entry_open(int dir, const char *path, int flags)
{
	return open_beneath(dir, path, flags, 0);
}

int entry_open_near(int dir, const char *path, int flags)
{
	return open_beneath(dir, path, flags, RESOLVE_NO_XDEV);
}

/* The same in a tree of our own, whose directories may deny us to pass: each lends the right while
 * its next one is opened. */
static int open_own(int dir, const char *path, int flags)
{
	_cleanup_free_ char *parts = fault_hit() ? NULL : strdup(path);
	_cleanup_fd_ int at = FD_NONE;
	char *rest = parts, *part;
	int fd = -ENOMEM;

	while (rest && (part = strsep(&rest, "/"))) {
		_cleanup_rights_ struct rights rights = RIGHTS_NONE;
		int here = at >= 0 ? at : dir;

		entry_pass(here, &rights);
		fd = entry_open(here, part, rest ? O_PATH | O_DIRECTORY : flags);
		rights_give_back(
			&rights); /* before the descriptor that it goes through is closed */
		if (fd < 0) {
			break;
		}
		(void)fd_close(at);
		at = fd;
	}
	return fd < 0 ? fd : TAKE_FD(at);
}

/* Opens what an O_PATH descriptor has already found, and nothing else. */
static int reopen(int path, int flags, bool own)
{
	_cleanup_rights_ struct rights rights = RIGHTS_NONE;
	char link[LINK_SIZE];
	int fd;

	if (fault_hit()) {
		return -EMFILE;
	}
	fd = open(self_link(path, link), flags | O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && own && rights_lend(path, S_IRUSR, &rights) == 0) {
		fd = open(link, flags | O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

int entry_open_file(int dir, const char *path, bool own)
{
	_cleanup_fd_ int fd = entry_open(dir, path, O_PATH);
	struct stat st;

	if (own && fd == -EACCES) {
		fd = open_own(dir, path, O_PATH);
	}

	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	return S_ISREG(st.st_mode) ? reopen(fd, 0, own) : -EINVAL;
}

int entry_link(int dir, const char *name, char **ret)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0) {
		return -errno;
	}
	*ret = fault_hit() ? NULL : strndup(target, (size_t)n);
	return *ret ? 0 : -ENOMEM;
}

DIR *entry_list(int dir, bool own)
{
	int fd = reopen(dir, O_DIRECTORY, own);
	DIR *list = fd >= 0 && !fault_hit() ? fdopendir(fd) : NULL;

	if (!list) {
		errno = fd < 0 ? -fd : ENOMEM;
		(void)fd_close(fd);
	}
	return list;
}
