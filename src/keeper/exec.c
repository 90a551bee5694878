/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands in a sandbox that lives.
 *
 * Theory of operation. A front connects to the control socket and asks; from then on the connection
 * is the command's own, with the messages of message.h. Pid 1 forks the command behind the walls
 * (tier/command.c), so nothing has to be entered. Whoever is inside already may be hostile and may
 * hold a newcomer up, kill it, or use up what it needs: so each step waits in the keeper's loop,
 * beside everything else, and for START_NS at most. Before its first instruction the command is
 * read as the first one was; what differs from the plan ends it, and is recorded.
 *
 * A command ends with its first process, its wall-clock time, its budget of output, or its front.
 * Its process group is killed then, unless it has ended by itself; what has left the group belongs
 * to the sandbox, whose limits hold for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/exec-internal.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"
#include "keeper/result.h"
#include "linux/fdpass.h"
#include "tier/command.h"

/* Of a command's words in the record, which has room for very many commands. */
#define RECORDED_WORDS 65536
/* And in what is kept of its output, which is not large. */
#define KEPT_WORDS 512
/* From the question to the first instruction. */
#define START_NS 10000000000LL
/* Whoever does not die of SIGKILL in this time is waited for by nobody. */
#define KILL_NS 5000000000LL
/* How long a front with its result is woken. */
#define WAKE_NS 1000000000LL
/* How often a drained terminal is looked at. */
#define LOOK_NS 20000000LL

/* One that did not come to run, in the record as what it was. */
static void record_failure(struct keeper *k, struct command *c, const struct err *why)
{
	json_t *event = keeper_started_event(c, RECORDED_WORDS);
	int code = c->exec_error ? c->exec_error : why->code;

	c->told = true;
	if (!event || json_put(event, "command", json_integer(c->number)) < 0 ||
	    json_put(event, "kind",
		     json_string(c->exec_error ? "exec" : err_kind_name(why->kind))) < 0 ||
	    json_put(event, "code", json_integer(code)) < 0 ||
	    json_put(event, "message", json_text(c->exec_error ? strerror(code) : why->msg)) < 0) {
		json_decref(event);
		event = NULL;
	}
	(void)keeper_record(k, "exec_failed", event, &k->error);
}

/* It is over for its front, however far it came. */
static void give_up(struct keeper *k, struct command *c, const struct err *why)
{
	if (c->error.code == 0 && c->exec_error == 0) {
		c->error = *why;
	}
	if (!c->noted) {
		record_failure(k, c, why);
	}
	command_close_ends(c);
	/* Its parent sees the end of the channel, and kills what there is of it. */
	c->killed = true;
	tier_command_done(&c->inside);
	command_drain(c);
}

/* A document of at most a few lines, in its place among what is put out. Takes it. */
static void keep(struct keeper *k, const struct command *c, enum log_kind kind, json_t *doc)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = doc && c->log ? json_canonical(doc, &len) : NULL;
	if (text) {
		log_add(&k->log, c->number, kind, text, len);
	}
	json_decref(doc);
}

static int begin(struct keeper *k, struct command *c, struct err *e)
{
	int r = command_open(c, &k->plan, e);

	if (r >= 0 && k->frozen) {
		r = err_set(e, ERR_USER, EBUSY, "the sandbox is paused (atoll resume)");
	}
	if (r >= 0 && command_on_terminal(c)) {
		r = command_open_terminal(c, k->sandbox.ptmx, k->spec.host_uid, k->spec.host_gid,
					  e);
	}
	if (r >= 0 && log_is_on(&k->log) && !c->program.own) {
		r = command_keep(c, &k->log, e);
	}
	return r >= 0 ? k->tier->exec(&k->sandbox, &c->inside, e) : r;
}

/* A sandbox that has no room says so in the same words as one that has. */
static void refuse(struct keeper *k, struct command *c, struct err *why)
{
	_cleanup_json_ json_t *doc = NULL;

	c->error = *why;
	c->ended_ns = clock_now_ns();
	record_failure(k, c, why);
	doc = keeper_command_result(k, c);
	(void)command_report(c, doc);
	command_free(c);
}

/* What was refused from here on was refused while it was there. */
static void note_denials(const struct keeper *k, struct command *c)
{
	unsigned i;

	for (i = 0; i < k->denials.n; i++) {
		c->denials[i] = k->denials.entries[i].count;
	}
}

