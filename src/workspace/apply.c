/* SPDX-License-Identifier: Apache-2.0 */
/* Taking changes over: what may be, in what order, and all of it or nothing. */
#include "workspace/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "linux/tree.h"
#include "workspace/apply-internal.h"
#include "workspace/change-internal.h"
#include "workspace/change.h"
#include "workspace/select.h"

int apply_fail(const char *path, int r, const char *what, struct err *e)
{
	_cleanup_buf_ struct buf shown = {};

	buf_init(&shown, 8192);
	(void)utf8_neutralise(&shown, path, strlen(path));
	if (r == -ESTALE || r == -EEXIST || r == -ENOENT || r == -ENOTEMPTY) {
		return err_set(e, ERR_USER, -r, "%s '%s': it changed meanwhile", what,
			       buf_str(&shown));
	}
	(void)err_sys(e, -r, "%s '%s'", what, buf_str(&shown));
	return r == -EXDEV ? err_advise(e, "an overlay, as in a container, moves no directories of "
					   "its lower layers; remove it by hand and apply again")
			   : r;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* ---- what stands in the way ---- */

/* Stamped by the kernel's coarse clock, as `begun_ns` was read from it. */
static bool is_as_it_was(const struct apply *a, const struct touched *ours, const char *path,
			 const struct stat *st)
{
	return st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec < a->begun_ns ||
	       touched_has(ours, path, st);
}

static bool can_be_made(const struct change *c)
{
	return c->after.mode == 0 || S_ISREG(c->after.mode) || S_ISDIR(c->after.mode) ||
	       S_ISLNK(c->after.mode);
}

/* What a change was made on, at `path`, as it is now. NULL: as it was. */
static const char *why_not(const struct apply *a, const struct touched *ours, const char *path,
			   mode_t before)
{
	struct stat st;
	int r = step_look(a, path, &st);

	if (r == -ELOOP || r == -ENOTDIR) {
		return "a directory above it is a link or a file by now";
	}
	if (r == -EXDEV) {
		return "something is mounted there or above, and files are moved on one mount only";
	}
	if (r == -ENAMETOOLONG) {
		return "its path is longer than a path may be";
	}
	if (before == 0) {
		return r == -ENOENT ? NULL
		       : r == 0     ? "something is there by now"
				    : "it cannot be looked at";
	}
	if (r < 0) {
		return r == -ENOENT ? "it is gone" : "it cannot be looked at";
	}
	if ((st.st_mode & S_IFMT) != (before & S_IFMT)) {
		return "it is something else by now";
	}
	/* What is in a directory has changes of its own. */
	return S_ISDIR(st.st_mode) || is_as_it_was(a, ours, path, &st)
		       ? NULL
		       : "it was changed outside since the sandbox started";
}

/* True if a directory above `path` takes the place of something else, by the same changes. */
static bool comes_with(const struct changes *all, const char *path)
{
	size_t len;

	for (len = strlen(path); len > 0; len--) {
		const struct change *above = path[len] == '/' ? changes_at(all, path, len) : NULL;

		if (above && above->kind == CHANGE_TYPE) {
			return true;
		}
	}
	return false;
}

/* True where the directory that something is to come into is not there, and none of the changes
 * makes it: somebody has removed it since the sandbox started. */
static bool is_homeless(const struct apply *a, const struct changes *all, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	_cleanup_free_ char *dir = slash ? strndup(path, len) : NULL;
	struct stat st;

	return dir && !changes_at(all, path, len) && step_look(a, dir, &st) == -ENOENT;
}

/* What is to come to `path`. */
static const char *why_not_there(const struct apply *a, const struct touched *ours,
				 const struct changes *all, const char *path)
{
	return comes_with(all, path)       ? NULL
	       : is_homeless(a, all, path) ? "the directory that it is in was removed outside"
					   : why_not(a, ours, path, 0);
}

/* True for a directory in which something is that the sandbox could not see. */
static bool holds_withheld(const struct changes *all, const char *dir)
{
	size_t low = 0, high = all->n_withheld, len = strlen(dir);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = strncmp(all->withheld[middle], dir, len);

		r = r != 0 ? r : (unsigned char)all->withheld[middle][len] - '/';
		if (r == 0) {
			return true;
		}
		if (r < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return false;
}

static const char *find_conflict(const struct apply *a, const struct touched *ours,
				 const struct changes *all, const struct change *c)
{
	const char *why;

	/* Nor that of another sandbox, whose next diff would remove what has its name. */
	if (strncmp(c->path, STAGE_PREFIX, strlen(STAGE_PREFIX)) == 0) {
		return "the name is one that apply itself uses";
	}
	if (c->denied) {
		return "the policy denies this path, so what the sandbox made there stays in its "
		       "copy";
	}
	if (S_ISDIR(c->before.mode) && !S_ISDIR(c->after.mode) && holds_withheld(all, c->path)) {
		return "it holds something that the policy hides from the sandbox, or that has "
		       "come "
		       "since that started, which could not decide about it";
	}
	if (!can_be_made(c)) {
		return "only files, directories and links can be taken over";
	}
	if (c->kind == CHANGE_RENAMED) {
		why = why_not(a, ours, c->from, c->before.mode);
		return why ? why : why_not_there(a, ours, all, c->path);
	}
	return c->kind == CHANGE_ADDED ? why_not_there(a, ours, all, c->path)
				       : why_not(a, ours, c->path, c->before.mode);
}

static int add_conflict(struct conflicts *list, size_t change, const char *why)
{
	size_t room = list->room ? list->room * 2 : 16;
	struct conflict *more;

	if (list->n == list->room) {
		more = fault_hit() ? NULL : reallocarray(list->list, room, sizeof(*more));
		if (!more) {
			return -ENOMEM;
		}
		list->list = more;
		list->room = room;
	}
	list->list[list->n++] = (struct conflict){change, why};
	return 0;
}

void conflicts_done(struct conflicts *c)
{
	free(c->list);
	*c = (struct conflicts){};
}

int apply_check(const struct apply *a, const struct changes *c, struct conflicts *ret,
		struct err *e)
{
	_cleanup_(touched_done) struct touched ours = {};
	size_t i;
	int r = touched_read(a->journal, &ours, e);

	*ret = (struct conflicts){};
	for (i = 0; r >= 0 && i < c->n; i++) {
		const char *why = find_conflict(a, &ours, c, &c->list[i]);

		if (why && add_conflict(ret, i, why) < 0) {
			conflicts_done(ret);
			r = no_memory(e);
		}
	}
	return r;
}

/* ---- the steps ---- */

#define OPEN_BITS S_IRWXU

/*
 * Directories of ours that deny us to change what is in them, as those of some package caches do,
 * are opened first: what goes out of one or comes into it, and one that goes itself, needs that. As
 * steps like any others, so that nothing stays open, whatever happens.
 */
static int add_opening(const struct apply *a, struct steps *s, const char *path, struct err *e)
{
	struct step *step;
	struct stat st;

	if (step_look(a, path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & OPEN_BITS) == OPEN_BITS) {
		return 0;
	}
	/* Without that group, chmod(2) would clear the bit for good. */
	if ((st.st_mode & S_ISGID) && st.st_gid != getegid()) {
		return 0;
	}
	step = steps_add(s, STEP_MODE, path);
	if (!step) {
		return no_memory(e);
	}
	step->before = st.st_ino;
	step->is_dir = true;
	step->old_mode = st.st_mode & 07777;
	step->new_mode = step->old_mode | OPEN_BITS;
	return 0;
}

static int add_opening_above(const struct apply *a, struct steps *s, const char *path,
			     struct err *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	return !slash ? 0 : dir ? add_opening(a, s, dir, e) : no_memory(e);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct step *)a)->path, ((const struct step *)b)->path);
}

