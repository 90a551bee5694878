/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running sandbox: one poll(2) loop over a handful of descriptors.
 *
 * Nothing in here blocks but poll itself: output moves without waiting, messages to the front and
 * to init are sent with MSG_DONTWAIT, calls that the filter hands over are answered at once
 * (calls.h). Whatever ends the sandbox (the payload, a limit, a refusal, the front, a failed
 * record, SIGTERM) leads to the same place: the tier's stop, which kills everything inside, and
 * then the last of the output is moved.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/exec-internal.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"
#include "keeper/result.h"
#include "linux/fdpass.h"
#include "tier/command.h"

enum {
	W_FRONT, /* who asked for the sandbox, until it has its id */
	W_INIT,
	W_LISTENER,
	W_OOM,
	W_SIGNAL,
	W_PIDFD,
	W_EGRESS,
	W_ACCOUNT,
	W_CONTROL,
	W_COMMANDS = W_CONTROL + CONTROL_POLLS,
	W_COUNT = W_COMMANDS + COMMAND_MAX * COMMAND_POLLS
};

/* How long the end waits for a terminal's last output: without any, and altogether. The same
 * second is what a reader gets for the rest once somebody has asked for the end. */
#define DRAIN_STEP_MS 100
#define DRAIN_NS      1000000000LL

static uint64_t moved(const struct keeper *k)
{
	uint64_t bytes = k->bytes;
	size_t i;

	for (i = 0; i < k->n_commands; i++) {
		bytes += command_bytes(k->commands[i]);
	}
	return bytes;
}

/*
 * Attempts that found no route, from the sandbox's own counters: a header line of names and a line
 * of values, both beginning with "Ip:" (proc_net_snmp). IPv6 counts in lines of its own.
 */
