/* SPDX-License-Identifier: Apache-2.0 */
/* The walk through a place for what is to be hidden in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "workspace/change-internal.h"
#include "workspace/hide-internal.h"

/* What lies deeper could not be named where it is hidden. */
#define DEEPEST (PATH_MAX - NAME_MAX - 2)
#define WALKED  (256U << 20) /* bytes of a path in a directory that is hidden */

struct live {
	size_t rule;
	uint64_t mask;
};

/* A directory to be entered, in the one whose path is the first `base` bytes. */
struct pending {
	char *name;
	size_t depth, base;
	struct live *live; /* the rules that lead there */
	size_t n_live;
	bool hidden; /* only looked through for files with other names */
};

enum purpose { BY_RULES, BY_INODES };

struct walk {
	struct hider *h;
	size_t place;
	enum purpose purpose;
	struct cursor at;
	struct buf path; /* of the directory it is in */
	struct pending *stack, here;
	size_t n, room;
	uint64_t *masks, *next; /* of the directory it is in, and of a name in it */
};

static void close_list(DIR **list)
{
	if (*list) {
		(void)closedir(*list);
	}
}

#define _cleanup_list_ _cleanup_(close_list)

static int push(struct walk *w, const char *name, bool hidden)
{
	struct pending p = {.depth = w->here.depth + 1, .base = w->path.len, .hidden = hidden};
	size_t n = hidden || w->purpose == BY_INODES ? 0 : w->h->rules.n;

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
	for (size_t i = 0; i < n; i++) {
		p.n_live += w->next[i] != 0;
	}
	p.name = fault_hit() ? NULL : strdup(name);
	p.live = p.name ? calloc(p.n_live + 1, sizeof(*p.live)) : NULL;
	if (!p.live) {
		free(p.name);
		return -ENOMEM;
	}
	p.n_live = 0;
	for (size_t i = 0; i < n; i++) {
		if (w->next[i]) {
			p.live[p.n_live++] = (struct live){i, w->next[i]};
		}
	}
	w->stack[w->n++] = p;
	return 0;
}

static int set_path(struct walk *w, const char *name, struct buf *out)
{
	buf_init(out, WALKED + PATH_MAX);
	return (w->path.len &&
		(buf_add(out, w->path.data, w->path.len) < 0 || buf_addc(out, '/') < 0)) ||
			       buf_adds(out, name) < 0
		       ? -ENOMEM
		       : 0;
}

/* All rules that go on behind this name, which is a link. A `**` that may still be nothing goes on
 * by itself. */
static int follow(struct walk *w, const char *path)
{
	int r = 0;

	for (size_t i = 0; i < w->h->rules.n && r >= 0; i++) {
		for (size_t k = 0; k <= w->h->rules.list[i].n && r >= 0 && w->next[i]; k++) {
			const struct deny_rule *rule = &w->h->rules.list[i];
			bool after_deep = k > 0 && rule->parts[k - 1].deep &&
					  (w->next[i] >> (k - 1) & 1) != 0;

			if ((w->next[i] >> k & 1) != 0 && !after_deep) {
				r = hide_link(w->h, w->place, path, rule, k);
			}
		}
	}
	return r;
}

static int hide(struct walk *w, const char *name, const char *path, const struct stat *st)
{
	bool others = w->h->places[w->place].others;
	int r = hide_add(w->h, w->place, path);

	if (r < 0 || !others) {
		return r;
	}
	if (S_ISLNK(st->st_mode)) {
		return follow(w, path);
	}
	if (S_ISREG(st->st_mode) && st->st_nlink > 1) {
		return hide_note_inode(w->h, st->st_dev, st->st_ino);
	}
	return S_ISDIR(st->st_mode) ? push(w, name, true) : 0;
}

/* A name that the rules make something of. */
static int see_by_rules(struct walk *w, const char *name, enum deny_verdict v,
			const struct stat *st)
{
	_cleanup_buf_ struct buf path = {};
	int r = set_path(w, name, &path);

	if (r < 0) {
		return r;
	}
	if (v == DENY_HIT) {
		return hide(w, name, path.data, st);
	}
	if (S_ISDIR(st->st_mode)) {
		return path.len > DEEPEST ? -ENAMETOOLONG : push(w, name, false);
	}
	return S_ISLNK(st->st_mode) && w->h->places[w->place].others ? follow(w, path.data) : 0;
}

