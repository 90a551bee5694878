/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing changes. */
#include "workspace/select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "workspace/change.h"

/* A path without what says nothing: "./a/" is "a", "." is the whole. */
static size_t trim(const char **path)
{
	size_t len;

	while (strncmp(*path, "./", 2) == 0) {
		for (*path += 2; **path == '/'; (*path)++) {
		}
	}
	len = strlen(*path);
	while (len > 0 && (*path)[len - 1] == '/') {
		len--;
	}
	return len == 1 && **path == '.' ? 0 : len;
}

/* As strcmp(3) compares, with a string that ends at `len`. */
static int compare(const char *path, const char *other, size_t len)
{
	int r = strncmp(path, other, len);

	return r != 0 ? r : path[len] != '\0';
}

const struct change *changes_at(const struct changes *c, const char *path, size_t len)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = compare(c->list[middle].path, path, len);

		if (r == 0) {
			return &c->list[middle];
		}
		if (r < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

static bool is_within(const char *path, const char *dir, size_t len)
{
	return path && strncmp(path, dir, len) == 0 &&
	       (len == 0 || path[len] == '/' || path[len] == '\0');
}

/* The next directory above `path` that is a change; *len is where the last one ended, at first the
 * length of the path. */
static const struct change *next_above(const struct changes *c, const char *path, size_t *len)
{
	const struct change *above = NULL;

	while (!above && *len > 0) {
		(*len)--;
		above = path[*len] == '/' ? changes_at(c, path, *len) : NULL;
	}
	return above;
}

/* True for a directory that has to be made before anything can be in it. */
static bool is_new_dir(const struct change *x)
{
	return S_ISDIR(x->after.mode) && x->kind != CHANGE_MODE;
}

/* Marks every directory that has to be made for what is chosen. */
static void choose_above(const struct changes *c, const struct change *of, bool *chosen)
{
	const struct change *above;
	size_t len = strlen(of->path);

	while ((above = next_above(c, of->path, &len))) {
		if (is_new_dir(above)) {
			chosen[above - c->list] = true;
		}
	}
}

bool changes_homeless(const struct changes *c, size_t i, const bool *chosen)
{
	const struct change *above;
	size_t len = strlen(c->list[i].path);

	while ((above = next_above(c, c->list[i].path, &len))) {
		if (is_new_dir(above) && !chosen[above - c->list]) {
			return true;
		}
	}
	return false;
}

size_t changes_reconcile(const struct changes *c, bool *chosen)
{
	size_t n = 0, i;

	for (i = 0; i < c->n; i++) {
		const struct change *above;
		size_t len = strlen(c->list[i].path);

		while (!chosen[i] && c->list[i].kind == CHANGE_DELETED &&
		       (above = next_above(c, c->list[i].path, &len))) {
			n += chosen[above - c->list] && !S_ISDIR(above->after.mode);
			if (!S_ISDIR(above->after.mode)) {
				chosen[above - c->list] = false;
			}
		}
	}
	return n;
}

static bool choose(const struct changes *c, const char *path, bool *chosen)
{
	size_t len = trim(&path), i;
	bool found = false;

	for (i = 0; i < c->n; i++) {
		const struct change *x = &c->list[i];

		if (is_within(x->path, path, len) || is_within(x->from, path, len)) {
			found = chosen[i] = true;
			choose_above(c, x, chosen);
		}
	}
	return found;
}

void changes_keep(struct changes *c, const bool *chosen)
{
	size_t n = 0, i;

	for (i = 0; i < c->n; i++) {
		struct change *x = &c->list[i];

		if (chosen[i]) {
			c->list[n++] = *x;
			continue;
		}
		free(x->path);
		free(x->from);
		free(x->before.target);
		free(x->after.target);
	}
	c->n = n;
}

int changes_select(struct changes *c, char *const *paths, size_t n, const char **ret_unknown)
{
	bool *chosen;
	size_t i;

	*ret_unknown = NULL;
	if (n == 0) {
		return 0;
	}
	chosen = fault_hit() ? NULL : calloc(c->n + 1, sizeof(*chosen));
	if (!chosen) {
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		if (!choose(c, paths[i], chosen) && !*ret_unknown) {
			*ret_unknown = paths[i];
		}
	}
	changes_keep(c, chosen);
	free(chosen);
	return 0;
}