static uint64_t unrouted(const struct keeper *k)
{
	_cleanup_fd_ int v4 = openat(k->sandbox.proc, "1/net/snmp", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int v6 = openat(k->sandbox.proc, "1/net/snmp6", O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {};
	const char *names, *values, *hit;
	uint64_t total = 0;

	if (k->sandbox.walls != WALLS_CONTAINER) {
		return 0; /* no network namespace, and no sockets */
	}
	buf_init(&b, 65536);
	if (v4 >= 0 && buf_read_fd(&b, v4) >= 0 && strncmp(buf_str(&b), "Ip:", 3) == 0) {
		names = buf_str(&b);
		values = strstr(names, "\nIp:");
		hit = strstr(names, " OutNoRoutes");
		while (values && hit && names < hit) {
			names = strchr(names + 1, ' ');
			values = strchr(values + 1, ' ');
			if (!names) {
				break;
			}
		}
		total += values && hit ? strtoull(values, NULL, 10) : 0;
	}
	buf_clear(&b);
	if (v6 >= 0 && buf_read_fd(&b, v6) >= 0) {
		hit = strstr(buf_str(&b), "Ip6OutNoRoutes");
		total += hit ? strtoull(hit + strcspn(hit, " \t"), NULL, 10) : 0;
	}
	return total;
}

/* Counts what a counter has gained since it was read the last time. */
static int count_on(struct keeper *k, enum denial_code code, const char *what, uint64_t now,
		    uint64_t *last, struct err *e)
{
	uint64_t more = now > *last ? now - *last : 0;

	*last += more;
	return more > 0 ? keeper_deny(k, code, what, NULL, more, e) : 0;
}

/* What only shows in counters, read while pid 1 is still there. */
static int collect(struct keeper *k, struct err *e)
{
	int r = count_on(k, DENIAL_NETWORK, "connections and datagrams", unrouted(k), &k->routes,
			 e);

	return r < 0 ? r
		     : count_on(k, DENIAL_PROCESSES, "new processes and threads",
				group_refused_forks(&k->limits.group) + k->sandbox.refused_starts,
				&k->forks, e);
}

/* Ends the sandbox; the first reason stands. */
static void end(struct keeper *k)
{
	struct err unused = {};
	size_t i;

	if (k->ended_ns == 0) {
		k->ended_ns = clock_now_ns();
		limits_ending(&k->limits);
		(void)collect(k, k->error.code ? NULL : &k->error);
	}
	for (i = 0; i < k->n_commands; i++) {
		if (!k->commands[i]->started) {
			tier_command_done(&k->commands[i]->inside);
		}
	}
	/* Who is frozen may not even die. */
	if (k->frozen) {
		k->frozen = group_freeze(&k->limits.group, false, &unused) < 0;
	}
	k->tier->stop(&k->sandbox);
}

static int end_for_limit(struct keeper *k, enum limit l, struct err *e)
{
	if (k->broken != LIMIT_NONE || k->ended_ns) {
		return 0;
	}
	k->broken = l;
	end(k);
	return keeper_record(k, "limit",
			     json_pack("{s:s, s:s}", "limit", limit_name(l), "mechanism",
				       k->limits.group.kind == GROUP_NONE ? "sampler" : "group"),
			     e);
}

/* Where the record of it fails, k->error is set, too. */
static int pause_or_resume(struct keeper *k, bool on, struct err *e)
{
	int r = 0;

	if (k->ended_ns) {
		r = err_set(e, ERR_USER, ECHILD, "the sandbox is ending");
	} else if (on && !k->frozen && k->limits.pauses >= k->plan.limits.pauses) {
		r = err_set(e, ERR_POLICY, EDQUOT,
			    "it has been paused %u times, which is as often as its policy allows "
			    "(time.pauses)",
			    k->limits.pauses);
	} else if (k->frozen != on) {
		r = group_freeze(&k->limits.group, on, e);
		if (r >= 0) {
			k->frozen = on;
			limits_pause(&k->limits, on);
			r = keeper_record(k, on ? "paused" : "resumed", json_object(), &k->error);
		}
	}
	limits_touch(&k->limits);
	return r;
}

/* Whoever waits for a command learns that it will wait, and for whom. */
static void tell_suspicion(const struct keeper *k)
{
	const struct message m = {.op = MSG_SUSPECTED};
	_cleanup_fd_ int fd = message_text_fd(k->home.id, strlen(k->home.id), NULL);

	for (size_t i = 0; fd >= 0 && i < k->n_commands; i++) {
		if (k->commands[i]->front >= 0) {
			(void)fdpass_send_now(k->commands[i]->front, &m, sizeof(m), &fd, 1);
		}
	}
}

/* Where so much was refused that an escape is suspected, what the policy says follows. */
static int follow_suspicion(struct keeper *k, struct err *e)
{
	struct err why = {};
	int r = k->ended_ns ? 0 : keeper_suspect(k, e);

	if (r <= 0 || k->plan.escape == ESCAPE_NOTE) {
		return r < 0 ? r : 0;
	}
	if (k->plan.escape == ESCAPE_PAUSE && pause_or_resume(k, true, &why) >= 0) {
		tell_suspicion(k);
		return k->error.code ? -k->error.code : 0;
	}
	k->caught = true;
	end(k);
	return 0;
}

/* The first of the denials ends it, if that is the rule. */
static int end_for_denial(struct keeper *k, struct err *e)
{
	int r = follow_suspicion(k, e);

	if (r < 0) {
		return r;
	}
	if (k->plan.denials != DENIALS_END || k->denials.n == 0 || k->ended_ns) {
		return 0;
	}
	k->denied = true;
	end(k);
	return keeper_record_denial(k, e);
}

/* From here on it lives by itself; or nobody knows of it, and it ends. */
static void hear_creator(struct keeper *k)
{
	struct message m;
	ssize_t n = fdpass_recv(k->front, &m, sizeof(m), NULL, NULL);

	k->front = fd_close(k->front);
	if (n != (ssize_t)sizeof(m) || m.op != MSG_TAKEN) {
		(void)err_set(&k->error, ERR_SYSTEM, EPIPE, "the front ended");
		end(k);
	}
}

/* The main command's. */
static void hear_front(struct keeper *k)
{
	struct command *c = k->main;
	struct message m;
	ssize_t n = fdpass_recv(c->front, &m, sizeof(m), NULL, NULL);

	if (n != (ssize_t)sizeof(m)) {
		c->front = fd_close(c->front);
		(void)err_set(&k->error, ERR_SYSTEM, EPIPE, "the front ended");
		end(k);
	} else if (m.op == MSG_SIGNAL && m.a > 0 && m.a < 65) {
		tier_command_signal(&c->inside, m.a);
	}
}

static int hear_inside(struct keeper *k, struct err *e)
{
	struct tier_event event;
	enum limit l;
	int r = k->tier->hear(&k->sandbox, &event, e);

	if (r < 0) {
		return r;
	}
	if (event.kind == TIER_GONE) {
		end(k); /* whether it was killed for memory is settled later */
	} else if (event.kind == TIER_COUNTED) {
		l = limits_count(&k->limits, event.value, event.max);
		return l == LIMIT_NONE ? 0 : end_for_limit(k, l, e);
	}
	return 0;
}

/* The reply. What is asked for once more is so already. */
static json_t *freeze(struct keeper *k, bool on)
{
	struct err e = {};
	int r = pause_or_resume(k, on, &e);

	return r < 0 ? json_pack("{s:o}", "error",
				 json_text(r == -k->error.code ? k->error.msg : e.msg))
		     : json_object();
}

/* One of those that are beside each other; the reply. */
static json_t *stop_command(struct keeper *k, int32_t number)
{
	for (size_t i = 0; i < k->n_commands; i++) {
		struct command *c = k->commands[i];

		if (c->number == (unsigned)number && !c->main && c->started && !c->exited) {
			c->stopped = c->stopped || !c->killed;
			command_kill(c);
			return json_object();
		}
	}
	return json_pack("{s:s}", "error", "no command of 'atoll exec' with this number runs");
}

/* What has ended by itself keeps its reason, unless that cuts its output off. */
static void hear_peer(struct keeper *k, size_t i)
{
	_cleanup_json_ json_t *status = NULL;
	int fds[REQUEST_FDS];
	size_t n = REQUEST_FDS;
	struct message m;
	int upper;

	switch (control_receive(&k->control, i, &m, fds, &n)) {
	case CONTROL_EXEC:
		keeper_exec(k, control_take(&k->control, i), &m, fds, n);
		break;
	case CONTROL_STATUS:
		status = keeper_status(k);
		control_reply(&k->control, i, status);
		break;
	case CONTROL_INSPECT:
		status = keeper_inspect(k);
		control_reply(&k->control, i, status);
		break;
	case CONTROL_COPY:
		upper = m.a == 0                          ? k->copy.upper
			: m.a > 0 && m.a <= PLAN_MORE_MAX ? k->more[m.a - 1].copy.upper
							  : FD_NONE;
		if (upper >= 0 && k->ended_ns == 0) {
			control_reply_fd(&k->control, i, upper);
			break;
		}
		status = json_pack("{s:s}", "error",
				   k->ended_ns ? "the sandbox is ending"
					       : "it has no copy of a workspace");
		control_reply(&k->control, i, status);
		break;
	case CONTROL_PAUSE:
	case CONTROL_RESUME:
		status = freeze(k, m.op == CONTROL_PAUSE);
		control_reply(&k->control, i, status);
		break;
	case CONTROL_STOP_COMMAND:
		status = stop_command(k, m.a);
		control_reply(&k->control, i, status);
		break;
	case CONTROL_STOP:
		k->stopped = k->stopped || k->ended_ns == 0;
		k->hurry = true;
		end(k);
		control_defer(&k->control, i); /* until it is torn down */
		break;
	default:
		break;
	}
}

/* Backwards: a peer that goes moves those behind it. */
static void hear_control(struct keeper *k, const struct pollfd w[CONTROL_POLLS])
{
	size_t i;

	for (i = CONTROL_PEERS; i-- > 0;) {
		if (w[1 + i].revents) {
			hear_peer(k, i);
		}
	}
	if (w[0].revents) {
		control_accept(&k->control);
	}
}

/* Returns when the listener is to be heard again, where it is left alone for now. */
static int64_t fill(struct keeper *k, int signals, struct pollfd *w)
{
	int64_t due;
	bool rest = calls_rest(&k->calls, clock_now_ns(), &due);
	size_t i;

	w[W_FRONT] = (struct pollfd){.fd = k->front, .events = POLLIN};
	w[W_INIT] = (struct pollfd){.fd = k->sandbox.control, .events = POLLIN};
	w[W_LISTENER] =
		(struct pollfd){.fd = rest ? FD_NONE : k->sandbox.listener, .events = POLLIN};
	group_poll(&k->limits.group, &w[W_OOM]);
	w[W_SIGNAL] = (struct pollfd){.fd = signals, .events = POLLIN};
	w[W_PIDFD] = (struct pollfd){.fd = k->sandbox.init_pidfd, .events = POLLIN};
	egress_poll(&k->egress, &w[W_EGRESS]);
	account_poll(&k->account, &w[W_ACCOUNT]); /* heard by the next keeper_settle() */
	control_poll(&k->control, w + W_CONTROL);
	for (i = 0; i < k->n_commands; i++) {
		command_poll(k->commands[i], w + W_COMMANDS + i * COMMAND_POLLS);
	}
	return due;
}

/* SIGTERM is for us; SIGCHLD says that a command on its way has moved. */
static int hear_signal(struct keeper *k, int signals)
{
	struct signalfd_siginfo info;
	int r = 0;

	while (r >= 0 && !k->ended_ns && read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			r = keeper_follow(k);
			continue;
		}
		(void)err_set(&k->error, ERR_SYSTEM, EINTR, "the keeper was asked to end");
		k->hurry = true;
		end(k);
	}
	return r;
}

/* What poll(2) says of the first `n` commands; whoever came later has not been asked about. */
static int turn_commands(struct keeper *k, const struct pollfd *w, size_t n, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && !k->ended_ns && i < n; i++) {
		struct command *c = k->commands[i];
		const struct pollfd *own = w + W_COMMANDS + i * COMMAND_POLLS;

		if (!c->main) {
			r = keeper_serve(k, c, own, e);
			continue;
		}
		if (own[COMMAND_CHANNEL].revents) {
			r = keeper_hear(k, c, e);
			if (r > 0) {
				end(k);
			}
		}
		if (r >= 0 && !k->ended_ns && own[COMMAND_FRONT].revents) {
			hear_front(k);
		}
	}
	return r;
}

