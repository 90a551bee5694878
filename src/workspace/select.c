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

/* Marks every directory that has to be made for what is chosen. */
static void choose_above(const struct changes *c, const struct change *of, bool *chosen)
{
	size_t len;

	for (len = strlen(of->path); len > 0; len--) {
		const struct change *above;

		if (of->path[len] != '/') {
			continue;
		}
		above = changes_at(c, of->path, len);
		if (above && S_ISDIR(above->after.mode) && above->kind != CHANGE_MODE) {
			chosen[above - c->list] = true;
		}
	}
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