/* The outer before the inner, each once. */
static void sort_openings(struct steps *s)
{
	size_t n = 0, i;

	if (s->n > 0) {
		qsort(s->list, s->n, sizeof(*s->list), by_path);
	}
	for (i = 0; i < s->n; i++) {
		if (n > 0 && strcmp(s->list[n - 1].path, s->list[i].path) == 0) {
			free(s->list[i].path);
		} else {
			s->list[n++] = s->list[i];
		}
	}
	s->n = s->openings = n;
}

static int add_openings(const struct apply *a, const struct changes *c, struct steps *s,
			struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < c->n; i++) {
		const struct change *x = &c->list[i];
		bool goes = x->kind == CHANGE_DELETED || x->kind == CHANGE_TYPE;

		if (x->kind == CHANGE_MODE) {
			continue;
		}
		r = add_opening_above(a, s, x->path, e);
		r = r < 0 || !x->from ? r : add_opening_above(a, s, x->from, e);
		r = r < 0 || !goes ? r : add_opening(a, s, x->path, e);
	}
	sort_openings(s);
	return r;
}

static const struct step *opening_of(const struct steps *s, const char *path)
{
	const struct step key = {.path = (char *)path};

	return s->openings > 0 ? bsearch(&key, s->list, s->openings, sizeof(key), by_path) : NULL;
}

