/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo-terminals (pts(4), devpts). */
#pragma once

#include <sys/types.h>

struct err;

/*
 * A new terminal: both sides, CLOEXEC. `ptmx` is a descriptor (O_PATH will do) of the ptmx of a
 * devpts, whichever mount namespace that is mounted in; FD_NONE: the host's /dev/ptmx. The other
 * side's device belongs to this user, as who may open it again by its name.
 */
int pty_open(int ptmx, uid_t uid, gid_t gid, int *ret_master, int *ret_slave, struct err *e);