static int see_by_inode(struct walk *w, const char *name, const struct stat *st)
{
	bool is_other = S_ISREG(st->st_mode) && st->st_nlink > 1 &&
			hide_has_inode(w->h, st->st_dev, st->st_ino);
	_cleanup_buf_ struct buf path = {};
	int r = set_path(w, name, &path);

	if (r < 0 || (!is_other && !S_ISDIR(st->st_mode)) ||
	    hide_has(&w->h->names[w->place], path.data)) {
		return r;
	}
	if (!is_other) {
		return path.len > DEEPEST ? -ENAMETOOLONG : push(w, name, false);
	}
	r = hide_note_name(w->h, w->place, path.data);
	return r < 0 ? r : hide_add(w->h, w->place, path.data);
}

/*
 * What we may not look at is hidden as a whole: in its copy the payload can give itself the right,
 * and nobody has looked for names there.
 */
static int hide_unseen(struct walk *w, const char *path)
{
	int r = w->here.hidden ? 0 : hide_note_name(w->h, w->place, path);

	return r < 0 || w->here.hidden ? r : hide_add(w->h, w->place, path);
}

/* The same for a name; one that is gone may come back, so what a rule hits is hidden all the same.
 */
static int see_failed(struct walk *w, const char *name, bool hit, int why)
{
	_cleanup_buf_ struct buf path = {};
	int r = why == -ENOENT && !hit ? 0 : set_path(w, name, &path);

	if (r < 0 || (why == -ENOENT && !hit)) {
		return r;
	}
	return why == -ENOENT   ? hide_add(w->h, w->place, path.data)
	       : why == -EACCES ? hide_unseen(w, path.data)
				: why;
}

/* In a directory that is hidden: files that have other names, at any depth. */
static int see_hidden(struct walk *w, const char *name, const struct stat *st)
{
	if (S_ISREG(st->st_mode) && st->st_nlink > 1) {
		return hide_note_inode(w->h, st->st_dev, st->st_ino);
	}
	return S_ISDIR(st->st_mode) ? push(w, name, true) : 0;
}

