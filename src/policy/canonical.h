/* SPDX-License-Identifier: Apache-2.0 */
/* A policy as JSON: dotted keys to values, the form whose digest names it. */
#pragma once

#include <jansson.h>

#include "base/digest.h"

struct policy;
struct schema_key;
struct value;

/* The set keys. Words and texts are strings, sizes bytes, durations nanoseconds. NULL: memory. */
json_t *policy_canonical(const struct policy *p);
json_t *policy_canonical_value(const struct schema_key *k, const struct value *v);

/* SHA-256 of the above. 0 or -ENOMEM. */
int policy_canonical_digest(const struct policy *p, char out[DIGEST_HEX_SIZE]);
