/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay between the caller and a sandbox.
 *
 * Theory of operation. The caller's descriptors never go anywhere: this process reads and writes
 * them itself. Output arrives in pipes from the keeper and is spliced on; input is spliced or
 * copied into the payload's pipe, or into the master of its terminal. Reading the terminal here,
 * in the caller's own session, keeps job control true: in the background we stop as any command
 * would. When the payload's group is stopped (Ctrl-Z inside), we restore the terminal and stop
 * ourselves; when we are continued, so is the payload. A signal that the payload died of after we
 * passed it on becomes our own end as well. Should this process be killed, the keeper sees the end
 * of file on the socket and ends the sandbox.
 */
#include "front/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "front/entry.h"
#include "front/terminal.h"
#include "keeper/control.h"
#include "keeper/message.h"
#include "linux/fdpass.h"
#include "policy/plan.h"

/* The result document with its receipt and denials. */
#define MAX_RESULT    (16 * 1024 * 1024)
#define CHUNK         65536
#define SUSPECT_MAX   64 /* the id of a sandbox */
#define MAX_ARGV      (4 * 1024 * 1024)
#define BACKGROUND_MS 200
/* For the keeper's guard of the start to do its work, before the front gives up by itself. */
#define GUARD_SECONDS 5

extern char **environ;

/* One direction: from a descriptor to another, until either side ends. */
struct flow {
	int in, out;
	bool own_in, own_out; /* close when done */
	bool blocked;         /* waiting for room */
	bool no_splice;
	size_t from, to;
	char *data; /* CHUNK bytes, once something has to be copied */
	uint64_t bytes;
	int lost; /* errno that ended it early; a reader that went away is no error */
};

enum { F_STDOUT, F_STDERR, F_TERMINAL, F_STDIN, F_COUNT };
enum { P_SOCKET = F_COUNT, P_SIGNAL, P_COUNT };

struct relay {
	struct session *session;
	struct flow flows[F_COUNT];
	int signals;
	int master;   /* the sandbox's terminal, FD_NONE without one */
	int terminal; /* the caller's terminal, FD_NONE without one */
	unsigned tty; /* bit n: descriptor n is a terminal */
	bool raw;
	bool stopped;       /* the payload is, and we have not followed it yet */
	bool held;          /* told to go on, and not yet seen to: a key now would be lost */
	int64_t give_up_ns; /* when a start that says nothing has failed; 0 once it is over */
	json_t *result;
};

static void flow_end(struct flow *f)
{
	if (f->own_in) {
		(void)fd_close(f->in);
	}
	if (f->own_out) {
		(void)fd_close(f->out);
	}
	f->in = f->out = FD_NONE;
}

/* At the end of the input nothing is lost, and a reader that went away wants no more. */
static void flow_lose(struct flow *f, int why)
{
	struct pollfd p = {.fd = f->in, .events = POLLIN};

	if (why != EPIPE && poll(&p, 1, 0) == 1 && (p.revents & POLLIN)) {
		f->lost = why;
	}
}

/* Something to move: false when it is over or must wait. */
static bool flow_splice(struct flow *f)
{
	ssize_t n = splice(f->in, NULL, f->out, NULL, 1024 * 1024, SPLICE_F_NONBLOCK);

	if (n > 0) {
		f->bytes += (uint64_t)n;
		return true;
	}
	if (n == 0) {
		flow_end(f);
		return false;
	}
	if (errno == EINVAL || errno == ENOSYS) {
		f->no_splice = true; /* O_APPEND files, some devices: copy instead */
		return true;
	}
	if (errno == EAGAIN) {
		struct pollfd p = {.fd = f->in, .events = POLLIN};

		f->blocked = poll(&p, 1, 0) > 0;
		return false;
	}
	if (errno != EINTR) {
		flow_lose(f, errno);
		flow_end(f);
	}
	return false;
}

