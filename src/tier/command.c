/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's way into a sandbox.
 *
 * Theory of operation. Pid 1, which is behind every wall, forks it, so nothing enters from outside
 * (guest/init.c). The fork says one byte on `start`, and the kernel adds the credentials that
 * nothing inside can forge: so its pid is known. The keeper seizes it and lets it exec; the kernel
 * stops it before the first instruction of the program, and there it is read. From the seizure to
 * the release it dies with the keeper by PTRACE_O_EXITKILL, before and after with its pid 1.
 */
#include "tier/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "guest/protocol.h"
#include "linux/fdpass.h"
#include "tier/launch.h"
#include "tier/tier.h"

/* Arguments and environment together, which came in requests of 8 MiB each. */
#define MAX_TEXT (32U * 1024 * 1024)

void tier_command_init(struct tier_command *cmd, const struct tier_program *program)
{
	*cmd = (struct tier_command){.program = program, .start = FD_NONE, .channel = FD_NONE};
}

static int make_pair(int *ret_ours, int *ret_theirs, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_sys(e, errno, "cannot create a socket pair");
	}
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

int tier_command_channel(int *ret_ours, int *ret_theirs, struct err *e)
{
	return make_pair(ret_ours, ret_theirs, e);
}

int tier_command_start(int *ret_ours, int *ret_theirs, struct err *e)
{
	int on = 1, r = make_pair(ret_ours, ret_theirs, e);

	if (r >= 0 && setsockopt(*ret_ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		return err_sys(e, errno, "cannot ask for credentials");
	}
	return r;
}

static uint32_t add_strings(struct buf *b, char *const *list)
{
	uint32_t n = 0;

	for (; list[n]; n++) {
		(void)buf_add(b, list[n], strlen(list[n]) + 1);
	}
	return n;
}

/* struct init_text and its strings, in a memfd that is theirs to map. */
static int make_text(const struct tier_program *p, struct err *e)
{
	char *const *env = MUTANT(ATOLL_MUTATE_ENVIRON) ? environ : p->env;
	_cleanup_fd_ int fd = memfd_create("atoll-command", MFD_CLOEXEC);
	_cleanup_buf_ struct buf b = {};
	struct init_text head = {};

	buf_init(&b, MAX_TEXT);
	(void)buf_add(&b, (const char *)&head, sizeof(head));
	(void)buf_add(&b, p->cwd, strlen(p->cwd) + 1);
	head.argc = add_strings(&b, p->argv);
	head.envc = add_strings(&b, env);
	if (b.failed) {
		return err_set(e, ERR_USER, E2BIG, "the command's arguments are too long");
	}
	head.size = (uint32_t)b.len;
	memcpy(b.data, &head, sizeof(head));
	if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len) {
		return err_sys(e, errno, "cannot write a message");
	}
	return TAKE_FD(fd);
}

int tier_command_ask(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e)
{
	const struct tier_program *p = cmd->program;
	struct init_message m = {.op = INIT_EXEC, .a = (int32_t)p->tty, .b = p->own};
	_cleanup_fd_ int text = make_text(p, e), start = FD_NONE, channel = FD_NONE;
	int r = text;

	if (r >= 0) {
		r = tier_command_start(&cmd->start, &start, e);
	}
	if (r >= 0) {
		r = tier_command_channel(&cmd->channel, &channel, e);
	}
	if (r >= 0) {
		const int fds[INIT_EXEC_FDS] = {start,       channel,     text,
						p->stdio[0], p->stdio[1], p->stdio[2]};

		r = fdpass_send_now(sb->control, &m, sizeof(m), fds, INIT_EXEC_FDS);
		if (r == -EAGAIN) {
			return err_set(e, ERR_SYSTEM, EAGAIN,
				       "more commands are asked for than the sandbox can begin");
		}
		if (r < 0 && launch_failed(sb, e) >= 0) {
			r = err_sys(e, -r, "cannot reach atoll-init");
		}
	}
	return r;
}

