/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a trail, from all of its segments, in order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "record/trail.h"

struct err;

struct reader {
	int dir; /* of all trails; FD_NONE: a file of its own. Borrowed */
	char sandbox[TRAIL_ID_SIZE];
	unsigned segment;
	FILE *in;
	char *line;
	size_t size;
	uint64_t number; /* of the line that comes next */
	bool cut;        /* the last one had no newline */
	bool at_end;     /* of this segment, and there is another one */
	bool follows;    /* the caller's: a part of a line is none yet */
};

/* -ENOENT, with *e set: there is no trail of it. */
int reader_open(struct reader *r, int dir, const char *sandbox, struct err *e);

/* A file that somebody has, which is read from its beginning; takes `fd`. */
int reader_open_file(struct reader *r, int fd, struct err *e);

/*
 * The next line, without its newline: 1 and *ret, valid until the next call; 0: there is none
 * (yet); or -errno. A file that is written to may end with a part of a line: r->cut, unless the
 * caller waits for the rest of it (r->follows).
 */
int reader_next(struct reader *r, const char **ret, size_t *ret_len, struct err *e);

/* Waits until nobody writes to it any more, at most so long: true if so. */
bool reader_wait(const struct reader *r, int64_t ns);

void reader_close(struct reader *r);