void keeper_exec(struct keeper *k, int front, const struct message *m, int *fds, size_t n)
{
	struct command *c = command_new();
	struct err e = {};
	size_t i;
	int r = 0;

	if (!c) {
		(void)fd_close(front);
	} else {
		c->front = front;
		c->number = ++k->last_number;
		c->front_pidfd = n > REQUEST_PIDFD ? TAKE_FD(fds[REQUEST_PIDFD]) : FD_NONE;
		r = keeper_receive_exec(k, c, m, fds, n, &e);
		if (r >= 0 && k->ended_ns) {
			r = err_set(&e, ERR_USER, ECHILD, "the sandbox is ending");
		}
		if (r >= 0 && k->n_commands == COMMAND_MAX) {
			r = err_set(
				&e, ERR_USER, EAGAIN,
				"the sandbox runs %d commands already, which is the most at once",
				COMMAND_MAX);
		}
		if (r >= 0) {
			k->commands[k->n_commands++] = c;
			limits_begun(&k->limits);
			note_denials(k, c);
			r = begin(k, c, &e);
			if (r < 0) {
				give_up(k, c, &e);
			}
		} else {
			refuse(k, c, &e);
		}
	}
	for (i = 0; i < n; i++) {
		(void)fd_close(fds[i]);
	}
}

/* It runs, and whoever asked for it need not wait. */
static void let_go(const struct keeper *k, struct command *c)
{
	_cleanup_json_ json_t *doc = keeper_command_started(k, c);

	(void)command_report(c, doc);
	c->result = fd_close(c->result);
	c->front = fd_close(c->front);
}

/* Held before its first instruction: the walls are around it as they are around the sandbox. */
static int let_run(struct keeper *k, struct command *c, struct err *e)
{
	_cleanup_json_ json_t *read = NULL;
	json_t *event;
	int i, r = keeper_read(k, c, &read, e);

	if (r >= 0 && !c->detached) {
		r = command_send_streams(c, k->limits.group.kind == GROUP_NONE, e);
	}
	command_close_ends(c);
	if (r < 0) {
		return r;
	}
	event = keeper_started_event(c, RECORDED_WORDS);
	if (!event || json_put(event, "command", json_integer(c->number)) < 0) {
		json_decref(event);
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = keeper_record(k, "exec", event, &k->error);
	r = r < 0 ? r : keeper_record_first(k, c, &k->error);
	if (r < 0) {
		return err_set(e, k->error.kind, k->error.code, "%s", k->error.msg);
	}
	c->noted = true;
	keep(k, c, LOG_BEGIN, json_pack("{s:o}", "argv", keeper_words(c, KEPT_WORDS)));
	r = tier_command_release(&c->inside, e);
	c->started = r >= 0;
	c->started_ns = clock_now_ns();
	for (i = 1; r >= 0 && i < 64; i++) {
		if (c->signals & 1ULL << i) {
			tier_command_signal(&c->inside, i);
		}
	}
	if (r >= 0 && c->detached) {
		let_go(k, c);
	}
	return r;
}

static void advance(struct keeper *k, struct command *c)
{
	struct err e = {};
	int r = tier_command_advance(&k->sandbox, &c->inside, &e);

	if (r >= 0 && c->inside.stage == COMMAND_HELD) {
		r = let_run(k, c, &e);
	}
	if (r < 0) {
		c->exec_error = e.kind == ERR_GUEST ? e.code : 0;
		give_up(k, c, &e);
	}
}

/* True for a child whose end somebody here asks about by its number. */
static bool is_ours(const struct keeper *k, pid_t pid)
{
	size_t i;

	for (i = 0; i < k->n_commands; i++) {
		const struct tier_command *inside = &k->commands[i]->inside;

		if (inside->pid == pid && inside->stage != COMMAND_RELEASED) {
			return true;
		}
	}
	return pid == k->sandbox.init;
}

/* Helpers of the start, which nobody waited for: in a sandbox that lives they are not left. */
static void collect_helpers(const struct keeper *k)
{
	siginfo_t info = {};

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
	       !is_ours(k, info.si_pid)) {
		(void)waitpid(info.si_pid, NULL, __WALL | WNOHANG);
		info = (siginfo_t){};
	}
}