/* What it could say of why it is no more. */
static int failed(const struct tier_sandbox *sb, const struct tier_command *cmd, struct err *e)
{
	struct init_exec_failure failure;
	ssize_t n = recv(cmd->start, &failure, sizeof(failure), MSG_DONTWAIT);

	if (n < 0 && errno == ECONNRESET) { /* told once, before what waits (fdpass_recv()) */
		n = recv(cmd->start, &failure, sizeof(failure), MSG_DONTWAIT);
	}
	if (n != (ssize_t)sizeof(failure) || failure.error <= 0) {
		return launch_failed(sb, e) < 0 ? -e->code
						: err_set(e, ERR_SYSTEM, ECHILD,
							  "the command ended before its start");
	}
	if (failure.early == INIT_EARLY_PLACE) {
		return err_sys(e, failure.error, "cannot enter '%s' in the sandbox",
			       cmd->program->cwd);
	}
	if (failure.early) {
		return failure.error == EAGAIN
			       ? err_set(e, ERR_POLICY, EAGAIN,
					 "no process for the command: the sandbox has as many as "
					 "it "
					 "may (execution.limits.processes)")
			       : err_sys(e, failure.error, "the command cannot be started");
	}
	return err_set(e, ERR_GUEST, failure.error, "%s", strerror(failure.error));
}

