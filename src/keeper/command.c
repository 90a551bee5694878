/* SPDX-License-Identifier: Apache-2.0 */
/* One command of a sandbox: streams, front, end. */
#include "keeper/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/log.h"
#include "keeper/message.h"
#include "linux/fdpass.h"
#include "linux/pty.h"
#include "policy/plan.h"
#include "tier/command.h"

/* How long the end waits for a terminal's last output: without any, and altogether. */
#define QUIET_NS 100000000LL
#define DRAIN_NS 1000000000LL

struct command *command_new(void)
{
	struct command *c = calloc(1, sizeof(*c));
	size_t i;

	if (!c) {
		return NULL;
	}
	c->front = c->front_pidfd = c->in = c->result = FD_NONE;
	c->program.terminal = FD_NONE;
	for (i = 0; i < 3; i++) {
		c->program.stdio[i] = FD_NONE;
	}
	for (i = 0; i < PUMP_COUNT; i++) {
		c->to_front[i] = c->pumps[i].in = c->pumps[i].out = FD_NONE;
	}
	tier_command_init(&c->inside, &c->program);
	c->asked_ns = clock_now_ns();
	return c;
}

static void free_strings(char **list)
{
	size_t i;

	for (i = 0; list && list[i]; i++) {
		free(list[i]);
	}
	free(list);
}

void command_close_ends(struct command *c)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		c->program.stdio[i] = fd_close(c->program.stdio[i]);
	}
	for (i = 0; i < PUMP_COUNT; i++) {
		c->to_front[i] = fd_close(c->to_front[i]);
	}
	c->in = fd_close(c->in);
}

bool command_is_moving(const struct command *c)
{
	return pump_active(&c->pumps[PUMP_STDOUT]) || pump_active(&c->pumps[PUMP_STDERR]) ||
	       pump_active(&c->pumps[PUMP_TERMINAL]);
}

void command_stop_streams(struct command *c)
{
	size_t i;

	for (i = 0; i < PUMP_COUNT; i++) {
		pump_done(&c->pumps[i]);
	}
}

void command_free(struct command *c)
{
	if (!c) {
		return;
	}
	tier_command_done(&c->inside);
	command_close_ends(c);
	command_stop_streams(c);
	c->program.terminal = fd_close(c->program.terminal);
	c->front = fd_close(c->front);
	c->front_pidfd = fd_close(c->front_pidfd);
	c->result = fd_close(c->result);
	free_strings(c->argv);
	free_strings(c->env);
	free(c->cwd);
	json_decref(c->first);
	free(c);
}

/* One pipe to it and one to the front, with a pump between them. Descriptor 0 bypasses us: the
 * front writes into the pipe itself. */
