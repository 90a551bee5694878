/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, writes, traces and signals processes: neighbours ACTION PID... */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "probe.h"

#define MAX_PID   4096
#define SMALL_PID 64 /* a pid namespace of its own; on the host this would end everything */

static pid_t number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	return *end || value <= 0 || value > INT32_MAX ? -1 : (pid_t)value;
}

/* Copies out what /proc/PID/mem shows of the writable memory, and overwrites nothing. */
static void read_memory(pid_t pid)
{
	char path[64], line[256];
	FILE *maps;
	int mem;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	probe_callf(maps ? 0 : -1, "maps:%d", (int)pid);
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	probe_callf(mem, "mem:%d", (int)pid);
	while (maps && mem >= 0 && fgets(line, sizeof(line), maps)) {
		char *rest, block[4096];
		unsigned long from = strtoul(line, &rest, 16);
		unsigned long to = *rest == '-' ? strtoul(rest + 1, &rest, 16) : from;

		for (; strncmp(rest, " rw", 3) == 0 && from < to; from += sizeof(block)) {
			ssize_t n = pread(mem, block, sizeof(block), (off_t)from);

			if (n > 0) {
				(void)!write(STDERR_FILENO, block, (size_t)n);
			}
		}
	}
	if (maps) {
		(void)fclose(maps);
	}
	if (mem >= 0) {
		(void)close(mem);
	}
}

static void dump(pid_t pid, const char *name)
{
	char path[64], block[4096];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	probe_callf(fd, "%s:%d", name, (int)pid);
	while (fd >= 0 && (n = read(fd, block, sizeof(block))) > 0) {
		(void)!write(STDERR_FILENO, block, (size_t)n);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
}

static void spy(pid_t pid)
{
	char byte = 0;
	struct iovec local = {&byte, 1}, remote = {(void *)8, 1};
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	probe_callf(ptrace(PTRACE_SEIZE, pid, 0, 0), "PTRACE_SEIZE:%d", (int)pid);
	(void)ptrace(PTRACE_DETACH, pid, 0, 0);
	probe_callf(process_vm_readv(pid, &local, 1, &remote, 1, 0), "process_vm_readv:%d",
		    (int)pid);
	probe_callf(process_vm_writev(pid, &local, 1, &remote, 1, 0), "process_vm_writev:%d",
		    (int)pid);
	probe_callf(syscall(SYS_kcmp, pid, getpid(), 0, 0, 0), "kcmp:%d", (int)pid);
	probe_callf(pidfd, "pidfd_open:%d", (int)pid);
	if (pidfd >= 0) {
		int got = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);

		probe_callf(got, "pidfd_getfd:%d", (int)pid);
		(void)close(pidfd);
	}
	dump(pid, "environ");
	dump(pid, "cmdline");
	read_memory(pid);
}

/* A child of its own, so that the reporter outlives what the signals do. */
static void strike(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	probe_callf(kill(pid, SIGKILL), "kill:%d", (int)pid);
	probe_callf(kill(-pid, SIGKILL), "kill-group:%d", (int)pid);
	probe_callf(syscall(SYS_tgkill, pid, pid, SIGKILL), "tgkill:%d", (int)pid);
	if (pidfd >= 0) {
		probe_callf(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0),
			    "pidfd_send_signal:%d", (int)pid);
	}
}

/* Everything in reach, oneself excepted: the payload is expected to end with this. */
static void strike_all(void)
{
	for (pid_t pid = 1; pid < MAX_PID; pid++) {
		if (pid != getpid() && pid != getppid()) {
			(void)kill(pid, SIGKILL);
		}
	}
	probe_call("kill:0", kill(0, SIGCONT));
	probe_call("kill:-1", kill(-1, SIGKILL));
}

static void ask_owner(pid_t pid)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return;
	}
	probe_callf(fcntl(fds[0], F_SETOWN, pid), "F_SETOWN:%d", (int)pid);
	probe_callf(fcntl(fds[0], F_SETSIG, SIGKILL), "F_SETSIG:%d", (int)pid);
	probe_callf(fcntl(fds[0], F_SETFL, O_ASYNC | O_NONBLOCK), "O_ASYNC:%d", (int)pid);
	(void)!write(fds[1], "x", 1);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		pid_t pid = number(argv[i]);

		if (pid < 0) {
			return 2;
		}
		if (strcmp(argv[1], "spy") == 0) {
			spy(pid);
		} else if (strcmp(argv[1], "strike") == 0) {
			strike(pid);
		} else if (strcmp(argv[1], "own") == 0) {
			ask_owner(pid);
		}
	}
	if (strcmp(argv[1], "strike-all") == 0 && getpid() < SMALL_PID) {
		strike_all();
	}
	return 0;
}
