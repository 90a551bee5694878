/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for new namespaces, and to enter those that it can see. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "probe.h"

#define NEW_TIME 0x80

static const struct {
	const char *name;
	unsigned long flag;
} kinds[] = {
	{"mnt", CLONE_NEWNS},  {"cgroup", CLONE_NEWCGROUP}, {"uts", CLONE_NEWUTS},
	{"ipc", CLONE_NEWIPC}, {"user", CLONE_NEWUSER},     {"pid", CLONE_NEWPID},
	{"net", CLONE_NEWNET}, {"time", NEW_TIME},
};

struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static void try_clone(const char *name, unsigned long flag)
{
	long child = syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0);

	if (child == 0) {
		_exit(0);
	}
	probe_callf(child, "clone:%s", name);
	if (child > 0) {
		(void)waitpid((pid_t)child, NULL, 0);
	}
}

static void try_clone3(const char *name, unsigned long flag)
{
	struct clone3_args args = {.flags = flag, .exit_signal = SIGCHLD};
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (child == 0) {
		_exit(0);
	}
	probe_callf(child, "clone3:%s", name);
	if (child > 0) {
		(void)waitpid((pid_t)child, NULL, 0);
	}
}

static void try_unshare(const char *name, unsigned long flag)
{
	pid_t child = fork();

	if (child == 0) {
		probe_callf(unshare((int)flag), "unshare:%s", name);
		_exit(0);
	}
	(void)waitpid(child, NULL, 0);
}

static void try_setns(const char *name)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		probe_callf(fd, "setns:%s", name);
		return;
	}
	probe_callf(setns(fd, 0), "setns:%s", name);
	(void)close(fd);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].flag != NEW_TIME) {
			try_clone(kinds[i].name, kinds[i].flag);
		}
		try_clone3(kinds[i].name, kinds[i].flag);
		try_unshare(kinds[i].name, kinds[i].flag);
		try_setns(kinds[i].name);
		/* User first is the usual way to get at all the others. */
		try_unshare("user+any", kinds[i].flag | CLONE_NEWUSER);
	}
	return 0;
}
