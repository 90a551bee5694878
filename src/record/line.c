/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one line of a trail. TRUST: whoever can write the file can write anything. */
#include "record/line.h"

#include <string.h>

/* What is left of the line, from its beginning to `len`. */
struct rest {
	const char *text;
	size_t len;
};

/* Takes the word off the end. */
static bool drop(struct rest *r, const char *word)
{
	size_t n = strlen(word);

	if (r->len < n || memcmp(r->text + r->len - n, word, n) != 0) {
		return false;
	}
	r->len -= n;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take_time(struct rest *r, const char **ret)
{
	static const char form[] = "0000-00-00T00:00:00.000000Z";
	const char *at = r->text + r->len - LINE_TIME_LEN;

	_Static_assert(sizeof(form) == LINE_TIME_LEN + 1, "the form is as long as a time");
	if (r->len < LINE_TIME_LEN) {
		return false;
	}
	for (size_t i = 0; i < LINE_TIME_LEN; i++) {
		if (form[i] == '0' ? !is_digit(at[i]) : at[i] != form[i]) {
			return false;
		}
	}
	r->len -= LINE_TIME_LEN;
	*ret = at;
	return true;
}

/* No sign, no leading zeros, and room for one more. */
static bool take_number(struct rest *r, uint64_t *ret)
{
	size_t n = 0;

	while (n < 18 && n < r->len && is_digit(r->text[r->len - 1 - n])) {
		n++;
	}
	if (n == 0 || (n > 1 && r->text[r->len - n] == '0')) {
		return false;
	}
	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		*ret = *ret * 10 + (uint64_t)(r->text[r->len - n + i] - '0');
	}
	r->len -= n;
	return true;
}

static bool is_of_name(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.';
}

/* A word in quotes. */
static bool take_word(struct rest *r, char *ret, size_t size)
{
	size_t n = 0;

	if (!drop(r, "\"")) {
		return false;
	}
	while (n < size && n < r->len && is_of_name(r->text[r->len - 1 - n])) {
		n++;
	}
	if (n == 0 || n >= size) {
		return false;
	}
	r->len -= n;
	memcpy(ret, r->text + r->len, n);
	ret[n] = '\0';
	return drop(r, "\"");
}

static bool take_digest(struct rest *r, uint8_t ret[DIGEST_SIZE])
{
	if (!drop(r, "\"") || r->len < 2UL * DIGEST_SIZE) {
		return false;
	}
	r->len -= 2UL * DIGEST_SIZE;
	return hex_decode(r->text + r->len, DIGEST_SIZE, ret) && drop(r, "\"");
}

static bool take_data(struct rest *r, struct line *ret)
{
	static const char front[] = "{\"data\":";
	size_t n = strlen(front);

	if (r->len < n + 2 || memcmp(r->text, front, n) != 0 || r->text[n] != '{' ||
	    r->text[r->len - 1] != '}') {
		return false;
	}
	ret->data = r->text + n;
	ret->data_len = r->len - n;
	return true;
}

bool line_parse(const char *text, size_t len, struct line *ret)
{
	struct rest r = {text, len};

	return drop(&r, "\"}") && take_time(&r, &ret->time) && drop(&r, ",\"time\":\"") &&
	       take_number(&r, &ret->seq) && drop(&r, ",\"seq\":") &&
	       take_word(&r, ret->sandbox, sizeof(ret->sandbox)) && drop(&r, ",\"sandbox\":") &&
	       take_digest(&r, ret->prev) && drop(&r, ",\"prev\":") &&
	       take_word(&r, ret->event, sizeof(ret->event)) && drop(&r, ",\"event\":") &&
	       take_data(&r, ret);
}
