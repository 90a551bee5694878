/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of this host: what a limit of bandwidth can be set for, and what is on none of them.
 *
 * A file system may lie on several disks, or on one through others (overlay, device mapper, btrfs),
 * so nobody asks which one a path is on: a limit is set for each disk there is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct mount_table;

struct disk {
	unsigned major, minor;
};

#define DISKS_MAX 4096

/* Every whole disk that holds something, from /sys/block: an array to be freed, and its length. */
int disk_list(struct disk **ret, size_t *ret_n, struct err *e);

/*
 * Looks for what is mounted at `path` (on the device `dev`) or below and lies neither on disks of
 * this host nor in its memory. 1 with the type of a file system, such as nfs4, which is the
 * table's; 0 when there is none.
 */
int disk_find_elsewhere(const struct mount_table *t, const char *path, dev_t dev,
			const char **ret_type);
