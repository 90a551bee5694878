/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger in another process: what the ledger's own files share of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct err;
struct ledger;

/* A request to another process that has not been answered. */
struct ledger_flight {
	char *out, *in; /* with the length before each; out is NULL: there is none */
	size_t n_out, sent, n_in;
	int64_t until_ns, again_ns; /* when it has failed; when to connect again */
	bool patient;               /* it can be said twice */
};

/* Starts atoll-ledger and has it open the URL. */
int ledger_remote_open(struct ledger *l, const char *program, const char *url, struct err *e);
int ledger_remote_call(struct ledger *l, const json_t *request, json_t **reply, struct err *e);
void ledger_remote_close(struct ledger *l);

/* Sets a request on its way; `patient`: it may be said again where a connection breaks off. Then
 * -EAGAIN until there is a reply, or an error. */
int ledger_remote_begin(struct ledger *l, const json_t *request, bool patient, struct err *e);
int ledger_remote_step(struct ledger *l, json_t **reply, struct err *e);

/* ---- a ledger that is served (ledger-socket.c) ---- */

/* Where it is, of "system" and unix:/PATH; NULL for anything else. */
const char *ledger_socket_path(const char *url);
/* -EAGAIN: too many wait there already; -EPERM: who listens is nobody to trust. */
int ledger_socket_connect(const char *path, int *ret, struct err *e);

/* One document over a stream socket, its length before it; -EPIPE: the other end has gone. */
int ledger_send(int fd, const json_t *doc, size_t max, struct err *e);
int ledger_receive(int fd, size_t max, json_t **ret, struct err *e);
