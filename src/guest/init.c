/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll-init: the parent of payloads.
 *
 * Theory of operation. As pid 1 of a container the builder of the tier has put up every wall before
 * it execs this program: init runs behind the same walls as what it starts, and holds no authority.
 * Whatever is started in a living sandbox is forked here, so it is behind all of them by birth:
 * nothing enters the sandbox from outside. Init reaps orphans and exits when the keeper says so or
 * is gone; the kernel kills whatever is left in the pid namespace with it.
 *
 * Each command has a channel to the keeper, over which its parent passes signals on and reports how
 * it fares. Init leads a session without a terminal; its commands are process groups in it, so that
 * they can be stopped and continued as under a shell. A command with a terminal needs a session of
 * its own: there its parent is a leader, a fork of init that runs the same loop for it alone.
 *
 * At the process tier the payload raises its own walls, and init ("atoll-guard") stays outside of
 * them with the payload's user id: as pid 1 of a pid namespace, or, where there is none, as the one
 * that orphans come to and that ends them all when the keeper is gone.
 *
 * It trusts the keeper's sockets and nothing else. The payload has its uid, so init makes itself
 * non-dumpable: its memory, descriptors and /proc/PID/exe are then out of the payload's reach
 * (ptrace(2), CVE-2019-5736). Signals from inside do not touch a pid 1 that has no handler for them
 * (pid_namespaces(7)); a leader that is killed from inside takes its own command with it, and no
 * other. Without a namespace the keeper lets no signal through to the guard, and what else sends
 * signals (a terminal) finds all but SIGKILL and SIGSTOP ignored.
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mutant.h"
#include "guest/copy.h"
#include "guest/protocol.h"
#include "linux/parcel.h"
#include "linux/exec.h"
#include "linux/fdpass.h"
#include "linux/proctree.h"

/* Nobody reads an exit status of init: the keeper saw the socket close. */
enum { INIT_FAILED = 125 };

struct command {
	pid_t pid;
	int channel;              /* -1: this is the leader of one, which has the channel */
	int tty;                  /* -1 where it has none, or a leader has it */
	struct init_message late; /* op 0: none. What there was no room for, the newest alone */
};

struct init {
	int control;  /* -1 in a leader */
	int children; /* signalfd(2) of SIGCHLD */
	int loadavg;
	int self;      /* this program */
	sigset_t mask; /* what a command is started with */
	struct command commands[INIT_MAX_COMMANDS];
	size_t n;
};

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

/* Never waits: somebody inside may make more news than the keeper has read yet. */
static bool send_now(int fd, const struct init_message *m)
{
	return send(fd, m, sizeof(*m), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*m);
}

/* The pointers of `n` strings at *at into `out`, which has room for a NULL behind them. */
static bool take_strings(char **at, const char *end, uint32_t n, char **out)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		char *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;

		if (!nul) {
			return false;
		}
		out[i] = *at;
		*at = nul + 1;
	}
	out[n] = NULL;
	return true;
}

/* What to run, from the keeper's text, which is mapped and stays so until the exec. */
static bool read_text(int fd, char **ret_cwd, char ***ret_argv, char ***ret_env)
{
	struct stat st;
	struct init_text *text;
	char *at, *cwd[2], **list;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(*text)) {
		return false;
	}
	text = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED || text->size != (uint64_t)st.st_size || text->argc < 1 ||
	    text->argc > text->size || text->envc > text->size) {
		return false;
	}
	list = calloc((size_t)text->argc + text->envc + 2, sizeof(*list));
	at = (char *)(text + 1);
	if (!list || !take_strings(&at, (char *)text + text->size, 1, cwd) ||
	    !take_strings(&at, (char *)text + text->size, text->argc, list) ||
	    !take_strings(&at, (char *)text + text->size, text->envc, list + text->argc + 1)) {
		return false;
	}
	*ret_cwd = cwd[0];
	*ret_argv = list;
	*ret_env = list + text->argc + 1;
	return true;
}

static _Noreturn void give_up(int start, int error, enum init_early early)
{
	struct init_exec_failure failure = {.error = error, .early = (int32_t)early};

	(void)send(start, &failure, sizeof(failure), MSG_NOSIGNAL);
	_exit(early ? INIT_FAILED : error == ENOENT ? 127 : 126);
}

