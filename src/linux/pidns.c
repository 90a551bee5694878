/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers across pid namespaces: by ioctl(2) on a pidfd and a namespace, which cost 3 us, or where
 * the kernel has none (before 6.13) from /proc/PID/status, which costs 20.
 */
#include "linux/pidns.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Newer than Debian 12's headers: ioctl_pidfd(2) and ioctl_nsfs(2). */
#define OPEN_THREAD O_EXCL /* PIDFD_THREAD */
struct info {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8], exit_code;
};
#define GET_INFO  _IOWR(0xff, 11, struct info) /* PIDFD_GET_INFO */
#define GET_PID   _IOR(0xb7, 0x8, int)         /* NS_GET_PID_IN_PIDNS */
#define INFO_PIDS 1                            /* PIDFD_INFO_PID */

#define STATUS_SIZE 4096

static pid_t translate(int ns, pid_t pid)
{
	int r = ns < 0 || pid == 0 ? pid : ioctl(ns, GET_PID, pid);

	return r > 0 ? r : 0;
}

static bool ask_kernel(int ns, pid_t tid, struct pidns_numbers *ret)
{
	_cleanup_fd_ int fd = (int)syscall(SYS_pidfd_open, tid, OPEN_THREAD);
	struct info info = {.mask = INFO_PIDS};

	if (fd < 0 || ioctl(fd, GET_INFO, &info) < 0) {
		return false;
	}
	ret->pid = translate(ns, (pid_t)info.tgid);
	ret->parent = translate(ns, (pid_t)info.ppid);
	ret->group = getpgid(tid);
	return ret->pid > 0; /* a kernel that has the first ioctl and not the second is not known */
}

static bool read_status(pid_t tid, char out[STATUS_SIZE])
{
	_cleanup_fd_ int fd = FD_NONE;
	char path[48];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, STATUS_SIZE - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* The number at a place of a line; 0: there is none. */
static pid_t number_at(const char *status, const char *line, int place)
{
	const char *at = strstr(status, line);
	long n = 0;
	int i;

	at = at ? at + strlen(line) : "";
	for (i = 0; i <= place; i++) {
		char *end;

		if (*at != '\t') {
			return 0;
		}
		n = strtol(at + 1, &end, 10);
		at = end;
	}
	return (pid_t)n;
}

bool pidns_numbers(int ns, pid_t tid, struct pidns_numbers *ret)
{
	char status[STATUS_SIZE];
	int place = ns < 0 ? 0 : 1;
	pid_t parent;

	*ret = (struct pidns_numbers){};
	if (ask_kernel(ns, tid, ret)) {
		return true;
	}
	*ret = (struct pidns_numbers){};
	if (!read_status(tid, status)) {
		return false;
	}
	/* NStgid has one number for each namespace, from that of this /proc inwards. */
	ret->pid = number_at(status, "\nNStgid:", place);
	ret->group = number_at(status, "\nNSpgid:", 0);
	parent = number_at(status, "\nPPid:", 0);
	if (parent > 0 && read_status(parent, status)) {
		ret->parent = number_at(status, "\nNStgid:", place);
	}
	return true;
}
