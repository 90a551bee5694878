/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded growable buffers. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data) {
		b->data[0] = '\0';
	}
}

/* More memory, where that is allowed. */
static int more(struct buf *b, size_t extra)
{
	size_t cap = b->cap ? b->cap : 256;
	char *data;

	if (extra > b->max - b->len) {
		b->failed = true;
		return -E2BIG;
	}
	cap = cap > b->max ? b->max + 1 : cap;
	while (cap < b->len + extra + 1) {
		cap = cap > b->max / 2 ? b->max + 1 : cap * 2;
	}
	data = fault_hit() ? NULL : realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return -ENOMEM;
	}
	b->data = data;
	b->cap = cap;
	return 0;
}

/* Makes room for `extra` more bytes and the terminator. Memory that is there is within max. */
static inline int buf_grow(struct buf *b, size_t extra)
{
	return extra < b->cap - b->len ? 0 : more(b, extra);
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int r = buf_grow(b, len);

	if (r < 0) {
		return r;
	}
	if (len > 0) {
		memcpy(b->data + b->len, data, len);
	}
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
	int r = buf_grow(b, 1);

	if (r < 0) {
		return r;
	}
	b->data[b->len++] = c;
	b->data[b->len] = '\0';
	return 0;
}

int buf_addu(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return buf_add(b, digits + at, sizeof(digits) - at);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n, r;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		r = -EINVAL;
		b->failed = true;
	} else {
		r = buf_grow(b, (size_t)n);
	}
	if (r >= 0) {
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return r;
}

int buf_read_fd(struct buf *b, int fd)
{
	for (;;) {
		char chunk[4096];
		ssize_t n = read(fd, chunk, sizeof(chunk));
		int r;

		if (n == 0) {
			return 0;
		}
		if (n < 0) {
			if (errno == EINTR) {
				continue;
			}
			b->failed = true;
			return -errno;
		}
		r = buf_add(b, chunk, (size_t)n);
		if (r < 0) {
			return r;
		}
	}
}

int buf_write_fd(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
	char *data = b->failed ? NULL : b->data;

	if (b->failed) {
		free(b->data);
	}
	*b = (struct buf){.max = b->max};
	return data;
}
