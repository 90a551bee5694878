/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying trees from one file system to another: an upper layer (change.h) from a tmpfs, which
 * ends with its sandbox, to the disk, where its changes wait for somebody to look at them; and an
 * original into a copy of every file, where no overlay can be had.
 *
 * A layer was written by a payload, and nobody writes it any more. An original may be changed by
 * anybody meanwhile, and hold what earlier payloads left. Both are read through descriptors,
 * without following a link, a bounded number of them held whatever the depth. What is made keeps
 * holes, several names of one file, modes but set-id bits of files, times and attributes user.*.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct deny_rules;
struct dirs;
struct err;

/* What of a layer the file system that it is carried to has no place for: no reason to lose the
 * rest. All zeros: nothing. */
struct carry_loss {
	uint64_t files; /* left out: too large, or with such a name; a directory with all in it */
	uint64_t attributes; /* left out */
	uint64_t names;      /* of one file, that are files of their own now */
	char first[256];     /* the name of the first of these, as it is, in its directory */
};

/*
 * Makes `name` in directory `dir` a copy of the layer `from`, whiteouts and opaque directories with
 * it: whole but for *ret_loss, or it is not there. It belongs to the caller. 0, or negative errno
 * with the name that was at work in *e. Memory: the names of the directories beside those on the
 * way to the one at work.
 */
int carry_layer(int from, int dir, const char *name, struct carry_loss *ret_loss, struct err *e);

/* Told of each name, and of each piece of a large file: how many names, and bytes of files, have
 * been copied. Negative ends it. */
typedef int carry_tell(void *arg, uint64_t files, uint64_t bytes);

/* An original, and what becomes of it. */
struct carry_original {
	const char *place;               /* its absolute path */
	const struct deny_rules *denied; /* names that are left out; NULL: none */
	uint64_t room;                   /* at most so many bytes, of blocks, of a file once */
	/* Where root is the caller: what belongs to the one will belong to the other. */
	uid_t owner, as_owner;
	gid_t group, as_group;
	struct dirs *dirs; /* gets its directories, sorted (dirs.h) */
	carry_tell *tell;  /* NULL: nobody */
	void *arg;
};

/* The same of an original. -EFBIG: it is larger than there is room; -EACCES: something of it may
 * not be read; -EOPNOTSUPP: it holds a device; what `tell` ended it with. */
int carry_original(int from, const struct carry_original *original, int dir, const char *name,
		   struct err *e);