static int open_pipe(struct command *c, int i, struct err *e)
{
	int pair[2], relay[2] = {FD_NONE, FD_NONE};

	if (pipe2(pair, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot create a pipe");
	}
	c->program.stdio[i] = i == 0 ? pair[0] : pair[1];
	if (i == 0) {
		c->in = pair[1];
		return 0;
	}
	if (!c->detached && pipe2(relay, O_CLOEXEC) < 0) {
		(void)fd_close(pair[0]);
		return err_sys(e, errno, "cannot create a pipe");
	}
	c->to_front[i - 1] = relay[0];
	return pump_init(&c->pumps[i - 1], pair[0], relay[1], false, &c->output_left) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		       : 0;
}

int command_open(struct command *c, const struct plan *plan, struct err *e)
{
	int i, r = 0;

	c->output_left = plan->limits.output;
	c->program.argv = c->argv;
	c->program.env = c->env ? c->env : plan->env;
	c->program.cwd = c->cwd;
	c->program.tty = c->tty;
	for (i = 0; r >= 0 && i < 3; i++) {
		if (c->tty & 1U << i) {
			continue;
		}
		if (i == 2 && c->one_output && c->program.stdio[1] >= 0 && !(c->tty & 2)) {
			c->program.stdio[2] = fcntl(c->program.stdio[1], F_DUPFD_CLOEXEC, 0);
			r = c->program.stdio[2] < 0
				    ? err_sys(e, errno, "cannot share the output's pipe")
				    : 0;
			continue;
		}
		r = open_pipe(c, i, e);
	}
	return r;
}

int command_open_terminal(struct command *c, int ptmx, uid_t uid, gid_t gid, struct err *e)
{
	struct winsize size = {.ws_row = (unsigned short)c->rows,
			       .ws_col = (unsigned short)c->columns};
	_cleanup_fd_ int slave = FD_NONE, master = FD_NONE;
	int i, relay[2], r = pty_open(ptmx, uid, gid, &c->program.terminal, &slave, e);

	if (r < 0) {
		return r;
	}
	(void)ioctl(c->program.terminal, TIOCSWINSZ, &size);
	for (i = 0; i < 3; i++) {
		if (c->tty & 1U << i) {
			c->program.stdio[i] = fcntl(slave, F_DUPFD_CLOEXEC, 0);
			r = c->program.stdio[i] < 0 ? -errno : r;
		}
	}
	master = r < 0 ? FD_NONE : fcntl(c->program.terminal, F_DUPFD_CLOEXEC, 0);
	if (master < 0 || pipe2(relay, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot relay the terminal");
	}
	c->to_front[PUMP_TERMINAL] = relay[0];
	return pump_init(&c->pumps[PUMP_TERMINAL], TAKE_FD(master), relay[1], true,
			 &c->output_left) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		       : 0;
}

/* By the place of the pump. */
static void keep(void *data, const struct pump *p, const char *bytes, size_t len)
{
	static const enum log_kind kinds[PUMP_COUNT] = {[PUMP_STDOUT] = LOG_STDOUT,
							[PUMP_STDERR] = LOG_STDERR,
							[PUMP_TERMINAL] = LOG_TERMINAL};
	const struct command *c = data;

	log_add(c->log, c->number, kinds[p - c->pumps], bytes, len);
}

int command_keep(struct command *c, struct log *l, struct err *e)
{
	int i, r = 0;

	c->log = l;
	for (i = 0; r >= 0 && i < PUMP_COUNT; i++) {
		r = pump_active(&c->pumps[i]) ? pump_tap_to(&c->pumps[i], keep, c) : 0;
	}
	return r < 0 ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : 0;
}

int command_send_streams(struct command *c, bool sampled, struct err *e)
{
	const struct {
		int fd, bit;
	} rows[] = {
		{c->in, STREAM_STDIN},
		{c->to_front[PUMP_STDOUT], STREAM_STDOUT},
		{c->to_front[PUMP_STDERR], STREAM_STDERR},
		{c->to_front[PUMP_TERMINAL], STREAM_TERMINAL},
		{c->program.terminal, STREAM_MASTER},
	};
	struct message m = {.op = MSG_STREAMS, .b = sampled};
	int fds[ARRAY_SIZE(rows)];
	size_t i, n = 0;
	int r;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].fd >= 0) {
			m.a |= rows[i].bit;
			fds[n++] = rows[i].fd;
		}
	}
	r = fdpass_send(c->front, &m, sizeof(m), fds, n);
	return r < 0 ? err_sys(e, -r, "cannot reach the front") : 0;
}

uint64_t command_bytes(const struct command *c)
{
	return c->pumps[PUMP_STDOUT].bytes + c->pumps[PUMP_STDERR].bytes +
	       c->pumps[PUMP_TERMINAL].bytes;
}

bool command_over(const struct command *c)
{
	return c->pumps[PUMP_STDOUT].over || c->pumps[PUMP_STDERR].over ||
	       c->pumps[PUMP_TERMINAL].over;
}

void command_poll(const struct command *c, struct pollfd *w)
{
	bool coming = c->inside.stage == COMMAND_ASKED;
	/* From the beginning: who stops and continues a newcomer makes news there, too. */
	bool living = !c->exited;
	size_t i;

	/* A front that has its result has no more to say; settling looks whether it is there. */
	w[COMMAND_FRONT] = (struct pollfd){.fd = c->reported ? FD_NONE : c->front,
					   .events = c->result >= 0 ? POLLOUT : POLLIN};
	w[COMMAND_START] =
		(struct pollfd){.fd = coming ? c->inside.start : FD_NONE, .events = POLLIN};
	w[COMMAND_CHANNEL] =
		(struct pollfd){.fd = living ? c->inside.channel : FD_NONE, .events = POLLIN};
	for (i = 0; i < PUMP_COUNT; i++) {
		pump_poll(&c->pumps[i], &w[COMMAND_PUMPS + i]);
	}
}

