/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 checking, repair and neutralising. */
#include "base/utf8.h"

#include <stdint.h>

#include "base/buf.h"

size_t utf8_sequence(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n, i;
	uint32_t cp, min;

	if (len == 0) {
		return 0;
	}
	if (p[0] < 0x80) {
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2, cp = p[0] & 0x1f, min = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3, cp = p[0] & 0x0f, min = 0x800;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4, cp = p[0] & 0x07, min = 0x10000;
	} else {
		return 0;
	}
	if (len < n) {
		return 0;
	}
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) {
		return 0;
	}
	return n;
}

bool utf8_valid(const char *s, size_t len)
{
	while (len > 0) {
		size_t n = utf8_sequence(s, len);

		if (n == 0) {
			return false;
		}
		s += n;
		len -= n;
	}
	return true;
}

int utf8_repair(struct buf *out, const char *s, size_t len)
{
	while (len > 0) {
		size_t n = utf8_sequence(s, len);
		int r = n ? buf_add(out, s, n) : buf_adds(out, "\xef\xbf\xbd");

		if (r < 0) {
			return r;
		}
		n = n ? n : 1;
		s += n;
		len -= n;
	}
	return 0;
}

static uint32_t utf8_decode(const char *s, size_t n)
{
	static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t cp = (unsigned char)s[0] & first[n];
	size_t i;

	for (i = 1; i < n; i++) {
		cp = cp << 6 | ((unsigned char)s[i] & 0x3f);
	}
	return cp;
}

/* What can move the cursor, change colours, or reorder what a reader sees (Unicode UAX 9). */
static bool utf8_unsafe(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x61c || cp == 0x200e ||
	       cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
	       cp == 0xfeff;
}

int utf8_neutralise(struct buf *out, const char *s, size_t len)
{
	while (len > 0) {
		size_t n = utf8_sequence(s, len);
		int r;

		if (n == 0) {
			r = buf_addf(out, "\\x%02x", (unsigned)(unsigned char)s[0]);
			n = 1;
		} else {
			uint32_t cp = utf8_decode(s, n);

			if (!utf8_unsafe(cp)) {
				r = buf_add(out, s, n);
			} else if (cp < 0x80) {
				r = buf_addf(out, "\\x%02x", (unsigned)cp);
			} else {
				r = buf_addf(out, "\\u{%04x}", (unsigned)cp);
			}
		}
		if (r < 0) {
			return r;
		}
		s += n;
		len -= n;
	}
	return 0;
}
