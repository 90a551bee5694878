/* SPDX-License-Identifier: Apache-2.0 */
/* One step of an apply, forward and back. */
#include "workspace/apply-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "workspace/change-internal.h"

#define NUMBER_SIZE 24

static const char *staged_as(char letter, size_t i, char out[NUMBER_SIZE])
{
	(void)snprintf(out, NUMBER_SIZE, "%c%zu", letter, i);
	return out;
}

struct step *steps_add(struct steps *s, enum step_kind kind, const char *path)
{
	size_t room = s->room ? s->room * 2 : 64;
	struct step *more;

	if (s->n == s->room) {
		more = fault_hit() ? NULL : reallocarray(s->list, room, sizeof(*more));
		if (!more) {
			return NULL;
		}
		s->list = more;
		s->room = room;
	}
	s->list[s->n] = (struct step){.kind = kind, .path = fault_hit() ? NULL : strdup(path)};
	return s->list[s->n].path ? &s->list[s->n++] : NULL;
}

void steps_done(struct steps *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		free(s->list[i].path);
	}
	free(s->list);
	touched_done(&s->ours);
	s->stage = fd_close(s->stage);
	*s = (struct steps){.stage = FD_NONE};
}

int step_parent(const struct apply *a, const char *path, const char **ret_name)
{
	_cleanup_free_ char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir) {
		return -ENOMEM;
	}
	*ret_name = path + (slash ? slash - dir + 1 : 0);
	if (!slash) {
		return entry_open(a->original, ".", O_PATH | O_DIRECTORY);
	}
	*slash = '\0';
	return entry_open(a->original, dir, O_PATH | O_DIRECTORY);
}

int step_look(const struct apply *a, const char *path, struct stat *ret)
{
	const char *name;
	_cleanup_fd_ int parent = step_parent(a, path, &name);

	if (parent < 0) {
		return parent;
	}
	return fstatat(parent, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int move(int from, const char *name, int to, const char *as, unsigned flags)
{
	if (fault_hit()) {
		return -EIO;
	}
	return renameat2(from, name, to, as, flags) < 0 ? -errno : 0;
}

static ino_t number_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_ino;
}

static bool is_empty(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	bool empty = list != NULL;

	while (empty && (entry = readdir(list))) {
		empty = entry_is_dot(entry->d_name);
	}
	if (list) {
		(void)closedir(list);
	} else {
		(void)fd_close(fd);
	}
	return empty;
}

/* True if what has come out is what the step was made for, and nobody has written to it since. */
static bool is_as_found(const struct step *step, int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == step->before &&
	       step_written(&st) == step->found_ns;
}

/* What has come out must be what the step was made for; else it goes back. */
static int take_out(const struct steps *s, size_t i, int parent, const char *name)
{
	const struct step *step = &s->list[i];
	char old[NUMBER_SIZE];
	int r = move(parent, name, s->stage, staged_as('o', i, old), RENAME_NOREPLACE);

	if (r < 0) {
		return r;
	}
	if (!is_as_found(step, s->stage, old)) {
		r = -ESTALE;
	} else if (step->is_dir && !is_empty(s->stage, old)) {
		r = -ENOTEMPTY;
	}
	if (r < 0) {
		(void)move(s->stage, old, parent, name, RENAME_NOREPLACE);
	}
	return r;
}

static int exchange(const struct steps *s, size_t i, int parent, const char *name)
{
	char new[NUMBER_SIZE];
	int r = move(s->stage, staged_as('n', i, new), parent, name, RENAME_EXCHANGE);

	if (r == 0 && !is_as_found(&s->list[i], s->stage, new)) {
		(void)move(s->stage, new, parent, name, RENAME_EXCHANGE);
		r = -ESTALE;
	}
	return r;
}

/* Changes permissions from one to the other, where they still are the one. */
static int set_mode(const struct apply *a, const struct step *step, mode_t from, mode_t to)
{
	_cleanup_fd_ int fd = entry_open(a->original, step->path, O_PATH);
	char link[48];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return fd < 0 ? fd : -errno;
	}
	if (st.st_ino != step->before || S_ISLNK(st.st_mode)) {
		return -ESTALE;
	}
	if ((st.st_mode & 07777) != from) {
		return (st.st_mode & 07777) == to ? 0 : -ESTALE;
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return chmod(link, to) < 0 ? -errno : 0;
}

int step_do(const struct apply *a, const struct steps *s, size_t i)
{
	const struct step *step = &s->list[i];
	_cleanup_fd_ int parent = FD_NONE;
	const char *name;
	char new[NUMBER_SIZE];

	if (step->kind == STEP_MODE) {
		return set_mode(a, step, step->old_mode, step->new_mode);
	}
	parent = step_parent(a, step->path, &name);
	if (parent < 0) {
		return parent;
	}
	switch (step->kind) {
	case STEP_REMOVE:
		return take_out(s, i, parent, name);
	case STEP_PUT:
		return move(s->stage, staged_as('n', i, new), parent, name, RENAME_NOREPLACE);
	case STEP_REPLACE:
		return exchange(s, i, parent, name);
	case STEP_MODE:
		break;
	}
	return -EINVAL;
}

bool step_done(const struct apply *a, const struct steps *s, size_t i)
{
	const struct step *step = &s->list[i];
	char name[NUMBER_SIZE];

	(void)a;
	switch (step->kind) {
	case STEP_REMOVE:
		return number_of(s->stage, staged_as('o', i, name)) == step->before;
	case STEP_PUT:
	case STEP_REPLACE:
		return number_of(s->stage, staged_as('n', i, name)) != step->staged;
	case STEP_MODE:
		break;
	}
	return false; /* doing it again does no harm */
}

int64_t step_written(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec : 0;
}

/* Only what we have put is taken away again, and nothing that somebody has used since. */
static int take_back(const struct steps *s, size_t i, int parent, const char *name)
{
	const struct step *step = &s->list[i];
	char new[NUMBER_SIZE];
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	if (st.st_ino != step->staged || step_written(&st) != step->written_ns) {
		return -ESTALE;
	}
	if (step->is_dir && !is_empty(parent, name)) {
		return -ENOTEMPTY;
	}
	return move(parent, name, s->stage, staged_as('n', i, new),
		    step->kind == STEP_REPLACE ? RENAME_EXCHANGE : RENAME_NOREPLACE);
}

int step_undo(const struct apply *a, const struct steps *s, size_t i)
{
	const struct step *step = &s->list[i];
	_cleanup_fd_ int parent = FD_NONE;
	const char *name;
	char old[NUMBER_SIZE];
	int r;

	if (step->kind == STEP_MODE) {
		r = set_mode(a, step, step->new_mode, step->old_mode);
		return r == -ENOENT || r == -ESTALE ? 0 : r; /* it never came so far */
	}
	if (!step_done(a, s, i)) {
		return 0;
	}
	parent = step_parent(a, step->path, &name);
	if (parent < 0) {
		return parent;
	}
	return step->kind == STEP_REMOVE ? move(s->stage, staged_as('o', i, old), parent, name,
						RENAME_NOREPLACE)
					 : take_back(s, i, parent, name);
}