static int turn(struct keeper *k, int signals, const struct pollfd *w, struct err *e)
{
	size_t i, n = k->n_commands;
	int r = 0;

	for (i = 0; i < n; i++) {
		command_pump(k->commands[i], w + W_COMMANDS + i * COMMAND_POLLS);
	}
	if (w[W_LISTENER].revents) {
		r = keeper_hear_calls(k, e);
		r = r < 0 ? r : end_for_denial(k, e);
	}
	if (r >= 0 && w[W_OOM].revents && group_event(&k->limits.group)) {
		r = end_for_limit(k, LIMIT_MEMORY, e);
	}
	if (r >= 0 && !k->ended_ns) {
		r = turn_commands(k, w, n, e);
	}
	if (!k->ended_ns && w[W_FRONT].revents) {
		hear_creator(k);
	}
	if (r >= 0 && !k->ended_ns && w[W_INIT].revents) {
		r = hear_inside(k, e);
	}
	if (r >= 0 && !k->ended_ns && w[W_EGRESS].revents) {
		r = egress_hear(k, e);
		r = r < 0 ? r : end_for_denial(k, e);
	}
	if (r >= 0 && !k->ended_ns && w[W_PIDFD].revents) {
		end(k);
	}
	if (r >= 0 && !k->ended_ns && w[W_SIGNAL].revents) {
		r = hear_signal(k, signals);
	}
	if (r >= 0 && !k->ended_ns) {
		hear_control(k, w + W_CONTROL);
	}
	return r;
}

