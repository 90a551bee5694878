/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a process's mounts, /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* One mount; names are as they are, not as the table escapes them. */
struct mount_entry {
	uint64_t id;
	dev_t dev;         /* of the file system: what stat(2) says, but for btrfs */
	const char *root;  /* what of the file system is mounted; of NFS, of the server */
	const char *point; /* where */
	const char *attrs; /* ro,nosuid and the like, of this mount */
	bool is_private;   /* it neither receives mounts nor passes them on */
	const char *type;
	const char *options; /* of the file system */
};

/* All of them, as they were mounted: of two at one place the later one is seen. */
struct mount_table {
	char *text; /* what the entries point into */
	struct mount_entry *list;
	size_t n;
};

/* Takes `text`, an allocated one. -EBADMSG for a line that is none of such a table; -ENOMEM. */
int mount_table_parse(char *text, struct mount_table *ret);

/* This process's own. */
int mount_table_read(struct mount_table *ret, struct err *e);
void mount_table_done(struct mount_table *t);

/* One that is read ahead of its use: the file says whether anything was mounted or unmounted since
 * it was opened (proc_pid_mounts(5)). Begins as {.fd = FD_NONE}. */
struct mount_ahead {
	struct mount_table table;
	int fd;
};

/* What cannot be read now is read when it is used. */
void mount_ahead_read(struct mount_ahead *a);

/* The table as it is now. *ret points into *a. */
int mount_ahead_get(struct mount_ahead *a, const struct mount_table **ret, struct err *e);
void mount_ahead_done(struct mount_ahead *a);

/* It is mounted at the directory `path`, or below. */
bool mount_entry_within(const struct mount_entry *m, const char *path);

/* A mount below the directory `path`, not on it; NULL: there is none. */
const struct mount_entry *mount_table_below(const struct mount_table *t, const char *path);

/*
 * Whether a file can be seen both at `one` or below it, and at `other` or below it, because it is
 * mounted twice: 1, and where the second of them is mounted; 0; or negative errno, -EXDEV where the
 * table does not tell. Both are free of links. Where one of the two lies in the other that alone
 * does not count: their names tell it.
 */
int mount_table_shares(const struct mount_table *t, const char *one, const char *other,
		       const char **ret_point, struct err *e);