/* What was opened and stays is closed again, unless it gets a mode of its own. */
static int add_closings(const struct changes *c, struct steps *s, struct err *e)
{
	size_t i;

	for (i = s->openings; i > 0; i--) {
		const struct step *opened = &s->list[i - 1];
		struct step *step;

		if (changes_at(c, opened->path, strlen(opened->path))) {
			continue; /* gone, or given another mode */
		}
		step = steps_add(s, STEP_MODE, opened->path);
		if (!step) {
			return no_memory(e);
		}
		opened = &s->list[i - 1]; /* the list may have moved */
		step->before = opened->before;
		step->is_dir = true;
		step->old_mode = opened->new_mode;
		step->new_mode = opened->old_mode;
	}
	return 0;
}

/* A step at what is there now, which must still be as old as it has to be. */
static int add_step(const struct apply *a, struct steps *s, enum step_kind kind, const char *path,
		    const struct change *c, struct err *e)
{
	struct step *step;
	struct stat st = {};
	int r = kind == STEP_PUT ? 0 : step_look(a, path, &st);

	if (r == 0 && kind != STEP_PUT && !S_ISDIR(st.st_mode) &&
	    !is_as_it_was(a, &s->ours, path, &st)) {
		r = -ESTALE;
	}
	if (r < 0) {
		return apply_fail(path, r, "cannot take over", e);
	}
	step = steps_add(s, kind, path);
	if (!step) {
		return no_memory(e);
	}
	step->change = c;
	step->before = st.st_ino;
	step->before_ns = step_written(&st);
	step->old_mode = st.st_mode & 07777;
	if (kind == STEP_MODE && opening_of(s, path)) {
		step->old_mode |= OPEN_BITS;
	}
	step->new_mode = c->after.mode & 0777;
	step->is_dir = kind == STEP_PUT ? S_ISDIR(c->after.mode) : S_ISDIR(st.st_mode);
	return 0;
}

/* What is in a directory goes before it, and what was renamed before all. */
static int add_removals(const struct apply *a, const struct changes *c, struct steps *s,
			struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < c->n; i++) {
		if (c->list[i].kind == CHANGE_RENAMED) {
			r = add_step(a, s, STEP_REMOVE, c->list[i].from, &c->list[i], e);
		}
	}
	for (i = c->n; r >= 0 && i > 0; i--) {
		const struct change *x = &c->list[i - 1];

		if (x->kind == CHANGE_DELETED || x->kind == CHANGE_TYPE) {
			r = add_step(a, s, STEP_REMOVE, x->path, x, e);
		}
	}
	return r;
}

/* True for a file that has other names, which may be anywhere: they keep the mode that they have.
 */
static bool has_other_names(const struct apply *a, const char *path)
{
	struct stat st;

	return step_look(a, path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 1;
}

/* A directory comes before what is in it. */
static int add_arrivals(const struct apply *a, const struct changes *c, struct steps *s,
			struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < c->n; i++) {
		const struct change *x = &c->list[i];

		switch (x->kind) {
		case CHANGE_ADDED:
		case CHANGE_TYPE:
		case CHANGE_RENAMED:
			r = add_step(a, s, STEP_PUT, x->path, x, e);
			break;
		case CHANGE_MODIFIED:
			r = add_step(a, s, STEP_REPLACE, x->path, x, e);
			break;
		case CHANGE_MODE:
			r = S_ISDIR(x->after.mode)
				    ? 0
				    : add_step(a, s,
					       has_other_names(a, x->path) ? STEP_REPLACE
									   : STEP_MODE,
					       x->path, x, e);
			break;
		case CHANGE_DELETED:
			break;
		}
	}
	return r;
}

/* Directories get their modes last, the innermost first: some of them forbid what comes before. */
static int add_modes(const struct apply *a, const struct changes *c, struct steps *s, struct err *e)
{
	size_t n = s->n, i;
	int r = 0;

	for (i = n; r >= 0 && i > 0; i--) {
		const struct step *put = &s->list[i - 1];
		struct step *step;

		if (put->kind != STEP_PUT || !put->is_dir || (put->new_mode & 0700) == 0700) {
			continue;
		}
		step = steps_add(s, STEP_MODE, put->path);
		if (!step) {
			return no_memory(e);
		}
		put = &s->list[i - 1]; /* the list may have moved */
		step->before = put->staged;
		step->old_mode = put->new_mode | 0700;
		step->new_mode = put->new_mode;
	}
	r = add_closings(c, s, e);
	for (i = c->n; r >= 0 && i > 0; i--) {
		const struct change *x = &c->list[i - 1];

		if (x->kind == CHANGE_MODE && S_ISDIR(x->after.mode)) {
			r = add_step(a, s, STEP_MODE, x->path, x, e);
		}
	}
	return r;
}

static int stage_all(const struct apply *a, struct steps *s, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < s->n; i++) {
		if (s->list[i].kind == STEP_PUT || s->list[i].kind == STEP_REPLACE) {
			r = stage_change(a, s, i, s->list[i].change, e);
		}
	}
	return r >= 0 ? stage_sync(a, s, e) : r;
}