static const char *path_of(char **env)
{
	while (*env && strncmp(*env, "PATH=", 5) != 0) {
		env++;
	}
	return *env ? *env + 5 : NULL;
}

/* The command's side of the fork: into its own group, wait for the keeper, exec. */
static _Noreturn void run_command(const struct init *in, int *fds, int tty, bool own)
{
	char **argv, **env, *cwd, byte = 'r';
	int start = fds[INIT_EXEC_START], i;

	(void)setpgid(0, 0);
	if (tty >= 0) {
		/* SIGTTOU is blocked until the mask is restored below. */
		(void)tcsetpgrp(tty, getpid());
	}
	errno = EINVAL;
	if (!read_text(fds[INIT_EXEC_TEXT], &cwd, &argv, &env) || chdir(cwd) < 0) {
		give_up(start, errno, INIT_EARLY_PLACE);
	}
	for (i = 0; i < 3; i++) {
		if (dup2(fds[INIT_EXEC_STDIO + i], i) < 0) {
			give_up(start, errno, INIT_EARLY_FORK);
		}
	}
	if (send(start, &byte, 1, MSG_NOSIGNAL) != 1 || recv(start, &byte, 1, 0) != 1) {
		_exit(INIT_FAILED);
	}
	(void)sigprocmask(SIG_SETMASK, &in->mask, NULL);
	if (own) {
		(void)syscall(SYS_execveat, in->self, "", argv, env, AT_EMPTY_PATH);
		give_up(start, errno, INIT_EARLY_FORK);
	}
	give_up(start, exec_search(path_of(env), argv, env), INIT_EARLY_NO);
}

static struct command *find(struct init *in, pid_t pid)
{
	size_t i;

	for (i = 0; i < in->n; i++) {
		if (in->commands[i].pid == pid) {
			return &in->commands[i];
		}
	}
	return NULL;
}

static void forget(struct init *in, struct command *c)
{
	if (c->channel >= 0) {
		(void)close(c->channel);
	}
	*c = in->commands[--in->n];
}

/*
 * What there is no room for is told when there is: of stops and continuations the last, and the end
 * in any case. A channel whose other end is gone is found out about by who polls it.
 */
static void tell(struct command *c, uint32_t op, int32_t a)
{
	struct init_message m = {.op = op, .a = a};

	if (c->late.op || !send_now(c->channel, &m)) {
		c->late = m;
	}
}

/* Its end is told, and its number may be another process's by now. */
static void end(struct init *in, struct command *c, int status)
{
	c->pid = 0;
	tell(c, INIT_EXITED, status);
	if (!c->late.op) {
		forget(in, c);
	}
}

static void tell_late(struct init *in, struct command *c)
{
	if (send_now(c->channel, &c->late)) {
		c->late.op = 0;
		if (c->pid == 0) {
			forget(in, c);
		}
	}
}

static void reap(struct init *in)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		struct command *c = find(in, pid);

		if (!c) {
			continue;
		}
		if (c->channel < 0) {
			/* Nobody but somebody inside stops a leader, which would then never tell of
			 * its command's end. */
			if (WIFSTOPPED(status)) {
				(void)kill(pid, SIGKILL);
			} else if (!WIFCONTINUED(status)) {
				forget(in, c);
			}
			continue;
		}
		if (WIFSTOPPED(status)) {
			tell(c, INIT_STOPPED, WSTOPSIG(status));
		} else if (WIFCONTINUED(status)) {
			tell(c, INIT_CONTINUED, 0);
		} else {
			end(in, c, status);
		}
	}
}

/* To its group; and what is to die does so also where it has left the group. */
static void strike(const struct command *c, int signal)
{
	if (c->pid <= 0) {
		return; /* it has ended */
	}
	(void)kill(-c->pid, signal);
	if (signal == SIGKILL) {
		(void)kill(c->pid, signal);
	}
}

