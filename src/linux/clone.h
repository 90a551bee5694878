/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a process with namespaces, a pidfd or a control group of its own. */
#pragma once

struct clone_args;

/*
 * clone3(2). Where that is answered ENOSYS, as by the filters of containers that cannot look at its
 * flags, clone(2) does the same, but for a group to be born in. `pidfd` is where args->pidfd
 * points, or NULL. The pid, 0 in the child, or -1 with errno.
 */
long clone_process(struct clone_args *args, int *pidfd);
