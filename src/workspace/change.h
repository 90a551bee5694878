/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload changed in its copy of a workspace.
 *
 * The copy is the upper layer of an overlay (Documentation/filesystems/overlayfs.rst) that was
 * mounted with `userxattr`, without redirects, metacopy or index, so everything that follows from
 * it is in it and in the original:
 *
 *   a character device 0:0                      the name is gone ("whiteout")
 *   a directory with user.overlay.opaque=y or x what was in it is gone, what is in it is new
 *   any other directory                         stands for the original's, with its mode
 *   anything else                               stands in the original's place
 *
 * The upper layer was written by the payload and the original may be changed by anybody: both are
 * read through descriptors, below their roots only, no link is followed, nothing but regular files
 * is opened, and no depth or number of files decides how much of the stack or how many descriptors
 * it takes. Nobody writes the upper layer meanwhile; what the original loses meanwhile is absent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

enum change_kind {
	CHANGE_ADDED,
	CHANGE_DELETED,
	CHANGE_MODIFIED, /* content, or where a link leads */
	CHANGE_MODE,     /* permissions alone */
	CHANGE_TYPE,     /* a file became a directory, a link, ... */
	CHANGE_RENAMED,  /* a deleted and an added regular file of the same content, not empty */
};

/* One side of a change; all zeros: it is not there. */
struct change_side {
	mode_t mode; /* with the type, st_mode */
	uint64_t size;
	char *target; /* of a link, any bytes but NUL; NULL otherwise */
};

struct change {
	char *path; /* below the root, without a slash before or behind it; any bytes but NUL */
	char *from; /* CHANGE_RENAMED: the path it had; NULL otherwise */
	enum change_kind kind;
	struct change_side before, after;
	bool binary; /* either side is a regular file with a NUL in its first 8,000 bytes */
};

/* Sorted by path, byte by byte. All zeros is a valid start and end. */
struct changes {
	struct change *list;
	size_t n, room;
};

/* At most so many changes are listed; a payload can make names for as long as its limits allow. */
#define CHANGES_MAX 1000000

/*
 * The difference between `original` and what `upper` makes of it, two directory descriptors. A
 * directory that is added or deleted is listed, and so is everything in it. A file that was only
 * copied up, with the same content and mode, is not a change; owners and times are not looked at.
 * With `renames`, what was deleted and added with the same content is one CHANGE_RENAMED.
 *
 * 0; -E2BIG beyond CHANGES_MAX; -ENOMEM; another negative errno where the copy cannot be read,
 * with the path in *e, neutralised (utf8.h). On failure *ret is empty.
 */
int changes_find(int original, int upper, bool renames, struct changes *ret, struct err *e);

/* True if `upper` holds nothing: a payload that only read has changed nothing. */
bool changes_none(int upper);

void changes_done(struct changes *c);

/* The word for a kind, as in JSON: "added", "deleted", "modified", "mode", "type", "renamed". */
const char *change_word(enum change_kind kind);

/* The letter for a kind, as git status shows it: A D M M T R. */
char change_letter(enum change_kind kind);