/* ---- forward and back ---- */

static int undo_all(const struct apply *a, const struct steps *s, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = s->n; i > 0; i--) {
		int n = step_undo(a, s, i - 1);

		if (n < 0 && r == 0) {
			r = apply_fail(s->list[i - 1].path, n, "cannot undo what was done to", e);
		}
	}
	/* The journal goes next, and may be on another file system. */
	return r == 0 && syncfs(a->original) < 0
		       ? err_sys(e, errno, "cannot write to disk that it is undone")
		       : r;
}

static int commit(const struct apply *a, const struct steps *s, struct err *e)
{
	size_t done = 0, i;

	for (i = 0; i < s->n; i++) {
		done = step_done(a, s, i) ? i + 1 : done;
	}
	for (i = 0; i < s->n; i++) {
		int r = step_done(a, s, i) ? 0 : step_do(a, s, i);

		/* A directory that was opened, and is gone by a later step. */
		if (i < done && s->list[i].kind == STEP_MODE && (r == -ENOENT || r == -ESTALE)) {
			r = 0;
		}
		if (r < 0) {
			return apply_fail(s->list[i].path, r, "cannot take over", e);
		}
	}
	return syncfs(a->original) < 0 ? err_sys(e, errno, "cannot write the changes to disk") : 0;
}

/* The journal first: without one, what is left in the staging directory is nobody's. */
static int clean(const struct apply *a, struct steps *s, struct err *e)
{
	int r = journal_remove(a, e);

	return r >= 0 ? stage_remove(a, s, e) : r;
}

static int turn_around(const struct apply *a, struct steps *s, struct err *e)
{
	struct err why = {};

	if (undo_all(a, s, &why) < 0) {
		return err_wrap(e, "some changes are there and some are not (%s)", why.msg);
	}
	if (touched_write(a, s, &why) < 0) {
		return err_wrap(e,
				"all was undone, which 'atoll apply --undo' has yet to note (%s)",
				why.msg);
	}
	(void)clean(a, s, &why);
	return -e->code;
}

int apply_prepare(const struct apply *a, const struct changes *c, struct steps *s, struct err *e)
{
	int r = touched_read(a->journal, &s->ours, e);

	r = r < 0 ? r : add_openings(a, c, s, e);
	r = r < 0 ? r : add_removals(a, c, s, e);
	r = r < 0 ? r : add_arrivals(a, c, s, e);
	r = r < 0 ? r : stage_make(a, s, e);
	r = r < 0 ? r : stage_all(a, s, e);
	r = r < 0 ? r : add_modes(a, c, s, e);
	return r < 0 ? r : journal_write(a, s, e);
}

int apply_changes(const struct apply *a, const struct changes *c, struct err *e)
{
	_cleanup_(steps_done) struct steps s = {.stage = FD_NONE};
	struct err ignored = {};
	int r;

	if (apply_pending(a->journal)) {
		return err_set(e, ERR_USER, EBUSY, "an earlier apply was interrupted");
	}
	for (size_t i = 0; i < c->n; i++) {
		if (c->list[i].denied) {
			return apply_fail(c->list[i].path, -EPERM, "cannot take over", e);
		}
	}
	r = apply_clean(a, e);
	r = r < 0 ? r : apply_prepare(a, c, &s, e);
	if (r < 0) {
		(void)clean(a, &s, &ignored);
		return r;
	}
	if (commit(a, &s, e) < 0) {
		return turn_around(a, &s, e);
	}
	return clean(a, &s, e) < 0 ? err_wrap(e, "all was taken over, but") : 0;
}

bool apply_lost(const struct apply *a)
{
	char name[STAGE_NAME_SIZE];
	struct stat st;

	stage_name(a->id, name);
	if (!apply_pending(a->journal)) {
		return false;
	}
	return fstatat(a->original, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? errno == ENOENT
									: !S_ISDIR(st.st_mode);
}

int apply_clean(const struct apply *a, struct err *e)
{
	char name[STAGE_NAME_SIZE];
	struct stat st;

	stage_name(a->id, name);
	/* Something else under that name is not ours, and says no more than that. */
	if (apply_pending(a->journal) ||
	    (fstatat(a->original, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))) {
		return 0;
	}
	return tree_remove(a->original, name, e);
}

int apply_recover(const struct apply *a, bool undo, struct err *e)
{
	_cleanup_(steps_done) struct steps s = {.stage = FD_NONE};
	int r = journal_read(a, &s, e);

	r = r < 0 ? r : stage_open(a, &s, e);
	if (r < 0) {
		return r;
	}
	r = undo ? undo_all(a, &s, e) : commit(a, &s, e);
	r = r < 0 || !undo ? r : touched_write(a, &s, e);
	return r < 0 ? r : clean(a, &s, e);
}