/* Nobody but the keeper has the other end: without it, nobody waits for the command. */
static void hear_channel(struct init *in, struct command *c)
{
	struct init_message m;
	ssize_t n = recv(c->channel, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	}
	if (n != (ssize_t)sizeof(m)) {
		if (!MUTANT(ATOLL_MUTATE_KEEPER_EOF)) {
			strike(c, SIGKILL);
		}
		forget(in, c);
		return;
	}
	if (m.op == INIT_SIGNAL) {
		if (m.a == SIGCONT && c->tty >= 0) {
			(void)tcsetpgrp(c->tty, c->pid);
		}
		strike(c, m.a);
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

static void restore_signals(void)
{
	int i;

	for (i = 1; i < NSIG; i++) {
		(void)signal(i, SIG_DFL);
	}
}

static _Noreturn void serve(struct init *in);

/* The parent of a command with a terminal: a session of its own, and the same loop. */
static _Noreturn void lead(struct init *in, int *fds, int mask)
{
	int tty = fds[INIT_EXEC_STDIO + __builtin_ctz((unsigned)mask)], i;
	pid_t pid, self = getpid();

	for (; in->n > 0; in->n--) {
		if (in->commands[in->n - 1].channel >= 0) {
			(void)close(in->commands[in->n - 1].channel);
		}
	}
	(void)close(in->control);
	(void)close(in->loadavg);
	in->control = in->loadavg = -1;
	ignore_signals();
	if (setsid() < 0 || ioctl(tty, TIOCSCTTY, 0) < 0) {
		give_up(fds[INIT_EXEC_START], errno, INIT_EARLY_FORK);
	}
	pid = fork();
	if (pid == 0) {
		/* Nobody else would end it: the leader's parent knows only the leader. */
		restore_signals();
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != self) {
			_exit(INIT_FAILED);
		}
		run_command(in, fds, tty, false);
	}
	if (pid < 0) {
		give_up(fds[INIT_EXEC_START], errno, INIT_EARLY_FORK);
	}
	(void)setpgid(pid, pid);
	in->commands[in->n++] =
		(struct command){.pid = pid, .channel = fds[INIT_EXEC_CHANNEL], .tty = tty};
	for (i = 0; i < INIT_EXEC_FDS; i++) {
		if (i != INIT_EXEC_CHANNEL && fds[i] != tty) {
			(void)close(fds[i]);
		}
	}
	serve(in);
}

/* Where this fails the keeper sees the end of file on `start`; it was told why, if it could be. */
static void start_command(struct init *in, int *fds, int mask, bool own)
{
	pid_t pid = in->n < INIT_MAX_COMMANDS ? fork() : (errno = EAGAIN, -1);
	struct init_exec_failure failure = {.error = errno, .early = INIT_EARLY_FORK};
	int i;

	if (pid == 0) {
		if (mask) {
			lead(in, fds, mask);
		}
		run_command(in, fds, -1, own);
	}
	if (pid < 0) {
		(void)send(fds[INIT_EXEC_START], &failure, sizeof(failure), MSG_NOSIGNAL);
	} else if (mask) {
		in->commands[in->n++] = (struct command){.pid = pid, .channel = -1, .tty = -1};
	} else {
		(void)setpgid(pid, pid);
		in->commands[in->n++] =
			(struct command){.pid = pid, .channel = fds[INIT_EXEC_CHANNEL], .tty = -1};
	}
	for (i = 0; i < INIT_EXEC_FDS; i++) {
		if (pid < 0 || mask || i != INIT_EXEC_CHANNEL) {
			(void)close(fds[i]);
		}
	}
}

static void obey(struct init *in)
{
	int fds[INIT_EXEC_FDS];
	size_t n_fds = INIT_EXEC_FDS, i;
	struct init_message m;
	ssize_t n = fdpass_recv(in->control, &m, sizeof(m), fds, &n_fds);

	/* More than the sandbox's limit of descriptors lets us hold: they are gone, and the keeper
	 * sees it. */
	if (n == -EMSGSIZE) {
		return;
	}
	if (n != (ssize_t)sizeof(m)) {
		end_without_keeper();
	}
	if (m.op == INIT_EXEC && n_fds == INIT_EXEC_FDS && m.a >= 0 && m.a < 8) {
		start_command(in, fds, m.a, m.b == 1);
		return;
	}
	for (i = 0; i < n_fds; i++) {
		(void)close(fds[i]);
	}
	if (m.op == INIT_END) {
		_exit(0);
	}
	if (m.op == INIT_COUNT) {
		/* One that finds no room is missed; the next one says the same. */
		m = (struct init_message){INIT_COUNTED, last_pid(in->loadavg), pid_max()};
		(void)send_now(in->control, &m);
	}
}

static bool open_child_signals(struct init *in)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &set, &in->mask);
	(void)sigdelset(&set, SIGTTOU);
	in->children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return in->children >= 0;
}

