/* SPDX-License-Identifier: Apache-2.0 */
/* Where the documents of a policy come from: the floor, a template, a file of the caller's. */
#pragma once

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

int source_file(const char *file, struct policy *ret, struct err *e);
