/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll-init: the parent of a payload.
 *
 * Theory of operation. It leads the session and owns the controlling terminal; the payload is a
 * foreground process group in that session, so that job control works as under a shell. It reaps
 * orphans, passes signals on, reports how the payload ended, and exits when the keeper says so or
 * is gone.
 *
 * As pid 1 of a container the builder of the tier has put up every wall before it execs this
 * program: init runs behind the same walls as the payload, which it starts, and holds no authority.
 * The kernel kills whatever is left in the pid namespace with it. At the process tier the payload
 * raises its own walls, and init ("atoll-guard") stays outside of them with the payload's user id:
 * as pid 1 of a pid namespace, or, where there is none, as the one that orphans come to and that
 * ends them all when the keeper is gone.
 *
 * It trusts the keeper's socket and nothing else. The payload has its uid, so init makes itself
 * non-dumpable: its memory, descriptors and /proc/PID/exe are then out of the payload's reach
 * (ptrace(2), CVE-2019-5736). Signals from inside do not touch a pid 1 that has no handler for them
 * (pid_namespaces(7)); without a namespace the keeper lets none of them through, and what else
 * sends signals (a terminal) finds all but SIGKILL and SIGSTOP ignored.
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
#include "linux/exec.h"
#include "linux/proctree.h"

/* Nobody reads an exit status of init: the keeper saw the socket close. */
enum { INIT_FAILED = 125 };

/* The keeper is gone: so is everything in this pid namespace, or else below us. */
static _Noreturn void end_without_keeper(void)
{
	while (MUTANT(ATOLL_MUTATE_KEEPER_EOF)) {
		(void)pause();
	}
	if (getpid() != 1) {
		(void)proctree_end(getpid(), 0);
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
	failure.error = exec_search(getenv("PATH"), argv, envp);
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

/* Everything but a payload: what is the same for init and for the guard. */
static bool prepare(sigset_t *mask, struct pollfd *children)
{
	if (!MUTANT(ATOLL_MUTATE_INIT_NONDUMPABLE) && prctl(PR_SET_DUMPABLE, 0) < 0) {
		return false;
	}
	/* Open across our own exec, and never across another. */
	if (fcntl(INIT_FD_CONTROL, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(INIT_FD_START, F_SETFD, FD_CLOEXEC) < 0) {
		return false;
	}
	children->fd = open_child_signals(mask);
	return children->fd >= 0;
}

/* Starts the payload; -1 where that fails. */
static pid_t start_payload(int tty, const sigset_t *mask, char **argv, char **envp)
{
	pid_t payload;

	if (!MUTANT(ATOLL_MUTATE_PDEATHSIG) && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		return -1;
	}
	if (setsid() < 0 || chdir(argv[2]) < 0 || (tty >= 0 && ioctl(tty, TIOCSCTTY, 0) < 0)) {
		return -1;
	}
	payload = fork();
	if (payload == 0) {
		run_payload(tty, mask, argv + 3, envp);
	}
	return payload;
}

/*
 * As deaf as a pid 1 (pid_namespaces(7)): the payload may make our group the terminal's foreground
 * one, and then what is typed there, or comes of O_ASYNC, goes to us.
 */
static void ignore_signals(void)
{
	int i;

	for (i = 1; i < NSIG; i++) {
		(void)signal(i, i == SIGCHLD ? SIG_DFL : SIG_IGN);
	}
}

/*
 * The guard's payload exists already. Orphans come to us, as to a pid 1; and without a pid
 * namespace the keeper's death must not kill us before we have ended what it leaves.
 */
static pid_t adopt_payload(const char *number)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    chdir("/") < 0 || (getpid() != 1 && prctl(PR_SET_PDEATHSIG, 0) < 0)) {
		return -1;
	}
	ignore_signals();
	return (pid_t)strtol(number, NULL, 10);
}

int main(int argc, char **argv, char **envp)
{
	struct pollfd fds[2] = {{.fd = INIT_FD_CONTROL, .events = POLLIN}, {.events = POLLIN}};
	bool guard = argc == 3 && strcmp(argv[0], INIT_GUARD) == 0, ended = false;
	int tty, loadavg;
	sigset_t mask;
	pid_t payload;

	if ((!guard && argc < 4) || !prepare(&mask, &fds[1])) {
		return INIT_FAILED;
	}
	tty = argv[1][0] == '-' ? -1 : argv[1][0] - '0';
	loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	payload = guard ? adopt_payload(argv[2]) : start_payload(tty, &mask, argv, envp);
	if (payload <= 0) {
		return INIT_FAILED;
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
	reap(payload, &ended); /* what ended before there was a signal for it */
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
