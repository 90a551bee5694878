/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger in another process.
 *
 * libpq brings a TLS library and takes a millisecond to load, which the program that everybody
 * starts does not pay for: atoll-ledger has it, is started where the configuration names a database
 * server, and ends with the socket. A message is its length in four bytes, in the host's order
 * (both ends are of one installation, on one host), and a JSON document; either side refuses what
 * is longer than it may be before it makes room. Request and reply take turns. The URL goes over
 * the socket, for arguments can be read by everybody.
 *
 * Where the configuration names a socket, who serves it is asked instead (ledger-socket.c), over a
 * connection of its own for each request: that one lives longer than any of ours.
 *
 * Whoever asks waits for the answer, or goes on and looks at it when poll(2) has news: a request is
 * on its way until it is answered, or its time is up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "record/ledger-internal.h"
#include "record/ledger-flight.h"
#include "record/remote.h"

extern char **environ;

/* A server that does not answer is one that is not there. */
#define ANSWER_MS 8000
#define AGAIN_NS  50000000LL

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EPIPE;
		}
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, data, len, 0);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EPIPE;
		}
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int ledger_send(int fd, const json_t *doc, size_t max, struct err *e)
{
	_cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	uint32_t head = (uint32_t)len;
	int r;

	if (!text) {
		return ledger_no_memory(e);
	}
	if (len > max) {
		return err_set(e, ERR_USER, EMSGSIZE, "a message for the ledger is too long");
	}
	r = write_all(fd, (const char *)&head, sizeof(head));
	r = r < 0 ? r : write_all(fd, text, len);
	return r < 0 ? err_sys(e, -r, "cannot reach atoll-ledger") : 0;
}

int ledger_receive(int fd, size_t max, json_t **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	uint32_t len;
	int r = read_all(fd, (char *)&len, sizeof(len));

	if (r < 0) {
		return err_sys(e, r == -EAGAIN ? ETIMEDOUT : -r, "atoll-ledger does not answer");
	}
	if (len == 0 || len > max) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "a message of the ledger is too long");
	}
	text = malloc(len);
	if (!text) {
		return ledger_no_memory(e);
	}
	r = read_all(fd, text, len);
	if (r < 0) {
		return err_sys(e, r == -EAGAIN ? ETIMEDOUT : -r, "atoll-ledger does not answer");
	}
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(*ret)
		       ? 0
		       : err_set(e, ERR_SYSTEM, EBADMSG, "a message of the ledger is no document");
}

json_t *ledger_error(const struct err *e)
{
	return json_pack("{s:{s:i, s:i, s:o}}", "error", "code", e->code, "kind", (int)e->kind,
			 "message", json_text(e->msg));
}

/* What the other side could not do. */
static int take_error(const json_t *error, struct err *e)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	int code = (int)json_integer_value(json_object_get(error, "code"));
	int kind = (int)json_integer_value(json_object_get(error, "kind"));

	/* -EAGAIN says that there is no answer. */
	return err_set(e, kind > ERR_NONE && kind <= ERR_BUG ? (enum err_kind)kind : ERR_SYSTEM,
		       code == EAGAIN ? EBUSY : code, "%s",
		       message ? message : "the ledger has failed");
}

/* ---- one request on its way ---- */

static void flight_done(struct ledger *l)
{
	free(l->flight.out);
	free(l->flight.in);
	l->flight = (struct ledger_flight){};
}

/* What would come now might be the answer to this one. */
static int flight_failed(struct ledger *l, int code, struct err *e)
{
	flight_done(l);
	l->fd = fd_close(l->fd);
	return err_sys(e, code, "atoll-ledger does not answer");
}