/*
 * Nothing more will come from inside. The end of file would say so too, but somebody outside may
 * have been given the other end (SCM_RIGHTS through a socket in the workspace) and keep it open. A
 * pipe holds all that was ever written; a terminal's last output is on its way for a moment.
 */
static bool ran_dry(const struct pump *p, const struct pollfd *w, int ready, int64_t since_ns)
{
	if (!pump_active(p) || p->full || p->from != p->to || w->revents) {
		return false;
	}
	return !p->terminal || ready == 0 || clock_now_ns() - since_ns > DRAIN_NS;
}

static void drain_pumps(struct command *c, const struct pollfd *w, int ready, int64_t since)
{
	size_t i;

	for (i = 0; ready >= 0 && i < PUMP_COUNT; i++) {
		struct pump *p = &c->pumps[i];

		if (ran_dry(p, &w[i], ready, since)) {
			pump_done(p);
			continue;
		}
		if (pump_active(p) && w[i].revents) {
			pump_run(p);
		}
		if (p->over && p->from == p->to) {
			pump_done(p); /* the rest is what the limit cuts off */
		}
	}
}

/* Nobody waits any longer for what is left: its reader must not take that for a good end. */
static void cut_off(struct keeper *k)
{
	size_t i;

	for (i = 0; i < k->n_commands; i++) {
		struct command *c = k->commands[i];

		if (!command_is_moving(c)) {
			continue;
		}
		if (!c->main) {
			c->cut = true;
		} else if (k->broken == LIMIT_NONE && k->hurry) {
			k->stopped = true;
		}
	}
}

