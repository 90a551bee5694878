/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many columns of a terminal a text takes that was made safe to show (utf8_neutralise()): the
 * wide characters of East Asia and pictures take two, marks that stand on others none. The ranges
 * are the ones that texts have, not all that Unicode knows: what is missing moves a line by one.
 */
#pragma once

#include <stddef.h>

size_t columns_of(const char *s, size_t len);

/* How many bytes the first `columns` columns are; never a part of a character. */
size_t columns_skip(const char *s, size_t len, size_t columns);
