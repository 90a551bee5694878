/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk through both trees at once.
 *
 * A directory is looked at as a whole: each name in it is compared and noted, and its directories
 * are put on a stack, from which the next one to enter is taken. So the walk is in one directory at
 * a time, and what it has to remember of the way there is in the cursors, one for each tree. Below
 * a directory that is in one tree only, the other's cursor stays where it was.
 */
#include "workspace/change-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/mutant.h"
#include "base/utf8.h"
#include "workspace/change.h"
#include "workspace/dirs.h"
#include "workspace/screen.h"

/* So much of a path is shown in a message, its end. */
#define SHOWN_MAX 300

/* A directory to be entered, in the one whose path is the first `base` bytes. */
struct pending {
	char *name;
	size_t depth, base;
	bool in_upper, in_original;
	bool opaque; /* what is in the original's is not in the copy's */
	/* Of a copy of every file: the original's directory was changed since; it or one above it
	 * has come there since; the copy's, or one above it but the root, was touched. */
	bool changed, fresh, moved;
};

struct walk {
	struct changes *found;
	struct cursor upper, original;
	struct buf path; /* of the directory it is in */
	struct pending *stack, here;
	size_t n, room;
	size_t text;                    /* bytes of what is kept */
	const struct change_view *view; /* NULL: of an overlay, and nothing is denied */
	struct screen screen;
	int failure; /* that *e tells of */
	struct err *e;
};

static void close_list(DIR **list)
{
	if (*list) {
		(void)closedir(*list);
	}
}

#define _cleanup_list_ _cleanup_(close_list)

/* Tells what failed at `name` in the directory the walk is in. */
static int tell(const struct walk *w, const char *name, int r)
{
	_cleanup_buf_ struct buf shown;
	_cleanup_buf_ struct buf path;
	size_t skip;

	buf_init(&shown, 8 * SHOWN_MAX);
	buf_init(&path, SIZE_MAX / 4);
	if (r == -E2BIG) {
		return err_set(w->e, ERR_GUEST, E2BIG,
			       "the copy has more changes than can be listed");
	}
	if (r == -ENOMEM || buf_add(&path, buf_str(&w->path), w->path.len) < 0 ||
	    (path.len && buf_addc(&path, '/') < 0) || buf_adds(&path, name) < 0) {
		return err_sys(w->e, ENOMEM, "cannot list the changes");
	}
	if (r == -ESTALE) {
		return err_set(w->e, ERR_SYSTEM, ESTALE,
			       "directories were moved while they were compared; try again");
	}
	skip = path.len > SHOWN_MAX ? path.len - SHOWN_MAX : 0;
	(void)utf8_neutralise(&shown, buf_str(&path) + skip, path.len - skip);
	return err_sys(w->e, -r, "cannot read '%s%s' of the copy", skip ? "..." : "",
		       buf_str(&shown));
}

static int failed(struct walk *w, const char *name, int r)
{
	w->failure = tell(w, name, r);
	return w->failure;
}

/* Accounts for text that is kept. */
static int charge(struct walk *w, size_t bytes)
{
	if (bytes > CHANGES_TEXT_MAX - w->text) {
		return -E2BIG;
	}
	w->text += bytes;
	return 0;
}

static int push(struct walk *w, const char *name, bool in_upper, bool in_original)
{
	struct pending p = {.depth = w->here.depth + 1,
			    .base = w->path.len,
			    .in_upper = in_upper,
			    .in_original = in_original,
			    .opaque = w->here.opaque,
			    .changed = w->here.changed,
			    .fresh = w->here.fresh,
			    .moved = w->here.moved};
	int r = charge(w, strlen(name) + sizeof(p));

	if (r < 0) {
		return r;
	}
	if (w->n == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		struct pending *more =
			fault_hit() ? NULL : reallocarray(w->stack, room, sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		w->stack = more;
		w->room = room;
	}
	p.name = fault_hit() ? NULL : strdup(name);
	if (!p.name) {
		return -ENOMEM;
	}
	w->stack[w->n++] = p;
	return 0;
}

static struct change *append(struct changes *c)
{
	if (c->n == CHANGES_MAX) {
		errno = E2BIG;
		return NULL;
	}
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct change *more =
			fault_hit() ? NULL : reallocarray(c->list, room, sizeof(*more));

		if (!more) {
			errno = ENOMEM;
			return NULL;
		}
		c->list = more;
		c->room = room;
	}
	c->list[c->n] = (struct change){};
	return &c->list[c->n++];
}

