/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an apply: what is to be done (apply.c), making what is new (apply-stage.c), one step
 * forward or back (apply-step.c), and the journal of it (apply-journal.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "workspace/apply.h"

struct change;
struct stat;

enum step_kind {
	STEP_REMOVE,  /* out of the original, into the staging directory as "o" and its number */
	STEP_PUT,     /* "n" and its number, to where nothing is */
	STEP_REPLACE, /* "n" and its number, exchanged with what is there */
	STEP_MODE,    /* other permission bits for what is there */
};

struct step {
	enum step_kind kind;
	char *path;
	ino_t before;                /* what is there; 0: nothing */
	int64_t before_ns;           /* its mtime, where it is a file */
	ino_t staged;                /* what comes; 0: nothing */
	int64_t written_ns;          /* its mtime, where it is a file */
	bool is_dir;                 /* what is removed or put */
	mode_t old_mode, new_mode;   /* permission bits */
	const struct change *change; /* what it is for; NULL where it comes from a journal */
};

/* What an apply has moved away and back: its ctime is not somebody else's doing. */
struct touch {
	char *path;
	ino_t ino;
	int64_t ctime_ns;
};

struct touched {
	struct touch *list; /* sorted by path */
	size_t n, room;
};

struct steps {
	struct step *list;
	size_t n, room;
	size_t openings;     /* so many, the first and sorted by path, open directories */
	int stage;           /* the staging directory */
	struct touched ours; /* from earlier times */
};

#define STAGE_NAME_SIZE 40
#define STAGE_PREFIX    ".atoll-apply-"

/* The staging directory's name below the original. */
void stage_name(const char *id, char out[STAGE_NAME_SIZE]);

/* Makes it, empty; one that is there is not ours to use. */
int stage_make(const struct apply *a, struct steps *s, struct err *e);

/* Opens that of an apply that was interrupted. */
int stage_open(const struct apply *a, struct steps *s, struct err *e);

/* Removes it with all that is in it. */
int stage_remove(const struct apply *a, struct steps *s, struct err *e);

/* Makes in it what step number i puts, from `after` of a change; fills in `staged`. */
int stage_change(const struct apply *a, struct steps *s, size_t i, const struct change *c,
		 struct err *e);

/* Everything that was staged is on disk. */
int stage_sync(const struct apply *a, const struct steps *s, struct err *e);

/* The directory that `path` is in, O_PATH; *ret_name points at the last part of it. -EXDEV: it is
 * on another mount, from and to which nothing can be renamed. */
int step_parent(const struct apply *a, const char *path, const char **ret_name);

/*
 * Does step number i. -ESTALE, -EEXIST, -ENOENT, -ENOTEMPTY: something else is there than the step
 * was made for; then, and on any other failure, it has not been done.
 */
int step_do(const struct apply *a, const struct steps *s, size_t i);

/* Undoes it if it has been done. */
int step_undo(const struct apply *a, const struct steps *s, size_t i);

/* True if there is nothing left to do of it. */
bool step_done(const struct apply *a, const struct steps *s, size_t i);

/* All that comes before the first step: what is to be done, staged and in the journal. */
int apply_prepare(const struct apply *a, const struct changes *c, struct steps *s, struct err *e);

/* Sets *e to `what`, the path made safe to show, and why: an errno negated. Returns `r`. */
int apply_fail(const char *path, int r, const char *what, struct err *e);

/* Adds a step and takes nothing; `path` is copied. NULL: out of memory. */
struct step *steps_add(struct steps *s, enum step_kind kind, const char *path);
void steps_done(struct steps *s);

/* When a file was written last, in nanoseconds; 0 for what is no file. */
int64_t step_written(const struct stat *st);

/* True for a directory on the original's own file system. */
bool step_is_near(const struct apply *a, int dir);

/* lstat(2) below the original; -EXDEV also for a directory that something is mounted on. */
int step_look(const struct apply *a, const char *path, struct stat *ret);

/* A path as the journal has it, which any bytes can be in, and back; NULL: out of memory, or it is
 * none. */
json_t *journal_path_json(const char *path);
char *journal_path(const char *hex);

/* Writes a small file of the journal's directory to disk, whole or not at all. */
int journal_file(int dir, const char *name, const char *text, size_t len);

/* Reads what is remembered; nothing, where there is nothing. */
int touched_read(int journal, struct touched *ret, struct err *e);
bool touched_has(const struct touched *t, const char *path, const struct stat *st);

/* Adds what these steps, undone, have touched. */
int touched_write(const struct apply *a, const struct steps *s, struct err *e);
void touched_done(struct touched *t);

int journal_write(const struct apply *a, const struct steps *s, struct err *e);
int journal_read(const struct apply *a, struct steps *ret, struct err *e);
int journal_remove(const struct apply *a, struct err *e);
