/* SPDX-License-Identifier: Apache-2.0 */
/* Appending to a hash-chained record. */
#include "record/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"

/* More than any line holds: a request is at most 8 MiB, and the rest of it is bounded. */
#define MAX_LINE (64 * 1024 * 1024)

static int trail_open(struct trail *t, int dir, const char *sandbox, int flags)
{
	char name[TRAIL_ID_SIZE + 8];

	*t = (struct trail){.fd = FD_NONE};
	memset(t->prev, '0', DIGEST_HEX_SIZE - 1);
	(void)snprintf(t->sandbox, sizeof(t->sandbox), "%s", sandbox);
	(void)snprintf(name, sizeof(name), "%s.jsonl", sandbox);
	t->fd = openat(dir, name, O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return t->fd < 0 ? -errno : 0;
}

int trail_create(struct trail *t, int dir, const char *sandbox, struct err *e)
{
	int r = trail_open(t, dir, sandbox, O_WRONLY | O_CREAT | O_EXCL);

	return r < 0 ? err_sys(e, -r, "cannot create the trail of sandbox %s", sandbox) : 0;
}

/* Counts the lines of the file and finds where the last one begins, which ends it or is cut short.
 */
static int trail_scan(struct trail *t, off_t *ret_last, off_t *ret_size)
{
	char block[65536];
	off_t at = 0, begin = 0;
	ssize_t n;

	*ret_last = 0;
	while ((n = pread(t->fd, block, sizeof(block), at)) > 0) {
		const char *end = block + n, *p = block;

		while ((p = memchr(p, '\n', (size_t)(end - p)))) {
			t->seq++;
			*ret_last = begin;
			begin = at + (++p - block);
		}
		at += n;
	}
	*ret_last = begin < at ? begin : *ret_last;
	*ret_size = at;
	return n < 0 ? -errno : 0;
}

static int read_last(const struct trail *t, off_t last, struct buf *b)
{
	if (lseek(t->fd, last, SEEK_SET) < 0) {
		return -errno;
	}
	return buf_read_fd(b, t->fd);
}

int trail_resume(struct trail *t, int dir, const char *sandbox, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	off_t last = 0, size = 0;
	int r = trail_open(t, dir, sandbox, O_RDWR);

	if (r == -ENOENT) {
		return r;
	}
	buf_init(&b, MAX_LINE);
	if (r >= 0) {
		r = trail_scan(t, &last, &size);
	}
	if (r >= 0 && size > 0) {
		r = read_last(t, last, &b);
	}
	if (r >= 0 && b.len > 0 && b.data[b.len - 1] != '\n') {
		r = write(t->fd, "\n", 1) == 1 ? buf_addc(&b, '\n') : -errno;
		t->seq++;
	}
	if (r < 0) {
		trail_done(t);
		return err_sys(e, -r, "cannot resume the trail of sandbox %s", sandbox);
	}
	if (b.len > 0) {
		digest_hex(b.data, b.len - 1, t->prev);
	}
	return 0;
}

/*
 * A line that does not fit (a full disk) is taken back, so that the next one does not grow out of
 * its stump; where even that fails, nothing more is written.
 */
static int write_line(struct trail *t, const char *line, size_t len, struct err *e)
{
	ssize_t n = write(t->fd, line, len);
	int code = n < 0 ? errno : ENOSPC;
	struct stat st;

	if (n == (ssize_t)len) {
		return 0;
	}
	if (n > 0 && (fstat(t->fd, &st) < 0 || ftruncate(t->fd, st.st_size - n) < 0)) {
		trail_done(t);
	}
	return err_sys(e, code, "cannot write the trail");
}

int trail_add(struct trail *t, const char *event, json_t *data, struct err *e)
{
	_cleanup_json_ json_t *line = json_object();
	_cleanup_free_ char *text = NULL;
	char now[CLOCK_TEXT_SIZE];
	size_t len = 0;
	int r;

	clock_text(now);
	if (!line) {
		json_decref(data);
	}
	if (!line || json_put(line, "data", data ? data : json_object()) < 0 ||
	    json_put(line, "event", json_string(event)) < 0 ||
	    json_put(line, "prev", json_string(t->prev)) < 0 ||
	    json_put(line, "sandbox", json_string(t->sandbox)) < 0 ||
	    json_put(line, "seq", json_integer((json_int_t)t->seq)) < 0 ||
	    json_put(line, "time", json_string(now)) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	text = json_canonical(line, &len);
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	text[len] = '\n'; /* in place of the terminator: the line goes out in one write */
	r = write_line(t, text, len + 1, e);
	text[len] = '\0';
	if (r >= 0) {
		digest_hex(text, len, t->prev);
		t->seq++;
	}
	return r;
}

void trail_done(struct trail *t)
{
	t->fd = fd_close(t->fd);
}
