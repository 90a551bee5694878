/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers over libjansson: bounded, checked construction and typed access. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

static inline void cleanup_json(json_t **j)
{
	if (*j) {
		json_decref(*j);
	}
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

/* Sets obj[key] = value and takes `value`; a NULL value means out of memory. 0 or -ENOMEM. */
int json_put(json_t *obj, const char *key, json_t *value);

/*
 * A string of ours or of the payload. Bytes that are not UTF-8 become U+FFFD: a record can never
 * fail because of what a payload put into a name. NULL only when out of memory.
 */
json_t *json_text(const char *s);
json_t *json_text_n(const char *s, size_t len);

/* Keys sorted, no blanks: the one form that is hashed. free() the result; NULL: out of memory, or
 * no value. */
char *json_canonical(const json_t *j, size_t *ret_len);

struct buf;

/* Appends the same to a buffer: what libjansson writes, in a quarter of its time. 0, -ENOMEM or
 * -E2BIG; what stands there then is of no use. */
int json_append(struct buf *b, const json_t *j);

/* Typed access that refuses a missing or differently typed member: -EINVAL with *e set. */
int json_get_str(const json_t *obj, const char *key, const char **ret, struct err *e);
int json_get_int(const json_t *obj, const char *key, int64_t *ret, struct err *e);
int json_get_bool(const json_t *obj, const char *key, bool *ret, struct err *e);