enum {
	D_SIGNAL,
	D_CONTROL,
	D_COMMANDS = D_CONTROL + CONTROL_POLLS,
	/* of each: its front, its pumps */
	D_EACH = 1 + PUMP_COUNT,
	D_COUNT = D_COMMANDS + COMMAND_MAX * D_EACH
};

/* How many pumps are still at work. */
static size_t fill_drain(struct keeper *k, int signals, struct pollfd *w)
{
	size_t i, j, active = 0;

	w[D_SIGNAL] = (struct pollfd){.fd = k->hurry ? FD_NONE : signals, .events = POLLIN};
	control_poll(&k->control, w + D_CONTROL);
	for (i = 0; i < k->n_commands; i++) {
		const struct command *c = k->commands[i];
		struct pollfd *own = w + D_COMMANDS + i * D_EACH;

		command_wake(c);
		own[0] = (struct pollfd){.fd = c->front, .events = 0};
		for (j = 0; j < PUMP_COUNT; j++) {
			pump_poll(&c->pumps[j], &own[1 + j]);
			active += pump_active(&c->pumps[j]);
		}
	}
	return active;
}

static void drain_command(struct command *c, const struct pollfd *own, int ready, int64_t since)
{
	drain_pumps(c, own + 1, ready, since);
	if (own[0].revents & (POLLHUP | POLLERR)) {
		c->front = fd_close(c->front);
		command_stop_streams(c);
	}
}

/* SIGTERM; children are of no interest any more. */
static bool is_hurried(int signals)
{
	struct signalfd_siginfo info;
	bool asked = false;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		asked = asked || info.ssi_signo == SIGTERM;
	}
	return asked;
}

/*
 * Everything inside is dead: what is left in the pipes goes out, as fast as the fronts take it. A
 * reader may take for ever, so questions, SIGTERM and a request to stop are still heard.
 */
