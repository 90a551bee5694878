/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes changes of a copy over into the original: all of the chosen ones, or none.
 *
 * Theory of operation. Three steps, of which only the second touches anything that was there:
 *
 *   stage    Everything new is made in a directory of its own at the top of the original,
 *            .atoll-apply-ID, and written to disk: contents, modes, links, empty directories. Then
 *            the journal, apply.json in the sandbox's directory, says what will be done where.
 *   commit   Each step is one rename(2): out of the staging directory, into it, or the two names
 *            exchanged. So each file is at every moment the old or the new one, whole, and what was
 *            replaced is still there.
 *   clean    The journal goes, then the staging directory with what was replaced.
 *
 * Whoever dies in the middle leaves a journal. Since renames move inodes, what has been done can be
 * seen: apply_recover() goes on from there, or back. A step that finds something else than what was
 * there when the changes were looked at turns the whole around.
 *
 * The original's names are walked below its root through descriptors and never through a link. What
 * arrives has the permission bits of the copy without set-id and sticky bits, the owner of the file
 * it replaces or of the directory it comes into where root applies, the group of the file it
 * replaces where that is one of ours, its extended attributes, and nothing else of the copy's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct changes;
struct err;

struct apply {
	int original;     /* the workspace */
	int upper;        /* the copy's upper layer; apply_recover() does without */
	int journal;      /* the directory that apply.json is in */
	const char *id;   /* of the sandbox: names the staging directory */
	int64_t begun_ns; /* CLOCK_REALTIME_COARSE before anything of the payload ran */
};

/* Why one change cannot be taken over as things are. */
struct conflict {
	size_t change;
	const char *why; /* a constant sentence */
};

struct conflicts {
	struct conflict *list;
	size_t n, room;
};

/*
 * Compares the original with what the changes were made on. A file that was changed since the copy
 * was begun (its ctime says so) is a conflict, unless it holds by now what the change would make
 * of it; so is something where nothing was, what is behind a mount, what nothing can be made of at
 * all (sockets, fifos, names too long), what the policy denies, and the end of a directory that
 * holds such a thing. 0, or negative with *e set; an empty list: there is
 * none.
 */
int apply_check(const struct apply *a, const struct changes *c, struct conflicts *ret,
		struct err *e);
void conflicts_done(struct conflicts *c);

/*
 * Takes all of `c` over. On failure nothing of it has been, unless *e says otherwise: the way back
 * failed too, and apply_pending() is true; or all of it has been and only the staging directory is
 * left, for apply_clean().
 */
int apply_changes(const struct apply *a, const struct changes *c, struct err *e);

/* True where an apply was interrupted: there is a journal. */
bool apply_pending(int journal);

/* True where one was, and somebody removed the staging directory: there is no way on, nor back. */
bool apply_lost(const struct apply *a);

/* Removes what an apply left in the original that died before its journal was there. */
int apply_clean(const struct apply *a, struct err *e);

/* Finishes what was interrupted, or undoes it. */
int apply_recover(const struct apply *a, bool undo, struct err *e);
