/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer that is born with its maximum. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Invariants: len <= cap <= max + 1; data is NULL or data[len] == '\0', so that text can be read
 * as a C string. A failed append (-E2BIG above max, -ENOMEM) leaves the contents unchanged and
 * sets `failed`, so that a run of appends can be checked once at its end.
 */
struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees; the buffer may be initialised again */
void buf_clear(struct buf *b); /* keeps the memory */

int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addu(struct buf *b, uint64_t n); /* in decimal digits */
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends the whole of a descriptor; -E2BIG if there is more than max. */
int buf_read_fd(struct buf *b, int fd);

/* Writes all of it, whatever write(2) takes at a time. 0 or negative errno. */
int buf_write_fd(int fd, const void *data, size_t len);

/* The text, never NULL. Valid until the next change. */
const char *buf_str(const struct buf *b);

/* Hands the bytes to the caller (free()), NULL on an empty or failed buffer; clears the buffer. */
char *buf_take(struct buf *b);

#define _cleanup_buf_ __attribute__((cleanup(buf_done)))
