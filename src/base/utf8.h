/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Length of the sequence at s (1 to 4), or 0 when the bytes there are not UTF-8. */
size_t utf8_sequence(const char *s, size_t len);

bool utf8_valid(const char *s, size_t len);

/* Appends s with every byte that belongs to no sequence replaced by U+FFFD. */
int utf8_repair(struct buf *out, const char *s, size_t len);

/*
 * Appends s made safe to show on a terminal or in a log line: controls (C0, DEL, C1), bidirectional
 * formatting characters and broken bytes are written as \xNN or \u{NNNN}; everything else is kept.
 */
int utf8_neutralise(struct buf *out, const char *s, size_t len);
