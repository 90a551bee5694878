/* SPDX-License-Identifier: Apache-2.0 */
/* A policy document: YAML text to values, with places. */
#pragma once

#include <stddef.h>

#include "policy/value.h"

struct buf;

#define POLICY_DOCUMENT_MAX (1024 * 1024)

/*
 * Reads a document. `file` names it in messages and is borrowed by the result. Checks everything
 * that one document can be wrong about, nothing that depends on the host. 0; -EINVAL (kind
 * ERR_POLICY) or -ENOMEM with *e set and *ret empty.
 */
int policy_load(const char *file, enum layer layer, const char *text, size_t len,
		struct policy *ret, struct err *e);

/*
 * The same for a document that is no policy: one mapping of these keys, each with a single value.
 * v[i] is the value of keys[i], empty before; on failure some may be set.
 */
int policy_load_flat(const char *file, const char *text, size_t len, const struct schema_key *keys,
		     size_t n, struct value *v, struct err *e);

/* The bytes of a document file, bounded. `what` names its role in messages. */
int policy_read_fd(int fd, const char *file, struct buf *ret, struct err *e);
