/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of finding changes: what is below a descriptor (entry.c), where a walk stands in one of
 * the trees (cursor.c), what both have under a name (sight.c) and in files (content.c), the walk
 * through both (walk.c), and the renames in what it found (rename.c).
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct change_view;
struct changes;
struct err;

/* The rights that something of ours lent us: its descriptor and the mode to put back. */
struct rights {
	int fd;
	mode_t mode; /* before, and as it is lent */
	mode_t lent;
};

#define RIGHTS_NONE ((struct rights){.fd = -EBADF})

/* Adds `bits` for the owner to what `fd` (O_PATH too) is, if that is ours and lacks them. 0, or
 * -EACCES; give back before `fd` is closed. What has got another mode meanwhile keeps that. */
int rights_lend(int fd, mode_t bits, struct rights *ret);
void rights_give_back(struct rights *r);

#define _cleanup_rights_ _cleanup_(rights_give_back)

/*
 * Names below a directory descriptor. `own` says that what denies us may lend its rights, as the
 * upper layer does and the original does not. No link is followed, nothing but the root's is
 * passed.
 */
int entry_open(int dir, const char *path, int flags);      /* openat2(2), with O_NOFOLLOW */
int entry_open_near(int dir, const char *path, int flags); /* on the same mount; else -EXDEV */
int entry_open_file(int dir, const char *path, bool own);  /* for reading; -EINVAL: not regular */
int entry_link(int dir, const char *name, char **ret);
DIR *entry_list(int dir, bool own); /* NULL: errno */
bool entry_is_dot(const char *name);

/* True for the failures that say nothing of a file, so that they must not be taken for its own. */
bool entry_failed(int r);

/* Lends the right to pass through directory `dir`, if it has to. */
void entry_pass(int dir, struct rights *ret);

/* A place in a tree of any depth: a bounded number of descriptors is held, the others are found
 * again through "..", and known by their numbers. */
struct cursor {
	struct place *places; /* places[0] is the root's, which is always held */
	size_t depth, room;
	size_t held; /* from this depth on they are; 1 or more */
	bool own;
};

int cursor_init(struct cursor *c, int root, bool own);
void cursor_done(struct cursor *c);
int cursor_enter(struct cursor *c, const char *name);
int cursor_leave(struct cursor *c, size_t depth); /* up to that depth; -ESTALE: it moved */
int cursor_fd(const struct cursor *c);            /* O_PATH */

/* What one tree has under a name. */
struct sight {
	struct stat st; /* all zeros unless there */
	bool there;
	bool hidden; /* nobody lets us look */
};

/* What is under a name where the cursor is; a whiteout is nothing. 0; negative errno where it has
 * to be seen, as in a tree that is our own. */
int sight_look(const struct cursor *c, const char *name, struct sight *ret);

/* 1 if two of one type are the same but for their modes, 0 if not or if the original's cannot be
 * read, or negative errno. */
int sight_same(const struct cursor *original, const struct cursor *upper, const char *name,
	       const struct sight *before, const struct sight *after);

/* 1 if both hold the same bytes, 0 if not or if the second cannot be read, or negative errno. */
int content_same(int fd, int other);

/* 1 if there is a NUL in the first 8,000 bytes, 0, or negative errno. */
int content_binary(int fd);

/* Writes all of it at `at`. 0 or negative errno. */
int content_write(int to, const char *data, size_t len, off_t at);

/* Told of each piece that has been copied; negative ends it. */
struct content_watch {
	int (*more)(void *arg, size_t bytes);
	void *arg;
};

/* All of `from` into `to`, which is empty: by reference where the file system can, in one piece,
 * else extent by extent, so that holes stay holes. `watch` may be NULL. 0 or negative errno. */
int content_copy(int from, int to, const struct content_watch *watch);

/* The extended attributes that anybody may give to a file or directory, with its access list. 0 or
 * negative errno. */
int content_attributes(int from, int to);

/* Of a layer: what overlayfs says of a directory is there, or it fails; of the rest, what `to` has
 * no place for is left out. */
struct content_lost {
	size_t n;         /* attributes; a list that is too long to be read is one */
	bool access_list; /* one of them */
};
int content_layer_attributes(int from, int to, struct content_lost *ret);

/* A name for the content of a file of `size` bytes: the SHA-256 of a chain of chunks. 0; -ESTALE:
 * it has another size; negative errno. `out`: DIGEST_HEX_SIZE. */
int content_digest(int fd, uint64_t size, char *out);

int changes_walk(int original, int upper, const struct change_view *view, struct changes *ret,
		 struct err *e);
int changes_rename(struct changes *c, int original, int upper);