/* True if the process is in the pid namespace of the sandbox, where it has one. */
static bool is_inside(const struct tier_sandbox *sb, pid_t pid)
{
	char path[32];
	struct stat ours, its;

	if (walls_have_no_namespace(sb->walls)) {
		return true; /* nobody was inside yet who could have ended it */
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", sb->init);
	if (stat(path, &ours) < 0) {
		return false;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, &its) == 0 && its.st_dev == ours.st_dev && its.st_ino == ours.st_ino;
}

/* Leaves a process alone again that was seized. One that does not stop at once, in a file system
 * that does not answer, would hold us up: it stays seized, and goes on all the same. */
static void let_go(pid_t pid)
{
	int tries = ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 ? 100 : 0;

	for (; tries > 0; tries--) {
		if (waitpid(pid, NULL, __WALL | WNOHANG) != 0) {
			(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
			return;
		}
		(void)usleep(1000);
	}
}

/*
 * Whoever is inside may end the newcomer as soon as it has spoken, and its number on the host may
 * by now be that of somebody else: who is seized is looked at before anything is done to it.
 */
static int seize(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e)
{
	const long options = PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	struct init_exec_failure first;
	struct ucred cred;
	ssize_t n;

	if (recv(cmd->start, &first, sizeof(first), MSG_PEEK | MSG_DONTWAIT) < 0) {
		return errno == EAGAIN || errno == EINTR
			       ? 0
			       : err_sys(e, errno, "cannot hear the command");
	}
	/* A fork that failed has no byte to say, but why. */
	n = recv(cmd->start, &first, sizeof(first), MSG_PEEK);
	if (n != 1) {
		return failed(sb, cmd, e);
	}
	if (fdpass_recv_cred(cmd->start, &first, 1, &cred) != 1) {
		return err_set(e, ERR_SYSTEM, EPROTO, "the command does not say who it is");
	}
	if (ptrace(PTRACE_SEIZE, cred.pid, NULL, options) < 0) {
		return err_sys(e, errno,
			       "cannot seize the payload for its read-back (the sysctl "
			       "kernel.yama.ptrace_scope must not be 3)");
	}
	if (!is_inside(sb, cred.pid)) {
		let_go(cred.pid);
		return err_set(e, ERR_SYSTEM, ESRCH, "the command ended before its start");
	}
	cmd->pid = cred.pid;
	cmd->stage = COMMAND_SEIZED;
	return send(cmd->start, "r", 1, MSG_NOSIGNAL) == 1
		       ? 0
		       : err_sys(e, errno, "cannot let the payload start");
}

/* 1: go on. */
static int follow(const struct tier_sandbox *sb, struct tier_command *cmd, struct err *e)
{
	int status;
	pid_t pid = waitpid(cmd->pid, &status, __WALL | WNOHANG);

	if (pid < 0 && errno != EINTR) {
		return err_sys(e, errno, "cannot wait for the payload");
	}
	if (pid <= 0) {
		return pid < 0; /* 0: nothing has changed */
	}
	if (!WIFSTOPPED(status)) {
		cmd->stage = COMMAND_RELEASED;
		return failed(sb, cmd, e);
	}
	if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
		cmd->stage = COMMAND_HELD;
		return 0;
	}
	/* A signal or group stop on the way to exec: let it through. */
	if (ptrace(PTRACE_CONT, cmd->pid, NULL, (long)WSTOPSIG(status)) < 0) {
		return err_sys(e, errno, "cannot continue the payload");
	}
	return 1;
}

int tier_command_advance(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e)
{
	int r = 0;

	if (cmd->stage == COMMAND_ASKED) {
		r = seize(sb, cmd, e);
	}
	while (r >= 0 && cmd->stage == COMMAND_SEIZED) {
		r = follow(sb, cmd, e);
		if (r <= 0) {
			break;
		}
	}
	return r < 0 ? r : 0;
}

int tier_command_release(struct tier_command *cmd, struct err *e)
{
	if (ptrace(PTRACE_DETACH, cmd->pid, NULL, NULL) < 0) {
		return err_sys(e, errno, "cannot release the payload");
	}
	cmd->stage = COMMAND_RELEASED;
	cmd->start = fd_close(cmd->start);
	return 0;
}

void tier_command_signal(const struct tier_command *cmd, int signal)
{
	struct init_message m = {.op = INIT_SIGNAL, .a = signal};

	(void)send(cmd->channel, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

int tier_hear(int fd, struct tier_event *ret, struct err *e)
{
	static const enum tier_event_kind kinds[] = {
		[INIT_STOPPED] = TIER_STOPPED,
		[INIT_CONTINUED] = TIER_CONTINUED,
		[INIT_EXITED] = TIER_EXITED,
		[INIT_COUNTED] = TIER_COUNTED,
	};
	struct init_message m;
	ssize_t n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);

	/* Who ends without having read the last signal has left word all the same (fdpass_recv()).
	 */
	if (n < 0 && errno == ECONNRESET) {
		n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);
	}
	*ret = (struct tier_event){.kind = TIER_NOTHING};
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (n != (ssize_t)sizeof(m)) {
		ret->kind = TIER_GONE;
		return 0;
	}
	if (m.op >= ARRAY_SIZE(kinds) || kinds[m.op] == TIER_NOTHING) {
		return err_set(e, ERR_GUEST, EPROTO, "atoll-init sent an unknown message");
	}
	*ret = (struct tier_event){kinds[m.op], m.a, m.b};
	return 0;
}

int tier_command_hear(const struct tier_command *cmd, struct tier_event *ret, struct err *e)
{
	return tier_hear(cmd->channel, ret, e);
}

bool tier_command_collect(struct tier_command *cmd)
{
	if (cmd->stage == COMMAND_DYING && waitpid(cmd->pid, NULL, __WALL | WNOHANG) != 0) {
		cmd->stage = COMMAND_RELEASED;
	}
	return cmd->stage != COMMAND_DYING;
}

void tier_command_done(struct tier_command *cmd)
{
	if (cmd->stage == COMMAND_SEIZED || cmd->stage == COMMAND_HELD) {
		/* As long as we trace it, its number is nobody else's. */
		(void)kill(cmd->pid, SIGKILL);
		cmd->stage = COMMAND_DYING;
	} else if (cmd->stage == COMMAND_ASKED) {
		cmd->stage = COMMAND_RELEASED; /* its parent sees the end of the channel */
	}
	cmd->start = fd_close(cmd->start);
	cmd->channel = fd_close(cmd->channel);
}
