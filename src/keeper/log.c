/* SPDX-License-Identifier: Apache-2.0 */
/* Output that is kept. */
#include "keeper/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define LOGS  "logs"
#define SWEPT ".swept" /* its mtime is when somebody looked for what is to be removed */
/* Two parts with room for a few lines each. */
#define MIN_LIMIT 4096
/* Nobody writes so fast for long. */
#define OPEN_TRIES 16
#define SECOND_NS  1000000000LL
#define LOG_HEAD_1 16 /* bytes of a head of version 1 */

_Static_assert(sizeof(struct log_head) == 24 && sizeof(struct log_frame) == 32,
	       "they are read as they were written");

struct part {
	char name[STATE_ID_SIZE + 4];
};

static struct part part_of(const char *id, int n)
{
	struct part p;

	(void)snprintf(p.name, sizeof(p.name), "%s.%d", id, n);
	return p;
}

/* ---- writing ---- */

void log_init(struct log *l, const struct state *s, const char *id, uint64_t limit, int64_t keep_ns,
	      int64_t until_ns)
{
	*l = (struct log){.state = s,
			  .dir = FD_NONE,
			  .fd = FD_NONE,
			  .keep_ns = keep_ns,
			  .until_ns = until_ns};
	l->limit = limit > 0 && limit < MIN_LIMIT ? MIN_LIMIT : limit;
	(void)snprintf(l->id, sizeof(l->id), "%s", id);
}

void log_done(struct log *l)
{
	l->fd = fd_close(l->fd);
	l->dir = fd_close(l->dir);
}

