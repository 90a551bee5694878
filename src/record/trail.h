/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trail of one sandbox: JSON lines, appended and never changed, each carrying the SHA-256 of
 * the line before it.
 *
 * A line is the canonical JSON (keys sorted, no blanks) of
 *   {"data": {...}, "event": NAME, "prev": HEX, "sandbox": ID, "seq": N, "time": RFC 3339}
 * and a newline; `prev` is the digest of the previous line without its newline, 64 zeros for the
 * first. Names and data are those of record/event.h. An event is written with one write(2) to a
 * file opened O_APPEND: once trail_add() has returned it survives the death of any process.
 *
 * A line "checkpoint" signs all lines before it (record/checkpoint.h); the trail may go on behind
 * it. A trail is in segments: ID.jsonl, ID.2.jsonl and so on, each begun when the one before has
 * grown to TRAIL_SEGMENT bytes; numbers and digests go on over their borders.
 *
 * Whoever writes holds flock(2) on the first segment; whoever reads a trail that has ended waits
 * for it, and so sees the seal that comes when the sandbox's result has been told.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "record/line.h"
#include "record/merkle.h"

struct err;

#define TRAIL_SEGMENT   (64UL * 1024 * 1024)
#define TRAIL_FILE_SIZE (TRAIL_ID_SIZE + 24)

/* More than any line holds: a request is at most 8 MiB, and the rest of it is bounded. */
#define TRAIL_MAX_LINE (64UL * 1024 * 1024)

struct trail {
	int dir;   /* of all trails; borrowed */
	int first; /* the first segment, locked */
	int fd;    /* the one that is written to, which may be the same */
	unsigned segment;
	uint64_t size; /* of that, in bytes */
	bool named;    /* its name is on the disk, too (trail_sync()) */
	uint64_t seq;
	uint8_t prev[DIGEST_SIZE];
	struct merkle tree;
	struct buf line;
	struct clock_second second; /* of the last event */
	char sandbox[TRAIL_ID_SIZE];
};

/* The name of the n-th segment, from 1 on. */
void trail_file(const char *sandbox, unsigned n, char out[TRAIL_FILE_SIZE]);

/* Creates SANDBOX.jsonl in the directory; it must not exist. `dir` stays open as long. */
int trail_create(struct trail *t, int dir, const char *sandbox, struct err *e);

/*
 * Opens the trail of a sandbox whose keeper is gone, to append to it, and waits for whoever does
 * the same. A last line that was cut short is ended first; the chain then continues over the bytes
 * as they stand. -ENOENT without *e set if there is none.
 */
int trail_resume(struct trail *t, int dir, const char *sandbox, struct err *e);

/* Appends an event of the table; takes `data` (an object; NULL: none, unless memory ran out: see
 * *e). */
int trail_add(struct trail *t, const char *event, json_t *data, struct err *e);

/* The same at a time of the caller's, as clock_text() has it. */
int trail_add_at(struct trail *t, const char *event, json_t *data, const char *time, struct err *e);

/* Waits until all that was added survives a loss of power, too. */
int trail_sync(struct trail *t, struct err *e);

void trail_done(struct trail *t);
