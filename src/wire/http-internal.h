/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a head of HTTP, and what is read from one that is complete. */
#pragma once

#include <string.h>

#include "wire/http.h"

struct span {
	const char *at;
	size_t len;
};

/* Whom a request is for, by its target or by Host. */
struct http_authority {
	char host[HTTP_HOST_MAX + 1]; /* "": not said */
	int port;
};

/* A host, and perhaps a port (RFC 3986, 3.2): nobody's name before it, nothing percent-encoded. The
 * bytes are a line's: there is no NUL. */
bool http_authority(struct span s, struct http_authority *ret);

/* A number without sign, blanks and leading zeros: some read those as octal. */
bool http_number(struct span s, uint64_t max, uint64_t *ret);

static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

static inline bool is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

/* Whether it begins with the word, which is in lower case. */
static inline bool begins(struct span s, const char *word)
{
	size_t n = strlen(word), i = 0;

	while (i < n && i < s.len && lower(s.at[i]) == word[i]) {
		i++;
	}
	return i == n;
}

static inline bool is(struct span s, const char *word)
{
	return s.len == strlen(word) && begins(s, word);
}

static inline struct span behind(struct span s, size_t n)
{
	return (struct span){s.at + n, s.len - n};
}

/* How many bytes there are before one of `ends`, or all. */
static inline size_t until(struct span s, const char *ends)
{
	size_t n = 0;

	while (n < s.len && !is_one_of(s.at[n], ends)) {
		n++;
	}
	return n;
}
