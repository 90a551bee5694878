/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll-init: pid 1 of a container.
 *
 * Theory of operation. The builder of the tier has put up every wall before it execs this program,
 * so init runs behind the same walls as the payload and holds no authority. It leads the session
 * and owns the controlling terminal; the payload is a foreground process group in that session, so
 * that job control works as under a shell. It reaps orphans, passes signals on, reports how the
 * payload ended, and exits when the keeper says so or is gone; the kernel then kills whatever is
 * left in the pid namespace.
 *
 * It trusts the keeper's socket and nothing else. The payload has its uid, so init makes itself
 * non-dumpable: its memory, descriptors and /proc/1/exe are then out of the payload's reach
 * (ptrace(2), CVE-2019-5736), and signals from inside the namespace do not touch a pid 1 that has
 * no handler for them (pid_namespaces(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mutant.h"
#include "guest/protocol.h"

/* Nobody reads an exit status of init: the keeper saw the socket close. */
enum { INIT_FAILED = 125 };

/* The keeper is gone: so is everything in this pid namespace. */
static _Noreturn void end_without_keeper(void)
{
	while (MUTANT(ATOLL_MUTATE_KEEPER_EOF)) {
		(void)pause();
	}
	_exit(INIT_FAILED);
}

static void send_message(uint32_t op, int32_t a, int32_t b)
{
	struct init_message m = {.op = op, .a = a, .b = b};

	if (send(INIT_FD_CONTROL, &m, sizeof(m), MSG_NOSIGNAL) != (ssize_t)sizeof(m)) {
		end_without_keeper();
	}
}

/*
 * execvp(3) with PATH as the payload's environment gives it. Unlike execvp it never hands a file
 * to /bin/sh, and an EACCES on the way is remembered so that 126 and 127 are told apart.
 */
static int exec_payload(char **argv, char **envp)
{
	const char *path = getenv("PATH");
	int best = ENOENT;

	if (strchr(argv[0], '/')) {
		(void)execve(argv[0], argv, envp);
		return errno;
	}
	while (path && *path) {
		size_t len = strcspn(path, ":");
		char file[PATH_MAX];
		size_t name = strlen(argv[0]);

		if (len > 0 && *path == '/' && len + name + 2 <= sizeof(file)) {
			memcpy(file, path, len);
			file[len] = '/';
			memcpy(file + len + 1, argv[0], name + 1);
			(void)execve(file, argv, envp);
			if (errno != ENOENT && errno != ENOTDIR) {
				best = errno;
			}
		}
		path += len + (path[len] == ':');
	}
	return best;
}

/* The payload's side of the fork: into its own group, wait for the keeper, exec. */
static _Noreturn void run_payload(int tty, const sigset_t *mask, char **argv, char **envp)
{
	struct init_exec_failure failure;
	char byte = 'r';

	(void)setpgid(0, 0);
	if (tty >= 0) {
		/* SIGTTOU is blocked until the mask is restored below. */
		(void)tcsetpgrp(tty, getpid());
	}
	if (send(INIT_FD_START, &byte, 1, MSG_NOSIGNAL) != 1 ||
	    recv(INIT_FD_START, &byte, 1, 0) != 1) {
		_exit(INIT_FAILED);
	}
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	failure.error = exec_payload(argv, envp);
	(void)send(INIT_FD_START, &failure, sizeof(failure), MSG_NOSIGNAL);
	_exit(failure.error == ENOENT ? 127 : 126);
}

static void reap(pid_t payload, bool *ended)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != payload) {
			continue;
		}
		if (WIFSTOPPED(status)) {
			send_message(INIT_STOPPED, WSTOPSIG(status), 0);
		} else if (WIFCONTINUED(status)) {
			send_message(INIT_CONTINUED, 0, 0);
		} else {
			*ended = true;
			send_message(INIT_EXITED, status, 0);
		}
	}
}

/* The fifth field of /proc/loadavg is the last pid of the reader's namespace (proc(5)). */
static int32_t last_pid(int fd)
{
	char text[128];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *field;

	if (n <= 0) {
		return -1;
	}
	text[n] = '\0';
	field = strrchr(text, ' ');
	return field ? (int32_t)strtol(field + 1, NULL, 10) : -1;
}

static int32_t pid_max(void)
{
	char text[32];
	int fd = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	(void)close(fd);
	if (n <= 0) {
		return 32768;
	}
	text[n] = '\0';
	return (int32_t)strtol(text, NULL, 10);
}

static void obey(pid_t payload, bool ended, int tty, int loadavg)
{
	struct init_message m;
	ssize_t n = recv(INIT_FD_CONTROL, &m, sizeof(m), 0);

	if (n < 0 && errno == EINTR) {
		return;
	}
	if (n != (ssize_t)sizeof(m)) {
		end_without_keeper();
	}
	if (m.op == INIT_END) {
		_exit(0);
	}
	if (m.op == INIT_SIGNAL && !ended) {
		if (m.a == SIGCONT && tty >= 0) {
			(void)tcsetpgrp(tty, payload);
		}
		(void)kill(-payload, m.a);
	} else if (m.op == INIT_COUNT) {
		send_message(INIT_COUNTED, last_pid(loadavg), pid_max());
	}
}

static int open_child_signals(sigset_t *old)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &set, old);
	(void)sigdelset(&set, SIGTTOU);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv, char **envp)
{
	struct pollfd fds[2] = {{.fd = INIT_FD_CONTROL, .events = POLLIN}, {.events = POLLIN}};
	int tty, loadavg;
	bool ended = false;
	sigset_t mask;
	pid_t payload;

	if (argc < 4 || (!MUTANT(ATOLL_MUTATE_INIT_NONDUMPABLE) && prctl(PR_SET_DUMPABLE, 0) < 0) ||
	    (!MUTANT(ATOLL_MUTATE_PDEATHSIG) && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)) {
		return INIT_FAILED;
	}
	/* Open across our own exec, and never across another. */
	if (fcntl(INIT_FD_CONTROL, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(INIT_FD_START, F_SETFD, FD_CLOEXEC) < 0) {
		return INIT_FAILED;
	}
	tty = argv[1][0] == '-' ? -1 : argv[1][0] - '0';
	loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	fds[1].fd = open_child_signals(&mask);
	if (fds[1].fd < 0 || setsid() < 0 || chdir(argv[2]) < 0) {
		return INIT_FAILED;
	}
	if (tty >= 0 && ioctl(tty, TIOCSCTTY, 0) < 0) {
		return INIT_FAILED;
	}
	payload = fork();
	if (payload < 0) {
		return INIT_FAILED;
	}
	if (payload == 0) {
		run_payload(tty, &mask, argv + 3, envp);
	}
	(void)setpgid(payload, payload);
	/* The payload's end of file on 0, and its readers' on 1 and 2, must not wait for init. */
	if (tty != 0) {
		(void)close(0);
	}
	if (tty != 1) {
		(void)close(1);
	}
	if (tty != 2) {
		(void)close(2);
	}
	(void)close(INIT_FD_START);
	for (;;) {
		struct signalfd_siginfo info;

		if (poll(fds, 2, -1) < 0) {
			continue;
		}
		if (fds[1].revents) {
			(void)read(fds[1].fd, &info, sizeof(info));
			reap(payload, &ended);
		}
		if (fds[0].revents) {
			obey(payload, ended, tty, loadavg);
		}
	}
}
