/* SPDX-License-Identifier: Apache-2.0 */
/* Id maps. */
#include "linux/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "linux/clone.h"

static int write_proc(pid_t pid, const char *name, const char *text, struct err *e)
{
	char path[64];
	_cleanup_fd_ int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		return err_sys(e, errno, "cannot write '%s'", path);
	}
	return 0;
}

int userns_map(pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid,
	       struct err *e)
{
	char line[64];
	int r;

	(void)snprintf(line, sizeof(line), "%u %u 1\n", inside_uid, outside_uid);
	r = write_proc(pid, "uid_map", line, e);
	/* Without privilege a group map may only be written once setgroups(2) is given up. */
	if (r >= 0 && geteuid() != 0) {
		r = write_proc(pid, "setgroups", "deny", e);
	}
	if (r >= 0) {
		outside_gid += MUTANT(ATOLL_MUTATE_GID_MAP);
		(void)snprintf(line, sizeof(line), "%u %u 1\n", inside_gid, outside_gid);
		r = write_proc(pid, "gid_map", line, e);
	}
	return r;
}

int userns_for_idmap(uid_t uid, uid_t host_uid, gid_t gid, gid_t host_gid, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	const pid_t self = getpid();
	char path[64];
	long pid;
	int fd = FD_NONE, r;

	pid = clone_process(&args, NULL);
	if (pid < 0) {
		return err_sys(e, errno, "cannot create a user namespace for owner translation");
	}
	if (pid == 0) {
		/* Only holds the namespace open until its parent has a descriptor of it, or died:
		 * before the prctl, which the new parent shows, or after it. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == self) {
			(void)pause();
		}
		_exit(0);
	}
	r = userns_map((pid_t)pid, uid, host_uid, gid, host_gid, e);
	if (r >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/%ld/ns/user", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? err_sys(e, errno, "cannot open '%s'", path) : fd;
	}
	/* Its end takes a millisecond or two; whoever waits next collects it (see the header). */
	(void)kill((pid_t)pid, SIGKILL);
	return r;
}
