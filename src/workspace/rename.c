/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renames: files that were deleted and files that were added, of one content.
 *
 * Only files whose size both sides have are read, and the small ones first, so that many files are
 * matched before CHANGES_RENAME_MAX is used up. Of several with one content, those that keep their
 * last name belong together; all others in the order of their paths.
 */
#include "workspace/change.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fault.h"
#include "workspace/change-internal.h"

/* What it costs to open a file, and each byte of its path, in bytes read. */
#define FILE_COST 4096
#define PATH_COST 16

struct candidate {
	struct change *change;
	const char *name; /* the last part of its path */
	uint64_t size;
	char digest[DIGEST_HEX_SIZE]; /* empty: cannot be read */
};

static bool is_deleted(const struct change *c)
{
	return c->path && c->kind == CHANGE_DELETED;
}

static bool is_added(const struct change *c)
{
	return c->path && c->kind == CHANGE_ADDED;
}

/* The side of it that there is, if it may have been renamed. */
static const struct change_side *side_of(const struct change *c)
{
	const struct change_side *side = is_deleted(c) ? &c->before : &c->after;

	/* A name that is denied is no place for a file of the original's. */
	return (is_deleted(c) || is_added(c)) && !c->denied && S_ISREG(side->mode) &&
			       side->size > 0 && strlen(c->path) < PATH_MAX
		       ? side
		       : NULL;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = ((const struct candidate *)a)->size, y = ((const struct candidate *)b)->size;

	return (x > y) - (x < y);
}

static int by_content(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int r = strcmp(x->digest, y->digest);

	r = r ? r : strcmp(x->name, y->name);
	return r ? r : strcmp(x->change->path, y->change->path);
}

static void join(struct change *deleted, struct change *added)
{
	added->kind = CHANGE_RENAMED;
	added->from = TAKE_PTR(deleted->path);
	added->before = deleted->before;
	deleted->before = (struct change_side){};
}

/* Joins the first deleted with the first added, and so on. */
static void pair(struct candidate *c, size_t n)
{
	size_t d = 0, a = 0;

	for (;;) {
		while (d < n && !is_deleted(c[d].change)) {
			d++;
		}
		while (a < n && !is_added(c[a].change)) {
			a++;
		}
		if (d == n || a == n) {
			return;
		}
		join(c[d].change, c[a].change);
	}
}

/* Pairs all of one content: those of one name, then the others. */
static void pair_content(struct candidate *c, size_t n)
{
	size_t i = 0, end;

	for (; i < n; i = end) {
		end = i + 1;
		while (end < n && strcmp(c[end].name, c[i].name) == 0) {
			end++;
		}
		pair(&c[i], end - i);
	}
	pair(c, n);
}

static int digest(struct candidate *c, int original, int upper)
{
	bool own = is_added(c->change);
	_cleanup_fd_ int fd = entry_open_file(own ? upper : original, c->change->path, own);
	int r = fd < 0 ? fd : content_digest(fd, c->size, c->digest);

	if (r < 0) {
		c->digest[0] = '\0';
	}
	return entry_failed(r) ? r : 0;
}

/* All of one size. */
static int match_size(struct candidate *c, size_t n, int original, int upper)
{
	size_t i, end;
	int r = 0;

	for (i = 0; i < n && r >= 0; i++) {
		r = digest(&c[i], original, upper);
	}
	if (r < 0) {
		return r;
	}
	qsort(c, n, sizeof(*c), by_content);
	for (i = 0; i < n; i = end) {
		end = i + 1;
		while (end < n && strcmp(c[end].digest, c[i].digest) == 0) {
			end++;
		}
		if (c[i].digest[0]) {
			pair_content(&c[i], end - i);
		}
	}
	return 0;
}

/* What reading all of one size costs; 0: only one side has it. */
static uint64_t cost_of(const struct candidate *c, size_t n)
{
	bool deleted = false, added = false;
	uint64_t cost = 0;
	size_t i;

	for (i = 0; i < n && cost <= CHANGES_RENAME_MAX; i++) {
		deleted = deleted || is_deleted(c[i].change);
		added = added || is_added(c[i].change);
		cost += c[i].size > CHANGES_RENAME_MAX
				? CHANGES_RENAME_MAX + 1ULL
				: c[i].size + FILE_COST + PATH_COST * strlen(c[i].change->path);
	}
	return deleted && added ? cost : 0;
}

static int match(struct candidate *c, size_t n, int original, int upper)
{
	uint64_t left = CHANGES_RENAME_MAX, cost;
	size_t i, end;
	int r = 0;

	for (i = 0; i < n && r >= 0; i = end) {
		end = i + 1;
		while (end < n && c[end].size == c[i].size) {
			end++;
		}
		cost = cost_of(&c[i], end - i);
		if (cost > 0 && cost <= left) {
			left -= cost;
			r = match_size(&c[i], end - i, original, upper);
		}
	}
	return r;
}

/* Takes out what has become part of a rename. */
static void compact(struct changes *c)
{
	size_t i, kept = 0;

	for (i = 0; i < c->n; i++) {
		if (c->list[i].path) {
			c->list[kept++] = c->list[i];
		}
	}
	c->n = kept;
}

int changes_rename(struct changes *c, int original, int upper)
{
	_cleanup_free_ struct candidate *list = NULL;
	_cleanup_rights_ struct rights rights = RIGHTS_NONE;
	size_t i, n = 0;
	int r;

	for (i = 0; i < c->n; i++) {
		n += side_of(&c->list[i]) != NULL;
	}
	if (n < 2) {
		return 0;
	}
	list = fault_hit() ? NULL : calloc(n, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	for (n = 0, i = 0; i < c->n; i++) {
		const struct change_side *side = side_of(&c->list[i]);

		if (side) {
			const char *slash = strrchr(c->list[i].path, '/');

			list[n++] = (struct candidate){.change = &c->list[i],
						       .name = slash ? slash + 1 : c->list[i].path,
						       .size = side->size};
		}
	}
	qsort(list, n, sizeof(*list), by_size);
	entry_pass(upper, &rights);
	r = match(list, n, original, upper);
	compact(c);
	return r;
}