static bool open_dir(struct log *l)
{
	if (l->dir < 0) {
		(void)mkdirat(l->state->home, LOGS, 0700);
		l->dir = openat(l->state->home, LOGS,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	}
	return l->dir >= 0;
}

/* The newer part becomes the older one; there may be neither yet. */
static bool begin_part(struct log *l)
{
	const struct log_head head = {LOG_MAGIC, LOG_VERSION, l->keep_ns, l->until_ns};
	struct part newer = part_of(l->id, 0), older = part_of(l->id, 1);

	if (l->fd >= 0 && renameat(l->dir, newer.name, l->dir, older.name) < 0) {
		return false;
	}
	l->fd = fd_close(l->fd);
	l->fd = openat(l->dir, newer.name,
		       O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	l->size = sizeof(head);
	if (l->fd >= 0 && write(l->fd, &head, sizeof(head)) != (ssize_t)sizeof(head)) {
		/* No room on the disk: as if it had not been begun, so that the next one can be. */
		(void)unlinkat(l->dir, newer.name, 0);
		l->fd = fd_close(l->fd);
	}
	return l->fd >= 0;
}

/* All of it or nothing: behind a part of a frame nobody would find the next one. */
static bool put(struct log *l, const struct log_frame *f, const void *data)
{
	struct iovec parts[2] = {{(void *)f, sizeof(*f)}, {(void *)data, f->len}};
	size_t whole = sizeof(*f) + f->len;
	ssize_t n;

	if ((l->fd < 0 || l->size + whole > l->limit / 2) && !begin_part(l)) {
		return false;
	}
	n = writev(l->fd, parts, 2);
	if (n != (ssize_t)whole) {
		(void)!ftruncate(l->fd, (off_t)l->size);
		return false;
	}
	l->size += whole;
	return true;
}

void log_add(struct log *l, unsigned command, enum log_kind kind, const void *data, size_t len)
{
	const uint64_t room = l->limit / 2 - sizeof(struct log_head) - sizeof(struct log_frame);
	const size_t most = room < LOG_MAX_FRAME ? (size_t)room : LOG_MAX_FRAME;
	const bool output = kind == LOG_STDOUT || kind == LOG_STDERR || kind == LOG_TERMINAL;
	const char *p = data;

	if (!log_is_on(l) || (!output && len > most)) {
		return;
	}
	do {
		struct log_frame f = {.magic = LOG_MAGIC,
				      .command = command,
				      .kind = (uint32_t)kind,
				      .len = (uint32_t)(len < most ? len : most),
				      .time_ns = clock_real_ns(),
				      .position = l->position};
		bool kept = open_dir(l) && put(l, &f, p);

		l->position += output ? f.len : 0;
		l->lost += output && !kept ? f.len : 0;
		p += f.len;
		len -= f.len;
	} while (len > 0);
}

/* ---- reading ---- */

static int open_logs(const struct state *s)
{
	return openat(s->home, LOGS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int open_file(int dir, const char *id, int n)
{
	struct part p = part_of(id, n);

	return openat(dir, p.name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
}

/* FD_NONE: there is no such part, or none that can be read. */
static int open_part(int dir, const char *id, int n)
{
	_cleanup_fd_ int fd = open_file(dir, id, n);
	struct log_head head;

	return fd >= 0 && pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
			       head.magic == LOG_MAGIC && head.version == LOG_VERSION
		       ? TAKE_FD(fd)
		       : FD_NONE;
}

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The newer part in r->fd, and returns the older one, where they are there and are two. */
static int open_both(struct log_reader *r)
{
	int older = FD_NONE, i;
	bool same = false;

	/* In this order: where they change places in between, one is found twice, not missed; and
	 * where they do so twice, what was found second is the newer one. */
	for (i = 0; i < OPEN_TRIES && !same; i++) {
		_cleanup_fd_ int again = FD_NONE;

		(void)fd_close(older);
		(void)fd_close(r->fd);
		r->fd = open_part(r->dir, r->id, 0);
		older = open_part(r->dir, r->id, 1);
		again = open_part(r->dir, r->id, 0);
		same = r->fd < 0 || (again >= 0 && is_same(again, r->fd)) ||
		       (older >= 0 && is_same(older, r->fd));
	}
	return older >= 0 && r->fd >= 0 && is_same(older, r->fd) ? fd_close(older) : older;
}

int log_open(struct log_reader *r, const struct state *s, const char *id, struct err *e)
{
	int older;

	r->dir = open_logs(s);
	r->fd = r->newer = FD_NONE;
	r->at = sizeof(struct log_head);
	r->bound = false;
	(void)snprintf(r->id, sizeof(r->id), "%s", id);
	if (r->dir < 0 && errno != ENOENT) {
		return err_sys(e, errno, "cannot open the kept output of sandbox %s", id);
	}
	older = open_both(r);
	if (older >= 0) {
		r->newer = r->fd;
		r->fd = older;
	}
	return r->fd < 0 ? -ENOENT : 0;
}

void log_bind(struct log_reader *r)
{
	struct stat st;

	r->bound = true;
	r->end = fstat(r->newer >= 0 ? r->newer : r->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int log_copy(struct log_reader *to, const struct log_reader *r)
{
	to->dir = FD_NONE; /* where a newer part would be looked for */
	to->newer = FD_NONE;
	to->at = r->at;
	to->fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
	if (to->fd >= 0 && r->newer >= 0) {
		to->newer = fcntl(r->newer, F_DUPFD_CLOEXEC, 0);
	}
	if (to->fd < 0 || (r->newer >= 0 && to->newer < 0)) {
		int error = errno;

		to->fd = fd_close(to->fd);
		return -error;
	}
	log_bind(to);
	if (r->bound) {
		to->end = r->end;
	}
	return 0;
}

void log_close(struct log_reader *r)
{
	r->fd = fd_close(r->fd);
	r->newer = fd_close(r->newer);
	r->dir = fd_close(r->dir);
}

/* True if there is a part behind the one that is being read, which is complete then. */
static bool has_newer(struct log_reader *r)
{
	_cleanup_fd_ int older = FD_NONE;

	if (r->newer >= 0 || r->bound) {
		return r->newer >= 0;
	}
	r->newer = open_part(r->dir, r->id, 0);
	if (r->newer >= 0 && is_same(r->newer, r->fd)) {
		r->newer = fd_close(r->newer);
		return false;
	}
	/* Where they have changed places twice, what comes next is the older one by now. */
	older = open_part(r->dir, r->id, 1);
	if (older >= 0 && !is_same(older, r->fd) && (r->newer < 0 || !is_same(older, r->newer))) {
		(void)fd_close(r->newer);
		r->newer = TAKE_FD(older);
	}
	return r->newer >= 0;
}

static void turn_over(struct log_reader *r)
{
	(void)fd_close(r->fd);
	r->fd = TAKE_FD(r->newer);
	r->at = sizeof(struct log_head);
}

static bool read_frame(struct log_reader *r, struct log_frame *ret)
{
	struct log_frame f;

	if (r->bound && r->newer < 0 && r->at >= r->end) {
		return false;
	}
	if (pread(r->fd, &f, sizeof(f), (off_t)r->at) != (ssize_t)sizeof(f) ||
	    f.magic != LOG_MAGIC || f.len > LOG_MAX_FRAME ||
	    pread(r->fd, r->data, f.len, (off_t)(r->at + sizeof(f))) != (ssize_t)f.len) {
		return false;
	}
	r->at += sizeof(f) + f.len;
	*ret = f;
	return true;
}

bool log_next(struct log_reader *r, struct log_frame *ret)
{
	if (read_frame(r, ret)) {
		return true;
	}
	if (!has_newer(r)) {
		return false;
	}
	/* What was written between the two looks, before the parts changed places. */
	if (read_frame(r, ret)) {
		return true;
	}
	turn_over(r);
	return read_frame(r, ret);
}

/* The id that a file of ours is about; false: it is none. */
static bool id_of(const char *name, char id[STATE_ID_SIZE])
{
	size_t len = strcspn(name, ".");

	if (len == 0 || len >= STATE_ID_SIZE ||
	    (strcmp(name + len, ".0") != 0 && strcmp(name + len, ".1") != 0)) {
		return false;
	}
	memcpy(id, name, len);
	id[len] = '\0';
	return true;
}

static DIR *list(const struct state *s)
{
	int fd = open_logs(s);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d) {
		(void)fd_close(fd);
	}
	return d;
}

/* By its beginning, as name_find() takes it: with or without the letter before the dash. */
static bool begins_with(const char *id, const char *word)
{
	size_t len = strlen(word);

	return strncmp(id, word, len) == 0 || (strlen(id) > 2 && strncmp(id + 2, word, len) == 0);
}

int log_find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e)
{
	DIR *d = strlen(word) >= 3 ? list(s) : NULL;
	char found[STATE_ID_SIZE] = "", now[STATE_ID_SIZE];
	struct dirent *entry;
	bool more = false;

	while (d && (entry = readdir(d))) {
		if (id_of(entry->d_name, now) && begins_with(now, word)) {
			more = more || (*found && strcmp(found, now) != 0);
			memcpy(found, now, sizeof(found));
		}
	}
	if (d) {
		(void)closedir(d);
	}
	if (!*found || more) {
		return err_set(e, ERR_USER, ENOENT,
			       more ? "'%s' is the beginning of several ids"
				    : "there is no sandbox '%s', and nothing is kept of what it "
				      "put out",
			       word);
	}
	memcpy(id, found, sizeof(found));
	return 0;
}

bool log_remove(const struct state *s, const char *id)
{
	_cleanup_fd_ int dir = open_logs(s);
	struct part newer = part_of(id, 0), older = part_of(id, 1);
	bool any = dir >= 0 && unlinkat(dir, newer.name, 0) == 0;

	/* Without short-circuit: either may be there alone. */
	return (dir >= 0 && unlinkat(dir, older.name, 0) == 0) || any;
}

/* ---- removing ---- */

struct kept_log {
	char id[STATE_ID_SIZE];
	int64_t written_ns;
	int64_t until_ns;
};

/*
 * The head of a part of any version: one that nobody can read any more is to go like the others.
 * That of version 1 ended before `until_ns`. In a file that is shorter there is nothing to be kept,
 * and its head is all zeros: its keeper was killed, or found no room on the disk. False: it is none
 * of ours.
 */
static bool read_head(int fd, struct log_head *ret)
{
	struct log_head head = {};
	ssize_t n = pread(fd, &head, sizeof(head), 0);

	*ret = n < LOG_HEAD_1 ? (struct log_head){} : head;
	if (head.version == 1) {
		ret->until_ns = 0;
	}
	return n >= 0 && (n < LOG_HEAD_1 || (head.magic == LOG_MAGIC &&
					     (head.version == 1 || (head.version == LOG_VERSION &&
								    n == (ssize_t)sizeof(head)))));
}

/* False: there is no such part, or it is none of ours. */
static bool look_at(int dir, const char *id, int n, struct log_head *head, struct stat *st)
{
	_cleanup_fd_ int fd = open_file(dir, id, n);

	return fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode) && read_head(fd, head);
}

/* What is kept of a sandbox that is not there any more. False: it is there, or it is no log. */
static bool is_left(const struct state *s, int dir, const char *id, struct kept_log *ret)
{
	struct log_head head = {}, older = {};
	struct stat st, older_st;
	bool any;

	if (faccessat(s->sandboxes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
		return false;
	}
	any = look_at(dir, id, 0, &head, &st);
	/* A newer part in which nothing is says nothing of the older one. */
	if ((!any || head.magic == 0) && look_at(dir, id, 1, &older, &older_st)) {
		any = true;
		head = older;
		st = older_st;
	}
	if (!any) {
		return false;
	}
	memcpy(ret->id, id, STATE_ID_SIZE);
	ret->written_ns = (int64_t)st.st_mtim.tv_sec * SECOND_NS + st.st_mtim.tv_nsec;
	ret->until_ns = ret->written_ns + head.keep_ns;
	if (head.until_ns > 0 && head.until_ns < ret->until_ns) {
		ret->until_ns = head.until_ns;
	}
	return true;
}

static int by_age(const void *a, const void *b)
{
	const struct kept_log *x = a, *y = b;

	return (x->written_ns > y->written_ns) - (x->written_ns < y->written_ns);
}

/* All that are left, the oldest first; free() it. NULL: none, or no memory. */
static struct kept_log *collect(const struct state *s, size_t *ret_n)
{
	struct kept_log *list_of = NULL;
	char id[STATE_ID_SIZE];
	DIR *d = list(s);
	struct dirent *entry;
	size_t n = 0, room = 0;

	while (d && (entry = readdir(d))) {
		struct kept_log one;
		struct part older;

		if (!id_of(entry->d_name, id) || !is_left(s, dirfd(d), id, &one)) {
			continue;
		}
		/* Once for each sandbox: by its newer part, or by the older one where that is all.
		 */
		older = part_of(id, 1);
		if (strcmp(entry->d_name, older.name) == 0) {
			struct part newer = part_of(id, 0);

			if (faccessat(dirfd(d), newer.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
				continue;
			}
		}
		if (n == room) {
			struct kept_log *more =
				realloc(list_of, (room + 64) * 2 * sizeof(*list_of));

			if (!more) {
				break;
			}
			list_of = more;
			room = (room + 64) * 2;
		}
		list_of[n++] = one;
	}
	if (d) {
		(void)closedir(d);
	}
	if (n > 1) {
		qsort(list_of, n, sizeof(*list_of), by_age);
	}
	*ret_n = n;
	return list_of;
}

int log_reap(const struct state *s, bool now, bool look)
{
	_cleanup_fd_ int dir = open_logs(s);
	_cleanup_free_ struct kept_log *left = NULL;
	size_t n = 0, i;
	int gone = 0;

	if (dir < 0 || (!look && !state_is_due(dir, SWEPT, LOG_SWEEP_S) && !now)) {
		return 0;
	}
	left = collect(s, &n);
	for (i = 0; i < n; i++) {
		if (left[i].until_ns > clock_real_ns() && n - i <= LOG_MAX_KEPT) {
			continue;
		}
		gone += look || log_remove(s, left[i].id);
	}
	return gone;
}