int ledger_remote_begin(struct ledger *l, const json_t *request, bool patient, struct err *e)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	uint32_t head = (uint32_t)len;
	struct ledger_flight *f = &l->flight;

	if (len > LEDGER_REQUEST_MAX) {
		return err_set(e, ERR_USER, EMSGSIZE, "a message for the ledger is too long");
	}
	flight_done(l);
	f->out = text ? malloc(sizeof(head) + len) : NULL;
	f->in = malloc(sizeof(head));
	if (!f->out || !f->in) {
		flight_done(l);
		return ledger_no_memory(e);
	}
	memcpy(f->out, &head, sizeof(head));
	memcpy(f->out + sizeof(head), text, len);
	f->n_out = sizeof(head) + len;
	f->until_ns = clock_now_ns() + (l->answer_ms ? l->answer_ms : ANSWER_MS) * 1000000LL;
	f->patient = patient && l->path;
	return 0;
}

/* 0, -EAGAIN, or what has become of the connection. */
static int put(struct ledger *l)
{
	struct ledger_flight *f = &l->flight;

	while (f->sent < f->n_out) {
		ssize_t n = send(l->fd, f->out + f->sent, f->n_out - f->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EPIPE && l->path) {
			return 0; /* it may have said why */
		}
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		f->sent += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int get(struct ledger *l, size_t from, size_t len)
{
	struct ledger_flight *f = &l->flight;

	while (f->n_in < from + len) {
		ssize_t n = recv(l->fd, f->in + f->n_in, from + len - f->n_in, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EPIPE;
		}
		f->n_in += (size_t)n;
	}
	return 0;
}

static int get_reply(struct ledger *l, json_t **ret)
{
	struct ledger_flight *f = &l->flight;
	uint32_t len;
	char *more;
	int r = f->n_in < sizeof(len) ? get(l, 0, sizeof(len)) : 0;

	if (r < 0) {
		return r;
	}
	memcpy(&len, f->in, sizeof(len));
	if (len == 0 || len > LEDGER_REPLY_MAX) {
		return -EBADMSG;
	}
	if (f->n_in == sizeof(len)) {
		more = realloc(f->in, sizeof(len) + len);
		if (!more) {
			return -ENOMEM;
		}
		f->in = more;
	}
	r = get(l, sizeof(len), len);
	*ret = r < 0 ? NULL : json_loadb(f->in + sizeof(len), len, JSON_REJECT_DUPLICATES, NULL);
	return r < 0 ? r : json_is_object(*ret) ? 0 : -EBADMSG;
}

/* Who serves a socket may have been started anew: what can be said twice is said again. */
static int later(struct ledger *l, int64_t now)
{
	struct ledger_flight *f = &l->flight;

	l->fd = fd_close(l->fd);
	f->sent = f->n_in = 0;
	f->again_ns = now + AGAIN_NS;
	return -EAGAIN;
}

/* A connection, where there is none. */
static int reach(struct ledger *l, int64_t now, struct err *e)
{
	struct ledger_flight *f = &l->flight;
	struct err why = {};
	int r;

	if (l->fd >= 0) {
		return 0;
	}
	if (!l->path) {
		flight_done(l);
		return err_set(e, ERR_SYSTEM, EPIPE, "atoll-ledger has ended");
	}
	if (now < f->again_ns) {
		return -EAGAIN;
	}
	r = ledger_socket_connect(l->path, &l->fd, &why);
	if (r == -EAGAIN || (r < 0 && f->patient && r != -EPERM)) {
		return later(l, now);
	}
	if (r < 0) {
		flight_done(l);
		return err_set(e, why.kind, why.code, "%s", why.msg);
	}
	return 0;
}

int ledger_remote_step(struct ledger *l, json_t **reply, struct err *e)
{
	_cleanup_json_ json_t *got = NULL;
	int64_t now = clock_now_ns();
	const json_t *error;
	int r;

	if (now >= l->flight.until_ns) {
		return flight_failed(l, ETIMEDOUT, e);
	}
	r = reach(l, now, e);
	if (r < 0) {
		return r;
	}
	r = put(l);
	r = r < 0 ? r : get_reply(l, &got);
	if (r == -EAGAIN) {
		return r;
	}
	if (r < 0) {
		return l->flight.patient ? later(l, now) : flight_failed(l, -r, e);
	}
	error = json_object_get(got, "error");
	if (l->flight.patient && json_integer_value(json_object_get(error, "code")) == EUSERS) {
		return later(l, now); /* too many came at the same time: nothing was looked at */
	}
	flight_done(l);
	l->fd = l->path ? fd_close(l->fd) : l->fd;
	if (error) {
		return take_error(error, e);
	}
	*reply = TAKE_PTR(got);
	return 0;
}

void ledger_poll(const struct ledger *l, struct pollfd *w)
{
	bool waits = l->flight.out && l->fd >= 0;

	*w = (struct pollfd){.fd = waits ? l->fd : FD_NONE,
			     .events = l->flight.sent < l->flight.n_out ? POLLOUT : POLLIN};
}

int64_t ledger_due_ns(const struct ledger *l)
{
	const struct ledger_flight *f = &l->flight;

	return !f->out                                  ? INT64_MAX
	       : l->fd < 0 && f->again_ns < f->until_ns ? f->again_ns
							: f->until_ns;
}

/* Until the one that is on its way has come to its end. */
static int land(struct ledger *l, json_t **reply, struct err *e)
{
	int r;

	while ((r = ledger_remote_step(l, reply, e)) == -EAGAIN && l->flight.out) {
		int64_t ms = (ledger_due_ns(l) - clock_now_ns()) / 1000000 + 1;
		struct pollfd w;

		ledger_poll(l, &w);
		(void)poll(&w, 1, ms > 0 ? (int)ms : 0);
	}
	return r;
}

int ledger_remote_call(struct ledger *l, const json_t *request, json_t **reply, struct err *e)
{
	_cleanup_json_ json_t *unheard = NULL;
	int r;

	/* One that nobody waits for any more. Another connection does not come behind it. */
	if (l->flight.out && l->path) {
		l->fd = fd_close(l->fd);
	} else if (l->flight.out) {
		(void)land(l, &unheard, NULL);
	}
	r = ledger_remote_begin(l, request, false, e);
	return r < 0 ? r : land(l, reply, e);
}

void ledger_remote_close(struct ledger *l)
{
	flight_done(l);
	l->fd = fd_close(l->fd); /* which ends atoll-ledger; whoever started it collects it */
	free(l->path);
}

/* ---- atoll-ledger of our own ---- */

static int start(struct ledger *l, const char *program, struct err *e)
{
	char *const argv[] = {"atoll-ledger", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		return err_sys(e, errno, "cannot make a socket");
	}
	l->fd = ends[0];
	(void)sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	r = posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
	r = r != 0 ? r
		   : posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
						      O_WRONLY, 0);
	r = r != 0 ? r
		   : posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
						      O_WRONLY, 0);
	r = r != 0 ? r : posix_spawn(&l->server, program, &actions, &attributes, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	(void)fd_close(ends[1]);
	return r != 0 ? err_sys(e, r, "cannot start '%s'", program) : 0;
}

int ledger_remote_open(struct ledger *l, const char *program, const char *url, struct err *e)
{
	const char *path = ledger_socket_path(url);
	_cleanup_json_ json_t *hello = json_pack("{s:s}", "url", url), *reply = NULL;
	struct err why = {};
	int r;

	if (path) {
		l->path = strdup(path);
		r = l->path ? ledger_socket_connect(path, &l->fd, &why) : ledger_no_memory(&why);
		/* Where too many wait, the first request waits as well. */
		return r >= 0 || r == -EAGAIN ? 0
					      : err_set(e, why.kind, why.code,
							"cannot open the ledger: %s", why.msg);
	}
	r = hello ? start(l, program, e) : ledger_no_memory(e);
	r = r < 0 ? r : ledger_remote_call(l, hello, &reply, e);
	return r < 0 ? err_wrap(e, "cannot open the ledger") : 0;
}
