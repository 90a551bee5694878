/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a trail: that its lines follow from each other, that what was signed is what stands
 * there, and that what was anchored elsewhere is what stands there and is all still there.
 *
 * What it finds depends on what it is given. The chain alone shows any change that did not make
 * everything behind it anew. A checkpoint needs the key. That the end is missing, that an old copy
 * was put back, that the file is gone: only an anchor can show these.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/sign.h"
#include "record/line.h"

struct err;
struct reader;

/* What was said elsewhere: the trail had so many records, the last of them with this digest. */
struct verify_anchor {
	uint64_t size;
	char head[DIGEST_HEX_SIZE];
};

struct verify_trust {
	const uint8_t (*keys)[SIGN_KEY_SIZE];
	size_t n_keys;
	const struct verify_anchor *anchors; /* the smallest first */
	size_t n_anchors;
};

struct verify_report {
	uint64_t records;
	uint64_t checkpoints;
	uint64_t sealed;   /* records up to the last checkpoint of a key that is trusted, with it */
	uint64_t anchored; /* records up to the last anchor that holds */
	bool over;         /* what ends a trail is there, or somebody has seen that it is not */
	bool clean;        /* its keeper ended it, and nothing was left */
	bool closed;       /* a checkpoint of a trusted key stands behind what ends it */
	bool good;
	uint64_t bad; /* where it is not: the first record that is not as it was */
	char why[256];
	char sandbox[TRAIL_ID_SIZE];
	char head[DIGEST_HEX_SIZE];
	char first_time[LINE_TIME_LEN + 1], last_time[LINE_TIME_LEN + 1];
};

/*
 * What each good line is told to, in order; NULL: nobody. `l` is NULL for one that was cut short by
 * a death; `digest` is the line's. Negative ends the reading.
 */
typedef int verify_line(void *arg, const struct line *l, const char *text, size_t len,
			const uint8_t digest[DIGEST_SIZE], struct err *e);

/*
 * Reads to the end. 0 and *ret, whatever it found; -errno only where it could not be read, or `fn`
 * said so.
 */
int verify_run(struct reader *r, const struct verify_trust *trust, verify_line *fn, void *arg,
	       struct verify_report *ret, struct err *e);
