/* SPDX-License-Identifier: Apache-2.0 */
/* A command's way in: whoever speaks on its socket is seized only if it is inside. */
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "guest/protocol.h"
#include "linux/fdpass.h"
#include "tier/command.h"
#include "tier/tier.h"

static char *const words[] = {(char *)"/bin/true", NULL};
static char *const none[] = {NULL};

/* A process that does what a newcomer does: says its byte, waits for one, and execs. */
static pid_t newcomer(int start, int ours)
{
	pid_t pid = fork();
	char byte = 'r';

	if (pid == 0) {
		(void)close(ours);
		if (send(start, &byte, 1, 0) == 1 && recv(start, &byte, 1, 0) == 1) {
			(void)execve(words[0], words, none);
		}
		_exit(42);
	}
	return pid;
}

/* Pid 1 of another pid namespace, or -1 where this host gives none. */
static pid_t other_namespace(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	return pid;
}

static long tracer_of(pid_t pid)
{
	char path[32], text[4096] = {}, *line;
	_cleanup_fd_ int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	line = strstr(text, "TracerPid:");
	return line ? strtol(line + strlen("TracerPid:"), NULL, 10) : -1;
}

/* Until it is held, or cannot be. */
static int advance(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e)
{
	int i, r = 0;

	for (i = 0; i < 10000 && r == 0 && cmd->stage != COMMAND_HELD; i++) {
		r = tier_command_advance(sb, cmd, e);
		if (r == 0 && cmd->stage != COMMAND_HELD) {
			(void)usleep(1000);
		}
	}
	return r;
}

static void test_inside(void **state)
{
	struct tier_sandbox sb = {.init = getpid(), .control = FD_NONE};
	struct tier_command cmd;
	struct err e = {};
	int theirs, status;
	pid_t pid;

	(void)state;
	tier_command_init(&cmd, NULL);
	assert_int_equal(tier_command_start(&cmd.start, &theirs, &e), 0);
	assert_int_equal(tier_command_advance(&sb, &cmd, &e), 0);
	assert_int_equal(cmd.stage, COMMAND_ASKED);
	pid = newcomer(theirs, cmd.start);
	(void)fd_close(theirs);
	assert_int_equal(advance(&sb, &cmd, &e), 0);
	assert_int_equal(cmd.stage, COMMAND_HELD);
	assert_int_equal(cmd.pid, pid);
	assert_int_equal(tracer_of(pid), getpid());
	assert_int_equal(tier_command_release(&cmd, &e), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	tier_command_done(&cmd);
}

/* A number that came to be somebody else's, who is left as he was. */
static void test_outside(void **state)
{
	struct tier_sandbox sb = {.init = other_namespace(), .control = FD_NONE};
	struct tier_command cmd;
	struct err e = {};
	int theirs, status;
	pid_t pid;

	(void)state;
	if (sb.init < 0) {
		skip();
	}
	tier_command_init(&cmd, NULL);
	assert_int_equal(tier_command_start(&cmd.start, &theirs, &e), 0);
	pid = newcomer(theirs, cmd.start);
	assert_int_equal(advance(&sb, &cmd, &e), -ESRCH);
	assert_int_equal(cmd.stage, COMMAND_ASKED);
	assert_int_equal(tracer_of(pid), 0);
	tier_command_done(&cmd);
	(void)fd_close(theirs);
	/* It hears nothing, and ends as it would have: not by a signal of ours. */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_int_equal(kill(sb.init, SIGKILL), 0);
	assert_int_equal(waitpid(sb.init, NULL, 0), sb.init);
}

/* Killed on its way, it is collected without anybody waiting for it. */
static void test_done_on_the_way(void **state)
{
	struct tier_sandbox sb = {.init = getpid(), .control = FD_NONE};
	struct tier_command cmd;
	struct err e = {};
	int theirs, i;
	pid_t pid;

	(void)state;
	tier_command_init(&cmd, NULL);
	assert_int_equal(tier_command_start(&cmd.start, &theirs, &e), 0);
	pid = newcomer(theirs, cmd.start);
	(void)fd_close(theirs);
	assert_int_equal(advance(&sb, &cmd, &e), 0);
	tier_command_done(&cmd);
	tier_command_done(&cmd);
	for (i = 0; i < 10000 && !tier_command_collect(&cmd); i++) {
		(void)usleep(1000);
	}
	assert_true(tier_command_collect(&cmd));
	assert_int_equal(kill(pid, 0), -1);
}

/* What a fork that failed leaves, and one that could not execute. */
static void test_failures(void **state)
{
	static const struct {
		struct init_exec_failure said;
		enum err_kind kind;
		int code;
	} rows[] = {
		{{EAGAIN, INIT_EARLY_FORK}, ERR_POLICY, EAGAIN},
		{{ENOMEM, INIT_EARLY_FORK}, ERR_SYSTEM, ENOMEM},
		{{ENOENT, INIT_EARLY_PLACE}, ERR_SYSTEM, ENOENT},
		{{ENOENT, INIT_EARLY_NO}, ERR_GUEST, ENOENT},
		{{0, INIT_EARLY_NO}, ERR_SYSTEM, ECHILD},
		{{-1, INIT_EARLY_FORK}, ERR_SYSTEM, ECHILD},
	};
	const struct tier_program program = {.cwd = "/"};
	struct tier_sandbox sb = {.init = getpid(), .control = FD_NONE};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tier_command cmd;
		struct err e = {};
		int theirs;

		tier_command_init(&cmd, &program);
		assert_int_equal(tier_command_start(&cmd.start, &theirs, &e), 0);
		assert_int_equal(send(theirs, &rows[i].said, sizeof(rows[i].said), 0),
				 sizeof(rows[i].said));
		(void)fd_close(theirs);
		assert_int_equal(tier_command_advance(&sb, &cmd, &e), -rows[i].code);
		assert_int_equal(e.kind, rows[i].kind);
		tier_command_done(&cmd);
	}
}

/* Whose parent has ended without having read our last signal: what it said before that is heard. */
static void test_a_signal_that_comes_too_late(void **state)
{
	const struct init_message exited = {.op = INIT_EXITED, .a = 3 << 8};
	struct tier_command cmd = {.channel = -1, .start = -1};
	struct tier_event event;
	struct err e = {};
	int theirs;

	(void)state;
	assert_int_equal(tier_command_channel(&cmd.channel, &theirs, &e), 0);
	tier_command_signal(&cmd, SIGTERM);
	assert_int_equal(send(theirs, &exited, sizeof(exited), 0), sizeof(exited));
	(void)fd_close(theirs);
	assert_int_equal(tier_hear(cmd.channel, &event, &e), 0);
	assert_int_equal(event.kind, TIER_EXITED);
	assert_int_equal(event.value, 3 << 8);
	assert_int_equal(tier_hear(cmd.channel, &event, &e), 0);
	assert_int_equal(event.kind, TIER_GONE);
	(void)fd_close(cmd.channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_done_on_the_way),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_a_signal_that_comes_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
