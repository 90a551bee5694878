/* SPDX-License-Identifier: Apache-2.0 */
/* The staging directory of an apply, and making in it what is new. */
#include "workspace/apply-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "linux/tree.h"
#include "workspace/change-internal.h"
#include "workspace/change.h"

/* Above this many steps one flush of the whole file system costs less than one for each file. */
#define SYNC_EACH 16

void stage_name(const char *id, char out[STAGE_NAME_SIZE])
{
	(void)snprintf(out, STAGE_NAME_SIZE, STAGE_PREFIX "%s", id);
}

int stage_open(const struct apply *a, struct steps *s, struct err *e)
{
	char name[STAGE_NAME_SIZE];

	stage_name(a->id, name);
	s->stage = openat(a->original, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->stage < 0) {
		int r = err_sys(e, errno, "cannot open '%s' in the workspace", name);

		return r == -ENOENT ? err_advise(e, "what it held cannot be brought back; throw "
						    "the copy away with 'atoll discard'")
				    : r;
	}
	return 0;
}

int stage_make(const struct apply *a, struct steps *s, struct err *e)
{
	char name[STAGE_NAME_SIZE];

	stage_name(a->id, name);
	if (mkdirat(a->original, name, 0700) < 0) {
		return err_sys(e, errno, "cannot make '%s' in the workspace", name);
	}
	return stage_open(a, s, e);
}

int stage_remove(const struct apply *a, struct steps *s, struct err *e)
{
	char name[STAGE_NAME_SIZE];

	s->stage = fd_close(s->stage);
	stage_name(a->id, name);
	return tree_remove(a->original, name, e);
}

/* The nearest directory above `path` that is there. */
static int owner_above(const struct apply *a, const char *path, struct stat *ret)
{
	_cleanup_free_ char *dir = strdup(path);
	int r = dir ? -ENOENT : -ENOMEM;

	while (dir && r == -ENOENT) {
		char *slash = strrchr(dir, '/');
		_cleanup_fd_ int fd = FD_NONE;

		if (slash) {
			*slash = '\0';
		}
		fd = entry_open(a->original, slash ? dir : ".", O_PATH | O_DIRECTORY);
		r = fd < 0 ? fd : fstat(fd, ret) < 0 ? -errno : 0;
		if (r == -ENOTDIR && slash) {
			r = -ENOENT; /* it will be one */
		}
	}
	return r;
}

/* What root makes belongs to whose it would be, had they made it; anybody can do that with groups
 * of their own. */
static int give_owner(const struct apply *a, const struct steps *s, size_t i, int fd,
		      const struct stat *old)
{
	struct stat st;
	int r = 0;

	if (geteuid() != 0) {
		/* The group, if it is one of ours. */
		if (old && fchownat(fd, "", (uid_t)-1, old->st_gid, AT_EMPTY_PATH) < 0) {
			return errno == EPERM ? 0 : -errno;
		}
		return 0;
	}
	if (old) {
		st = *old;
	} else {
		r = owner_above(a, s->list[i].path, &st);
	}
	if (r == 0 && fchownat(fd, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0) {
		r = -errno;
	}
	return r;
}

static int stage_file(const struct apply *a, const struct steps *s, size_t i, const char *name,
		      int old, const struct stat *old_st)
{
	const struct step *step = &s->list[i];
	_cleanup_fd_ int from = entry_open_file(a->upper, step->path, true), to = FD_NONE;
	int r;

	if (from < 0) {
		return from;
	}
	to = openat(s->stage, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0) {
		return -errno;
	}
	r = content_copy(from, to, NULL);
	r = r < 0 ? r : give_owner(a, s, i, to, old_st);
	r = r < 0 || old < 0 ? r : content_attributes(old, to);
	if (r == 0 && (fchmod(to, step->new_mode) < 0 || (s->n <= SYNC_EACH && fsync(to) < 0))) {
		r = -errno;
	}
	return r;
}

/* The file that will be replaced, if it is one that can be read. */
static int open_old(const struct apply *a, const struct step *step, struct stat *st)
{
	int fd = entry_open_file(a->original, step->path, false);

	if (fd >= 0 && fstat(fd, st) < 0) {
		fd = fd_close(fd);
	}
	return fd;
}

/*
 * A sandbox that shares the workspace may put something else under the name meanwhile: what was
 * made is opened, without following a link, and everything else is done to that.
 */
static int stage_dir(const struct apply *a, const struct steps *s, size_t i, const char *name)
{
	_cleanup_fd_ int fd = FD_NONE;

	if (mkdirat(s->stage, name, 0700) < 0) {
		return -errno;
	}
	fd = openat(s->stage, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* What comes into it comes first; a last step takes rights away. */
	if (fd < 0 || fchmod(fd, s->list[i].new_mode | 0700) < 0) {
		return -errno;
	}
	return give_owner(a, s, i, fd, NULL);
}

static int stage_link(const struct apply *a, const struct steps *s, size_t i, const char *name,
		      const char *target)
{
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;

	if (symlinkat(target, s->stage, name) < 0) {
		return -errno;
	}
	fd = openat(s->stage, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return -errno;
	}
	return S_ISLNK(st.st_mode) ? give_owner(a, s, i, fd, NULL) : -ESTALE;
}

static int make_staged(const struct apply *a, struct steps *s, size_t i, const char *name,
		       const struct change *c)
{
	const struct step *step = &s->list[i];
	_cleanup_fd_ int old = FD_NONE;
	struct stat st;

	if (S_ISREG(c->after.mode)) {
		old = step->kind == STEP_REPLACE ? open_old(a, step, &st) : FD_NONE;
		return stage_file(a, s, i, name, old, old >= 0 ? &st : NULL);
	}
	return S_ISLNK(c->after.mode) ? stage_link(a, s, i, name, c->after.target)
				      : stage_dir(a, s, i, name);
}

int stage_change(const struct apply *a, struct steps *s, size_t i, const struct change *c,
		 struct err *e)
{
	char name[24];
	struct stat st;
	int r;

	(void)snprintf(name, sizeof(name), "n%zu", i);
	r = make_staged(a, s, i, name, c);
	if (r == 0 && fstatat(s->stage, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
	}
	if (r < 0) {
		return apply_fail(c->path, r, "cannot prepare", e);
	}
	s->list[i].staged = st.st_ino;
	s->list[i].written_ns = step_written(&st);
	return 0;
}

int stage_sync(const struct apply *a, const struct steps *s, struct err *e)
{
	int r = s->n <= SYNC_EACH ? fsync(s->stage) : syncfs(a->original);

	return r < 0 ? err_sys(e, errno, "cannot write what is new to disk") : 0;
}
