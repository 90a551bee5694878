/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors on their way into the ledger. */
#include "record/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "record/key.h"

#define DIRECTORY "ledger"
#define NAME      DIRECTORY "/pending.jsonl"

#define MANY     (48 * 1024)        /* bytes, some hundred lines */
#define READ_MAX (64 * 1024 * 1024) /* of a ledger that nobody could write to for long */

static int open_locked(int home, bool make, int *ret, struct err *e)
{
	int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0);
	int fd = openat(home, NAME, flags, 0600);

	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(home, DIRECTORY, 0700) < 0 && errno != EEXIST) {
			return err_sys(e, errno, "cannot make the directory of the ledger");
		}
		fd = openat(home, NAME, flags, 0600);
	}
	if (fd < 0) {
		return errno == ENOENT ? -ENOENT
				       : err_sys(e, errno, "cannot open the pending anchors");
	}
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR) {
			(void)err_sys(e, errno, "cannot lock the pending anchors");
			(void)fd_close(fd);
			return -EIO;
		}
	}
	*ret = fd;
	return 0;
}

static json_t *to_json(const struct pending *p)
{
	const struct checkpoint *c = &p->checkpoint;
	char signature[2 * SIGN_SIZE + 1];

	hex_encode(c->signature, SIGN_SIZE, signature);
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "sandbox", c->sandbox, "size",
			 (json_int_t)p->size, "head", p->head, "before", c->head, "root", c->root,
			 "key", c->key, "time", c->time, "signature", signature);
}

int pending_add(int home, const struct pending *p, bool *ret_many, struct err *e)
{
	_cleanup_json_ json_t *doc = to_json(p);
	_cleanup_buf_ struct buf line = {};
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;
	int r;

	buf_init(&line, 4096);
	if (!doc || json_append(&line, doc) < 0 || buf_addc(&line, '\n') < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = open_locked(home, true, &fd, e);
	if (r < 0) {
		return r;
	}
	if (fstat(fd, &st) < 0 || write(fd, line.data, line.len) != (ssize_t)line.len) {
		r = err_sys(e, errno ? errno : ENOSPC, "cannot add to the pending anchors");
		/* Half of a line is none, and would spoil the next one. */
		(void)!ftruncate(fd, st.st_size);
		return r;
	}
	*ret_many = st.st_size + (off_t)line.len > MANY;
	return 0;
}

static bool take_text(const json_t *doc, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(doc, key));

	if (!text || strlen(text) >= size) {
		return false;
	}
	(void)snprintf(out, size, "%s", text);
	return true;
}

/* Whether it is one that was signed here. */
static bool parse(const char *line, size_t len, const struct key_list *keys, struct pending *ret)
{
	_cleanup_json_ json_t *doc = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *hex = json_string_value(json_object_get(doc, "signature"));
	struct checkpoint *c = &ret->checkpoint;
	json_int_t size = json_integer_value(json_object_get(doc, "size"));
	bool known = false;

	*ret = (struct pending){};
	if (!hex || strlen(hex) != 2UL * SIGN_SIZE || !hex_decode(hex, SIGN_SIZE, c->signature) ||
	    size < 1 || !take_text(doc, "sandbox", c->sandbox, sizeof(c->sandbox)) ||
	    !take_text(doc, "before", c->head, sizeof(c->head)) ||
	    !take_text(doc, "head", ret->head, sizeof(ret->head)) ||
	    !take_text(doc, "root", c->root, sizeof(c->root)) ||
	    !take_text(doc, "key", c->key, sizeof(c->key)) ||
	    !take_text(doc, "time", c->time, sizeof(c->time))) {
		return false;
	}
	ret->size = (uint64_t)size;
	c->size = ret->size - 1;
	for (size_t i = 0; i < keys->n && !known; i++) {
		known = checkpoint_verify(c, keys->keys[i]);
	}
	return known;
}

int pending_take(int home, const struct key_list *keys, pending_fn *fn, void *arg, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	_cleanup_fd_ int fd = FD_NONE;
	struct pending p;
	const char *line, *end;
	int n = 0, r = open_locked(home, false, &fd, e);

	if (r < 0) {
		return r == -ENOENT ? 0 : r;
	}
	buf_init(&b, READ_MAX);
	r = buf_read_fd(&b, fd);
	if (r < 0) {
		return err_sys(e, -r, "cannot read the pending anchors");
	}
	for (line = buf_str(&b); r >= 0 && (end = strchr(line, '\n')); line = end + 1) {
		if (parse(line, (size_t)(end - line), keys, &p)) {
			r = fn(arg, &p, e);
			n++;
		}
	}
	if (r >= 0 && b.len > 0 && ftruncate(fd, 0) < 0) {
		r = err_sys(e, errno, "cannot empty the pending anchors");
	}
	return r < 0 ? r : n;
}
