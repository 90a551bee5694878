/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children in which things are tried.
 *
 * Theory of operation. The doctor is the reaper of its descendants (PR_SET_CHILD_SUBREAPER) and
 * waits for signals alone, SIGCHLD among them, with a deadline. A probe is the leader of a process
 * group. When it has ended or its time is over, the group is killed, and the doctor waits until it
 * has no child left: a keeper, which has a session of its own, ends by itself when its front is
 * dead. What a probe has found is one write to a pipe that the doctor reads after the end.
 */
#include "front/cli/doctor-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "linux/clone.h"
#include "linux/refusal.h"
#include "linux/userns.h"

_Static_assert(sizeof(struct finding) <= 4096, "a finding is one write to a pipe");

static const int endings[] = {SIGINT, SIGTERM, SIGHUP};

void doctor_set(struct finding *f, enum doctor_state state, const char *fmt, ...)
{
	va_list ap;

	f->state = state;
	va_start(ap, fmt);
	(void)vsnprintf(f->found, sizeof(f->found), fmt, ap);
	va_end(ap);
}

void doctor_add(struct finding *f, const char *fmt, ...)
{
	size_t used = strlen(f->found);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->found + used, sizeof(f->found) - used, fmt, ap);
	va_end(ap);
}

void doctor_remedy(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->remedy, sizeof(f->remedy), fmt, ap);
	va_end(ap);
}

void doctor_take(struct finding *f, enum doctor_state state, const char *message)
{
	const char *rest = strstr(message, "; ");

	doctor_set(f, state, "%.*s", (int)(rest ? (size_t)(rest - message) : strlen(message)),
		   message);
	doctor_remedy(f, "%s", rest ? rest + 2 : "");
}

bool doctor_line(const char *path, char *out, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file || !fgets(out, (int)size, file)) {
		return false;
	}
	out[strcspn(out, "\n")] = '\0';
	return true;
}

char *doctor_word(char **line)
{
	char *word = *line + strspn(*line, " \t\n");
	size_t len = strcspn(word, " \t\n");

	*line = word + len + (word[len] != '\0');
	word[len] = '\0';
	return word;
}

/* ---- in new namespaces ---- */

static _Noreturn void try_child(int sock, int (*fn)(struct err *e))
{
	struct err said = {};
	char go;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (recv(sock, &go, 1, 0) != 1) {
		_exit(1);
	}
	(void)fn(&said);
	(void)!send(sock, &said, sizeof(said), MSG_NOSIGNAL);
	_exit(0);
}

int doctor_try(uint64_t namespaces, int (*fn)(struct err *e), struct err *e)
{
	struct clone_args args = {.flags = namespaces, .exit_signal = SIGCHLD};
	struct err said = {};
	int ends[2], r = 0;
	long pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return err_sys(e, errno, "cannot create a socket pair");
	}
	pid = clone_process(&args, NULL);
	if (pid == 0) {
		(void)fd_close(ends[0]);
		try_child(ends[1], fn);
	}
	if (pid < 0) {
		r = err_sys(e, errno, "cannot create the namespace");
	}
	(void)fd_close(ends[1]);
	if (r >= 0 && (namespaces & CLONE_NEWUSER)) {
		r = userns_map((pid_t)pid, 0, geteuid(), 0, getegid(), e);
	}
	if (r >= 0 && (send(ends[0], "", 1, MSG_NOSIGNAL) != 1 ||
		       recv(ends[0], &said, sizeof(said), 0) != (ssize_t)sizeof(said))) {
		r = err_set(e, ERR_SYSTEM, EPIPE, "the process that tried it died");
	}
	(void)fd_close(ends[0]);
	if (pid > 0) {
		(void)kill((pid_t)pid, SIGKILL);
		(void)waitpid((pid_t)pid, NULL, 0);
	}
	if (r >= 0 && said.code) {
		*e = said;
		r = -said.code;
	}
	return r;
}

/* ---- one probe ---- */

int doctor_prepare(struct err *e)
{
	sigset_t set;
	size_t i;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(endings); i++) {
		(void)sigaddset(&set, endings[i]);
	}
	/* An ignored SIGCHLD, which is inherited, would take the children's statuses away. */
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		return err_sys(e, errno, "cannot prepare for children");
	}
	return 0;
}

