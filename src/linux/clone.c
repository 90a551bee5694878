/* SPDX-License-Identifier: Apache-2.0 */
/* Cloning. */
#include "linux/clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

long clone_process(struct clone_args *args, int *pidfd)
{
	long pid = syscall(SYS_clone3, args, sizeof(*args));

	if (pid < 0 && errno == ENOSYS && !(args->flags & CLONE_INTO_CGROUP)) {
		/* Its argument for the parent's copy of the pid is the pidfd's. */
		pid = syscall(SYS_clone, args->flags | args->exit_signal, NULL, pidfd, NULL, 0);
	}
	return pid;
}
