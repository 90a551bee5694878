/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations and host names: one spelling for each, which holds itself and nothing beside it. */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy/hostname.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *host)
{
	static const char *const elsewhere[] = {"evil.example", "x.invalid"};
	char again[HOST_SIZE], longer[HOST_SIZE + 8];
	struct err e = {};

	/* What is canonical stays as it is, and belongs to itself. */
	if (hostname_canonical(host, again, &e) < 0 || strcmp(host, again) != 0 ||
	    !hostname_within(host, host)) {
		abort();
	}
	for (const char *p = host; *p; p++) {
		if (isupper((unsigned char)*p) || *p <= ' ' || *p > '~') {
			abort();
		}
	}
	/* A name that only ends alike is another one. */
	if (host[0] != '*' && host[0] != '[') {
		(void)snprintf(longer, sizeof(longer), "evil%s", host);
		if (hostname_within(longer, host)) {
			abort();
		}
	}
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
		if (strcmp(host, elsewhere[i]) != 0 && host[0] != '*' &&
		    hostname_within(elsewhere[i], host)) {
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), once[DESTINATION_SIZE], twice[DESTINATION_SIZE];
	struct destination d;
	struct err e = {};

	if (!text) {
		return 0;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	if (destination_parse(text, &d, &e) >= 0) {
		(void)destination_text(&d, once);
		if (destination_canonical(once, twice, &e) < 0 || strcmp(once, twice) != 0 ||
		    d.port == 0 || !destination_within(once, once) ||
		    !destination_within(text, once)) {
			abort();
		}
		check_name(d.host);
	} else if (e.kind != ERR_POLICY || e.code != EINVAL || e.msg[0] == '\0') {
		abort();
	}
	free(text);
	return 0;
}