/* Descriptors 0 to 2 lead nowhere: a probe is no program of the terminal's. */
static _Noreturn void probe_child(const struct probe *p, const char *scratch, int out)
{
	struct finding f = {};
	sigset_t none;
	int i, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (i = 0; null >= 0 && i < 3; i++) {
		(void)dup2(null, i);
	}
	p->run(&f, scratch);
	(void)!write(out, &f, sizeof(f));
	_exit(0);
}

/*
 * Waits for a signal until the deadline: 0 when a child has changed, -ETIMEDOUT, or -EINTR with
 * the signal that is to end the doctor.
 */
static int wait_signal(int64_t deadline, int *ret_signal)
{
	int64_t left = deadline - clock_now_ns();
	struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	sigset_t set;
	size_t i;
	int got;

	if (left <= 0) {
		return -ETIMEDOUT;
	}
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(endings); i++) {
		(void)sigaddset(&set, endings[i]);
	}
	got = sigtimedwait(&set, NULL, &timeout);
	if (got < 0) {
		return errno == EAGAIN ? -ETIMEDOUT : 0;
	}
	if (got != SIGCHLD) {
		*ret_signal = got;
		return -EINTR;
	}
	return 0;
}

/* True once it has ended; its number stays taken, so that its group can be killed safely. */
static bool has_ended(pid_t pid, siginfo_t *how)
{
	how->si_pid = 0;
	return waitid(P_PID, (id_t)pid, how, WEXITED | WNOHANG | WNOWAIT) < 0 || how->si_pid == pid;
}

/* True once no child is left. */
static bool all_collected(void)
{
	pid_t got;

	do {
		got = waitpid(-1, NULL, WNOHANG);
	} while (got > 0);
	return got < 0;
}

/* The finding of a probe that gave none. */
static void no_answer(struct finding *f, int late_ms, const siginfo_t *how)
{
	*f = (struct finding){};
	if (late_ms > 0) {
		doctor_set(f, DOCTOR_MISSING, "no answer within %d ms, so it was killed", late_ms);
	} else if (how->si_code == CLD_KILLED || how->si_code == CLD_DUMPED) {
		doctor_set(f, DOCTOR_MISSING, "the probe was killed by signal %d (%s)",
			   how->si_status, strsignal(how->si_status));
	} else {
		doctor_set(f, DOCTOR_MISSING, "the probe ended without an answer");
	}
	if (refusal_is_filtered()) {
		doctor_remedy(f, "a seccomp filter is around this process already: start atoll "
				 "outside of that container or sandbox, or allow the call there");
	}
}

int doctor_probe(const struct probe *p, const char *scratch, int patience_ms, struct finding *ret,
		 int *ret_signal, struct err *e)
{
	int64_t deadline = clock_now_ns() + patience_ms * 1000000LL;
	siginfo_t how = {};
	int ends[2], r = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		return err_sys(e, errno, "cannot create a pipe");
	}
	pid = fork();
	if (pid == 0) {
		probe_child(p, scratch, ends[1]);
	}
	(void)fd_close(ends[1]);
	if (pid < 0) {
		(void)fd_close(ends[0]);
		return err_sys(e, errno, "cannot create a process");
	}
	(void)setpgid(pid, pid);
	/* One that has begun also ends when the doctor is to end: it takes back what it made. */
	while (!has_ended(pid, &how) && r != -ETIMEDOUT) {
		r = wait_signal(deadline, ret_signal);
	}
	(void)kill(-pid, SIGKILL);
	deadline = clock_now_ns() + patience_ms * 1000000LL;
	while (!all_collected() && wait_signal(deadline, ret_signal) != -ETIMEDOUT) {
	}
	if (read(ends[0], ret, sizeof(*ret)) != (ssize_t)sizeof(*ret)) {
		no_answer(ret, r == -ETIMEDOUT ? patience_ms : 0, &how);
	}
	(void)fd_close(ends[0]);
	return *ret_signal ? -EINTR : 0;
}
