/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying trees.
 *
 * A directory is listed once: what is no directory is copied at once, the directories are
 * remembered and entered one after the other. Its mode, times and attributes come last, because
 * they may forbid what is done in it. A file with several names is made in a directory of our own,
 * under its inode number, and each of its names is linked to that one.
 */
#include "workspace/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "linux/tree.h"
#include "workspace/change-internal.h"
#include "workspace/dirs.h"
#include "workspace/screen.h"

/* Beside what is made, for as long as that takes. */
#define PART  "part"
#define LINKS "links"
/* As deep as an original may be: what is longer is compared with no rule, and fails. */
#define PATHS_MAX ((size_t)16 << 20)

/* A directory that is entered: those in it that are still to be. */
struct level {
	char **names;
	size_t n, room;
	size_t path; /* how long that of the directory above is */
	struct stat st;
};

struct carry {
	struct cursor from, to;
	struct level *levels; /* of the cursors' depth, and one */
	size_t n, room;
	int links;
	const struct carry_original *original; /* NULL: a layer */
	struct carry_loss loss;                /* of a layer */
	struct screen screen;
	struct buf path; /* of the directory at work, where there is an original */
	uint64_t left;
	uint64_t files, bytes; /* so far */
	char name[256];        /* what was at work, for a message */
};

/* What is in a layer is ours, and lends us the rights that it denies. */
static bool own(const struct carry *c)
{
	return c->original == NULL;
}

static void level_done(struct level *l)
{
	while (l->n > 0) {
		free(l->names[--l->n]);
	}
	free(l->names);
	*l = (struct level){};
}

