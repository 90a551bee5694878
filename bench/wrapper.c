/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that could put a command behind the walls of the process tier: the product's own
 * Landlock and a filter of the product's for what has no listener, which is larger than the
 * payload's and lets programs start, raised in the process that then becomes the command. Nobody
 * watches it,
 * reads back what is in force, limits it, records it, or removes what it leaves. What this takes is
 * what no start at that tier can be below: wrapper COMMAND [ARG...]
 */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "linux/seccomp.h"
#include "tier/hostview.h"

static int allow(int ruleset, int abi, const char *path, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? 0
		      : landlock_allow(ruleset, abi, fd, true, LANDLOCK_READ | LANDLOCK_EXECUTE, e);
}

static int raise_walls(const char *directory, struct err *e)
{
	int abi = landlock_abi();
	_cleanup_fd_ int ruleset = FD_NONE;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return err_sys(e, errno, "cannot set no_new_privs");
	}
	r = ruleset = landlock_new(abi, e);
	for (size_t i = 0; r >= 0 && hostview_trees[i]; i++) {
		r = allow(ruleset, abi, hostview_trees[i], e);
	}
	r = r < 0 ? r : allow(ruleset, abi, directory, e);
	r = r < 0 ? r : landlock_enforce(ruleset, e);
	return r < 0 ? r : seccomp_load(SECCOMP_FILTER_TOOL, e);
}

int main(int argc, char **argv)
{
	static char *const none[] = {NULL};
	_cleanup_free_ char *path = argc > 1 ? strdup(argv[1]) : NULL;
	struct err e = {};

	if (!path || raise_walls(dirname(path), &e) < 0) {
		fprintf(stderr, "wrapper: %s\n", path ? e.msg : "no command");
		return 125;
	}
	(void)execve(argv[1], argv + 1, none);
	perror(argv[1]);
	return 127;
}
