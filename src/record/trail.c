/* SPDX-License-Identifier: Apache-2.0 */
/* Appending to a hash-chained record. */
#include "record/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
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

/* ---- copying ---- */

struct copying {
	const char *sandbox;
	int to;
	trail_event *fn;
	void *arg;
	uint64_t seq;
	bool cut; /* the line before was no event */
	char prev[DIGEST_HEX_SIZE];
};

static int broken(const struct copying *c, const char *why, struct err *e)
{
	return err_set(e, ERR_SYSTEM, EBADMSG,
		       "the record of sandbox %s is broken: line %" PRIu64 " %s", c->sandbox,
		       c->seq + 1, why);
}

/* The members of an event, and no others; as they must be behind the lines before. */
static const char *wrong_with(const struct copying *c, const json_t *j, const char *line,
			      size_t len)
{
	const char *name = json_string_value(json_object_get(j, "event"));
	const char *prev = json_string_value(json_object_get(j, "prev"));
	const char *sandbox = json_string_value(json_object_get(j, "sandbox"));
	const json_t *seq = json_object_get(j, "seq");
	_cleanup_free_ char *text = json_canonical(j, NULL);

	if (!name || !json_is_object(json_object_get(j, "data")) ||
	    !json_is_string(json_object_get(j, "time")) || json_object_size(j) != 6) {
		return "is no event";
	}
	if (!prev || strcmp(prev, c->prev) != 0) {
		return "does not follow from the line before";
	}
	if (!json_is_integer(seq) || (uint64_t)json_integer_value(seq) != c->seq) {
		return "has another number";
	}
	if (!sandbox || strcmp(sandbox, c->sandbox) != 0) {
		return "is about another sandbox";
	}
	if (!text || strlen(text) != len || memcmp(text, line, len) != 0) {
		return "is not as it was written";
	}
	return c->cut && strcmp(name, "reaped") != 0 ? "stands behind one that was cut short"
						     : NULL;
}

static int copy_line(struct copying *c, const char *line, size_t len, struct err *e)
{
	_cleanup_json_ json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *why = j ? wrong_with(c, j, line, len) : NULL;
	int r = 0;

	if (why || (!j && c->cut)) {
		return broken(c, why ? why : "is no event", e);
	}
	if (j) {
		r = c->fn(c->arg, json_string_value(json_object_get(j, "event")),
			  json_object_get(j, "data"), e);
	}
	if (r >= 0 && c->to >= 0) {
		r = buf_write_fd(c->to, line, len + 1);
		r = r < 0 ? err_sys(e, -r, "cannot copy the record of sandbox %s", c->sandbox) : 0;
	}
	c->cut = !j;
	digest_hex(line, len, c->prev);
	c->seq++;
	return r;
}

int trail_copy(int dir, const char *sandbox, int to, trail_event *fn, void *arg,
	       char head[DIGEST_HEX_SIZE], struct err *e)
{
	struct copying c = {.sandbox = sandbox, .to = to, .fn = fn, .arg = arg};
	_cleanup_free_ char *line = NULL;
	_cleanup_fclose_ FILE *in = NULL;
	char name[TRAIL_ID_SIZE + 8];
	size_t size = 0;
	ssize_t n;
	int fd, r = 0;

	memset(c.prev, '0', DIGEST_HEX_SIZE - 1);
	(void)snprintf(name, sizeof(name), "%s.jsonl", sandbox);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	in = fd < 0 ? NULL : fdopen(fd, "re");
	if (!in) {
		r = err_sys(e, errno, "cannot open the record of sandbox %s", sandbox);
		(void)fd_close(fd);
		return r;
	}
	while (r >= 0 && (n = getline(&line, &size, in)) > 0) {
		if (line[n - 1] != '\n') {
			return broken(&c, "has no end", e);
		}
		r = copy_line(&c, line, (size_t)n - 1, e);
	}
	if (r >= 0 && ferror(in)) {
		return err_sys(e, errno, "cannot read the record of sandbox %s", sandbox);
	}
	if (r >= 0 && (c.seq == 0 || c.cut)) {
		return broken(&c, c.cut ? "does not follow" : "is missing", e);
	}
	memcpy(head, c.prev, DIGEST_HEX_SIZE);
	return r;
}
