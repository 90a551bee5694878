/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file, or a directory with all that is in it, as a stream of bytes, and back: how files get into
 * a sandbox and out of it. Both sides are this code, but who receives trusts none of the bytes.
 *
 * The stream is a struct parcel_entry for each step, with a name of `name_len` bytes behind it:
 *
 *   D  begins a directory; what follows is in it, until U
 *   F  a file; then chunks, a 32-bit length and so many bytes each; length 0 is the end, and
 *      PARCEL_BROKEN says that it could not be read to its end
 *   L  a symbolic link; then `len` bytes, where it leads to
 *   S  something else that is left out: a device, a socket, a pipe
 *   E  something that could not be read; `mode` is the errno
 *   Z  the end of all
 *
 * The first entry has no name: whoever receives knows what to call it. No name has a '/', and none
 * is
 * "." or "..", so each step is taken from the descriptor of a directory by one name that is not
 * followed, and a link that stands in the way, or appears there meanwhile, leads nowhere.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct parcel_entry {
	uint8_t op;
	uint8_t zero;
	uint16_t name_len;
	uint32_t mode; /* permission bits */
	uint64_t len;
};

/*
 * argv[0] of atoll-init where it is the inner side: "out" PATH, to standard output; "in" PATH FROM,
 * from standard input, and what is said of it (struct parcel_told) to standard output. FROM: the
 * last part of the path that it comes from.
 */
#define PARCEL_PROGRAM "atoll-copy"

#define PARCEL_BROKEN UINT32_MAX
#define PARCEL_CHUNK  65536
#define PARCEL_LINK   4095
/* Directories in each other; each is a descriptor on either side. */
#define PARCEL_DEPTH 200

enum parcel_problem {
	PARCEL_FAILED,  /* could not be read, or made: see the errno */
	PARCEL_SPECIAL, /* is no file, directory or link */
	PARCEL_OUT,     /* a link that would lead out of what is copied */
	PARCEL_DEEP,
};

struct parcel_rules {
	bool links_stay; /* a link that could lead out of what is copied is not made */
	uint64_t most;   /* files, directories and links that are made; 0: any number. An empty one
			  * takes far more of a disk than of a stream */
	/* Told of each thing that is not copied, by its path below the first, "" for that one
	 * itself. It is what the other side says it is. */
	void (*say)(void *data, const char *path, enum parcel_problem why, int error);
	void *data;
};

struct parcel_count {
	uint64_t files, bytes, directories, links;
	uint64_t left_out; /* of which something was said */
};

/* What is to be sent, links followed; with `no_links` a path that leads through one is refused
 * (ELOOP). A descriptor, or -errno. */
int parcel_open(const char *path, bool no_links);

/*
 * Where it goes, as for cp(1): into `path` where that is a directory, under the last part of the
 * path `from` that it comes from; else to `path` itself. Returns the directory, opened O_PATH, or
 * -errno; the name, or false in *ret_named where `from` has none ("." or "/"): it is then the
 * directory's own content that is meant.
 */
int parcel_place(const char *path, bool no_links, const char *from, char name[NAME_MAX + 1],
		 bool *ret_named);

/* The last part of a path; NULL: it has none that is a name. */
const char *parcel_name(const char *path, char name[NAME_MAX + 1]);

/*
 * Writes what `top` is to a blocking descriptor: a file or directory, opened O_PATH or otherwise,
 * or the -errno of why it could not be opened. 0, or -errno where it could not be written.
 */
int parcel_send(int out, int top);

/*
 * What a receiver inside a sandbox tells its other side, one for each thing that it left out, with
 * `len` bytes of path behind it; `why` is PARCEL_DONE in the last, and `error` then why it could
 * not go on, or 0.
 */
#define PARCEL_DONE UINT32_MAX

struct parcel_told {
	uint32_t why; /* enum parcel_problem */
	uint32_t error;
	uint32_t len;
};

/*
 * Makes what the stream says in the directory `dir` under `name`; NULL: the first must be a
 * directory, and what is in it goes into `dir` itself. Directories that are there are filled, files
 * and links are replaced whole by rename(2). Permission bits are those of the stream and the
 * umask's, without set-user-ID and the like; a directory that is made can be filled by its owner
 * whatever they are. 0, also where something was left out; -EPROTO for bytes that are no
 * such stream; -E2BIG for more than the rules allow; another -errno where it cannot go on.
 */
int parcel_receive(int in, int dir, const char *name, const struct parcel_rules *rules,
		   struct parcel_count *ret);
