/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trail of one sandbox: JSON lines, appended and never changed, each carrying the SHA-256 of
 * the line before it.
 *
 * A line is the canonical JSON (keys sorted, no blanks) of
 *   {"data": {...}, "event": NAME, "prev": HEX, "sandbox": ID, "seq": N, "time": RFC 3339}
 * and a newline; `prev` is the digest of the previous line without its newline, 64 zeros for the
 * first. An event is written with one write(2) to a file opened O_APPEND: once trail_add() has
 * returned it survives the death of any process.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/digest.h"

struct err;

#define TRAIL_ID_SIZE 32

struct trail {
	int fd;
	uint64_t seq;
	char prev[DIGEST_HEX_SIZE];
	char sandbox[TRAIL_ID_SIZE];
};

/* Creates SANDBOX.jsonl in the directory; it must not exist. */
int trail_create(struct trail *t, int dir, const char *sandbox, struct err *e);

/*
 * Opens the trail of a sandbox whose keeper died, to append to it. A last line that was cut short
 * is ended first; the chain then continues over the bytes as they stand. -ENOENT without *e set
 * if there is none.
 */
int trail_resume(struct trail *t, int dir, const char *sandbox, struct err *e);

/* Appends an event; takes `data` (an object; NULL: none, unless memory ran out: see *e). */
int trail_add(struct trail *t, const char *event, json_t *data, struct err *e);

void trail_done(struct trail *t);

/* What trail_copy() tells of: an event as it stands, in order. Negative ends the copying. */
typedef int trail_event(void *arg, const char *name, const json_t *data, struct err *e);

/*
 * Copies the trail of a sandbox that has ended, byte by byte, to the descriptor `to` (FD_NONE:
 * nowhere), tells `fn` of each event, and verifies it on the way: each line is the canonical JSON
 * of its event, has the number and the sandbox that it must have, and carries the digest of the
 * line before. A line that was cut short by a death may stand before the event of whoever found it
 * ("reaped"), and nowhere else. -EBADMSG, with the line's number, where it does not hold; -ENOENT
 * where there is none. `head`: the digest of the last line, from which all the others follow.
 */
int trail_copy(int dir, const char *sandbox, int to, trail_event *fn, void *arg,
	       char head[DIGEST_HEX_SIZE], struct err *e);