int keeper_follow(struct keeper *k)
{
	size_t i;

	collect_helpers(k);
	for (i = 0; i < k->n_commands; i++) {
		struct command *c = k->commands[i];

		if (c->inside.stage == COMMAND_SEIZED && c->ended_ns == 0) {
			advance(k, c);
		}
	}
	return -k->error.code;
}

/* Nobody waits for it any more. */
static void front_gone(struct keeper *k, struct command *c)
{
	struct err why = {};

	c->front = fd_close(c->front);
	c->result = fd_close(c->result);
	if (c->ended_ns == 0) {
		(void)err_set(&why, ERR_SYSTEM, EPIPE, "the front ended");
		c->error = c->error.code ? c->error : why;
		if (c->started) {
			command_kill(c);
		} else {
			give_up(k, c, &why);
		}
	}
}

static void hear_front(struct keeper *k, struct command *c)
{
	struct message m;
	ssize_t n = fdpass_recv(c->front, &m, sizeof(m), NULL, NULL);

	if (n == -EAGAIN) {
		return;
	}
	if (n != (ssize_t)sizeof(m)) {
		front_gone(k, c);
	} else if (m.op == MSG_SIGNAL && m.a > 0 && m.a < 65 && c->started) {
		tier_command_signal(&c->inside, m.a);
	} else if (m.op == MSG_SIGNAL && m.a > 0 && m.a < 64) {
		c->signals |= 1ULL << m.a; /* it gets them when it is there */
	}
}

int keeper_record_end(struct keeper *k, struct command *c, struct err *e)
{
	char reason[64];

	if (c->main || c->told) {
		return 0;
	}
	if (!c->noted) {
		struct err why = {};

		(void)err_set(&why, ERR_USER, ECANCELED, "the sandbox ended before it ran");
		record_failure(k, c, &why);
		return -k->error.code;
	}
	c->told = true;
	keeper_command_reason(k, c, reason, sizeof(reason));
	keep(k, c, LOG_END, json_pack("{s:o, s:s}", "exit", keeper_exit_of(c), "reason", reason));
	return keeper_record(k, "exec_ended",
			     json_pack("{s:i, s:s, s:i}", "command", (int)c->number, "reason",
				       reason, "wait_status", c->exited ? c->status : -1),
			     e);
}

/*
 * Whoever speaks of a command is gone. Without a terminal that was pid 1, which nobody inside can
 * kill. With one it was the leader of its session, which somebody inside may have killed; where pid
 * 1 has gone before, the kernel has: its end of the control socket is closed first.
 */
static bool init_is_gone(const struct keeper *k, const struct command *c)
{
	struct pollfd pfd = {.fd = k->sandbox.control, .events = POLLIN};

	return !command_on_terminal(c) ||
	       (poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)));
}

int keeper_hear(struct keeper *k, struct command *c, struct err *e)
{
	struct tier_event event;
	int r = tier_command_hear(&c->inside, &event, e);

	if (r < 0) {
		return r;
	}
	switch (event.kind) {
	case TIER_EXITED:
		c->exited = true;
		c->status = event.value;
		return 1;
	case TIER_GONE:
		if (init_is_gone(k, c)) {
			return 2;
		}
		c->exited = true;
		c->status = SIGKILL;
		return 1;
	case TIER_STOPPED:
		c->paused = true;
		command_tell(c, MSG_STOPPED, event.value);
		return 0;
	case TIER_CONTINUED:
		command_tell(c, MSG_CONTINUED, 0);
		return 0;
	default:
		return 0;
	}
}

/* Of one that is on its way the other socket tells all there is to know. */
static int hear_early(struct command *c, struct err *e)
{
	struct tier_event event;
	int r = tier_command_hear(&c->inside, &event, e);

	if (r >= 0 && (event.kind == TIER_EXITED || event.kind == TIER_GONE)) {
		c->inside.channel = fd_close(c->inside.channel);
	}
	return r;
}

