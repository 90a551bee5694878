/* SPDX-License-Identifier: Apache-2.0 */
/* Places under HOME where programs keep credentials. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The next of them, from *n on (0 at first), that `path` is, lies in, or as a directory holds:
 * relative to `home`. NULL: there is none more.
 */
const char *credential_place_next(const char *path, bool is_dir, const char *home, size_t *n);
