/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which packages the host has, as one digest: programs of the host's /usr are named by no digest of
 * their own, and the lists of the package managers are what says which they are.
 */
#pragma once

#include <jansson.h>

/*
 * {"manager": "dpkg", "apk", "pacman" or "rpm", "count": packages, "digest": SHA-256}: over the
 * lines "NAME VERSION ARCHITECTURE", sorted; of rpm, whose database is no text, over its bytes and
 * without a count. null: there is none that is known. NULL: out of memory, or it cannot be read
 * (errno).
 */
json_t *packages_facts(void);
