/* SPDX-License-Identifier: Apache-2.0 */
/* The conversion is libidn2's (decision 0029). */
#include "policy/idn.h"

#include <errno.h>
#include <idn2.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80)) {
		text++;
	}
	return !*text;
}

int idn_to_ascii(const char *text, char *out, size_t size, struct err *e)
{
	size_t wild = strncmp(text, "*.", 2) == 0 ? 2 : 0, len = strcspn(text, ":/,");
	char host[1024], *ascii = NULL;
	int r, n;

	if (is_ascii(text)) {
		n = snprintf(out, size, "%s", text);
		return n >= 0 && (size_t)n < size
			       ? 0
			       : err_set(e, ERR_POLICY, EINVAL, "the host name is too long");
	}
	if (len < wild || len - wild >= sizeof(host)) {
		return err_set(e, ERR_POLICY, EINVAL, "the host name is too long");
	}
	memcpy(host, text + wild, len - wild);
	host[len - wild] = '\0';
	/* Not by the rules of STD 3: libidn2 2.3.3 leaves out what they forbid and says nothing,
	 * and another name would be allowed than was written. hostname_canonical() refuses it. */
	r = idn2_to_ascii_8z(host, &ascii, IDN2_NONTRANSITIONAL);
	if (r != IDN2_OK) {
		return err_set(e, ERR_POLICY, EINVAL, "this is no internationalised host name: %s",
			       idn2_strerror(r));
	}
	/* Full width forms of what separates the parts of a rule have become that. */
	if (strpbrk(ascii, "*:/,[]")) {
		idn2_free(ascii);
		return err_set(e, ERR_POLICY, EINVAL, "this is no host name");
	}
	n = snprintf(out, size, "%.*s%s%s", (int)wild, text, ascii, text + len);
	idn2_free(ascii);
	return n >= 0 && (size_t)n < size
		       ? 0
		       : err_set(e, ERR_POLICY, EINVAL, "the host name is too long");
}
