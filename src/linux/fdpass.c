/* SPDX-License-Identifier: Apache-2.0 */
/* SCM_RIGHTS and SCM_CREDENTIALS. */
#include "linux/fdpass.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"

static int send_fds(int sock, const void *data, size_t len, const int *fds, size_t n_fds, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
	} control = {};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds > FDPASS_MAX) {
		return -EINVAL;
	}
	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | flags);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	return (size_t)n == len ? 0 : -EMSGSIZE;
}

int fdpass_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds)
{
	return send_fds(sock, data, len, fds, n_fds, 0);
}

int fdpass_send_now(int sock, const void *data, size_t len, const int *fds, size_t n_fds)
{
	return send_fds(sock, data, len, fds, n_fds, MSG_DONTWAIT);
}

/* Moves the descriptors of a message into fds; closes the surplus. Returns how many there were. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	struct cmsghdr *c;
	size_t seen = 0;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t i, n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (seen < max) {
				fds[seen] = fd;
			} else {
				(void)fd_close(fd);
			}
			seen++;
		}
	}
	return seen;
}

ssize_t fdpass_recv(int sock, void *data, size_t len, int *fds, size_t *n_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
	} control = {};
	struct iovec iov = {data, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	size_t max = n_fds ? *n_fds : 0, seen;
	bool reset = false;
	ssize_t n;

	/* A peer that closed with something of ours unread is told as an error, once, before what
	 * it has said (unix(7), SOCK_SEQPACKET). */
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == ECONNRESET && !reset) {
			reset = true;
			errno = EINTR;
		}
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	seen = take_fds(&msg, fds, max);
	if (seen > max || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (size_t i = 0; i < seen && i < max; i++) {
			fds[i] = fd_close(fds[i]);
		}
		return -EMSGSIZE;
	}
	if (n_fds) {
		*n_fds = seen;
	}
	return n;
}

ssize_t fdpass_recv_cred(int sock, void *data, size_t len, struct ucred *ret)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control = {};
	struct iovec iov = {data, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		return n < 0 ? -errno : 0;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) {
		return -EPROTO;
	}
	memcpy(ret, CMSG_DATA(c), sizeof(*ret));
	return n;
}
