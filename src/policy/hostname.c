/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names. Two parsers that disagree about a name are a hole in every allow-list, so a name is
 * brought into one form here and refused when it has no such form: numbers that old resolvers take
 * for addresses (127.1, 0x7f.0.0.1, 2130706433), underscores, empty labels, U-labels.
 */
#include "policy/hostname.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/scalar.h"

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ERR_POLICY, EINVAL, "%s", why);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A label that inet_aton(3) would take for a number: decimal, octal or hexadecimal. */
static bool is_number(const char *label, size_t len)
{
	bool hex = len > 2 && label[0] == '0' && label[1] == 'x';

	for (size_t i = hex ? 2 : 0; i < len; i++) {
		bool digit = is_digit(label[i]);

		if (!digit && !(hex && label[i] >= 'a' && label[i] <= 'f')) {
			return false;
		}
	}
	return len > 0;
}

static int check_label(const char *label, size_t len, struct err *e)
{
	if (len == 0) {
		return refuse(e, "a label of the host name is empty");
	}
	if (len > 63) {
		return refuse(e, "a label of the host name is longer than 63 characters");
	}
	if (label[0] == '-' || label[len - 1] == '-') {
		return refuse(e, "a label of the host name begins or ends with a hyphen");
	}
	if (len >= 4 && label[2] == '-' && label[3] == '-' && memcmp(label, "xn", 2) != 0) {
		return refuse(e, "only xn-- may stand before '--' in a label");
	}
	for (size_t i = 0; i < len; i++) {
		char c = label[i];

		if ((unsigned char)c >= 0x80) {
			return refuse(e, "write a name outside ASCII in its xn-- form");
		}
		if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-') {
			return refuse(e, "a host name consists of letters, digits, '-' and '.'");
		}
	}
	return 0;
}

/* Checks the labels of a lower-case name without final dot. */
static int check_name(const char *name, size_t min_labels, struct err *e)
{
	const char *label = name;
	size_t labels = 0;

	for (;;) {
		size_t len = strcspn(label, ".");
		int r = check_label(label, len, e);

		if (r < 0) {
			return r;
		}
		labels++;
		if (label[len] == '\0') {
			if (is_number(label, len)) {
				return refuse(e, "this is neither a host name nor an address in "
						 "its usual form");
			}
			break;
		}
		label += len + 1;
	}
	if (labels < min_labels) {
		return refuse(e, "a wildcard needs at least two labels after '*.'");
	}
	return 0;
}

/* Literal addresses: 1 when it was one, 0 when it is none. */
static int take_address(const char *host, char out[HOST_SIZE], struct err *e)
{
	unsigned char address[16];
	char text[INET6_ADDRSTRLEN];
	size_t len = strlen(host);

	if (inet_pton(AF_INET, host, address) == 1) {
		(void)snprintf(out, HOST_SIZE, "%s", host);
		return 1;
	}
	if (host[0] != '[') {
		return 0;
	}
	if (len < 4 || len > INET6_ADDRSTRLEN + 1 || host[len - 1] != ']') {
		return refuse(e, "an IPv6 address stands in brackets");
	}
	memcpy(text, host + 1, len - 2);
	text[len - 2] = '\0';
	if (inet_pton(AF_INET6, text, address) != 1 ||
	    !inet_ntop(AF_INET6, address, text, sizeof(text))) {
		return refuse(e, "this is no IPv6 address");
	}
	(void)snprintf(out, HOST_SIZE, "[%s]", text);
	return 1;
}

/* Of a canonical host: the last label of a name is no number. */
static bool is_address(const char *host)
{
	const char *dot = strrchr(host, '.');

	return host[0] == '[' || (dot && is_digit(dot[1]) && is_number(dot + 1, strlen(dot + 1)));
}

int hostname_canonical(const char *host, char out[HOST_SIZE], struct err *e)
{
	char name[HOSTNAME_MAX + 4] = "";
	size_t len = strlen(host);
	bool wild;
	int r = take_address(host, out, e);

	if (r != 0) {
		return r < 0 ? r : 0;
	}
	if (len > 0 && host[len - 1] == '.') {
		len--;
	}
	if (len == 0) {
		return refuse(e, "the host name is empty");
	}
	if (len > HOSTNAME_MAX) {
		return refuse(e, "the host name is longer than 253 characters");
	}
	for (size_t i = 0; i < len; i++) {
		name[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] | 0x20) : host[i];
	}
	name[len] = '\0';
	wild = strncmp(name, "*.", 2) == 0;
	if (!wild && strchr(name, '*')) {
		return refuse(e, "'*' may only stand as the whole first label");
	}
	r = check_name(name + (wild ? 2 : 0), wild ? 2 : 1, e);
	if (r < 0) {
		return r;
	}
	memcpy(out, name, len + 1);
	return 0;
}

