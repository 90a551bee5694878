/* SPDX-License-Identifier: Apache-2.0 */
/* The host and the port that a request names, in the one way to write them that is taken. */
#include <arpa/inet.h>

#include "wire/http-internal.h"

bool http_number(struct span s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0 || (s.len > 1 && s.at[0] == '0')) {
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		uint64_t digit = (uint64_t)(s.at[i] - '0');

		if (!is_digit(s.at[i]) || v > (max - digit) / 10) {
			return false;
		}
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

/* An IPv6 address in its brackets, and how long it is with them; 0: it is none. */
static size_t literal(struct span s)
{
	size_t end = until(s, "]");
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (end == s.len || end - 1 >= sizeof(text)) {
		return 0;
	}
	memcpy(text, s.at + 1, end - 1);
	text[end - 1] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1 ? end + 1 : 0;
}

bool http_authority(struct span s, struct http_authority *ret)
{
	size_t n = s.len > 0 && s.at[0] == '[' ? literal(s) : until(s, ":");
	uint64_t port;

	if (n == 0 || n > HTTP_HOST_MAX) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		char c = s.at[i];

		if (s.at[0] != '[' && !is_letter(c) && !is_digit(c) && !is_one_of(c, "-._")) {
			return false;
		}
		ret->host[i] = lower(c);
	}
	ret->host[n] = '\0';
	ret->port = -1;
	if (n == s.len) {
		return true;
	}
	if (s.at[n] != ':' || !http_number(behind(s, n + 1), 65535, &port) || port == 0) {
		return false;
	}
	ret->port = (int)port;
	return true;
}
