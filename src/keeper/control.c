/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of the control socket. */
#include "keeper/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "keeper/message.h"
#include "linux/fdpass.h"

/* A keeper answers between two turns of its loop; this long means that it is stuck. */
#define ASK_TIMEOUT_MS 5000
/* Killing much takes the kernel a while. */
#define STOP_TIMEOUT_MS 60000

#define NAME    "control"
#define NOT_YET ".control"

/* Through the descriptor: a state directory's path may be longer than an address holds. */
static struct sockaddr_un address(int dir, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, name);
	return a;
}

/* Under its name it is heard: between bind(2) and listen(2) whoever asks would be refused. */
int control_open(struct control *c, int dir, struct err *e)
{
	struct sockaddr_un a = address(dir, NOT_YET);

	c->n = 0;
	c->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	c->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0 || bind(c->listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(c->listener, 8) < 0 || renameat(dir, NOT_YET, dir, NAME) < 0) {
		return err_sys(e, errno, "cannot open the control socket");
	}
	return 0;
}

static void drop(struct control *c, size_t i)
{
	(void)fd_close(c->peers[i].fd);
	c->n--;
	memmove(&c->peers[i], &c->peers[i + 1], (c->n - i) * sizeof(c->peers[0]));
}

void control_done(struct control *c)
{
	c->listener = fd_close(c->listener);
	c->spare = fd_close(c->spare);
	while (c->n > 0) {
		drop(c, c->n - 1);
	}
}

/* The peer that goes when there is no room: c->n when all of them wait for their reply. */
static size_t most_silent(const struct control *c)
{
	size_t i = 0;

	while (i < c->n && c->peers[i].waiting) {
		i++;
	}
	return i;
}

void control_poll(const struct control *c, struct pollfd w[CONTROL_POLLS])
{
	bool room = c->n < CONTROL_PEERS || most_silent(c) < c->n;
	size_t i;

	w[0] = (struct pollfd){.fd = room ? c->listener : FD_NONE, .events = POLLIN};
	for (i = 0; i < CONTROL_PEERS; i++) {
		bool silent = i < c->n && !c->peers[i].waiting;

		w[1 + i] =
			(struct pollfd){.fd = silent ? c->peers[i].fd : FD_NONE, .events = POLLIN};
	}
}

void control_accept(struct control *c)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && c->spare >= 0) {
		/* Left waiting, it would be news at every turn. */
		c->spare = fd_close(c->spare);
		fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		(void)fd_close(fd);
		c->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return;
	}
	if (fd < 0) {
		return;
	}
	if (c->n == CONTROL_PEERS && most_silent(c) < c->n) {
		drop(c, most_silent(c));
	}
	if (c->n == CONTROL_PEERS || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    (cred.uid != geteuid() && cred.uid != 0)) {
		(void)fd_close(fd);
		return;
	}
	c->peers[c->n++] = (struct control_peer){.fd = fd};
}

/* True for a request that is whole, with as many descriptors as belong to it. */
static bool is_request(const struct message *m, ssize_t len, size_t n_fds)
{
	if (len != (ssize_t)sizeof(*m)) {
		return false;
	}
	return m->op == CONTROL_EXEC ? n_fds == REQUEST_FDS
				     : n_fds == 0 && m->op > 0 && m->op <= CONTROL_COPY;
}

uint32_t control_receive(struct control *c, size_t i, struct message *ret, int *fds, size_t *n)
{
	ssize_t len = fdpass_recv(c->peers[i].fd, ret, sizeof(*ret), fds, n);
	size_t j;

	if (len == -EAGAIN) {
		return 0;
	}
	*n = len < 0 ? 0 : *n;
	if (is_request(ret, len, *n)) {
		return ret->op;
	}
	for (j = 0; j < *n; j++) {
		(void)fd_close(fds[j]);
	}
	drop(c, i);
	return 0;
}

int control_take(struct control *c, size_t i)
{
	int fd = TAKE_FD(c->peers[i].fd);

	drop(c, i);
	return fd;
}

