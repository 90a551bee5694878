/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers over libjansson. */
#include "base/json.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

/* Far above the largest document, a request of 8 MiB. */
#define MAX_CANONICAL (256 * 1024 * 1024)

int json_put(json_t *obj, const char *key, json_t *value)
{
	/* json_object_set_new releases `value` whatever happens. */
	return value && json_object_set_new(obj, key, value) == 0 ? 0 : -ENOMEM;
}

json_t *json_text_n(const char *s, size_t len)
{
	_cleanup_buf_ struct buf b = {};
	json_t *plain = json_stringn(s, len);

	if (plain || utf8_valid(s, len)) {
		return plain;
	}
	buf_init(&b, len * 3 + 1);
	if (utf8_repair(&b, s, len) < 0) {
		return NULL;
	}
	return json_stringn(buf_str(&b), b.len);
}

json_t *json_text(const char *s)
{
	return json_text_n(s, strlen(s));
}

static int append(const char *text, size_t len, void *buf)
{
	return buf_add(buf, text, len) < 0 ? -1 : 0;
}

/*
 * Into a buffer of ours, which remembers that an append failed: libjansson 2.14 goes on when it
 * could not write a key, and the text would be JSON that says something else.
 */
char *json_canonical(const json_t *j, size_t *ret_len)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, MAX_CANONICAL);
	if (json_dump_callback(j, append, &b, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) <
	    0) {
		return NULL;
	}
	if (ret_len) {
		*ret_len = b.len;
	}
	return buf_take(&b);
}

int json_get_str(const json_t *obj, const char *key, const char **ret, struct err *e)
{
	const json_t *v = json_object_get(obj, key);

	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
		return err_set(e, ERR_BUG, EINVAL, "member '%s' is missing or no string", key);
	}
	*ret = json_string_value(v);
	return 0;
}

int json_get_int(const json_t *obj, const char *key, int64_t *ret, struct err *e)
{
	const json_t *v = json_object_get(obj, key);

	if (!json_is_integer(v)) {
		return err_set(e, ERR_BUG, EINVAL, "member '%s' is missing or no integer", key);
	}
	*ret = json_integer_value(v);
	return 0;
}

int json_get_bool(const json_t *obj, const char *key, bool *ret, struct err *e)
{
	const json_t *v = json_object_get(obj, key);

	if (!json_is_boolean(v)) {
		return err_set(e, ERR_BUG, EINVAL, "member '%s' is missing or no boolean", key);
	}
	*ret = json_is_true(v);
	return 0;
}
