/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an apply has moved away and back again. That gave it another ctime, which would be taken for
 * a change by somebody else: so the sandbox's directory remembers which inode with which ctime is
 * our own doing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "workspace/apply-internal.h"

#define TOUCHED "touched.json"

static int64_t stamp(const struct stat *st)
{
	return st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct touch *)a)->path, ((const struct touch *)b)->path);
}

static int add(struct touched *t, char *path, ino_t ino, int64_t ctime_ns)
{
	size_t room = t->room ? t->room * 2 : 64;

	if (t->n == t->room) {
		struct touch *more =
			fault_hit() ? NULL : reallocarray(t->list, room, sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		t->list = more;
		t->room = room;
	}
	t->list[t->n++] = (struct touch){path, ino, ctime_ns};
	return 0;
}

void touched_done(struct touched *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		free(t->list[i].path);
	}
	free(t->list);
	*t = (struct touched){};
}

static int read_row(const json_t *j, struct touched *ret, struct err *e)
{
	const char *hex = NULL;
	int64_t ino = 0, ctime_ns = 0;
	char *path;
	int r = json_get_str(j, "path", &hex, e);

	r = r < 0 ? r : json_get_int(j, "inode", &ino, e);
	r = r < 0 ? r : json_get_int(j, "ctime_ns", &ctime_ns, e);
	if (r < 0) {
		return r;
	}
	path = journal_path(hex);
	if (!path || add(ret, path, (ino_t)ino, ctime_ns) < 0) {
		free(path);
		return err_set(e, ERR_SYSTEM, EBADMSG, "'%s' cannot be read", TOUCHED);
	}
	return 0;
}

int touched_read(int journal, struct touched *ret, struct err *e)
{
	_cleanup_fd_ int fd = openat(journal, TOUCHED, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_json_ json_t *list = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	json_t *row;
	size_t i;
	int r = 0;

	*ret = (struct touched){};
	if (fd < 0 && errno == ENOENT) {
		return 0;
	}
	if (!json_is_array(list)) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "'%s' cannot be read", TOUCHED);
	}
	json_array_foreach(list, i, row)
	{
		if (r == 0) {
			r = read_row(row, ret, e);
		}
	}
	if (ret->n > 0) {
		qsort(ret->list, ret->n, sizeof(*ret->list), by_path);
	}
	return r;
}

bool touched_has(const struct touched *t, const char *path, const struct stat *st)
{
	const struct touch key = {.path = (char *)path};
	const struct touch *found =
		t->n > 0 ? bsearch(&key, t->list, t->n, sizeof(key), by_path) : NULL;

	return found && found->ino == st->st_ino && found->ctime_ns == stamp(st);
}

static json_t *row_of(const char *path, ino_t ino, int64_t ctime_ns)
{
	return json_pack("{s:o, s:I, s:I}", "path", journal_path_json(path), "inode",
			 (json_int_t)ino, "ctime_ns", (json_int_t)ctime_ns);
}

/* True for what is as a step found it but for the time of its last change of any kind. */
static bool is_as_before(const struct step *step, const struct stat *st)
{
	return step->before != 0 && st->st_ino == step->before &&
	       step_written(st) == step->before_ns && (st->st_mode & 07777) == step->old_mode;
}

/* What is where a step found it, and as it found it; the rows of earlier times stand unless this
 * one has the path. */
static int add_rows(const struct apply *a, const struct steps *s, const struct touched *earlier,
		    json_t *list)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < earlier->n; i++) {
		const struct touch *t = &earlier->list[i];
		struct stat st;

		if (step_look(a, t->path, &st) == 0 && touched_has(earlier, t->path, &st)) {
			r = json_array_append_new(list, row_of(t->path, t->ino, t->ctime_ns));
		}
	}
	for (i = 0; r == 0 && i < s->n; i++) {
		const struct step *step = &s->list[i];
		struct stat st;

		if (step_look(a, step->path, &st) == 0 && is_as_before(step, &st)) {
			r = json_array_append_new(list, row_of(step->path, st.st_ino, stamp(&st)));
		}
	}
	return r;
}

int touched_write(const struct apply *a, const struct steps *s, struct err *e)
{
	_cleanup_(touched_done) struct touched earlier = {};
	_cleanup_json_ json_t *list = json_array();
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = touched_read(a->journal, &earlier, e);

	if (r < 0) {
		return r;
	}
	text = list && add_rows(a, s, &earlier, list) == 0 ? json_canonical(list, &len) : NULL;
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = journal_file(a->journal, TOUCHED, text, len);
	return r < 0 ? err_sys(e, -r, "cannot write '%s'", TOUCHED) : 0;
}
