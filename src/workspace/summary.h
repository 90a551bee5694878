/* SPDX-License-Identifier: Apache-2.0 */
/* What changed, for a record: names, kinds, and digests of contents, bounded. */
#pragma once

#include <jansson.h>

struct apply;
struct changes;
struct err;

/* So many changes are listed, with so many bytes of paths (which a record can make eight times as
 * long, and takes no line above TRAIL_MAX_LINE), and so much is read for their digests. */
#define SUMMARY_MAX      1000
#define SUMMARY_TEXT_MAX (2U << 20)
#define SUMMARY_READ_MAX (64U << 20)

/*
 * {"files": [{"path": text, "change": word, "from": text where it was renamed, "sha256":
 * hex or absent}], "more": how many are not
 * listed, absent where none are}. A digest is of a regular file's contents in `upper`, and absent
 * beyond SUMMARY_READ_MAX and where it cannot be read. "path_hex" stands beside a path that is no
 * UTF-8. NULL: out of memory.
 */
json_t *changes_summary(const struct changes *c, int upper);

/* The same, without digests, of what an interrupted apply was about. NULL: *e says why. */
json_t *apply_summary(const struct apply *a, struct err *e);

/* The same of changes that nobody could look at. NULL: out of memory. */
json_t *changes_unread(const char *why);