static int remember(struct level *l, const char *name)
{
	size_t room = l->room ? l->room * 2 : 16;

	if (l->n == l->room) {
		char **more = fault_hit() ? NULL : reallocarray(l->names, room, sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		l->names = more;
		l->room = room;
	}
	l->names[l->n] = fault_hit() ? NULL : strdup(name);
	return l->names[l->n] ? (l->n++, 0) : -ENOMEM;
}

static int push(struct carry *c, const struct stat *st)
{
	size_t room = c->room ? c->room * 2 : 16;

	if (c->n == c->room) {
		struct level *more =
			fault_hit() ? NULL : reallocarray(c->levels, room, sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		c->levels = more;
		c->room = room;
	}
	c->levels[c->n++] = (struct level){.st = *st, .path = c->path.len};
	return 0;
}

static int set_times(int dir, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* The rights of a mode that a file may have whoever runs it. */
static mode_t plain(mode_t mode)
{
	return mode & (S_IRWXU | S_IRWXG | S_IRWXO);
}

/* Root's copy of somebody's original is for who stands for them inside. */
static int give(const struct carry *c, int dir, const char *name, const struct stat *st)
{
	const struct carry_original *o = c->original;
	uid_t uid = o && st->st_uid == o->owner ? o->as_owner : st->st_uid;
	gid_t gid = o && st->st_gid == o->group ? o->as_group : st->st_gid;

	return o && geteuid() == 0 &&
			       fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) <
				       0
		       ? -errno
		       : 0;
}

static void add_loss(struct carry *c, uint64_t *of, uint64_t n)
{
	if (n > 0 && !*c->loss.first) {
		(void)snprintf(c->loss.first, sizeof(c->loss.first), "%s", c->name);
	}
	*of += n;
}

/* What says something of one name in a layer alone: too large a file for this file system or the
 * caller's limit, a name that it does not take. 1: it is left out. */
static int lose(struct carry *c, int r)
{
	if (!own(c) || (r != -EFBIG && r != -ENAMETOOLONG && r != -EILSEQ)) {
		return r;
	}
	add_loss(c, &c->loss.files, 1);
	return 1;
}

/* A copy for a sandbox can do without what its file system has no place for; a layer, too, but
 * that is said. Without its access list, a file's group bits would mean another group. */
static int take_attributes(struct carry *c, int from, int to, mode_t *mode)
{
	struct content_lost lost;
	int r;

	if (!own(c)) {
		r = content_attributes(from, to);
		return r == -EOPNOTSUPP || r == -ENOSPC || r == -E2BIG || r == -ERANGE ? 0 : r;
	}
	r = content_layer_attributes(from, to, &lost);
	add_loss(c, &c->loss.attributes, lost.n);
	*mode &= lost.access_list ? ~(mode_t)S_IRWXG : ~(mode_t)0;
	return r;
}

static int tell(const struct carry *c)
{
	const struct carry_original *o = c->original;

	return o && o->tell ? o->tell(o->arg, c->files, c->bytes) : 0;
}

/* A piece of a file has been copied. It may be another one than was charged, or have grown. */
static int add_bytes(void *arg, size_t n)
{
	struct carry *c = arg;

	c->bytes += n;
	return c->original && c->bytes > c->original->room ? -EFBIG : tell(c);
}

/* What was seen in an original a moment ago and cannot be opened as that: the host has removed it,
 * or put something else there. */
static bool has_gone(const struct carry *c, int r)
{
	return c->original && (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL);
}

/* Of what an original may take, in blocks: a file of holes is as small as it looks on disk. */
static int charge(struct carry *c, const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_blocks * 512;

	if (c->original && size > c->left) {
		return -EFBIG;
	}
	c->left -= c->original ? size : 0;
	return 0;
}

/* A regular file of `source`, made under `name` in directory `dir`. 1: it is left out. */
static int make_file(struct carry *c, const char *source, int dir, const char *name)
{
	const struct content_watch watch = {add_bytes, c};
	_cleanup_fd_ int from = entry_open_file(cursor_fd(&c->from), source, own(c)), to = FD_NONE;
	int r = has_gone(c, from) ? 1 : from < 0 ? from : 0;
	struct stat st;
	mode_t mode = 0;

	if (r == 0 && fstat(from, &st) < 0) {
		r = -errno;
	}
	r = r != 0 ? r : charge(c, &st);
	if (r == 0) {
		mode = plain(st.st_mode);
		to = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		r = to < 0 ? -errno : content_copy(from, to, &watch);
	}
	r = r != 0 ? r : take_attributes(c, from, to, &mode);
	r = r != 0 ? r : give(c, to, "", &st);
	if (r == 0 && fchmod(to, mode) < 0) {
		r = -errno;
	}
	r = r != 0 ? r : set_times(dir, name, &st);
	if (r < 0 && to >= 0) {
		(void)unlinkat(dir, name, 0); /* half of a file is none */
	}
	return r;
}

/* So many names are as many as a file may have here, or it may have one only. */
static bool is_enough(int error)
{
	return error == EMLINK || error == EPERM || error == EOPNOTSUPP;
}

/* The first of its names makes it, and so does the first of those that are too many for it;
 * -ENOENT of a link says that none has yet. */
static int make_linked(struct carry *c, const char *name, const struct stat *st)
{
	int to = cursor_fd(&c->to), r;
	char known[64];

	(void)snprintf(known, sizeof(known), "%llx-%llu", (unsigned long long)st->st_dev,
		       (unsigned long long)st->st_ino);
	if (linkat(c->links, known, to, name, 0) == 0) {
		return 0;
	}
	if (is_enough(errno)) {
		add_loss(c, &c->loss.names, 1);
		errno = unlinkat(c->links, known, 0) < 0 ? errno : ENOENT;
	}
	if (errno != ENOENT) {
		return -errno;
	}
	r = make_file(c, name, c->links, known);
	if (r == 0 && linkat(c->links, known, to, name, 0) < 0) {
		r = is_enough(errno) && renameat(c->links, known, to, name) == 0 ? 0 : -errno;
		add_loss(c, &c->loss.names, r == 0);
	}
	return r;
}

static int make_link(const struct carry *c, const char *name, const struct stat *st)
{
	_cleanup_free_ char *target = NULL;
	int r = entry_link(cursor_fd(&c->from), name, &target);

	if (has_gone(c, r)) {
		return 1;
	}
	if (r == 0 && symlinkat(target, cursor_fd(&c->to), name) < 0) {
		r = -errno;
	}
	r = r < 0 ? r : give(c, cursor_fd(&c->to), name, st);
	return r < 0 ? r : set_times(cursor_fd(&c->to), name, st);
}

/* A whiteout, which anybody may make (mknod(2)), or a pipe or socket that nobody is behind. */
static int make_node(const struct carry *c, const char *name, const struct stat *st)
{
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
	mode_t mode = whiteout ? S_IFCHR : (st->st_mode & S_IFMT) | plain(st->st_mode);

	if (whiteout && c->original) {
		return 0; /* stands for nothing, as in an overlay */
	}
	if (!whiteout && !S_ISFIFO(st->st_mode) && !S_ISSOCK(st->st_mode)) {
		return -EOPNOTSUPP; /* a device: no payload could make one */
	}
	return mknodat(cursor_fd(&c->to), name, mode, makedev(0, 0)) < 0
		       ? -errno
		       : give(c, cursor_fd(&c->to), name, st);
}

static int make_one(struct carry *c, const char *name, const struct stat *st)
{
	int r = S_ISLNK(st->st_mode)    ? make_link(c, name, st)
		: !S_ISREG(st->st_mode) ? make_node(c, name, st)
		: st->st_nlink > 1      ? make_linked(c, name, st)
					: make_file(c, name, cursor_fd(&c->to), name);

	r = lose(c, r);
	return r > 0 ? 0 : r;
}

/* What is no directory is copied, a directory is remembered. */
static int carry_one(struct carry *c, const char *name)
{
	struct stat st;
	int r;

	if (screen_hits(&c->screen, name)) {
		return 0;
	}
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	if (fault_hit() ? (errno = EIO, true)
			: fstatat(cursor_fd(&c->from), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT && c->original ? 0 : -errno; /* the host has removed it */
	}
	r = S_ISREG(st.st_mode) ? 0 : charge(c, &st); /* a file once, however many names */
	if (r < 0) {
		return r;
	}
	if (S_ISDIR(st.st_mode)) {
		return remember(&c->levels[c->n - 1], name);
	}
	return make_one(c, name, &st);
}

static int count_one(struct carry *c)
{
	c->files++;
	return tell(c);
}

static int list_level(struct carry *c)
{
	DIR *list = entry_list(cursor_fd(&c->from), own(c));
	struct rights rights = RIGHTS_NONE;
	struct dirent *entry;
	int r = list ? 0 : -errno;

	/* Listing lends itself the right to read; looking at what is in it needs that to pass. */
	if (own(c)) {
		entry_pass(cursor_fd(&c->from), &rights);
	}
	screen_enter(&c->screen, buf_str(&c->path));
	errno = 0;
	while (r == 0 && (entry = readdir(list))) {
		if (!entry_is_dot(entry->d_name)) {
			r = carry_one(c, entry->d_name);
			r = r < 0 ? r : count_one(c);
		}
		errno = 0;
	}
	r = r == 0 && errno != 0 ? -errno : r;
	rights_give_back(&rights);
	if (list) {
		(void)closedir(list);
	}
	return r;
}

/* The way to a directory of an original, which the rules are compared with. */
static int add_path(struct carry *c, const char *name, const struct stat *st)
{
	if ((c->path.len > 0 && buf_addc(&c->path, '/') < 0) || buf_adds(&c->path, name) < 0) {
		return -ENOMEM;
	}
	return dirs_add(c->original->dirs, buf_str(&c->path), st->st_ino);
}

static int enter(struct carry *c, const char *name)
{
	struct stat st;
	int r;

	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	r = mkdirat(cursor_fd(&c->to), name, 0700) < 0 ? lose(c, -errno) : 0;
	if (r > 0) {
		return 0;
	}
	r = r < 0 ? r : cursor_enter(&c->from, name);
	if (has_gone(c, r)) {
		return unlinkat(cursor_fd(&c->to), name, AT_REMOVEDIR) < 0 ? -errno : 0;
	}
	r = r < 0 ? r : cursor_enter(&c->to, name);
	if (r == 0 && fstat(cursor_fd(&c->from), &st) < 0) {
		r = -errno;
	}
	r = r < 0 ? r : push(c, &st);
	if (r == 0 && c->original) {
		r = add_path(c, name, &st);
	}
	return r < 0 ? r : list_level(c);
}

/* What is left to say of the directory at work, whose mode may shut us out of it. */
static int finish_level(struct carry *c)
{
	const struct level *l = &c->levels[c->n - 1];
	_cleanup_rights_ struct rights rights = RIGHTS_NONE;
	_cleanup_fd_ int from = FD_NONE;
	_cleanup_fd_ int to = openat(cursor_fd(&c->to), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct timespec times[2] = {l->st.st_atim, l->st.st_mtim};
	/* What is made in a directory of the original goes on to belong to its group. */
	mode_t mode = plain(l->st.st_mode) | (own(c) ? 0 : l->st.st_mode & (S_ISGID | S_ISVTX));
	int r;

	if (own(c)) {
		(void)rights_lend(cursor_fd(&c->from), S_IRWXU, &rights);
	}
	from = openat(cursor_fd(&c->from), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = to < 0 || from < 0 ? -errno : take_attributes(c, from, to, &mode);
	r = r < 0 ? r : give(c, to, "", &l->st);
	if (r == 0 && (fchmod(to, mode) < 0 || futimens(to, times) < 0)) {
		r = -errno;
	}
	return r;
}

/* Into the next directory, or back out of one that has none left. */
static int step(struct carry *c)
{
	struct level *l = &c->levels[c->n - 1];
	_cleanup_free_ char *name = NULL;
	int r;

	if (l->n > 0) {
		name = l->names[--l->n];
		return enter(c, name);
	}
	r = finish_level(c);
	c->path.len = l->path;
	level_done(l);
	c->n--;
	if (r == 0 && c->n > 0) {
		r = cursor_leave(&c->from, c->n - 1);
	}
	return r == 0 && c->n > 0 ? cursor_leave(&c->to, c->n - 1) : r;
}

static int make_dir(int dir, const char *name)
{
	if (mkdirat(dir, name, 0700) < 0) {
		return -errno;
	}
	return entry_open(dir, name, O_RDONLY | O_DIRECTORY);
}

static int carry_all(struct carry *c, int from, int to)
{
	struct stat st;
	int r = cursor_init(&c->from, from, own(c));

	r = r < 0 ? r : cursor_init(&c->to, to, true);
	if (r == 0 && fstat(from, &st) < 0) {
		r = -errno;
	}
	r = r < 0 ? r : push(c, &st);
	r = r < 0 ? r : list_level(c);
	while (r == 0 && c->n > 0) {
		r = step(c);
	}
	return r;
}

static void carry_done(struct carry *c)
{
	while (c->n > 0) {
		level_done(&c->levels[--c->n]);
	}
	free(c->levels);
	screen_done(&c->screen);
	buf_done(&c->path);
	cursor_done(&c->from);
	cursor_done(&c->to);
	c->links = fd_close(c->links);
}

static int fail(const struct carry *c, int r, struct err *e)
{
	_cleanup_buf_ struct buf shown = {};

	buf_init(&shown, 8 * sizeof(c->name));
	(void)utf8_neutralise(&shown, c->name, strlen(c->name));
	if (r == -EFBIG && c->original) {
		return err_set(e, ERR_POLICY, EFBIG, "it is larger than its copy may be");
	}
	return err_sys(e, -r, c->original ? "cannot copy '%s'" : "cannot bring '%s' to the disk",
		       buf_str(&shown));
}

static int carry_to(struct carry *c, int from, int dir, const char *name, struct err *e)
{
	_cleanup_fd_ int to = FD_NONE;
	struct err unused = {};
	int r, gone;

	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	r = c->links = make_dir(dir, LINKS);
	if (r >= 0) {
		r = to = make_dir(dir, PART);
	}
	r = r < 0 ? r : carry_all(c, from, to);
	carry_done(c);
	gone = tree_remove(dir, LINKS, &unused);
	if (r == 0) {
		r = gone < 0 ? gone : renameat(dir, PART, dir, name) < 0 ? -errno : 0;
	}
	if (r < 0) {
		(void)tree_remove(dir, PART, &unused);
		return fail(c, r, e);
	}
	return 0;
}

int carry_layer(int from, int dir, const char *name, struct carry_loss *ret_loss, struct err *e)
{
	struct carry c = {.links = FD_NONE};
	int r = carry_to(&c, from, dir, name, e);

	*ret_loss = r < 0 ? (struct carry_loss){} : c.loss;
	return r;
}

int carry_original(int from, const struct carry_original *original, int dir, const char *name,
		   struct err *e)
{
	struct carry c = {.links = FD_NONE, .original = original, .left = original->room};
	int r = screen_init(&c.screen, original->denied, original->place);

	buf_init(&c.path, PATHS_MAX);
	if (r < 0) {
		carry_done(&c);
		return err_sys(e, -r, "cannot copy '%s'", original->place);
	}
	r = carry_to(&c, from, dir, name, e);
	dirs_sort(original->dirs);
	return r;
}
