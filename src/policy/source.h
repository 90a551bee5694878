/* SPDX-License-Identifier: Apache-2.0 */
/* Where documents come from: the floor, a template, a file of the caller's, the configuration. */
#pragma once

#include <limits.h>

#include "policy/value.h"

struct err;

/* `path` NULL: the organisation's own, which need not exist (*ret is empty then). */
int source_floor(const char *path, struct policy *ret, struct err *e);

/*
 * The document that --template names: a word without a slash is looked up as NAME.yaml where
 * templates are kept, a word with one is a file. *ret_places gets the places that were tried, the
 * last one being the document: a NULL-terminated array of strings that *ret borrows from and the
 * caller frees (strings_free), also after a failure.
 */
int source_template(const char *word, char *const *environ, struct policy *ret, char ***ret_places,
		    struct err *e);

/*
 * config.yaml of the host, or the caller's own, into v[i] for keys[i]. `path` gets its name, which
 * the values borrow. 1; 0 where there is none.
 */
enum config_place { CONFIG_OF_HOST, CONFIG_OF_CALLER };
int source_config(enum config_place place, char *const *environ, char path[PATH_MAX],
		  const struct schema_key *keys, size_t n, struct value *v, struct err *e);

int source_file(const char *file, struct policy *ret, struct err *e);
