/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock (landlock(7)): path rules on top of whatever the mounts already say. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

/* Groups of rights, cut down by landlock_allow() to what the kernel's ABI and the file can have. */
enum landlock_access {
	LANDLOCK_READ = 1,
	LANDLOCK_EXECUTE = 2,
	LANDLOCK_WRITE_FILE = 4, /* write, truncate and device ioctl on what exists */
	LANDLOCK_WRITE_TREE = 8, /* the above, and make, remove, link and rename below */
};

/* The kernel's ABI, or 0 when Landlock is absent or switched off. */
int landlock_abi(void);

/*
 * A ruleset that handles every filesystem right of the ABI and, from ABI 6, scopes signals and
 * abstract sockets to the domain. Returns a descriptor.
 */
int landlock_new(int abi, struct err *e);

/* The same for a process that only dials: from ABI 4, no port either, to bind or to connect to. */
#define LANDLOCK_ABI_CONNECT 4 /* from which ports can be held; Linux 6.7 */
int landlock_new_dialler(int abi, struct err *e);

/* Lets it connect to a port, over TCP; before ABI 4 that needs no leave. */
int landlock_allow_connect(int ruleset, int abi, uint16_t port, struct err *e);

/* Grants rights on what `fd` (O_PATH) names and, for a directory, all beneath it. */
int landlock_allow(int ruleset, int abi, int fd, bool is_dir, unsigned access, struct err *e);

/* Applies the ruleset to the calling thread for good; needs no_new_privs. */
int landlock_enforce(int ruleset, struct err *e);
