/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of a policy as people write them: sizes, durations, CPUs. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * All parsers: 0, -EINVAL (not of that form) or -ERANGE (does not fit). No blanks, no signs, no
 * exponents; what they accept has exactly one meaning.
 */
int scalar_int(const char *s, uint64_t *ret);

/* Bytes: digits, then nothing or one of B kB MB GB TB (powers of 1000) KiB MiB GiB TiB. */
int scalar_size(const char *s, uint64_t *ret);

/* Nanoseconds: parts of digits and d, h, m, s or ms, from large to small, each at most once. */
int scalar_duration(const char *s, uint64_t *ret);

/* Thousandths: digits with at most three decimals. */
int scalar_cpus(const char *s, uint64_t *ret);

/* Bytes in a second: a size, then "/s". */
int scalar_rate(const char *s, uint64_t *ret);

#define SCALAR_TEXT_SIZE 64

/* The shortest exact spelling that the parsers above read back. Return `out`. */
const char *scalar_size_text(uint64_t bytes, char out[SCALAR_TEXT_SIZE]);
const char *scalar_duration_text(uint64_t ns, char out[SCALAR_TEXT_SIZE]);
const char *scalar_rate_text(uint64_t bytes, char out[SCALAR_TEXT_SIZE]);
const char *scalar_cpus_text(uint64_t milli, char out[SCALAR_TEXT_SIZE]);
