/* SPDX-License-Identifier: Apache-2.0 */
/* Precedence: a value that a higher layer gave is a ceiling for the lower ones. */
#pragma once

#include <stddef.h>

#include "policy/value.h"

struct err;
struct search_path;

/* What paths and programs are compared with; `search` is needed for programs only. */
struct merge_context {
	const char *home;
	const struct search_path *search;
};

/*
 * Merges one key over the layers, highest first, into *ret (empty before). Values move out of the
 * layers. A lower layer that widens fails with both places in the message.
 */
int merge_key(const struct schema_key *k, struct policy *layers, size_t n_layers,
	      const struct merge_context *ctx, struct value *ret, struct err *e);

/* Moves what is not set in `to` over from `from`; sections are left alone. */
void merge_defaults(struct policy *to, struct policy *from);