void command_pump(struct command *c, const struct pollfd *w)
{
	uint64_t before = command_bytes(c);
	size_t i;

	for (i = 0; i < PUMP_COUNT; i++) {
		if (pump_active(&c->pumps[i]) && w[COMMAND_PUMPS + i].revents) {
			pump_run(&c->pumps[i]);
		}
	}
	if (command_bytes(c) != before) {
		c->moved_ns = clock_now_ns();
	}
}

void command_drain(struct command *c)
{
	size_t i;

	c->ended_ns = c->ended_ns ? c->ended_ns : clock_now_ns();
	for (i = 0; i < PUMP_COUNT; i++) {
		pump_end(&c->pumps[i]);
		/* Done at once if there is nothing; else poll(2) says when there is room. */
		if (pump_active(&c->pumps[i]) && !c->pumps[i].full) {
			pump_run(&c->pumps[i]);
		}
	}
}

/* Somebody who is still inside may keep the other side of the terminal open, and write for ever. */
static bool is_quiet(const struct command *c, const struct pump *p)
{
	int64_t now = clock_now_ns();
	int64_t since = c->moved_ns > c->ended_ns ? c->moved_ns : c->ended_ns;

	return !p->full && p->from == p->to &&
	       (now - since >= QUIET_NS || now - c->ended_ns >= DRAIN_NS);
}

bool command_is_dry(struct command *c)
{
	struct pump *terminal = &c->pumps[PUMP_TERMINAL];
	bool dry = true;
	size_t i;

	if (pump_active(terminal) && is_quiet(c, terminal)) {
		pump_done(terminal);
	} else if (pump_active(terminal) && clock_now_ns() - c->ended_ns >= DRAIN_NS) {
		terminal->ends = true; /* somebody who stays inside writes for ever */
	}
	for (i = 0; i < PUMP_COUNT; i++) {
		/* What the budget cuts off, and what nobody is there to read, does not move. */
		if (pump_active(&c->pumps[i]) && c->pumps[i].over &&
		    c->pumps[i].from == c->pumps[i].to) {
			c->broken = c->broken == LIMIT_NONE ? LIMIT_OUTPUT : c->broken;
			pump_done(&c->pumps[i]);
		}
		dry = dry && !pump_active(&c->pumps[i]);
	}
	return dry;
}

void command_tell(const struct command *c, uint32_t op, int32_t a)
{
	struct message m = {.op = op, .a = a};

	(void)send(c->front, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void command_wake(const struct command *c)
{
	if (c->paused && c->front >= 0 && c->front_pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, c->front_pidfd, SIGCONT, NULL, 0);
	}
}

void command_kill(struct command *c)
{
	c->killed = true;
	if (c->inside.stage == COMMAND_RELEASED) {
		tier_command_signal(&c->inside, SIGKILL);
		return;
	}
	/* It has not begun. What pid 1 has forked for it dies with its channel. */
	tier_command_done(&c->inside);
}

bool command_report(struct command *c, const json_t *doc)
{
	_cleanup_free_ char *text = NULL;
	struct message m = {.op = MSG_RESULT};
	size_t len = 0;
	int r;

	if (c->front >= 0 && c->result < 0) {
		text = doc ? json_canonical(doc, &len) : NULL;
		c->result = text ? message_text_fd(text, len, NULL) : FD_NONE;
	}
	/* Without a document the front sees the end of file, and says that the keeper failed. */
	if (c->front < 0 || c->result < 0) {
		return true;
	}
	r = fdpass_send(c->front, &m, sizeof(m), &c->result, 1);
	if (r == -EAGAIN) {
		return false;
	}
	c->result = fd_close(c->result);
	return true;
}
