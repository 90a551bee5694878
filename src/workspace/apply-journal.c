/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of an apply: what a crash in the middle leaves, to go on from or back. */
#include "workspace/apply-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"

#define JOURNAL "apply.json"

static const char *const kinds[] = {
	[STEP_REMOVE] = "remove",
	[STEP_PUT] = "put",
	[STEP_REPLACE] = "replace",
	[STEP_MODE] = "mode",
};

/* A path is any bytes; JSON has none. */
json_t *journal_path_json(const char *path)
{
	size_t len = strlen(path), i;
	_cleanup_free_ char *hex = fault_hit() ? NULL : malloc(2 * len + 1);

	if (!hex) {
		return NULL;
	}
	for (i = 0; i < len; i++) {
		(void)snprintf(hex + 2 * i, 3, "%02x", (unsigned char)path[i]);
	}
	hex[2 * len] = '\0';
	return json_string(hex);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *journal_path(const char *hex)
{
	size_t len = strlen(hex), i;
	char *path = len % 2 == 0 && len > 0 ? malloc(len / 2 + 1) : NULL;

	for (i = 0; path && i < len; i += 2) {
		int high = digit(hex[i]), low = digit(hex[i + 1]);

		if (high < 0 || low < 0 || high + low == 0) {
			free(path);
			return NULL;
		}
		path[i / 2] = (char)(high * 16 + low);
	}
	if (path) {
		path[len / 2] = '\0';
	}
	return path;
}

static json_t *step_to_json(const struct step *step)
{
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:b, s:i, s:i}", "kind", kinds[step->kind], "path",
			 journal_path_json(step->path), "before", (json_int_t)step->before,
			 "found_ns", (json_int_t)step->found_ns, "staged",
			 (json_int_t)step->staged, "written_ns",
			 (json_int_t)step->written_ns, "dir", step->is_dir, "old_mode",
			 (int)step->old_mode, "new_mode", (int)step->new_mode);
}

int journal_file(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_fd_ int fd = FD_NONE;
	char new[32];

	(void)snprintf(new, sizeof(new), ".%s", name);
	(void)unlinkat(dir, new, 0);
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	while (len > 0) {
		ssize_t n = fault_hit() ? (errno = ENOSPC, -1) : write(fd, text, len);

		if (n < 0) {
			return -errno;
		}
		text += n;
		len -= (size_t)n;
	}
	if (fsync(fd) < 0 || renameat(dir, new, dir, name) < 0 || fsync(dir) < 0) {
		return -errno;
	}
	return 0;
}

int journal_write(const struct apply *a, const struct steps *s, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_free_ char *text = NULL;
	size_t i, len = 0;
	int r = list ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < s->n; i++) {
		r = json_array_append_new(list, step_to_json(&s->list[i])) < 0 ? -ENOMEM : 0;
	}
	doc = r == 0 ? json_pack("{s:O}", "steps", list) : NULL;
	text = doc ? json_canonical(doc, &len) : NULL;
	r = text ? journal_file(a->journal, JOURNAL, text, len) : -ENOMEM;
	return r < 0 ? err_sys(e, -r, "cannot write the journal") : 0;
}

static int read_step(const json_t *j, struct steps *ret, struct err *e)
{
	const char *kind = NULL, *hex = NULL;
	int64_t before = 0, found_ns = 0, staged = 0, written_ns = 0, old_mode = 0, new_mode = 0;
	_cleanup_free_ char *path = NULL;
	struct step *step;
	bool is_dir = false;
	size_t k = 0;
	int r = json_get_str(j, "kind", &kind, e);

	r = r < 0 ? r : json_get_str(j, "path", &hex, e);
	r = r < 0 ? r : json_get_int(j, "before", &before, e);
	r = r < 0 ? r : json_get_int(j, "found_ns", &found_ns, e);
	r = r < 0 ? r : json_get_int(j, "staged", &staged, e);
	r = r < 0 ? r : json_get_int(j, "written_ns", &written_ns, e);
	r = r < 0 ? r : json_get_bool(j, "dir", &is_dir, e);
	r = r < 0 ? r : json_get_int(j, "old_mode", &old_mode, e);
	r = r < 0 ? r : json_get_int(j, "new_mode", &new_mode, e);
	while (r == 0 && k < ARRAY_SIZE(kinds) && strcmp(kinds[k], kind) != 0) {
		k++;
	}
	path = r == 0 && k < ARRAY_SIZE(kinds) ? journal_path(hex) : NULL;
	if (!path) {
		return r < 0 ? r : err_set(e, ERR_SYSTEM, EBADMSG, "the journal is damaged");
	}
	step = steps_add(ret, (enum step_kind)k, path);
	if (!step) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	step->before = (ino_t)before;
	step->found_ns = found_ns;
	step->staged = (ino_t)staged;
	step->written_ns = written_ns;
	step->is_dir = is_dir;
	step->old_mode = (mode_t)old_mode & 07777;
	step->new_mode = (mode_t)new_mode & 0777;
	return 0;
}

int journal_read(const struct apply *a, struct steps *ret, struct err *e)
{
	_cleanup_fd_ int fd = openat(a->journal, JOURNAL, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	json_t *step, *list = json_object_get(doc, "steps");
	size_t i;
	int r = 0;

	if (fd < 0 || !json_is_array(list)) {
		return err_set(e, ERR_SYSTEM, fd < 0 ? errno : EBADMSG,
			       "the journal of the interrupted apply cannot be read");
	}
	json_array_foreach(list, i, step)
	{
		if (r == 0) {
			r = read_step(step, ret, e);
		}
	}
	return r;
}

bool apply_pending(int journal)
{
	return faccessat(journal, JOURNAL, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int journal_remove(const struct apply *a, struct err *e)
{
	if ((unlinkat(a->journal, JOURNAL, 0) < 0 && errno != ENOENT) || fsync(a->journal) < 0) {
		return err_sys(e, errno, "cannot remove the journal");
	}
	return 0;
}
