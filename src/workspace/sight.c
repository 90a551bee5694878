/* SPDX-License-Identifier: Apache-2.0 */
/* What two trees have under one name, and whether it is the same. */
#include "workspace/change-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/fault.h"

int sight_look(const struct cursor *c, const char *name, struct sight *ret)
{
	*ret = (struct sight){};
	if (fault_hit() ? (errno = ENOMEM, true)
			: fstatat(cursor_fd(c), name, &ret->st, AT_SYMLINK_NOFOLLOW) < 0) {
		ret->st = (struct stat){};
		ret->hidden = errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG;
		return c->own || entry_failed(-errno) ? -errno : 0;
	}
	ret->there = !S_ISCHR(ret->st.st_mode) || ret->st.st_rdev != makedev(0, 0);
	if (!ret->there) {
		ret->st = (struct stat){};
	}
	return 0;
}

/* 1 if a regular file has the same content in both trees, 0, or negative errno. */
static int same_file(int original, int upper, const char *name)
{
	_cleanup_fd_ int ours = entry_open_file(upper, name, true), theirs = FD_NONE;

	if (ours < 0) {
		return ours;
	}
	theirs = entry_open_file(original, name, false);
	if (theirs < 0) {
		return entry_failed(theirs) ? theirs : 0;
	}
	return content_same(ours, theirs);
}

/* As same_file, for where a link leads. */
static int same_link(int original, int upper, const char *name)
{
	_cleanup_free_ char *ours = NULL, *theirs = NULL;
	int r = entry_link(upper, name, &ours);

	if (r < 0) {
		return r;
	}
	r = entry_link(original, name, &theirs);
	if (r < 0) {
		return entry_failed(r) ? r : 0;
	}
	return strcmp(ours, theirs) == 0;
}

int sight_same(const struct cursor *original, const struct cursor *upper, const char *name,
	       const struct sight *before, const struct sight *after)
{
	switch (after->st.st_mode & S_IFMT) {
	case S_IFREG:
		if (before->st.st_size != after->st.st_size || after->st.st_size == 0) {
			return before->st.st_size == after->st.st_size;
		}
		return same_file(cursor_fd(original), cursor_fd(upper), name);
	case S_IFLNK:
		return same_link(cursor_fd(original), cursor_fd(upper), name);
	case S_IFCHR:
	case S_IFBLK:
		return before->st.st_rdev == after->st.st_rdev;
	default:
		return 1;
	}
}
