/* SPDX-License-Identifier: Apache-2.0 */
/* The search path inside, and the tool chains outside /usr that it leads to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct plan;
struct toolchain;

struct search_dir {
	char *path;                    /* as it stands in PATH inside */
	const struct toolchain *chain; /* NULL: part of the host view */
	char *root;                    /* what the chain's places are relative to */
};

struct search_path {
	struct search_dir *dirs;
	size_t n;
};

void search_path_done(struct search_path *s);

/*
 * From the caller's PATH: directories of the host view and of known tool chains stay, in their
 * order; relative, empty, missing and world-writable ones and those in the workspace are dropped
 * (a note says so where that may surprise). The standard directories stand at the end.
 * `home` is the canonical HOME; NULL drops tool chains, too.
 */
int search_path_init(const char *caller_path, const char *home, struct plan *p,
		     struct search_path *ret, struct err *e);

/* The directories joined by ':'. free(); NULL: out of memory. */
char *search_path_text(const struct search_path *s);

/* Adds the places that the chain of that directory needs to plan->read, without credentials. */
int search_dir_show(const struct search_dir *d, struct plan *p, struct err *e);