/* At most PIPE_BUF bytes: what poll(2) promises to take without blocking. */
static bool flow_copy(struct flow *f)
{
	size_t left;
	ssize_t n;

	if (!f->data) {
		f->data = malloc(CHUNK);
	}
	if (!f->data) {
		flow_lose(f, ENOMEM);
		flow_end(f);
		return false;
	}
	if (f->from == f->to) {
		n = read(f->in, f->data, CHUNK);
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			return false;
		}
		if (n <= 0) {
			flow_end(f);
			return false;
		}
		f->bytes += (uint64_t)n;
		f->from = 0;
		f->to = (size_t)n;
		f->blocked = true; /* ask for room before writing */
		return false;
	}
	left = f->to - f->from;
	n = write(f->out, f->data + f->from, left > 4096 ? 4096 : left);
	if (n < 0 && errno != EINTR && errno != EAGAIN) {
		f->lost = errno == EPIPE ? 0 : errno;
		flow_end(f);
		return false;
	}
	f->from += n > 0 ? (size_t)n : 0;
	f->blocked = f->from < f->to;
	return false;
}

static void flow_run(struct flow *f)
{
	int i;

	f->blocked = false;
	for (i = 0; i < 16 && f->in >= 0; i++) {
		if (!(f->no_splice ? flow_copy(f) : flow_splice(f))) {
			break;
		}
	}
}

static void flow_start(struct flow *f, int in, int out, bool own_in, bool own_out)
{
	f->in = in;
	f->out = out;
	f->own_in = own_in;
	f->own_out = own_out;
	/* splice would not wait for room in a terminal; flow_splice() finds out about the rest. */
	f->no_splice = isatty(in) || isatty(out);
}

static unsigned tty_mask(void)
{
	unsigned mask = 0;
	int i;

	for (i = 0; i < 3; i++) {
		mask |= isatty(i) ? 1U << i : 0;
	}
	return mask;
}

/*
 * True if descriptors 1 and 2 are one open file, as after 2>&1: then one pipe carries both, and
 * what was written first comes first. kcmp(2); two pipes to one file would be safe, only out of
 * order.
 */
static bool one_output(void)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 1, 2) == 0;
}

/* Where the terminal's output goes: the first of 1, 2, 0 that is a terminal. */
static int terminal_of(unsigned mask)
{
	return mask & 2 ? 1 : mask & 4 ? 2 : mask & 1 ? 0 : FD_NONE;
}

int session_open(struct session *s, struct err *e)
{
	struct entry_keeper k;

	*s = (struct session){.socket = FD_NONE, .dir = FD_NONE};
	if (!entry_take_keeper(&k)) {
		k = entry_start_keeper(environ);
	}
	if (k.pid < 0) {
		return err_sys(e, -k.pid, "cannot start the keeper");
	}
	s->keeper = k.pid;
	s->socket = k.socket;
	return 0;
}

void session_unused(void)
{
	struct session s;
	struct entry_keeper k;

	if (entry_take_keeper(&k)) {
		s = (struct session){.socket = k.socket, .dir = FD_NONE, .keeper = k.pid};
		session_done(&s);
	}
}

void session_attach(struct session *s, int dir)
{
	s->socket = FD_NONE;
	s->dir = dir;
}

void session_done(struct session *s)
{
	bool ends = s->keeper > 0 && (s->over || !s->asked);

	s->socket = fd_close(s->socket);
	s->dir = fd_close(s->dir);
	if (ends && !s->asked) {
		(void)kill(s->keeper, SIGKILL); /* it has made nothing yet */
	}
	/* It is about to exit. Process 1 of a container may be one that collects nobody. */
	while (ends && waitpid(s->keeper, NULL, 0) < 0 && errno == EINTR) {
	}
	s->keeper = 0;
}

