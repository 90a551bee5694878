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
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "record/ledger-internal.h"
#include "record/remote.h"

extern char **environ;

/* A server that does not answer is one that is not there. */
#define ANSWER_SECONDS 8

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

	return err_set(e, kind > ERR_NONE && kind <= ERR_BUG ? (enum err_kind)kind : ERR_SYSTEM,
		       code, "%s", message ? message : "the ledger has failed");
}

int ledger_remote_call(struct ledger *l, const json_t *request, json_t **reply, struct err *e)
{
	_cleanup_json_ json_t *got = NULL;
	const json_t *error;
	int r = l->fd < 0 ? err_set(e, ERR_SYSTEM, EPIPE, "atoll-ledger has ended") : 0;

	r = r < 0 ? r : ledger_send(l->fd, request, LEDGER_REQUEST_MAX, e);
	r = r < 0 ? r : ledger_receive(l->fd, LEDGER_REPLY_MAX, &got, e);
	if (r < 0) {
		/* What would come now might be the answer to this one. */
		l->fd = fd_close(l->fd);
		return r;
	}
	error = json_object_get(got, "error");
	if (error) {
		return take_error(error, e);
	}
	*reply = TAKE_PTR(got);
	return 0;
}

static int start(struct ledger *l, const char *program, struct err *e)
{
	char *const argv[] = {"atoll-ledger", NULL};
	const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		return err_sys(e, errno, "cannot make a socket");
	}
	l->fd = ends[0];
	(void)setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
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
	_cleanup_json_ json_t *hello = json_pack("{s:s}", "url", url), *reply = NULL;
	int r = hello ? start(l, program, e) : ledger_no_memory(e);

	r = r < 0 ? r : ledger_remote_call(l, hello, &reply, e);
	return r < 0 ? err_wrap(e, "cannot open the ledger") : 0;
}
