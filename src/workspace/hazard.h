/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that the host would obey.
 *
 * A copy is a wall only until somebody takes from it. Some files are carried out, loaded or obeyed
 * by tools on the host as soon as they are there: a git hook, an editor's task, a package manager's
 * script, a shell's start-up file. Each change is compared with a table (hazard-table.c) that says
 * which names those are and why; what a name cannot tell (a directory that git would take for a
 * repository of its own, a link out of the tree, a program that hides one of PATH) is looked for in
 * the changes as a whole. Nothing here decides: who applies the changes does.
 */
#pragma once

#include <stddef.h>

struct changes;
struct err;

/* One reason to think twice about one change. Texts are constants. */
struct hazard {
	size_t change;    /* its place in the list of changes */
	const char *code; /* stable: "git-hook", "shell-start-up", ... */
	const char *why;  /* a sentence: what on the host would obey it, and when */
};

/* Sorted by change; a change may have several. All zeros is a valid start and end. */
struct hazards {
	struct hazard *list;
	size_t n, room;
};

/*
 * Classifies changes. `upper` is read, through descriptors, where the content decides; `path` is
 * the PATH whose programs an added executable could hide, NULL: not looked at. 0, -ENOMEM, or
 * another negative errno with the reason in *e.
 */
int hazards_find(const struct changes *c, int upper, const char *path, struct hazards *ret,
		 struct err *e);

void hazards_done(struct hazards *h);