static void drain(struct keeper *k, int signals)
{
	const int64_t since = clock_now_ns();
	int64_t until = INT64_MAX;

	/* Who reads a command beside others holds nobody up with it. */
	while (clock_now_ns() < until) {
		struct pollfd w[D_COUNT];
		const size_t n = k->n_commands;
		size_t i, active;
		int ready;

		if ((k->hurry || !k->main || !command_is_moving(k->main)) && until == INT64_MAX) {
			until = clock_now_ns() + DRAIN_NS;
		}
		active = fill_drain(k, signals, w);
		ready = active > 0 ? poll(w, D_COMMANDS + n * D_EACH, DRAIN_STEP_MS) : 0;
		if (active == 0 || (ready < 0 && errno != EINTR)) {
			break;
		}
		if (ready < 0) {
			continue;
		}
		for (i = 0; i < n; i++) {
			drain_command(k->commands[i], w + D_COMMANDS + i * D_EACH, ready, since);
		}
		k->hurry = k->hurry || (w[D_SIGNAL].revents && is_hurried(signals));
		hear_control(k, w + D_CONTROL);
	}
}

static int open_signals(struct err *e)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(e, errno, "cannot watch for signals") : fd;
}

/* A copy that the keeper has to look at. */
static struct limits_copy measured(const struct copy *c)
{
	bool ours = c->layers.kind == TIER_COPY_DIRECTORY || c->layers.kind == TIER_COPY_FILES;

	return (struct limits_copy){ours ? c->upper : FD_NONE, c->born};
}

/* Limits, and where a refusal ends the sandbox also those that only show in counters. */
static int look(struct keeper *k, struct err *e)
{
	struct limits_places places = {.scratch = k->scratch.dir};
	bool rested = k->limits.rests;
	enum limit l;
	size_t i;
	int r;

	places.copies[0] = measured(&k->copy);
	for (i = 0; i < PLAN_MORE_MAX; i++) {
		places.copies[1 + i] = measured(&k->more[i].copy);
	}
	l = limits_look(&k->limits, &k->sandbox, &places, moved(k), k->n_commands == 0);

	if (k->limits.rests && !rested) {
		(void)malloc_trim(0); /* of the start, or a command: hundreds may rest for hours */
	}
	starts_look(&k->starts, k->limits.rests);
	if (!k->frozen) {
		k->tier->count(&k->sandbox);
	}
	if (l == LIMIT_NONE && k->sandbox.starts >= 0) {
		l = limits_count(&k->limits, (int32_t)(k->sandbox.starts % INT32_MAX), INT32_MAX);
	}
	if (l != LIMIT_NONE) {
		return end_for_limit(k, l, e);
	}
	r = k->plan.denials == DENIALS_END ? collect(k, e) : 0;
	return r < 0 ? r : end_for_denial(k, e);
}

/* Until the next look at the limits, or at something else whose time is up. */
static int patience(int64_t limits, int64_t other)
{
	int64_t until = limits < other ? limits : other;
	int64_t wait = (until - clock_now_ns()) / 1000000 + 1;

	return wait > 0 ? (int)wait : 0;
}

/* The main command has put out more than it may. */
static bool over(const struct keeper *k)
{
	return k->main && command_over(k->main);
}

int keeper_watch(struct keeper *k, struct err *e)
{
	_cleanup_fd_ int signals = open_signals(e);
	int r = signals < 0 ? signals : keeper_follow(k);

	while (r >= 0 && !k->ended_ns) {
		struct pollfd w[W_COUNT];
		int64_t due = keeper_settle(k), signing = keeper_checkpoint(k), calls;

		if (k->error.code) {
			r = -k->error.code; /* what cannot be recorded does not go on */
			break;
		}
		calls = fill(k, signals, w);
		due = calls < due ? calls : due;
		due = signing < due ? signing : due;
		if (poll(w, W_COMMANDS + k->n_commands * COMMAND_POLLS,
			 patience(k->limits.due_ns, due)) < 0) {
			if (errno != EINTR) {
				r = err_sys(e, errno, "cannot wait for events");
				break;
			}
			continue;
		}
		r = turn(k, signals, w, e);
		if (r >= 0 && !k->ended_ns && clock_now_ns() >= k->limits.due_ns) {
			r = look(k, e);
		}
		if (r >= 0 && over(k)) {
			r = end_for_limit(k, LIMIT_OUTPUT, e);
		}
	}
	end(k);
	drain(k, signals);
	cut_off(k);
	return r;
}
