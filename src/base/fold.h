/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as file systems see them that fold names.
 *
 * Two names that one file system or another takes for the same have one folded form: without case
 * (Unicode's full case folding), canonically decomposed (NFD), without ignorable code points. That
 * is how ext4 and f2fs with casefold, HFS+ and APFS compare; what vfat and NTFS ignore beyond that
 * is a matter of their own. It errs on the side of the same: the order of combining characters
 * never counts. Bytes that are not UTF-8 stand for themselves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* So many times as long as the name its folded form may be. */
#define FOLD_GROWTH 3

/* Writes the folded form and a NUL; `out` holds len * FOLD_GROWTH + 1 bytes. Returns its length. */
size_t fold_name(const char *s, size_t len, char *out);

/*
 * The length of the character that a name begins with, and what belongs to it: combining characters
 * and others that some form has as parts of one, and ignorable code points. The folded form of a
 * name is that of its characters, one after the other. `len` is at least 1.
 */
size_t fold_character(const char *s, size_t len);
