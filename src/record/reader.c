/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a trail line by line. */
#include "record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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

/* A segment is turned over when it is larger than that; so is what is read at once of a line. */
#define SEGMENT_MAX (TRAIL_SEGMENT + TRAIL_MAX_LINE)

/* What is no file, or larger than any of ours, is none, and opening it must not wait for anybody.
 */
static int open_segment(const struct reader *r, unsigned n)
{
	char name[TRAIL_FILE_SIZE];
	struct stat st;
	int fd;

	trail_file(r->sandbox, n, name);
	fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 &&
	    (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)SEGMENT_MAX)) {
		(void)fd_close(fd);
		errno = EBADMSG;
		return -EBADMSG;
	}
	return fd < 0 ? -errno : fd;
}

int reader_open(struct reader *r, int dir, const char *sandbox, struct err *e)
{
	int fd;

	*r = (struct reader){.dir = dir, .segment = 1};
	(void)snprintf(r->sandbox, sizeof(r->sandbox), "%s", sandbox);
	fd = open_segment(r, 1);
	return fd < 0 ? err_sys(e, -fd, "cannot open the record of sandbox %s", sandbox)
		      : take_file(r, fd, e);
}

int reader_open_file(struct reader *r, int fd, struct err *e)
{
	*r = (struct reader){.dir = FD_NONE, .segment = 1};
	return take_file(r, fd, e);
}

/*
 * 1: there is more to read. A segment is begun when the one before is as it stays: what was written
 * to that since its end was seen is read first.
 */
static int go_on(struct reader *r, struct err *e)
{
	int fd = r->dir < 0 ? -ENOENT : open_segment(r, r->segment + 1), n;

	clearerr(r->in);
	if (fd < 0) {
		return fd == -ENOENT ? 0
				     : err_sys(e, -fd, "cannot open segment %u of the record of %s",
					       r->segment + 1, r->sandbox);
	}
	if (!r->at_end) {
		r->at_end = true;
		(void)fd_close(fd);
		return 1;
	}
	(void)fclose(r->in);
	n = take_file(r, fd, e);
	r->segment++;
	r->at_end = false;
	return n < 0 ? n : 1;
}

int reader_next(struct reader *r, const char **ret, size_t *ret_len, struct err *e)
{
	ssize_t n;
	int more = 1;

	while (more > 0) {
		n = getline(&r->line, &r->size, r->in);
		r->cut = n > 0 && r->line[n - 1] != '\n';
		if (r->cut && r->follows) {
			return fseeko(r->in, -(off_t)n, SEEK_CUR) < 0
				       ? err_sys(e, errno, "cannot read a record again")
				       : 0;
		}
		if (n > 0) {
			*ret = r->line;
			*ret_len = (size_t)n - !r->cut;
			r->number++;
			return 1;
		}
		if (ferror(r->in)) {
			return err_sys(e, errno, "cannot read the record of sandbox %s",
				       r->sandbox);
		}
		more = go_on(r, e);
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
