/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be hidden: names, links and inodes, and the layers that come of them. */
#include "workspace/hide.h"

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
#include "policy/path.h"
#include "workspace/change-internal.h"
#include "workspace/hide-internal.h"

/* ---- names ---- */

int hide_add(struct hider *h, size_t place, const char *path)
{
	struct hide_names *names = &h->names[place];

	if (names->n == HIDE_MAX) {
		return -E2BIG;
	}
	if (names->n == names->room) {
		size_t room = names->room ? names->room * 2 : 16;
		char **list = fault_hit() ? NULL : reallocarray(names->list, room, sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		names->list = list;
		names->room = room;
	}
	names->list[names->n] = fault_hit() ? NULL : strdup(path);
	return names->list[names->n] ? (int)(names->n++, 0) : -ENOMEM;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once, and none that lies in another. */
static void sort(struct hide_names *names)
{
	size_t kept = 0;

	if (names->n > 0) {
		qsort(names->list, names->n, sizeof(*names->list), by_text);
	}
	for (size_t i = 0; i < names->n; i++) {
		char *path = names->list[i];

		names->list[i] = NULL;
		names->sorted = kept;
		if (hide_has(names, path)) {
			free(path);
		} else {
			names->list[kept++] = path;
		}
	}
	names->n = names->sorted = kept;
}

bool hide_has(const struct hide_names *names, const char *path)
{
	char above[PATH_MAX];

	for (size_t len = strlen(path); len > 0; len--) {
		const char *key = above;

		if ((path[len] != '/' && path[len] != '\0') || len >= sizeof(above)) {
			continue;
		}
		memcpy(above, path, len);
		above[len] = '\0';
		if (names->sorted > 0 &&
		    bsearch(&key, names->list, names->sorted, sizeof(*names->list), by_text)) {
			return true;
		}
	}
	return false;
}

/* ---- inodes ---- */

int hide_note_inode(struct hider *h, dev_t dev, ino_t ino)
{
	if (h->n_inodes == HIDE_MAX_INODES) {
		return -E2BIG;
	}
	if (h->n_inodes == h->room) {
		size_t room = h->room ? h->room * 2 : 16;
		struct hide_inode *list =
			fault_hit() ? NULL : reallocarray(h->inodes, room, sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		h->inodes = list;
		h->room = room;
	}
	h->inodes[h->n_inodes++] = (struct hide_inode){dev, ino};
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct hide_inode *x = a, *y = b;
	int r = (x->dev > y->dev) - (x->dev < y->dev);

	return r ? r : (x->ino > y->ino) - (x->ino < y->ino);
}

bool hide_has_inode(const struct hider *h, dev_t dev, ino_t ino)
{
	const struct hide_inode key = {dev, ino};

	return bsearch(&key, h->inodes, h->n_inodes, sizeof(key), by_inode) != NULL;
}

/* ---- links ---- */

/* True if a place has anything to do with what is at or below that path. */
static bool is_shown(const struct hider *h, const char *path)
{
	for (size_t i = 0; i < h->n_places; i++) {
		if (h->places[i].others && (path_within(path, h->places[i].path) ||
					    path_within(h->places[i].path, path))) {
			return true;
		}
	}
	return false;
}

/* True if the rule by itself comes to that part of it at that path. */
static bool leads_there(const struct deny_rule *rule, size_t part, const char *path)
{
	const struct deny_rules one = {.list = (struct deny_rule *)rule, .n = 1};
	uint64_t mask = 1;
	int v = deny_walk(&one, &mask, path);

	return v == DENY_HIT || (v == DENY_BELOW && (mask >> part & 1) != 0);
}

static int write_rule(const char *target, const struct deny_rule *rule, size_t part,
		      struct buf *out)
{
	int r = deny_quote(strcmp(target, "/") == 0 ? "" : target, out);

	for (; part < rule->n && r >= 0; part++) {
		const struct deny_part *p = &rule->parts[part];

		r = buf_addc(out, '/');
		r = r < 0 ? r : p->glob ? buf_adds(out, p->raw) : deny_quote(p->raw, out);
	}
	return r < 0 || out->len == 0 ? -ENOMEM : 0;
}

int hide_note_name(struct hider *h, size_t place, const char *path)
{
	_cleanup_buf_ struct buf text = {};

	buf_init(&text, 8L * PATH_MAX);
	if (deny_quote(h->places[place].path, &text) < 0 || buf_addc(&text, '/') < 0 ||
	    deny_quote(path, &text) < 0) {
		return -ENOMEM;
	}
	return deny_add(&h->rules, text.data);
}

int hide_link(struct hider *h, size_t place, const char *path, const struct deny_rule *rule,
	      size_t part)
{
	_cleanup_buf_ struct buf text = {};
	char link[2 * PATH_MAX], target[PATH_MAX];
	int r;

	(void)snprintf(link, sizeof(link), "%s/%s", h->places[place].path, path);
	r = path_real(link, target);
	/* These lead nowhere inside as well; of anything else nobody knows where. */
	if (r == -ENOTDIR || r == -ELOOP) {
		return 0;
	}
	if (r < 0 || !is_shown(h, target) || leads_there(rule, part, target)) {
		return r;
	}
	buf_init(&text, 8L * PATH_MAX);
	if (write_rule(target, rule, part, &text) < 0) {
		return -ENOMEM;
	}
	return deny_add(&h->rules, text.data);
}

/* ---- layers ---- */

/* The mode that gives the payload, as the owner of all directories of a layer, the rights that it
 * has in the original's. */
static mode_t mode_for(const struct hide_place *place, const struct stat *st)
{
	mode_t rights = st->st_gid == place->group ? st->st_mode >> 3 & 07 : st->st_mode & 07;

	return st->st_uid == place->owner ? st->st_mode & 07777
					  : rights << 6 | rights << 3 | rights;
}

static int add_hide(struct deny_layer *l, const char *path, size_t len, mode_t mode,
		    struct timespec time)
{
	size_t room = l->room ? l->room * 2 : 16;

	if (l->n == l->room) {
		struct deny_hide *list =
			fault_hit() ? NULL : reallocarray(l->list, room, sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		l->list = list;
		l->room = room;
	}
	l->list[l->n] = (struct deny_hide){
		.path = fault_hit() ? NULL : strndup(path, len), .mode = mode, .time = time};
	return l->list[l->n].path ? (int)(l->n++, 0) : -ENOMEM;
}

/* The directories on the way to `path` that were not on the way to the one before it. */
static int add_way(struct deny_layer *l, const struct hide_place *place, const char *before,
		   const char *path)
{
	size_t len = 0;
	int r = 0;

	while (r >= 0 && (len += strcspn(path + len, "/"), path[len] == '/')) {
		_cleanup_free_ char *dir = strndup(path, len);
		_cleanup_fd_ int fd = FD_NONE;
		struct stat st;

		if (!dir) {
			return -ENOMEM;
		}
		if (strncmp(before, path, len + 1) != 0) {
			r = fd = entry_open(place->root, dir, O_PATH | O_DIRECTORY);
			r = r >= 0 && fstat(fd, &st) < 0 ? -errno : r;
			r = r < 0 ? r
				  : add_hide(l, path, len, S_IFDIR | mode_for(place, &st),
					     st.st_mtim);
		}
		len++;
	}
	return r;
}

static int make_layer(const struct hide_place *place, const struct hide_names *names,
		      struct deny_layer *l)
{
	const char *before = "";
	struct stat st;
	int r = fstat(place->root, &st) < 0 ? -errno : 0;

	*l = (struct deny_layer){.place = place->path};
	if (r >= 0) {
		l->mode = S_IFDIR | mode_for(place, &st);
		l->time = st.st_mtim;
	}
	for (size_t i = 0; i < names->n && r >= 0; i++) {
		r = add_way(l, place, before, names->list[i]);
		r = r < 0 ? r
			  : add_hide(l, names->list[i], strlen(names->list[i]), 0,
				     (struct timespec){});
		before = names->list[i];
	}
	return r;
}

/* ---- all of it ---- */

static int failed(const struct hider *h, size_t place, int r)
{
	const char *path = h->places[place].path;

	switch (r) {
	case -ENOMEM:
		return err_set(h->e, ERR_SYSTEM, ENOMEM, "out of memory");
	case -E2BIG:
		return err_set(h->e, ERR_POLICY, E2BIG,
			       "filesystem.deny hides too much in '%s' (%d names, %d files with "
			       "other names, %d rules with those that follow from links); deny "
			       "directories rather than what is in them",
			       path, HIDE_MAX, HIDE_MAX_INODES, DENY_MAX_ALL);
	case -EPERM:
		return err_set(h->e, ERR_POLICY, EPERM,
			       "a link makes a rule of filesystem.deny hide all of '%s'; name what "
			       "the link leads to, or leave one of the two out",
			       path);
	case -EINVAL:
	case -ENAMETOOLONG:
		return err_set(h->e, ERR_POLICY, ENAMETOOLONG,
			       "something lies too deep in '%s' for filesystem.deny to be held "
			       "there; remove it, or name what is to be hidden without '**'",
			       path);
	case -ESTALE:
	case -ELOOP:
	case -ENOTDIR:
	case -ENOENT:
		return err_set(h->e, ERR_SYSTEM, ESTALE,
			       "'%s' changed while it was searched for what filesystem.deny hides; "
			       "try again",
			       path);
	default:
		return err_sys(h->e, -r, "cannot find what filesystem.deny hides in '%s'", path);
	}
}

/* Rules that follow from links are for all places, and may meet further links. */
static int walk_all(struct hider *h)
{
	size_t first = 0;

	while (first < h->rules.n) {
		size_t end = h->rules.n;

		for (size_t i = 0; i < h->n_places; i++) {
			/* Nothing of the host's own programs is hidden by what a link says. */
			int r = first == 0 || h->places[i].others ? hide_walk(h, i, first) : 0;

			if (r < 0) {
				return failed(h, i, r);
			}
		}
		first = end;
	}
	return 0;
}

static int find_others(struct hider *h)
{
	for (size_t i = 0; i < h->n_places; i++) {
		sort(&h->names[i]);
	}
	if (h->n_inodes > 0) {
		qsort(h->inodes, h->n_inodes, sizeof(*h->inodes), by_inode);
	}
	for (size_t i = 0; i < h->n_places && h->n_inodes > 0; i++) {
		int r = h->places[i].others ? hide_walk_inodes(h, i) : 0;

		if (r < 0) {
			return failed(h, i, r);
		}
		sort(&h->names[i]);
	}
	return 0;
}

/* Takes the texts of the rules that nobody wrote. */
static int take_extra(struct hider *h, struct deny_layers *ret)
{
	size_t n = h->rules.n - h->given;

	ret->extra = fault_hit() ? NULL : calloc(n + 1, sizeof(*ret->extra));
	if (!ret->extra) {
		return failed(h, 0, -ENOMEM);
	}
	for (size_t i = 0; i < n; i++) {
		ret->extra[ret->n_extra++] = TAKE_PTR(h->rules.list[h->given + i].text);
	}
	return 0;
}

static int make_layers(struct hider *h, struct deny_layers *ret)
{
	ret->list = fault_hit() ? NULL : calloc(h->n_places, sizeof(*ret->list));
	if (!ret->list) {
		return failed(h, 0, -ENOMEM);
	}
	for (size_t i = 0; i < h->n_places; i++) {
		int r = h->names[i].n > 0
				? make_layer(&h->places[i], &h->names[i], &ret->list[ret->n++])
				: 0;

		if (r < 0) {
			return failed(h, i, r);
		}
	}
	return 0;
}

static void hider_done(struct hider *h)
{
	for (size_t i = 0; h->names && i < h->n_places; i++) {
		for (size_t j = 0; j < h->names[i].n; j++) {
			free(h->names[i].list[j]);
		}
		free(h->names[i].list);
	}
	free(h->names);
	free(h->inodes);
	deny_done(&h->rules);
}

int hide_find(const struct hide_place *places, size_t n, char *const *texts, size_t n_texts,
	      struct deny_layers *ret, struct err *e)
{
	_cleanup_(hider_done) struct hider h = {.places = places, .n_places = n, .e = e};
	int r = 0;

	*ret = (struct deny_layers){};
	if (n == 0 || n_texts == 0) {
		return 0;
	}
	h.names = fault_hit() ? NULL : calloc(n, sizeof(*h.names));
	if (!h.names) {
		return failed(&h, 0, -ENOMEM);
	}
	for (size_t i = 0; i < n_texts && r >= 0; i++) {
		r = deny_add(&h.rules, texts[i]);
	}
	if (r < 0) {
		return failed(&h, 0, r);
	}
	h.given = h.rules.n;
	r = walk_all(&h);
	r = r < 0 ? r : find_others(&h);
	r = r < 0 ? r : make_layers(&h, ret);
	r = r < 0 ? r : take_extra(&h, ret);
	if (r < 0) {
		deny_layers_done(ret);
	}
	return r;
}
