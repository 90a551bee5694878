/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of a trail, without input or output: where its parts are.
 *
 * A line is read from its end, where every part has a fixed form; what is left at the front is the
 * data, which may hold anything, also texts that look like such an end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

#define TRAIL_ID_SIZE   32 /* of a sandbox's id, with the terminator */
#define LINE_EVENT_SIZE 32 /* of an event's name */
#define LINE_TIME_LEN   27 /* of CLOCK_TEXT_SIZE: with microseconds and Z */

struct line {
	const char *data; /* the JSON of an object, as far as its braces say; not parsed */
	size_t data_len;
	const char *time; /* LINE_TIME_LEN characters */
	uint64_t seq;
	uint8_t prev[DIGEST_SIZE];
	char event[LINE_EVENT_SIZE];
	char sandbox[TRAIL_ID_SIZE];
};

/* False: it is no line of a trail. Without the newline. What *ret points to is in `text`. */
bool line_parse(const char *text, size_t len, struct line *ret);
