/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload changed in its copy of a workspace.
 *
 * The copy is the upper layer of an overlay (Documentation/filesystems/overlayfs.rst) that was
 * mounted with `userxattr`, without redirects, metacopy or index, so everything that follows from
 * it is in it and in the original:
 *
 *   a character device 0:0                 the name is gone ("whiteout"); in the original too
 *   a directory with user.overlay.opaque=y what was in it is gone at every depth, what is in it is
 *                                          all there is
 *   any other directory                    stands for the original's, with its mode
 *   anything else                          stands in the original's place
 *
 * The value x marks a directory that is merged like any other, with another form of whiteout; an
 * overlay writes neither itself, and what is mounted like this keeps user.overlay.* from a payload.
 *
 * The upper layer was written by the payload and the original may be changed by anybody: both are
 * read through descriptors, below their roots only, no link is followed, nothing but regular files
 * is opened, and no depth or number of files decides how much of the stack or how many descriptors
 * it takes. Whoever writes the upper layer meanwhile, as a sandbox that runs may, makes it fail at
 * worst; what the original loses meanwhile is absent. A file or directory of the upper layer that
 * is ours and denies us to read it lends the right for as long as one call takes, and has its mode
 * back behind it. The original's modes are left alone: what may not be looked at there has no
 * `before`, and what may not be read there is not the same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct deny_rules;
struct dirs;
struct err;

enum change_kind {
	CHANGE_ADDED,
	CHANGE_DELETED,
	CHANGE_MODIFIED, /* content, or where a link leads */
	CHANGE_MODE,     /* permissions alone */
	CHANGE_TYPE,     /* a file became a directory, a link, ... */
	CHANGE_RENAMED,  /* a deleted and an added regular file of the same content, not empty */
};

/* One side of a change; all zeros: it is not there, or before: nobody lets us look. */
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
	bool denied; /* the policy hides that name from the sandbox: it is CHANGE_ADDED */
	bool binary; /* either side is a regular file with a NUL in its first 8,000 bytes */
};

/* Sorted by path, byte by byte. All zeros is a valid start and end. */
struct changes {
	struct change *list;
	size_t n, room;
	/* What the original has, and the sandbox could not see, below directories that are gone or
	 * were made anew: denied, or come later; sorted. */
	char **withheld;
	size_t n_withheld, room_withheld;
};

/* How a sandbox saw its workspace. */
struct change_view {
	const struct deny_rules *rules; /* what the policy denies (policy/deny.h); NULL: nothing */
	const char *workspace;          /* where it is */
	/* The copy is no upper layer of an overlay, but one of every file: by the ctime of both
	 * trees it was begun at begun_ns and whole at made_ns, before anything of the payload
	 * ran. 0: it is a layer. `dirs` (dirs.h; NULL: not known) are those of the original then.
	 */
	int64_t begun_ns, made_ns;
	const struct dirs *dirs;
};

/*
 * At most so many changes are listed, and so many bytes of paths and targets: a payload can make
 * names for as long as its limits allow, and the paths of a deep tree grow with its depth squared.
 */
#define CHANGES_MAX      1000000
#define CHANGES_TEXT_MAX (256U << 20)

/*
 * What is read to find renames, small files first: bytes, with an allowance for each file. Beyond
 * that, at paths that openat2(2) does not take, and behind directories of the original that deny us
 * to pass, a renamed file is a deleted and an added one.
 */
#define CHANGES_RENAME_MAX (1U << 30)

/*
 * The difference between `original` and what `upper` makes of it, two directory descriptors. A
 * directory that is added or deleted is listed, and so is everything in it. A file that was only
 * copied up, with the same content and mode, is not a change; owners and times are not looked at.
 * With `renames`, what was deleted and added with the same content is one CHANGE_RENAMED.
 *
 * What `view` denies (NULL: nothing) is not looked at in the original, which the sandbox could not
 * see there: what the upper layer has is added, what it does not have was not deleted by anybody.
 *
 * 0; -E2BIG beyond CHANGES_MAX or CHANGES_TEXT_MAX; -ENOMEM; -ESTALE if directories of a deep
 * original were moved meanwhile; another negative errno where the copy cannot be read, with the
 * path in *e, neutralised (utf8.h). On failure *ret is empty.
 */
int changes_find(int original, int upper, const struct change_view *view, bool renames,
		 struct changes *ret, struct err *e);

/* True if `upper` holds nothing: a payload that only read has changed nothing. False if unknown. */
bool changes_none(int upper);

void changes_done(struct changes *c);

/* The word for a kind, as in JSON: "added", "deleted", "modified", "mode", "type", "renamed". */
const char *change_word(enum change_kind kind);

/* The letter for a kind, as git status shows it: A D M M T R. */
char change_letter(enum change_kind kind);