/* One side of a change. What of the original cannot be read is left out. */
static int describe(struct walk *w, const char *name, const struct sight *s, bool own,
		    struct change_side *side, bool *binary)
{
	int dir = cursor_fd(own ? &w->upper : &w->original), r = 0;

	if (!s->there) {
		return 0;
	}
	*side = (struct change_side){.mode = s->st.st_mode, .size = (uint64_t)s->st.st_size};
	if (S_ISLNK(s->st.st_mode)) {
		r = entry_link(dir, name, &side->target);
		r = r < 0 ? r : charge(w, strlen(side->target));
	} else if (S_ISREG(s->st.st_mode) && s->st.st_size > 0) {
		_cleanup_fd_ int fd = entry_open_file(dir, name, own);

		r = fd < 0 ? fd : content_binary(fd);
		*binary = *binary || r > 0;
	}
	return own || entry_failed(r) ? r : 0;
}

static int note(struct walk *w, const char *name, enum change_kind kind, const struct sight *before,
		const struct sight *after)
{
	struct change *c = append(w->found);
	size_t len = w->path.len + strlen(name) + 1;
	int r;

	if (!c) {
		return -errno;
	}
	c->kind = kind;
	r = charge(w, len);
	if (r < 0) {
		return r;
	}
	c->path = fault_hit() ? NULL : malloc(len + 1);
	if (!c->path) {
		return -ENOMEM;
	}
	(void)snprintf(c->path, len + 1, "%s%s%s", buf_str(&w->path), w->path.len ? "/" : "", name);
	r = describe(w, name, before, false, &c->before, &c->binary);
	return r < 0 ? r : describe(w, name, after, true, &c->after, &c->binary);
}

/* Notes what differs between two that are there; nothing may. */
static int compare(struct walk *w, const char *name, const struct sight *before,
		   const struct sight *after)
{
	mode_t differ = before->st.st_mode ^ after->st.st_mode;
	int r;

	if ((before->st.st_mode ^ after->st.st_mode) & S_IFMT) {
		return note(w, name, CHANGE_TYPE, before, after);
	}
	r = sight_same(&w->original, &w->upper, name, before, after);
	if (r == 0) {
		return note(w, name, CHANGE_MODIFIED, before, after);
	}
	/* A copy of every file was made without set-id bits. */
	if (w->view && w->view->made_ns > 0 && !S_ISDIR(after->st.st_mode)) {
		differ &= ~(mode_t)(S_ISUID | S_ISGID);
	}
	if (r > 0 && differ != 0 && !S_ISLNK(after->st.st_mode)) {
		return note(w, name, CHANGE_MODE, before, after);
	}
	return r < 0 ? r : 0;
}

static int64_t ctime_of(const struct sight *s)
{
	return (int64_t)s->st.st_ctim.tv_sec * 1000000000LL + s->st.st_ctim.tv_nsec;
}

/* The host has changed it, or brought a directory above it, since the copy was begun. */
static bool is_fresh(const struct walk *w, const struct sight *before)
{
	return w->here.fresh || (before->there && ctime_of(before) >= w->view->begun_ns);
}

/* A directory of the original, the one it is in or (with a name) one there, stood there when that
 * was copied. */
static bool stood_there(const struct walk *w, const char *name, const struct sight *before)
{
	return w->view->dirs && dirs_has(w->view->dirs, buf_str(&w->path), name, before->st.st_ino);
}

/* What the copy lacks was not there when it was made: a directory that the host has only changed
 * since was. */
static bool has_come(const struct walk *w, const char *name, const struct sight *before)
{
	return is_fresh(w, before) &&
	       (w->here.fresh || !S_ISDIR(before->st.st_mode) || !stood_there(w, name, before));
}

/*
 * In a copy of every file, where the host has changed something meanwhile: what is missing in the
 * copy, and was not in the original when it was made, is the host's; and what the payload has not
 * touched there is no change of the payload's. Nobody sets a ctime; but what lies in a directory
 * that was moved keeps its own. So in the copy it says nothing below one that was touched, and in
 * the original nothing below one that does not stand where it stood then. Where the host has
 * changed nothing, contents decide alone.
 */
static bool is_the_hosts(const struct walk *w, const char *name, const struct sight *before,
			 const struct sight *after)
{
	if (!w->view || w->view->made_ns == 0) {
		return false;
	}
	if (!after->there) {
		return has_come(w, name, before);
	}
	return (before->there ? is_fresh(w, before) : w->here.changed) && !w->here.moved &&
	       ctime_of(after) <= w->view->made_ns;
}

