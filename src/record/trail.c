/* SPDX-License-Identifier: Apache-2.0 */
/* Appending to a hash-chained record. */
#include "record/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "record/event.h"

/* A line that was larger gives its memory back. */
#define LINE_KEPT 65536

void trail_file(const char *sandbox, unsigned n, char out[TRAIL_FILE_SIZE])
{
	if (n == 1) {
		(void)snprintf(out, TRAIL_FILE_SIZE, "%s.jsonl", sandbox);
	} else {
		(void)snprintf(out, TRAIL_FILE_SIZE, "%s.%u.jsonl", sandbox, n);
	}
}

static int open_segment(const struct trail *t, unsigned n, int flags)
{
	char name[TRAIL_FILE_SIZE];
	int fd;

	trail_file(t->sandbox, n, name);
	fd = openat(t->dir, name, O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return fd < 0 ? -errno : fd;
}

static void trail_init(struct trail *t, int dir, const char *sandbox)
{
	*t = (struct trail){.dir = dir, .first = FD_NONE, .fd = FD_NONE, .segment = 1};
	(void)snprintf(t->sandbox, sizeof(t->sandbox), "%s", sandbox);
	buf_init(&t->line, TRAIL_MAX_LINE);
}

int trail_create(struct trail *t, int dir, const char *sandbox, struct err *e)
{
	int r;

	trail_init(t, dir, sandbox);
	r = open_segment(t, 1, O_WRONLY | O_CREAT | O_EXCL);
	if (r < 0) {
		return err_sys(e, -r, "cannot create the trail of sandbox %s", sandbox);
	}
	t->first = t->fd = r;
	/* Nobody else can have it: it is new, and readers that are quicker do not wait. */
	(void)flock(t->first, LOCK_EX | LOCK_NB);
	return 0;
}

/* ---- resuming ---- */

/* The digest of a line that came in pieces. */
struct scan {
	struct digest digest;
	bool begun; /* there are bytes behind the last newline */
};

static void end_line(struct trail *t, struct scan *s)
{
	digest_end_raw(&s->digest, t->prev);
	merkle_add(&t->tree, t->prev);
	t->seq++;
	digest_init(&s->digest);
	s->begun = false;
}

/* Follows one segment to its end. */
static int scan_segment(struct trail *t, int fd, struct scan *s)
{
	char block[65536];
	ssize_t n;

	t->size = 0;
	while ((n = pread(fd, block, sizeof(block), (off_t)t->size)) > 0) {
		const char *p = block, *end = block + n, *newline;

		while ((newline = memchr(p, '\n', (size_t)(end - p)))) {
			digest_add(&s->digest, p, (size_t)(newline - p));
			end_line(t, s);
			p = newline + 1;
		}
		digest_add(&s->digest, p, (size_t)(end - p));
		s->begun = s->begun || p < end;
		t->size += (uint64_t)n;
	}
	return n < 0 ? -errno : 0;
}

/* All segments that there are; the last stays open. */
static int scan_all(struct trail *t, struct scan *s)
{
	int r = scan_segment(t, t->first, s);

	t->fd = t->first;
	while (r >= 0) {
		int next = open_segment(t, t->segment + 1, O_RDWR);

		if (next < 0) {
			return next == -ENOENT ? 0 : next;
		}
		if (t->fd != t->first) {
			t->fd = fd_close(t->fd);
		}
		t->fd = next;
		t->segment++;
		r = scan_segment(t, next, s);
	}
	return r;
}

int trail_resume(struct trail *t, int dir, const char *sandbox, struct err *e)
{
	struct scan s = {};
	int r;

	trail_init(t, dir, sandbox);
	digest_init(&s.digest);
	r = t->first = open_segment(t, 1, O_RDWR);
	if (r == -ENOENT) {
		return r;
	}
	while (r >= 0 && flock(t->first, LOCK_EX) < 0) {
		r = errno == EINTR ? r : -errno;
	}
	r = r < 0 ? r : scan_all(t, &s);
	if (r >= 0 && s.begun) {
		r = write(t->fd, "\n", 1) == 1 ? 0 : -errno;
		end_line(t, &s);
	}
	if (r < 0) {
		trail_done(t);
		return err_sys(e, -r, "cannot resume the trail of sandbox %s", sandbox);
	}
	return 0;
}

/* ---- adding ---- */

/*
 * A line that does not fit (a full disk) is taken back, so that the next one does not grow out of
 * its stump; where even that fails, nothing more is written.
 */
static int write_line(struct trail *t, struct err *e)
{
	ssize_t n = write(t->fd, t->line.data, t->line.len);
	int code = n < 0 ? errno : ENOSPC;
	struct stat st;

	if (n == (ssize_t)t->line.len) {
		t->size += (uint64_t)n;
		return 0;
	}
	if (n > 0 && (fstat(t->fd, &st) < 0 || ftruncate(t->fd, st.st_size - n) < 0)) {
		trail_done(t);
	}
	return err_sys(e, code, "cannot write the trail");
}

/* The next segment, when the one before is large enough. */
static int turn_over(struct trail *t, struct err *e)
{
	int next;

	if (t->size < TRAIL_SEGMENT) {
		return 0;
	}
	next = open_segment(t, t->segment + 1, O_WRONLY | O_CREAT | O_EXCL);
	if (next < 0) {
		return err_sys(e, -next, "cannot begin a new segment of the trail");
	}
	/* Who waits for a loss of power asks for the new one only. */
	(void)fdatasync(t->fd);
	if (t->fd != t->first) {
		t->fd = fd_close(t->fd);
	}
	t->fd = next;
	t->segment++;
	t->size = 0;
	t->named = false;
	return 0;
}

/* Keys in their order; only the data is anybody's text. */
static bool build_line(struct trail *t, const char *event, const json_t *data, const char *time)
{
	char prev[DIGEST_HEX_SIZE];
	struct buf *b = &t->line;

	hex_encode(t->prev, DIGEST_SIZE, prev);
	buf_clear(b);
	(void)buf_adds(b, "{\"data\":");
	if (json_append(b, data) < 0) {
		return false;
	}
	(void)buf_adds(b, ",\"event\":\"");
	(void)buf_adds(b, event);
	(void)buf_adds(b, "\",\"prev\":\"");
	(void)buf_add(b, prev, DIGEST_HEX_SIZE - 1);
	(void)buf_adds(b, "\",\"sandbox\":\"");
	(void)buf_adds(b, t->sandbox);
	(void)buf_adds(b, "\",\"seq\":");
	(void)buf_addu(b, t->seq);
	(void)buf_adds(b, ",\"time\":\"");
	(void)buf_adds(b, time);
	(void)buf_adds(b, "\"}\n");
	return !b->failed;
}

int trail_add(struct trail *t, const char *event, json_t *data, struct err *e)
{
	char now[CLOCK_TEXT_SIZE];

	clock_text_again(&t->second, now);
	return trail_add_at(t, event, data, now, e);
}

int trail_add_at(struct trail *t, const char *event, json_t *data, const char *time, struct err *e)
{
	_cleanup_json_ json_t *taken = data ? data : json_object();
	int r;

	if (!event_find(event, strlen(event))) {
		return err_set(e, ERR_BUG, EINVAL, "a trail has no events '%s'", event);
	}
	if (t->fd < 0) {
		return err_set(e, ERR_SYSTEM, EIO, "the trail is not open");
	}
	if (!taken || !build_line(t, event, taken, time)) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	r = turn_over(t, e);
	r = r < 0 ? r : write_line(t, e);
	if (r >= 0) {
		digest_raw(t->line.data, t->line.len - 1, t->prev);
		merkle_add(&t->tree, t->prev);
		t->seq++;
	}
	if (t->line.cap > LINE_KEPT) {
		buf_done(&t->line);
		buf_init(&t->line, TRAIL_MAX_LINE);
	}
	return r;
}

int trail_sync(struct trail *t, struct err *e)
{
	if (fdatasync(t->fd) < 0 || (!t->named && fsync(t->dir) < 0)) {
		return err_sys(e, errno, "cannot write the trail to the disk");
	}
	t->named = true;
	return 0;
}

void trail_done(struct trail *t)
{
	if (t->fd != t->first) {
		t->fd = fd_close(t->fd);
	}
	t->first = t->fd = fd_close(t->first);
	buf_done(&t->line);
}
