/* SPDX-License-Identifier: Apache-2.0 */
/* execution.allow: names, paths and patterns to the files they stand for. */
#pragma once

#include <stddef.h>

struct err;
struct item;
struct plan;
struct plan_path;
struct search_path;
struct value;

/*
 * The canonical files (or whole directories) that one element names; names are looked up in the
 * search path inside. An element that names nothing is an error. The list grows by what is found.
 */
int program_expand(const struct item *it, const struct search_path *search, const char *home,
		   struct plan_path **list, size_t *n, struct err *e);

/* Fills exec_any, exec and their notes from the merged list (NULL: any program). */
int programs_fill(const struct value *allow, const struct search_path *search, struct plan *p,
		  struct err *e);
