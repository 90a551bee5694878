/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands have put out, kept for who looks later:
 *
 *   HOME/logs/ID.0   the newer part
 *   HOME/logs/ID.1   the older part
 *
 * Each part begins with a struct log_head; frames follow, a struct log_frame and its bytes each.
 * When the newer part has no room for a frame in half of what the policy allows, it becomes the
 * older one, which goes: so both together are never larger, and mostly more than half of it is
 * there to be looked at; less just after that, where frames are nearly as large as a part. A frame
 * says where in all output it stands, so what was dropped, or could not be written, shows as a gap.
 *
 * Only the keeper writes, and never changes what it wrote, so a reader needs no lock: it may find
 * the last frame cut short, by a death or because it is being written, and nothing behind it. What
 * is in a frame comes from the payload; that a frame is one does not. The files outlive the sandbox
 * for as long as their head says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/state.h"

struct err;

#define LOG_MAGIC   0x474f4c41u /* "ALOG" */
#define LOG_VERSION 2           /* others are not read, and removed when their time is up */

enum log_kind {
	LOG_STDOUT = 1,
	LOG_STDERR,
	LOG_TERMINAL,
	LOG_BEGIN, /* of a command: {"argv": [...]} */
	LOG_END,   /* {"exit": ..., "reason": ...}, as in its result */
};

struct log_head {
	uint32_t magic;
	uint32_t version; /* LOG_VERSION */
	int64_t keep_ns;  /* from the last write until it is removed, once the sandbox is gone */
	int64_t until_ns; /* CLOCK_REALTIME, when it is in any case; 0: not said */
};

struct log_frame {
	uint32_t magic;
	uint32_t command;  /* its number in the sandbox */
	uint32_t kind;     /* enum log_kind */
	uint32_t len;      /* bytes that follow, at most LOG_MAX_FRAME */
	int64_t time_ns;   /* CLOCK_REALTIME */
	uint64_t position; /* bytes of output of all commands before this frame */
};

#define LOG_MAX_FRAME 65536

/* ---- writing: the keeper ---- */

struct log {
	const struct state *state; /* borrowed */
	int dir;                   /* HOME/logs, from the first write on */
	int fd;                    /* the newer part; FD_NONE: nothing was written yet */
	uint64_t limit;            /* of both parts; 0: nothing is kept */
	uint64_t size;             /* of the newer part */
	uint64_t position;         /* bytes of output so far */
	uint64_t lost;             /* of them, those that could not be written */
	int64_t keep_ns;
	int64_t until_ns;
	char id[STATE_ID_SIZE];
};

/* No file is made before there is something to write. A limit is at least 4 KiB. The times are
 * those of a part's head. */
void log_init(struct log *l, const struct state *s, const char *id, uint64_t limit, int64_t keep_ns,
	      int64_t until_ns);
void log_done(struct log *l);

/* Whether anything is kept at all. */
static inline bool log_is_on(const struct log *l)
{
	return l->limit > 0;
}

/*
 * Appends. Nobody is kept from putting something out because it cannot be kept: what could not be
 * written is counted, and shows as a gap.
 */
void log_add(struct log *l, unsigned command, enum log_kind kind, const void *data, size_t len);

/* ---- reading: everybody else ---- */

struct log_reader {
	int dir; /* HOME/logs */
	int fd;
	int newer;    /* what comes behind fd; FD_NONE: not known yet */
	uint64_t at;  /* in fd */
	bool bound;   /* there is no more than what was there at log_bind() */
	uint64_t end; /* then: of the last part */
	char id[STATE_ID_SIZE];
	char data[LOG_MAX_FRAME];
};

/* -ENOENT, without *e set: nothing was kept of this sandbox. */
int log_open(struct log_reader *r, const struct state *s, const char *id, struct err *e);
void log_close(struct log_reader *r);

/* From now on there is no more than what is there now, however fast somebody writes. */
void log_bind(struct log_reader *r);

/* Another one at the same place, bound; it sees the same, whatever has made room for newer output
 * in between. 0, and the caller owes it log_close(), or -errno. */
int log_copy(struct log_reader *to, const struct log_reader *r);

/*
 * The next frame; its bytes are in r->data. False: there is none (yet). Frames may be missing
 * between two: their positions tell.
 */
bool log_next(struct log_reader *r, struct log_frame *ret);

/*
 * The id of a sandbox that something was kept of, by itself or its beginning, three letters at
 * least: for those that are not there any more. -ENOENT, with *e set.
 */
int log_find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e);

/* Removes what was kept of a sandbox. False: there was nothing. */
bool log_remove(const struct state *s, const char *id);

/*
 * Removes what was kept of sandboxes that are gone for longer than it said, and the oldest of more
 * than LOG_MAX_KEPT. At most once in LOG_SWEEP_S seconds, unless `now`; with `look` nothing is
 * removed. Returns of how many sandboxes.
 */
#define LOG_MAX_KEPT 1000
#define LOG_SWEEP_S  600
int log_reap(const struct state *s, bool now, bool look);
