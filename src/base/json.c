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

/* Into a buffer of ours, which remembers that an append failed: libjansson 2.14 goes on when it
 * could not write a key, and the text would be JSON that says something else. */
static int append(const char *text, size_t len, void *buf)
{
	return buf_add(buf, text, len) < 0 ? -1 : 0;
}

#define KEYS_MAX  64 /* of an object that is sorted here */
#define DEPTH_MAX 16

/* What RFC 8259 wants escaped, as libjansson does it. */
static void append_escape(struct buf *b, unsigned char c)
{
	static const char shorts[] = "btnvfr"; /* 8 to 13; v has no short form */

	if (c == '"' || c == '\\') {
		(void)buf_addc(b, '\\');
		(void)buf_addc(b, (char)c);
	} else if (c >= '\b' && c <= '\r' && c != '\v') {
		(void)buf_addc(b, '\\');
		(void)buf_addc(b, shorts[c - '\b']);
	} else {
		(void)buf_addf(b, "\\u%04X", c);
	}
}

static void append_string(struct buf *b, const char *s, size_t len)
{
	const char *end = s + len, *plain = s;

	(void)buf_addc(b, '"');
	for (; s < end; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == '"' || c == '\\') {
			(void)buf_add(b, plain, (size_t)(s - plain));
			append_escape(b, c);
			plain = s + 1;
		}
	}
	(void)buf_add(b, plain, (size_t)(s - plain));
	(void)buf_addc(b, '"');
}

static void append_integer(struct buf *b, json_int_t n)
{
	if (n < 0) {
		(void)buf_addc(b, '-');
	}
	(void)buf_addu(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static bool append_value(struct buf *b, const json_t *j, unsigned depth);

/* False: it is for the library. */
static bool append_object(struct buf *b, const json_t *j, unsigned depth)
{
	struct member {
		const char *key;
		const json_t *value;
	} members[KEYS_MAX];
	json_t *object = (json_t *)j, *value;
	const char *key;
	size_t n = 0;

	if (json_object_size(j) > KEYS_MAX) {
		return false;
	}
	json_object_foreach(object, key, value)
	{
		size_t at = n++;

		for (; at > 0 && strcmp(members[at - 1].key, key) > 0; at--) {
			members[at] = members[at - 1];
		}
		members[at] = (struct member){key, value};
	}
	(void)buf_addc(b, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0) {
			(void)buf_addc(b, ',');
		}
		append_string(b, members[i].key, strlen(members[i].key));
		(void)buf_addc(b, ':');
		if (!append_value(b, members[i].value, depth)) {
			return false;
		}
	}
	(void)buf_addc(b, '}');
	return true;
}

static bool append_array(struct buf *b, const json_t *j, unsigned depth)
{
	size_t n = json_array_size(j);

	(void)buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0) {
			(void)buf_addc(b, ',');
		}
		if (!append_value(b, json_array_get(j, i), depth)) {
			return false;
		}
	}
	(void)buf_addc(b, ']');
	return true;
}

static bool append_value(struct buf *b, const json_t *j, unsigned depth)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return depth < DEPTH_MAX && append_object(b, j, depth + 1);
	case JSON_ARRAY:
		return depth < DEPTH_MAX && append_array(b, j, depth + 1);
	case JSON_STRING:
		append_string(b, json_string_value(j), json_string_length(j));
		return true;
	case JSON_INTEGER:
		append_integer(b, json_integer_value(j));
		return true;
	case JSON_TRUE:
		return buf_adds(b, "true") == 0;
	case JSON_FALSE:
		return buf_adds(b, "false") == 0;
	case JSON_NULL:
		return buf_adds(b, "null") == 0;
	case JSON_REAL:
		return json_dump_callback(j, append, b, JSON_ENCODE_ANY) == 0;
	}
	return false;
}

int json_append(struct buf *b, const json_t *j)
{
	size_t before = b->len;

	if (!j) {
		return -ENOMEM; /* as whoever made it says */
	}
	if (!append_value(b, j, 0) && !b->failed) {
		b->len = before;
		if (json_dump_callback(j, append, b,
				       JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) < 0) {
			return -ENOMEM;
		}
	}
	return b->failed ? -ENOMEM : 0;
}

char *json_canonical(const json_t *j, size_t *ret_len)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, MAX_CANONICAL);
	if (json_append(&b, j) < 0) {
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
