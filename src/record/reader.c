/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a trail line by line. */
#include "record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define WAIT_MS 5

static int take_file(struct reader *r, int fd, struct err *e)
{
	r->in = fdopen(fd, "re");
	if (!r->in) {
		(void)err_sys(e, errno, "cannot read a record");
		(void)fd_close(fd);
		return -EIO;
	}
	return 0;
}

int reader_open(struct reader *r, int dir, const char *sandbox, struct err *e)
{
	char name[TRAIL_FILE_SIZE];
	int fd;

	*r = (struct reader){.dir = dir, .segment = 1};
	(void)snprintf(r->sandbox, sizeof(r->sandbox), "%s", sandbox);
	trail_file(sandbox, 1, name);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(e, errno, "cannot open the record of sandbox %s", sandbox)
		      : take_file(r, fd, e);
}

int reader_open_file(struct reader *r, int fd, struct err *e)
{
	*r = (struct reader){.dir = FD_NONE, .segment = 1};
	return take_file(r, fd, e);
}

/* 1: there is another segment, and it is open. */
static int open_next(struct reader *r, struct err *e)
{
	char name[TRAIL_FILE_SIZE];
	int fd = FD_NONE, n;

	if (r->dir >= 0) {
		trail_file(r->sandbox, r->segment + 1, name);
		fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0) {
		return r->dir < 0 || errno == ENOENT
			       ? 0
			       : err_sys(e, errno, "cannot open '%s' of the record", name);
	}
	(void)fclose(r->in);
	n = take_file(r, fd, e);
	r->segment++;
	return n < 0 ? n : 1;
}

int reader_next(struct reader *r, const char **ret, size_t *ret_len, struct err *e)
{
	ssize_t n;
	int more = 1;

	while (more > 0) {
		n = getline(&r->line, &r->size, r->in);
		if (n > 0) {
			r->cut = r->line[n - 1] != '\n';
			*ret = r->line;
			*ret_len = (size_t)n - !r->cut;
			r->number++;
			return 1;
		}
		if (ferror(r->in)) {
			return err_sys(e, errno, "cannot read the record of sandbox %s",
				       r->sandbox);
		}
		more = open_next(r, e);
	}
	return more;
}

bool reader_wait(const struct reader *r, int64_t ns)
{
	int64_t until = clock_now_ns() + ns;
	int fd = fileno(r->in);

	while (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		if (clock_now_ns() >= until) {
			return false;
		}
		(void)poll(NULL, 0, WAIT_MS);
	}
	(void)flock(fd, LOCK_UN);
	return true;
}

void reader_close(struct reader *r)
{
	if (r->in) {
		(void)fclose(r->in);
	}
	free(r->line);
	r->in = NULL;
	r->line = NULL;
}
