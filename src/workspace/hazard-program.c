/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executables that hide a program of PATH.
 *
 * A name in the workspace is found before PATH only where somebody looks there first: at the root
 * ("." in PATH, Windows), and in the directories that direnv, npm, rails and many project scripts
 * put in front of PATH. Elsewhere an executable called `install` or `test` is an ordinary file.
 */
#include "workspace/hazard-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "workspace/change.h"

#define PATH_DIRS_MAX 64 /* directories of PATH that are read */
#define EXEC_BITS     (S_IXUSR | S_IXGRP | S_IXOTH)

static const char *const found_first[] = {"bin", "sbin", ".bin", "scripts"};

struct candidate {
	const char *name;
	size_t change;
};

struct candidates {
	struct candidate *list;
	size_t n, room;
};

static bool looked_at_first(const char *path, const char *name)
{
	const char *end = name > path ? name - 1 : path, *start = end;

	while (start > path && start[-1] != '/') {
		start--;
	}
	for (size_t i = 0; i < ARRAY_SIZE(found_first); i++) {
		size_t len = strlen(found_first[i]);

		if ((size_t)(end - start) == len && strncasecmp(start, found_first[i], len) == 0) {
			return true;
		}
	}
	return name == path;
}

static bool becomes_executable(const struct change *c)
{
	mode_t mode = c->after.mode;

	if (c->kind == CHANGE_MODE) {
		return S_ISREG(mode) && (mode & ~c->before.mode & EXEC_BITS) != 0;
	}
	return S_ISLNK(mode) || (S_ISREG(mode) && (mode & EXEC_BITS) != 0);
}

static int add(struct candidates *c, const char *name, size_t change)
{
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 16;
		struct candidate *list =
			fault_hit() ? NULL : reallocarray(c->list, room, sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		c->list = list;
		c->room = room;
	}
	c->list[c->n++] = (struct candidate){name, change};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct candidate *)a)->name, ((const struct candidate *)b)->name);
}

static void mark(const struct candidates *c, const char *name, bool *hides)
{
	const struct candidate key = {name, 0};
	const struct candidate *hit = bsearch(&key, c->list, c->n, sizeof(key), by_name);

	while (hit && hit > c->list && by_name(hit - 1, &key) == 0) {
		hit--;
	}
	for (; hit && hit < c->list + c->n && by_name(hit, &key) == 0; hit++) {
		hides[hit->change] = true;
	}
}

/* Takes `fd`. */
static void read_dir(int fd, const struct candidates *c, bool *hides)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		(void)fd_close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		mark(c, entry->d_name, hides);
	}
	(void)closedir(dir);
}

/* PATH may name a directory twice, and by several names. */
static bool is_new(int fd, struct stat *seen, size_t *n)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return false;
	}
	for (size_t i = 0; i < *n; i++) {
		if (seen[i].st_dev == st.st_dev && seen[i].st_ino == st.st_ino) {
			return false;
		}
	}
	seen[(*n)++] = st;
	return true;
}

static void read_path(const char *path, const struct candidates *c, bool *hides)
{
	struct stat seen[PATH_DIRS_MAX];
	size_t n = 0;

	while (*path && n < PATH_DIRS_MAX) {
		size_t len = strcspn(path, ":");
		char name[PATH_MAX];
		_cleanup_fd_ int fd = FD_NONE;

		if (path[0] == '/' && len < sizeof(name)) {
			memcpy(name, path, len);
			name[len] = '\0';
			fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
		if (fd >= 0 && is_new(fd, seen, &n)) {
			read_dir(TAKE_FD(fd), c, hides);
		}
		path += len + (path[len] == ':');
	}
}

int hazard_programs(const struct changes *c, const char *path, bool **ret)
{
	struct candidates found = {};
	bool *hides;
	int r = 0;

	for (size_t i = 0; i < c->n && r >= 0; i++) {
		const char *slash = strrchr(c->list[i].path, '/');
		const char *name = slash ? slash + 1 : c->list[i].path;

		if (becomes_executable(&c->list[i]) && looked_at_first(c->list[i].path, name)) {
			r = add(&found, name, i);
		}
	}
	if (r >= 0 && found.n > 0) {
		hides = fault_hit() ? NULL : calloc(c->n, sizeof(*hides));
		r = hides ? 0 : -ENOMEM;
		if (hides) {
			qsort(found.list, found.n, sizeof(*found.list), by_name);
			read_path(path, &found, hides);
			*ret = hides;
		}
	}
	free(found.list);
	return r;
}