int keeper_serve(struct keeper *k, struct command *c, const struct pollfd *w, struct err *e)
{
	int r = 0;

	if (c->ended_ns == 0 && w[COMMAND_START].revents) {
		advance(k, c);
	}
	if (!c->exited && c->inside.channel >= 0 && w[COMMAND_CHANNEL].revents) {
		r = c->started ? keeper_hear(k, c, e) : hear_early(c, e);
	}
	if (r == 1) {
		command_drain(c);
		limits_begun(&k->limits);
	} else if (r == 2) {
		/* The end of the sandbox is heard of elsewhere; here there is nobody any more. */
		c->inside.channel = fd_close(c->inside.channel);
	}
	if (c->front >= 0 && w[COMMAND_FRONT].revents & ~POLLOUT) {
		hear_front(k, c);
	}
	if (c->started && !c->killed && !c->exited && command_over(c)) {
		c->broken = LIMIT_OUTPUT;
		command_kill(c);
	}
	return r < 0 ? r : k->error.code ? -k->error.code : 0;
}

/* Time that is up. */
static void expire(struct keeper *k, struct command *c, int64_t now)
{
	int64_t wall = k->plan.limits.wall;
	struct err why = {};

	if (c->ended_ns) {
		return;
	}
	wall = c->wall > 0 && c->wall < wall ? c->wall : wall;
	if (!c->started && now - c->asked_ns >= START_NS) {
		(void)err_set(&why, ERR_SYSTEM, ETIMEDOUT,
			      "the command could not be started within %lld seconds; what runs in "
			      "the sandbox, or a file system there, may be in its way",
			      START_NS / 1000000000LL);
		give_up(k, c, &why);
	} else if (c->started && !c->killed && now - c->started_ns >= wall) {
		c->broken = LIMIT_WALL;
		c->killed_ns = now;
		command_kill(c);
	} else if (c->started && c->killed) {
		c->killed_ns = c->killed_ns ? c->killed_ns : now;
		if (now - c->killed_ns >= KILL_NS) {
			(void)err_set(&why, ERR_SYSTEM, ETIMEDOUT,
				      "the command does not end although it was killed");
			give_up(k, c, &why);
		}
	}
}

/* When expire() or command_is_dry() could have something to say next. */
static int64_t next_look(const struct keeper *k, const struct command *c)
{
	int64_t wall = k->plan.limits.wall;

	if (c->ended_ns) {
		return c->result >= 0 && !c->reported ? INT64_MAX : clock_now_ns() + LOOK_NS;
	}
	if (!c->started) {
		return c->asked_ns + START_NS;
	}
	if (c->killed) {
		return (c->killed_ns ? c->killed_ns : clock_now_ns()) + KILL_NS;
	}
	wall = c->wall > 0 && c->wall < wall ? c->wall : wall;
	return c->started_ns + wall;
}

static void forget(struct keeper *k, size_t i)
{
	k->bytes += command_bytes(k->commands[i]);
	command_free(k->commands[i]);
	k->n_commands--;
	for (; i < k->n_commands; i++) {
		k->commands[i] = k->commands[i + 1];
	}
}

/*
 * A front that was told of a stop may stop itself only now, with its result before it: it is woken
 * until it hangs up, for a while.
 */
static bool front_has_gone(struct command *c, int64_t now)
{
	struct pollfd pfd = {.fd = c->front};

	if (c->front < 0 || !c->paused || now - c->reported_ns >= WAKE_NS ||
	    (poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)))) {
		c->front = fd_close(c->front);
		return true;
	}
	command_wake(c);
	return false;
}

int64_t keeper_settle(struct keeper *k)
{
	int64_t next = account_settle(k), now = clock_now_ns();
	size_t i;

	for (i = k->n_commands; i-- > 0;) {
		struct command *c = k->commands[i];
		int64_t look;

		if (c->main) {
			continue;
		}
		expire(k, c, now);
		if (c->ended_ns && !c->reported) {
			command_wake(c);
		}
		if (c->ended_ns && !c->reported && command_is_dry(c)) {
			_cleanup_json_ json_t *doc = keeper_command_result(k, c);

			(void)keeper_record_end(k, c, &k->error);
			c->reported = command_report(c, doc);
			c->reported_ns = now;
		}
		if (c->reported && front_has_gone(c, now) && tier_command_collect(&c->inside)) {
			forget(k, i);
			continue;
		}
		look = next_look(k, c);
		next = look < next ? look : next;
	}
	return next;
}