static int see(struct walk *w, const char *name, unsigned char type)
{
	bool by_rules = !w->here.hidden && w->purpose == BY_RULES;
	enum deny_verdict v = DENY_BELOW;
	struct stat st;

	if (by_rules) {
		v = deny_step(&w->h->rules, w->masks, name, w->next);
	}
	/* What is below a name matters to directories and links alone. */
	if (v == DENY_NONE || (by_rules && v == DENY_BELOW && type != DT_UNKNOWN &&
			       type != DT_DIR && type != DT_LNK)) {
		return 0;
	}
	if (fstatat(cursor_fd(&w->at), name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		return see_failed(w, name, by_rules && v == DENY_HIT, -errno);
	}
	return w->here.hidden ? see_hidden(w, name, &st)
	       : by_rules     ? see_by_rules(w, name, v, &st)
			      : see_by_inode(w, name, &st);
}

/* True for a directory that this walk has yet to look at. */
static bool is_pending(const struct walk *w, const char *name)
{
	for (size_t i = w->n; i-- > 0;) {
		if (w->stack[i].base == w->path.len && strcmp(w->stack[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * The next name of a path without a pattern, in a directory that has been listed: nothing may be
 * seen at the last one, whatever comes to be there; nor at one that is not there. One on the way
 * that came after the list was made has not been looked at: then nobody knows.
 */
static int see_next(struct walk *w, const char *name, bool last)
{
	_cleanup_buf_ struct buf path = {};
	struct stat st;
	int r = fstatat(cursor_fd(&w->at), name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0
			? -errno
			: 0;

	if (r < 0 && r != -ENOENT && r != -EACCES) {
		return r;
	}
	if (r == 0 && !last) {
		return S_ISDIR(st.st_mode) && !is_pending(w, name) ? -ESTALE : 0;
	}
	r = set_path(w, name, &path);
	return r < 0 ? r : hide_add(w->h, w->place, path.data);
}

static int see_absent(struct walk *w)
{
	int r = 0;

	for (size_t i = 0; i < w->h->rules.n && r >= 0; i++) {
		const struct deny_rule *rule = &w->h->rules.list[i];

		for (size_t k = 0; rule->exact && k < rule->n && r >= 0; k++) {
			if (w->masks[i] >> k & 1) {
				r = see_next(w, rule->parts[k].raw, k + 1 == rule->n);
			}
		}
	}
	return r;
}

/* Looks at the directory that the cursor is in. */
static int scan(struct walk *w)
{
	_cleanup_list_ DIR *list = entry_list(cursor_fd(&w->at), false);
	const struct dirent *entry;
	int r = 0;

	if (!list) {
		/* Of the place itself nothing could be hidden. */
		return errno == EACCES && w->here.depth > 0 ? hide_unseen(w, buf_str(&w->path))
							    : -errno;
	}
	errno = 0;
	while (r >= 0 && (entry = readdir(list))) {
		r = entry_is_dot(entry->d_name) ? 0 : see(w, entry->d_name, entry->d_type);
		if (r < 0) {
			return r;
		}
		errno = 0;
	}
	r = -errno;
	return r >= 0 && !w->here.hidden && w->purpose == BY_RULES ? see_absent(w) : r;
}

static void arrive(struct walk *w)
{
	memset(w->masks, 0, w->h->rules.n * sizeof(*w->masks));
	for (size_t i = 0; i < w->here.n_live; i++) {
		w->masks[w->here.live[i].rule] = w->here.live[i].mask;
	}
}

/* A path without a pattern leads on below where we are. */
static bool is_awaited(const struct walk *w)
{
	for (size_t i = 0; i < w->here.n_live; i++) {
		if (w->h->rules.list[w->here.live[i].rule].exact) {
			return true;
		}
	}
	return false;
}

static int step(struct walk *w)
{
	_cleanup_free_ struct live *live = NULL;
	_cleanup_free_ char *name = NULL;
	int r;

	w->here = w->stack[--w->n];
	name = w->here.name;
	live = w->here.live;
	w->path.len = w->here.base;
	if ((w->path.len && buf_addc(&w->path, '/') < 0) || buf_adds(&w->path, name) < 0) {
		return -ENOMEM;
	}
	r = cursor_leave(&w->at, w->here.depth - 1);
	r = r < 0 ? r : cursor_enter(&w->at, name);
	if (r < 0) {
		return r == -EACCES                     ? hide_unseen(w, w->path.data)
		       : r == -ENOENT && !is_awaited(w) ? 0
		       : r == -ENOENT                   ? -ESTALE
							: r;
	}
	arrive(w);
	return scan(w);
}

static int run(struct walk *w)
{
	int r = cursor_init(&w->at, w->h->places[w->place].root, false);

	buf_init(&w->path, WALKED);
	r = r < 0 ? r : scan(w);
	while (r >= 0 && w->n > 0) {
		r = step(w);
	}
	while (w->n > 0) {
		free(w->stack[--w->n].name);
		free(w->stack[w->n].live);
	}
	free(w->stack);
	buf_done(&w->path);
	cursor_done(&w->at);
	return r;
}

int hide_walk(struct hider *h, size_t place, size_t first)
{
	/* A link on the way adds rules, which are for the next walk: room for all there may be. */
	_cleanup_free_ uint64_t *masks =
		fault_hit() ? NULL : calloc(DENY_MAX_ALL, 2 * sizeof(*masks));
	struct walk w = {.h = h, .place = place, .purpose = BY_RULES, .masks = masks};
	int v;

	if (!masks) {
		return -ENOMEM;
	}
	w.next = masks + DENY_MAX_ALL;
	deny_begin(&h->rules, first, masks);
	v = deny_walk(&h->rules, masks, h->places[place].path);
	return v == DENY_HIT ? -EPERM : v == DENY_NONE ? 0 : run(&w);
}

int hide_walk_inodes(struct hider *h, size_t place)
{
	uint64_t none[DENY_MAX_ALL];
	struct walk w = {.h = h, .place = place, .purpose = BY_INODES, .masks = none};

	return run(&w);
}