/* ---- what the policy denies ---- */

static bool is_denied(const struct walk *w, const char *name)
{
	return screen_hits(&w->screen, name);
}

/* What the payload has made there is all that it knows of. */
static int see_denied(struct walk *w, const char *name, const struct sight *after)
{
	const struct sight before = {};
	int r = after->there ? note(w, name, CHANGE_ADDED, &before, after) : 0;

	if (r < 0 || !after->there) {
		return r;
	}
	w->found->list[w->found->n - 1].denied = true;
	return S_ISDIR(after->st.st_mode) ? push(w, name, true, false) : 0;
}

static int withhold(struct walk *w, const char *name)
{
	struct changes *c = w->found;
	size_t len = w->path.len + strlen(name) + 1;
	int r = charge(w, len);

	if (r >= 0 && c->n_withheld == c->room_withheld) {
		size_t room = c->room_withheld ? c->room_withheld * 2 : 16;
		char **more = fault_hit() ? NULL : reallocarray(c->withheld, room, sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		c->withheld = more;
		c->room_withheld = room;
	}
	if (r < 0) {
		return r;
	}
	c->withheld[c->n_withheld] = fault_hit() ? NULL : malloc(len + 1);
	if (!c->withheld[c->n_withheld]) {
		return -ENOMEM;
	}
	(void)snprintf(c->withheld[c->n_withheld++], len + 1, "%s%s%s", buf_str(&w->path),
		       w->path.len ? "/" : "", name);
	return 0;
}

/* ---- the names of a directory ---- */

/* One name, from what both trees have there. */
static int judge(struct walk *w, const char *name, const struct sight *before,
		 const struct sight *after)
{
	bool was = S_ISDIR(before->st.st_mode), is = S_ISDIR(after->st.st_mode);
	int r = 0;

	if (is_the_hosts(w, name, before, after)) {
		/* Who removed its directory did not see it, and could not decide about it. */
		return is ? push(w, name, is, was) : w->here.in_upper ? 0 : withhold(w, name);
	}
	if (before->there && after->there) {
		r = compare(w, name, before, after);
	} else if (after->there) {
		r = note(w, name, CHANGE_ADDED, before, after);
	} else if (before->there || before->hidden) {
		r = note(w, name, CHANGE_DELETED, before, after);
	}
	return r >= 0 && (was || is) ? push(w, name, is, was) : r;
}

/* What the upper layer has under a name of its own. */
static int see_upper(struct walk *w, const char *name)
{
	struct sight before = {}, after;
	int r = sight_look(&w->upper, name, &after);

	if (r >= 0 && is_denied(w, name)) {
		return see_denied(w, name, &after);
	}
	if (r >= 0 && w->here.in_original) {
		r = sight_look(&w->original, name, &before);
	}
	if (r < 0 || (w->here.opaque && !after.there)) {
		return r; /* what is gone in an opaque directory is found in the original */
	}
	return judge(w, name, &before, &after);
}

/* A name of the original that is gone, unless the upper layer has it too. */
static int see_original(struct walk *w, const char *name)
{
	struct sight before, after = {};
	int r = w->here.in_upper ? sight_look(&w->upper, name, &after) : 0;

	if (r == -ENOENT) {
		r = 0;
	}
	if (r >= 0 && is_denied(w, name)) {
		return withhold(w, name);
	}
	if (r < 0 || after.there) {
		return r;
	}
	r = sight_look(&w->original, name, &before);
	return r < 0 ? r : judge(w, name, &before, &after);
}

static int see_all(struct walk *w, DIR *list, int (*see)(struct walk *w, const char *name))
{
	const struct dirent *entry;
	int r = 0;

	errno = 0;
	while (r >= 0 && (entry = readdir(list))) {
		r = entry_is_dot(entry->d_name) ? 0 : see(w, entry->d_name);
		if (r < 0) {
			return failed(w, entry->d_name, r);
		}
		errno = 0;
	}
	return -errno;
}

/* True for a directory that hides what the original has there. */
static bool is_opaque(int fd)
{
	char value[2];

	return fgetxattr(fd, "user.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

static int scan_original(struct walk *w)
{
	_cleanup_list_ DIR *list = entry_list(cursor_fd(&w->original), false);
	int r = list ? see_all(w, list, see_original) : -errno;

	return w->failure < 0 || entry_failed(r) ? r : 0;
}

/* What the times of the two directories that the cursors are in say of what is in them. */
static int read_times(struct walk *w)
{
	struct sight before = {}, after = {};

	if (!w->view || w->view->made_ns == 0) {
		return 0;
	}
	if ((w->here.in_upper && fstat(cursor_fd(&w->upper), &after.st) < 0) ||
	    (w->here.in_original && fstat(cursor_fd(&w->original), &before.st) < 0)) {
		return -errno;
	}
	/* Where the original has no directory any more, what held for the one above does. */
	if (w->here.in_original) {
		w->here.changed = ctime_of(&before) >= w->view->begun_ns;
	}
	if (w->here.depth > 0) {
		w->here.fresh = w->here.fresh || (w->here.in_original && w->here.changed &&
						  !stood_there(w, NULL, &before));
		w->here.moved =
			w->here.moved || (w->here.in_upper && ctime_of(&after) > w->view->made_ns);
	}
	return 0;
}

/* Looks at the directory that the cursors are in. */
static int scan(struct walk *w)
{
	_cleanup_rights_ struct rights rights = RIGHTS_NONE;
	_cleanup_list_ DIR *list = NULL;
	int r;

	screen_enter(&w->screen, buf_str(&w->path));
	r = read_times(w);
	if (r < 0) {
		return r;
	}
	if (!w->here.in_upper) {
		return scan_original(w);
	}
	entry_pass(cursor_fd(&w->upper), &rights);
	list = entry_list(cursor_fd(&w->upper), true);
	if (!list) {
		return -errno;
	}
	w->here.opaque = w->here.opaque || (w->here.depth > 0 && is_opaque(dirfd(list)));
	r = see_all(w, list, see_upper);
	return r >= 0 && w->here.opaque && w->here.in_original ? scan_original(w) : r;
}

/* Enters one tree's directory. That the original's cannot be entered any more is its affair. */
static int enter_tree(struct cursor *c, const struct pending *p, bool *in)
{
	int r = *in ? cursor_leave(c, p->depth - 1) : 0;

	if (r < 0 || !*in) {
		return r;
	}
	r = cursor_enter(c, p->name);
	if (r < 0 && !c->own && !entry_failed(r)) {
		*in = false;
		return 0;
	}
	return r;
}

/* Enters the directory that the walk is at next. */
static int enter(struct walk *w)
{
	int r = enter_tree(&w->upper, &w->here, &w->here.in_upper);

	if (r >= 0) {
		r = enter_tree(&w->original, &w->here, &w->here.in_original);
	}
	if (r < 0) {
		return r;
	}
	if ((w->path.len && buf_addc(&w->path, '/') < 0) || buf_adds(&w->path, w->here.name) < 0) {
		return -ENOMEM;
	}
	return 0;
}

/* Takes the next directory and looks at it. */
static int step(struct walk *w)
{
	_cleanup_free_ char *name = NULL;
	int r;

	w->here = w->stack[--w->n];
	name = w->here.name;
	w->text -= strlen(name) + sizeof(w->here);
	w->path.len = w->here.base;
	r = enter(w);
	if (r >= 0 && (w->here.in_upper || w->here.in_original)) {
		r = scan(w);
	}
	if (r < 0 && w->failure == 0) {
		w->path.len = w->here.base;
		return failed(w, name, r);
	}
	return r;
}

int changes_walk(int original, int upper, const struct change_view *view, struct changes *ret,
		 struct err *e)
{
	struct walk w = {.found = ret,
			 .e = e,
			 .here = {.in_upper = true, .in_original = true},
			 .view = view};
	int r = screen_init(&w.screen,
			    MUTANT(ATOLL_MUTATE_DENY_CHANGES) || !view ? NULL : view->rules,
			    view ? view->workspace : NULL);

	/* A copy of every file is all that there is, as an opaque directory is. */
	w.here.opaque = view && view->made_ns > 0;

	buf_init(&w.path, CHANGES_TEXT_MAX);
	if (r >= 0) {
		r = cursor_init(&w.upper, upper, true);
	}
	if (r >= 0) {
		r = cursor_init(&w.original, original, false);
	}
	if (r >= 0) {
		r = scan(&w);
	}
	if (r < 0 && w.failure == 0) {
		r = failed(&w, ".", r);
	}
	while (r >= 0 && w.n > 0) {
		r = step(&w);
	}
	while (w.n > 0) {
		free(w.stack[--w.n].name);
	}
	free(w.stack);
	screen_done(&w.screen);
	buf_done(&w.path);
	cursor_done(&w.upper);
	cursor_done(&w.original);
	return r;
}