static json_t *environment_of(char *const *env)
{
	_cleanup_json_ json_t *list = json_array();

	for (; list && env && *env; env++) {
		if (json_array_append_new(list, json_string(*env)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

static json_t *command_of(const struct session_command *c, unsigned tty)
{
	_cleanup_free_ char *here = getcwd(NULL, 0); /* not $PWD: the read-back has no links */
	_cleanup_json_ json_t *doc = json_object();
	int r = doc ? 0 : -ENOMEM;

	r = r < 0 ? r : json_put(doc, "here", here ? json_string(here) : json_null());
	r = r < 0 ? r : json_put(doc, "cwd", c->cwd ? json_string(c->cwd) : json_null());
	r = r < 0 ? r : json_put(doc, "tty", json_integer(tty));
	r = r < 0 ? r : json_put(doc, "one_output", json_boolean(one_output()));
	r = r < 0 ? r : json_put(doc, "own", json_boolean(c->own));
	r = r < 0 ? r : json_put(doc, "detached", json_boolean(c->detached));
	r = r < 0 ? r : json_put(doc, "env", environment_of(c->env));
	r = r < 0 ? r : json_put(doc, "wall_ns", json_integer(c->wall));
	return r < 0 ? NULL : TAKE_PTR(doc);
}

/* Everything but the arguments, as JSON in a memfd. `sandbox`: NULL where it is there already. */
static int request_fd(const struct session_sandbox *sandbox, const struct session_command *command,
		      unsigned tty, struct err *e)
{
	_cleanup_json_ json_t *doc = json_object();
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = doc ? 0 : -ENOMEM;

	r = r < 0 ? r : json_put(doc, "command", command ? command_of(command, tty) : json_null());
	if (r >= 0 && sandbox) {
		r = json_put(doc, "plan", plan_to_json(sandbox->plan));
		r = r < 0 ? r : json_put(doc, "values", plan_values(sandbox->plan));
		r = r < 0 || !sandbox->plan->policy
			    ? r
			    : json_put(doc, "policy", json_incref(sandbox->plan->policy));
		r = r < 0 || !sandbox->plan->origins
			    ? r
			    : json_put(doc, "origins", json_incref(sandbox->plan->origins));
		r = r < 0 ? r : json_put(doc, "receipt", json_boolean(sandbox->receipt));
		r = r < 0 || !sandbox->name ? r : json_put(doc, "name", json_string(sandbox->name));
		r = r < 0 || !sandbox->labels
			    ? r
			    : json_put(doc, "labels", json_deep_copy(sandbox->labels));
	}
	text = r < 0 ? NULL : json_canonical(doc, &len);
	if (!text) {
		return err_set(
			e, ERR_SYSTEM, ENOMEM,
			"cannot write the request: out of memory, or a path that is not UTF-8");
	}
	return message_text_fd(text, len, e);
}

/* The arguments, each with its NUL. */
static int argv_fd(char *const *argv, struct err *e)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, MAX_ARGV);
	for (; *argv; argv++) {
		if (buf_add(&b, *argv, strlen(*argv) + 1) < 0) {
			return err_set(e, ERR_USER, E2BIG, "the command's arguments are too long");
		}
	}
	return message_text_fd(b.data, b.len, e);
}

static int start_hung(const struct session *s, struct err *e)
{
	return err_set(e, ERR_SYSTEM, ETIMEDOUT,
		       "%s %d seconds; see whether a path of the policy or the state directory is "
		       "on a filesystem that does not answer",
		       s->slow ? "the start of the sandbox has not come any further for"
			       : "the sandbox could not be started within",
		       KEEPER_START_SECONDS);
}

/* Without a result. Its wait status tells whether the guard of the start ended it. */
static int keeper_ended(const struct session *s, struct err *e)
{
	int status = 0;

	if (s->keeper > 0 && waitpid(s->keeper, &status, 0) == s->keeper && WIFSIGNALED(status) &&
	    WTERMSIG(status) == SIGALRM) {
		return start_hung(s, e);
	}
	return err_set(e, ERR_SYSTEM, EPIPE,
		       "the keeper ended before its sandbox did; what it left is removed by the "
		       "next atoll command");
}

static int send_request(struct session *s, uint32_t op, int request, int words, unsigned tty,
			struct err *e)
{
	_cleanup_fd_ int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	const int fds[REQUEST_FDS] = {request, self, words};
	struct message m = {.op = op};
	int r;

	if (self < 0) {
		return err_sys(e, errno, "cannot open a descriptor of our own process");
	}
	if (tty) {
		terminal_size(terminal_of(tty), &m.a, &m.b);
	}
	r = fdpass_send(s->socket, &m, sizeof(m), fds, words < 0 ? REQUEST_ARGV : REQUEST_FDS);
	s->asked = r >= 0;
	if (r == -EPIPE || r == -ECONNRESET) {
		return keeper_ended(s, e);
	}
	return r < 0 ? err_sys(e, -r, "cannot reach the keeper") : 0;
}

/* Only a terminal that we read from, in the foreground, is ours to change. */
static bool may_use_terminal(const struct relay *r)
{
	return r->master >= 0 && (r->tty & 1) && !r->held && tcgetpgrp(0) == getpgrp();
}

static void enter_raw(struct relay *r)
{
	if (may_use_terminal(r)) {
		/* With standard output elsewhere, what shows here comes from the rest of a
		 * pipeline. */
		terminal_raw(0, !(r->tty & 2));
		r->raw = true;
	}
}

static void leave_raw(struct relay *r)
{
	if (r->raw) {
		terminal_restore();
		r->raw = false;
	}
}

static void take_streams(struct relay *r, int mask, const int *fds)
{
	const int out[] = {[F_STDOUT] = 1, [F_STDERR] = 2, [F_TERMINAL] = r->terminal};
	int i, next = 0, in = FD_NONE;

	if (mask & STREAM_STDIN) {
		in = fds[next++];
	}
	for (i = F_STDOUT; i <= F_TERMINAL; i++) {
		if (mask & (STREAM_STDOUT << i)) {
			flow_start(&r->flows[i], fds[next++], out[i], true, false);
		}
	}
	if (mask & STREAM_MASTER) {
		r->master = fds[next++];
	}
	if (in >= 0) {
		flow_start(&r->flows[F_STDIN], 0, in, false, true);
	} else if (r->master >= 0 && (r->tty & 1)) {
		flow_start(&r->flows[F_STDIN], 0, r->master, false, false);
	}
	enter_raw(r);
}

static void send_signal(struct relay *r, int signal_number)
{
	struct message m = {.op = MSG_SIGNAL, .a = signal_number};

	(void)send(r->session->socket, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * The payload is stopped: so are we, with the terminal as the shell left it. Continued, by fg with
 * the terminal or by bg without, we wait for the payload to be so too: a SIGCONT discards every
 * stop signal that is pending, so Ctrl-Z before it would be lost, and so would one before a second
 * SIGCONT: ours is taken from the signals that wait.
 */
static void stop_self(struct relay *r)
{
	const struct timespec none = {};
	sigset_t set;

	r->stopped = false;
	leave_raw(r);
	(void)raise(SIGSTOP);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCONT);
	(void)sigtimedwait(&set, NULL, &none);
	r->held = true;
	send_signal(r, SIGCONT);
}

static int take_result(struct relay *r, int fd, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = message_read_fd(fd, MAX_RESULT, &len, e);
	if (!text) {
		return -e->code;
	}
	r->result = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	return r->result ? 0 : err_set(e, ERR_BUG, EINVAL, "the keeper's result is not JSON");
}

static int64_t end_of_patience(void)
{
	return clock_now_ns() + (KEEPER_START_SECONDS + GUARD_SECONDS) * 1000000000LL;
}

static void hear_progress(struct relay *r, const struct message *m)
{
	struct session *s = r->session;

	r->give_up_ns = end_of_patience();
	s->slow = true;
	if (s->on_progress && m->a >= 0 && m->b >= 0) {
		s->on_progress(m->a, m->b);
	}
}

/* Before anything else is said. */
static void end_progress(const struct session *s)
{
	if (s->slow && s->on_progress) {
		s->on_progress(-1, 0);
	}
}

/* What is said goes to a terminal that is as people have it. */
static void hear_suspicion(struct relay *r, int fd)
{
	size_t len = 0;
	char *id = message_read_fd(fd, SUSPECT_MAX, &len, NULL);

	if (id && r->session->on_suspicion) {
		leave_raw(r);
		r->session->on_suspicion(id);
		enter_raw(r);
	}
	free(id);
}

static int hear_keeper(struct relay *r, struct err *e)
{
	int fds[FDPASS_MAX], result = 0;
	size_t n = FDPASS_MAX, i;
	struct message m;
	ssize_t len = fdpass_recv(r->session->socket, &m, sizeof(m), fds, &n);

	if (len != (ssize_t)sizeof(m)) {
		return keeper_ended(r->session, e);
	}
	if (m.op == MSG_PROGRESS && n == 0 && r->give_up_ns) {
		hear_progress(r, &m);
		return 0;
	}
	if (r->give_up_ns) {
		end_progress(r->session);
	}
	r->give_up_ns = 0;
	if (m.op == MSG_STREAMS && n == (size_t)__builtin_popcount((unsigned)m.a)) {
		r->session->sampled = m.b == 1;
		r->session->begun = true;
		if (r->session->on_start) {
			r->session->on_start(r->session); /* before the terminal is raw */
		}
		take_streams(r, m.a, fds);
		return 0;
	}
	if (m.op == MSG_STOPPED) {
		r->stopped = true;
	} else if (m.op == MSG_CONTINUED) {
		r->stopped = r->held = false;
		enter_raw(r);
	} else if (m.op == MSG_SUSPECTED && n == 1) {
		hear_suspicion(r, fds[0]);
	} else if (m.op == MSG_RESULT && n == 1) {
		result = take_result(r, fds[0], e);
	}
	for (i = 0; i < n; i++) {
		(void)fd_close(fds[i]);
	}
	return result;
}

static void hear_signal(struct relay *r)
{
	struct signalfd_siginfo info;
	struct winsize size;

	if (read(r->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return;
	}
	switch (info.ssi_signo) {
	case SIGWINCH:
		if (r->master >= 0 && ioctl(r->terminal, TIOCGWINSZ, &size) == 0) {
			(void)ioctl(r->master, TIOCSWINSZ, &size);
		}
		break;
	case SIGCONT:
		/* Sent to us although we did not stop ourselves through stop_self(). */
		enter_raw(r);
		send_signal(r, SIGCONT);
		break;
	case SIGTSTP:
		send_signal(r, SIGTSTP);
		break; /* MSG_STOPPED follows when the payload has stopped */
	default:
		r->session->signal = (int)info.ssi_signo;
		send_signal(r, (int)info.ssi_signo);
	}
}

/* Errors like any other. */
static void ignore_signals(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
}

static int watch_signals(struct err *e)
{
	static const int passed[] = {SIGINT,  SIGTERM, SIGHUP,   SIGQUIT, SIGUSR1,
				     SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT};
	sigset_t set;
	size_t i;
	int fd;

	(void)sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(passed); i++) {
		(void)sigaddset(&set, passed[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(e, errno, "cannot watch for signals") : fd;
}

/* True while output can still come. */
static bool flowing(const struct relay *r)
{
	return r->flows[F_STDOUT].in >= 0 || r->flows[F_STDERR].in >= 0 ||
	       r->flows[F_TERMINAL].in >= 0;
}

static void fill(const struct relay *r, struct pollfd *w)
{
	int i;

	for (i = 0; i < F_COUNT; i++) {
		const struct flow *f = &r->flows[i];

		w[i] = (struct pollfd){.fd = f->blocked ? f->out : f->in,
				       .events = f->blocked ? POLLOUT : POLLIN};
	}
	/* In the background the terminal's input is the shell's; reading it would stop us. */
	if ((r->tty & 1) && !r->flows[F_STDIN].blocked && !may_use_terminal(r)) {
		w[F_STDIN].fd = FD_NONE;
	}
	w[P_SOCKET] =
		(struct pollfd){.fd = r->result ? FD_NONE : r->session->socket, .events = POLLIN};
	w[P_SIGNAL] = (struct pollfd){.fd = r->signals, .events = POLLIN};
}

/* How long poll(2) may wait; -1: for as long as it takes. */
static int patience(const struct relay *r)
{
	int64_t left = (r->give_up_ns - clock_now_ns()) / 1000000 + 1;

	if (r->stopped) {
		return 0;
	}
	/* Nobody tells a background job that it has been brought to the foreground. */
	if ((r->tty & 1) && !r->raw) {
		return BACKGROUND_MS;
	}
	return r->give_up_ns == 0 ? -1 : left > 0 ? (int)left : 0;
}

static int relay_loop(struct relay *r, struct err *e)
{
	int result = 0;

	while (result >= 0 && (!r->result || flowing(r))) {
		struct pollfd w[P_COUNT];
		int i, n;

		if (!r->raw && may_use_terminal(r)) {
			enter_raw(r);
		}
		fill(r, w);
		n = poll(w, P_COUNT, patience(r));
		if (n < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for events");
		}
		if (n < 0) {
			continue;
		}
		/* What the keeper, or its child, is waiting for may be beyond any signal, too. */
		if (n == 0 && r->give_up_ns && clock_now_ns() >= r->give_up_ns) {
			return start_hung(r->session, e);
		}
		for (i = 0; i < F_COUNT; i++) {
			if (r->flows[i].in >= 0 && w[i].revents) {
				flow_run(&r->flows[i]);
			}
		}
		if (w[P_SIGNAL].revents) {
			hear_signal(r);
		}
		/* One stop for however many messages: a payload may send them faster than anybody
		 * could continue us, and the result may be among what is waiting. */
		if (w[P_SOCKET].revents) {
			result = hear_keeper(r, e);
		} else if (r->stopped && !r->result) {
			stop_self(r);
		}
	}
	return result;
}

static struct relay *relay_new(struct session *s, unsigned tty, struct err *e)
{
	struct relay *r = calloc(1, sizeof(*r));
	int i;

	if (!r) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		return NULL;
	}
	r->session = s;
	r->signals = r->master = FD_NONE;
	r->tty = tty;
	r->terminal = terminal_of(tty);
	for (i = 0; i < F_COUNT; i++) {
		r->flows[i].in = r->flows[i].out = FD_NONE;
	}
	return r;
}

/* A connection that says nothing for a while may have to make room for others. */
static int connect_late(struct session *s, struct err *e)
{
	if (s->socket < 0) {
		s->socket = s->dir < 0 ? -ENOENT : control_connect(s->dir, e);
		s->dir = fd_close(s->dir);
	}
	return s->socket < 0 ? s->socket : 0;
}

/* Asks, and relays until there is a result. */
static int relay_run(struct relay *r, uint32_t op, int request, int words, struct err *e)
{
	struct session *s = r->session;
	int i, result = connect_late(s, e);

	if (result >= 0) {
		result = send_request(s, op, request, words, r->tty, e);
	}

	r->give_up_ns = end_of_patience();
	if (result >= 0) {
		result = relay_loop(r, e);
	}
	if (r->give_up_ns) {
		end_progress(s);
	}
	leave_raw(r);
	s->stdin_bytes = r->flows[F_STDIN].bytes;
	for (i = 0; i < F_COUNT; i++) {
		s->lost = i != F_STDIN && r->flows[i].lost ? r->flows[i].lost : s->lost;
		flow_end(&r->flows[i]);
		free(r->flows[i].data);
	}
	(void)fd_close(r->master);
	return result;
}

static int ask(struct session *s, uint32_t op, const struct session_sandbox *sandbox,
	       const struct session_command *command, json_t **ret, struct err *e)
{
	unsigned tty = command && !command->detached ? tty_mask() : 0;
	_cleanup_free_ struct relay *r = relay_new(s, tty, e);
	_cleanup_fd_ int request = FD_NONE, words = FD_NONE;
	int result = r ? 0 : -e->code;

	ignore_signals();
	/* Without a command there is nobody to pass them on to: they end us, and the start. */
	if (result >= 0 && command) {
		result = r->signals = watch_signals(e);
	}
	if (result >= 0) {
		result = request = request_fd(sandbox, command, tty, e);
	}
	if (result >= 0 && command) {
		result = words = argv_fd(command->argv, e);
	}
	if (result >= 0) {
		result = relay_run(r, op, request, words, e);
	}
	if (r) {
		(void)fd_close(r->signals);
	}
	if (result < 0) {
		json_decref(r ? r->result : NULL);
		return result;
	}
	*ret = r->result;
	return 0;
}

static bool is_created(const json_t *result)
{
	const char *reason = json_string_value(json_object_get(result, "reason"));

	return reason && strcmp(reason, "created") == 0;
}

int session_run(struct session *s, const struct session_sandbox *sandbox,
		const struct session_command *command, json_t **ret, struct err *e)
{
	int r = ask(s, MSG_START, sandbox, command, ret, e);

	/* A sandbox that lives has a keeper that does. */
	s->over = r >= 0 && (command || !is_created(*ret));
	return r;
}

void session_taken(struct session *s)
{
	struct message m = {.op = MSG_TAKEN};

	(void)send(s->socket, &m, sizeof(m), MSG_NOSIGNAL);
}

int session_exec(struct session *s, const struct session_command *command, json_t **ret,
		 struct err *e)
{
	return ask(s, CONTROL_EXEC, NULL, command, ret, e);
}
