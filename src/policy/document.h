/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A settled policy as something that can be written down, loaded again, and means the same from
 * wherever it is loaded: every key, and paths that begin at the root or at HOME.
 */
#pragma once

#include <jansson.h>

struct buf;
struct err;
struct plan;
struct settled;

/*
 * {dotted key: value}: texts as a document has them, arrays, and of data.env an object (null stands
 * for the caller's value). `p` is the plan that was made of it, whose workspace is the path. NULL:
 * out of memory.
 */
json_t *policy_record(const struct settled *s, const struct plan *p);

/*
 * Who said what of it: {dotted key: ["FILE:LINE:COLUMN" or "--option", ...]} for every key that a
 * document or an option has given, each place once; what follows from profiles is not there. NULL:
 * out of memory.
 */
json_t *policy_origins(const struct settled *s);

/*
 * A record as YAML. -EBADMSG where it is no such object: a key or a text that this version does not
 * know.
 */
int policy_write(const json_t *record, struct buf *out, struct err *e);