void control_reply(struct control *c, size_t i, const json_t *reply)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	size_t len = 0;

	text = reply ? json_canonical(reply, &len) : NULL;
	if (text && len <= CONTROL_MAX_REPLY) {
		(void)send(c->peers[i].fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (text) {
		fd = message_text_fd(text, len, NULL);
		if (fd >= 0) {
			(void)fdpass_send(c->peers[i].fd, "", 1, &fd, 1);
		}
	}
	drop(c, i);
}

void control_reply_fd(struct control *c, size_t i, int fd)
{
	(void)fdpass_send_now(c->peers[i].fd, "{}", 2, &fd, 1);
	drop(c, i);
}

void control_defer(struct control *c, size_t i)
{
	c->peers[i].waiting = true;
}

void control_finish(struct control *c)
{
	size_t i;

	for (i = c->n; i-- > 0;) {
		if (c->peers[i].waiting) {
			(void)send(c->peers[i].fd, "{}", 2, MSG_NOSIGNAL | MSG_DONTWAIT);
			drop(c, i);
		}
	}
}

int control_connect(int dir, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const struct timeval timeout = {.tv_sec = ASK_TIMEOUT_MS / 1000};
	struct sockaddr_un a = address(dir, NAME);

	/* connect(2) waits for room in the backlog of a keeper that does not answer. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0) {
		return err_sys(e, errno, "cannot ask the keeper");
	}
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return errno == ENOENT || errno == ECONNREFUSED
			       ? -ENOENT
			       : err_sys(e, errno, "cannot reach the keeper");
	}
	return TAKE_FD(fd);
}

/* One question and what comes back: its length, with a descriptor or without one. */
static ssize_t ask(int dir, const struct message *request, char text[CONTROL_MAX_REPLY],
		   int *ret_fd, size_t *n_fds, struct err *e)
{
	_cleanup_fd_ int fd = control_connect(dir, e);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (fd < 0) {
		return fd;
	}
	n = send(fd, request, sizeof(*request), MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		return -ENOENT; /* it ended between the connection and the question */
	}
	if (n < 0 ||
	    poll(&pfd, 1, request->op == CONTROL_STOP ? STOP_TIMEOUT_MS : ASK_TIMEOUT_MS) != 1) {
		return err_set(e, ERR_SYSTEM, ETIMEDOUT, "the keeper does not answer");
	}
	n = fdpass_recv(fd, text, CONTROL_MAX_REPLY, ret_fd, n_fds);
	*n_fds = n > 0 ? *n_fds : 0;
	if (n == 0 || n == -ECONNRESET) {
		return -ENOENT; /* it ended between the question and the answer */
	}
	return n > 0 ? n : err_set(e, ERR_SYSTEM, EPROTO, "the keeper's answer cannot be received");
}

int control_ask(int dir, enum control_op op, int32_t a, json_t **ret, struct err *e)
{
	_cleanup_free_ char *text = malloc(CONTROL_MAX_REPLY);
	const struct message request = {.op = op, .a = a};
	size_t len = 0, n_fds = 1;
	int long_fd = FD_NONE;
	ssize_t n;

	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	n = ask(dir, &request, text, &long_fd, &n_fds, e);
	if (n < 0) {
		return (int)n;
	}
	if (n_fds == 1) {
		free(text);
		text = message_read_fd(long_fd, CONTROL_MAX_TEXT, &len, e);
		(void)fd_close(long_fd);
		n = text ? (ssize_t)len : 0;
	}
	*ret = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	return *ret ? 0 : err_set(e, ERR_SYSTEM, EPROTO, "the keeper's answer is not JSON");
}

int control_ask_copy(int dir, int32_t number, struct err *e)
{
	_cleanup_free_ char *text = malloc(CONTROL_MAX_REPLY);
	const struct message request = {.op = CONTROL_COPY, .a = number};
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	const char *why;
	size_t n_fds = 1;
	ssize_t n;

	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	n = ask(dir, &request, text, &fd, &n_fds, e);
	if (n < 0 || n_fds == 1) {
		return n < 0 ? (int)n : TAKE_FD(fd);
	}
	reply = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	why = json_string_value(json_object_get(reply, "error"));
	return why ? err_set(e, ERR_USER, ENODATA, "%s", why)
		   : err_set(e, ERR_SYSTEM, EPROTO, "the keeper's answer is not JSON");
}