static const char *const protocol_names[] = {
	[NET_TLS] = "tls", [NET_HTTP] = "http", [NET_TCP] = "tcp"};

const char *net_protocol_name(enum net_protocol p)
{
	return protocol_names[p];
}

#define PORT_DEFAULT 443

static enum net_protocol usual_protocol(unsigned port)
{
	return port == 443 ? NET_TLS : port == 80 ? NET_HTTP : NET_TCP;
}

/* Cuts ",private" and "/PROTOCOL" off the end of a text. */
static int take_suffixes(char *text, bool *ret_protocol, struct destination *ret, struct err *e)
{
	char *comma = strchr(text, ','), *slash;

	*ret_protocol = false;
	if (comma) {
		*comma = '\0';
		if (strcmp(comma + 1, "private") != 0) {
			return refuse(e, "after a comma only 'private' is known");
		}
		ret->private_ = true;
	}
	slash = strchr(text, '/');
	if (!slash) {
		return 0;
	}
	*slash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(protocol_names); i++) {
		if (strcmp(slash + 1, protocol_names[i]) == 0) {
			ret->protocol = (enum net_protocol)i;
			*ret_protocol = true;
			return 0;
		}
	}
	return refuse(e, "the protocol must be tls, http or tcp");
}

/* Cuts ":PORT" off; an IPv6 address has colons of its own, and brackets around them. */
static int take_port(char *text, struct destination *ret, struct err *e)
{
	char *colon = strrchr(text, ':');
	uint64_t port;

	ret->port = PORT_DEFAULT;
	if (!colon || strchr(colon, ']')) {
		return 0;
	}
	if (scalar_int(colon + 1, &port) < 0 || port < 1 || port > 65535) {
		return refuse(e, "the port must be a number from 1 to 65535");
	}
	*colon = '\0';
	ret->port = (uint16_t)port;
	return 0;
}

int destination_parse(const char *text, struct destination *ret, struct err *e)
{
	char copy[DESTINATION_SIZE + 32];
	size_t len = strlen(text);
	bool said;
	int r;

	*ret = (struct destination){};
	if (len >= sizeof(copy)) {
		return refuse(e, "the host name is longer than 253 characters");
	}
	memcpy(copy, text, len + 1);
	r = take_suffixes(copy, &said, ret, e);
	r = r < 0 ? r : take_port(copy, ret, e);
	if (r >= 0 && strcmp(copy, "*") == 0) {
		(void)snprintf(ret->host, sizeof(ret->host), "*");
	} else {
		r = r < 0 ? r : hostname_canonical(copy, ret->host, e);
	}
	if (r >= 0 && !said) {
		ret->protocol = usual_protocol(ret->port);
	}
	return r;
}

const char *destination_text(const struct destination *d, char out[DESTINATION_SIZE])
{
	bool usual = d->protocol == usual_protocol(d->port);

	(void)snprintf(out, DESTINATION_SIZE, "%s:%u%s%s%s", d->host, (unsigned)d->port,
		       usual ? "" : "/", usual ? "" : net_protocol_name(d->protocol),
		       d->private_ ? ",private" : "");
	return out;
}

int destination_canonical(const char *text, char out[DESTINATION_SIZE], struct err *e)
{
	struct destination d;
	int r = destination_parse(text, &d, e);

	if (r >= 0) {
		(void)destination_text(&d, out);
	}
	return r;
}

bool hostname_within(const char *host, const char *pattern)
{
	size_t lh = strlen(host), lp = strlen(pattern);

	if (strcmp(host, pattern) == 0) {
		return true;
	}
	if (strcmp(pattern, "*") == 0) {
		return !is_address(host);
	}
	/* "*.example.com" holds "a.example.com" and "*.a.example.com", never "example.com". */
	return pattern[0] == '*' && lh >= lp && strcmp(host + (lh - (lp - 1)), pattern + 1) == 0;
}

bool destination_within(const char *inner, const char *outer)
{
	struct destination i, o;
	struct err e = {};

	return destination_parse(inner, &i, &e) >= 0 && destination_parse(outer, &o, &e) >= 0 &&
	       hostname_within(i.host, o.host) && i.port == o.port &&
	       (i.protocol == o.protocol || o.protocol == NET_TCP) && (!i.private_ || o.private_);
}