/* Everything that is the same for init and for the guard. */
static bool prepare(struct init *in)
{
	if (!MUTANT(ATOLL_MUTATE_INIT_NONDUMPABLE) && prctl(PR_SET_DUMPABLE, 0) < 0) {
		return false;
	}
	in->control = INIT_FD_CONTROL;
	in->loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	in->self = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	/* Open across our own exec, and never across another. */
	return fcntl(INIT_FD_CONTROL, F_SETFD, FD_CLOEXEC) >= 0 && open_child_signals(in);
}

/* Pid 1: what it starts comes over the socket. */
static bool begin(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), i;

	/* Nothing of the caller's; and what comes over the socket never has these numbers. */
	for (i = 0; i < 3; i++) {
		if (null < 0 || dup2(null, i) < 0) {
			return false;
		}
	}
	(void)close(null);
	if (!MUTANT(ATOLL_MUTATE_PDEATHSIG) && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		return false;
	}
	return setsid() >= 0;
}

/*
 * The guard's payload exists already. Orphans come to us, as to a pid 1; and without a pid
 * namespace the keeper's death must not kill us before we have ended what it leaves.
 */
static bool adopt(struct init *in, const char *terminal, const char *number)
{
	struct command *c = &in->commands[in->n++];
	int i;

	*c = (struct command){.pid = (pid_t)strtol(number, NULL, 10),
			      .channel = INIT_FD_CHANNEL,
			      .tty = terminal[0] == '-' ? -1 : terminal[0] - '0'};
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    fcntl(INIT_FD_CHANNEL, F_SETFD, FD_CLOEXEC) < 0 || chdir("/") < 0 || c->pid <= 0 ||
	    (getpid() != 1 && prctl(PR_SET_PDEATHSIG, 0) < 0)) {
		return false;
	}
	ignore_signals();
	(void)setpgid(c->pid, c->pid);
	/* The payload's end of file on 0, and its readers' on 1 and 2, must not wait for us. */
	for (i = 0; i < 3; i++) {
		if (i != c->tty) {
			(void)close(i);
		}
	}
	return true;
}

/* From the last: one that goes is replaced by the one at the end. */
static void hear_channels(struct init *in, const struct pollfd *w, size_t n)
{
	while (n-- > 0) {
		struct command *c = &in->commands[n];

		if (n < in->n && c->late.op && (w[n].revents & POLLOUT)) {
			tell_late(in, c);
		} else if (n < in->n && w[n].revents) {
			hear_channel(in, c);
		}
	}
}

static _Noreturn void serve(struct init *in)
{
	struct pollfd w[2 + INIT_MAX_COMMANDS];

	reap(in); /* what ended before there was a signal for it */
	for (;;) {
		struct signalfd_siginfo info;
		size_t i, n = in->n;

		if (in->control < 0 && n == 0) {
			_exit(0); /* a leader has nothing else to do */
		}
		w[0] = (struct pollfd){.fd = in->control, .events = POLLIN};
		w[1] = (struct pollfd){.fd = in->children, .events = POLLIN};
		for (i = 0; i < n; i++) {
			const struct command *c = &in->commands[i];

			w[2 + i] = (struct pollfd){
				.fd = c->channel,
				.events = (short)(POLLIN | (c->late.op ? POLLOUT : 0))};
		}
		if (poll(w, 2 + n, -1) < 0) {
			continue;
		}
		hear_channels(in, w + 2, n);
		if (w[1].revents) {
			(void)read(in->children, &info, sizeof(info));
			reap(in);
		}
		if (w[0].revents) {
			obey(in);
		}
	}
}

int main(int argc, char **argv)
{
	bool guard = argc == 3 && strcmp(argv[0], INIT_GUARD) == 0;
	struct init in = {};

	if (argc > 0 && strcmp(argv[0], PARCEL_PROGRAM) == 0) {
		return copy_main(argc, argv);
	}
	if (!prepare(&in) || !(guard ? adopt(&in, argv[1], argv[2]) : begin())) {
		return INIT_FAILED;
	}
	serve(&in);
}
