/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of the control socket. */
#include "keeper/control.h"

#include <errno.h>
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

uint32_t control_receive(struct control *c, size_t i)
{
	struct control_request request;
	ssize_t n = recv(c->peers[i].fd, &request, sizeof(request), MSG_TRUNC);

	if (n == (ssize_t)sizeof(request) &&
	    (request.op == CONTROL_STATUS || request.op == CONTROL_STOP)) {
		return request.op;
	}
	drop(c, i);
	return 0;
}

void control_reply(struct control *c, size_t i, const json_t *reply)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = reply ? json_canonical(reply, &len) : NULL;
	if (text && len <= CONTROL_MAX_REPLY) {
		(void)send(c->peers[i].fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
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

int control_ask(int dir, enum control_op op, json_t **ret, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	_cleanup_free_ char *text = malloc(CONTROL_MAX_REPLY);
	const struct timeval timeout = {.tv_sec = ASK_TIMEOUT_MS / 1000};
	struct control_request request = {.op = op};
	struct sockaddr_un a = address(dir, NAME);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t n;

	/* connect(2) waits for room in the backlog of a keeper that does not answer. */
	if (fd < 0 || !text ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0) {
		return err_sys(e, errno, "cannot ask the keeper");
	}
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return errno == ENOENT || errno == ECONNREFUSED
			       ? -ENOENT
			       : err_sys(e, errno, "cannot reach the keeper");
	}
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0 ||
	    poll(&pfd, 1, op == CONTROL_STOP ? STOP_TIMEOUT_MS : ASK_TIMEOUT_MS) != 1) {
		return err_set(e, ERR_SYSTEM, ETIMEDOUT, "the keeper does not answer");
	}
	n = recv(fd, text, CONTROL_MAX_REPLY, 0);
	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		return -ENOENT; /* it ended between the question and the answer */
	}
	*ret = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	return *ret ? 0 : err_set(e, ERR_SYSTEM, EPROTO, "the keeper's answer is not JSON");
}
