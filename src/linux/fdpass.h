/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors and sender credentials over AF_UNIX sockets (unix(7)). */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define FDPASS_MAX 64

/* Sends one message; up to FDPASS_MAX descriptors, which stay open here. 0 or -errno. */
int fdpass_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds);

/* The same without waiting for room: -EAGAIN. */
int fdpass_send_now(int sock, const void *data, size_t len, const int *fds, size_t n_fds);

/*
 * Receives one message. The number of bytes, 0 at end of file, or -errno. Descriptors beyond
 * *n_fds, or a message longer than len, are an error (-EMSGSIZE) and everything received is closed.
 * On success *n_fds is the number received, all CLOEXEC. n_fds may be NULL: none are wanted.
 */
ssize_t fdpass_recv(int sock, void *data, size_t len, int *fds, size_t *n_fds);

/* As above without descriptors, with the sender's credentials (SO_PASSCRED must be on). */
ssize_t fdpass_recv_cred(int sock, void *data, size_t len, struct ucred *ret);
