/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger for the users of a host: requests over a unix socket, answered by one process that is
 * theirs in nothing (atoll-ledger serve). The messages are those of ledger-remote.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct ledger;
struct ledger_server;

struct ledger_server_limits {
	size_t clients;  /* connections at the same time */
	size_t per_user; /* of one user */
	int idle_ms;     /* without a request */
	int request_ms;  /* from a request's first byte to its last */
	int answer_ms;   /* until the answer is taken */
};
extern const struct ledger_server_limits ledger_server_limits_default;

/* `listener` accepts without waiting; it and the ledger stay the caller's. */
int ledger_server_new(struct ledger_server **ret, int listener, struct ledger *l,
		      const struct ledger_server_limits *limits, struct err *e);
void ledger_server_free(struct ledger_server *s);

/* One turn: waits for news for at most so long (-1: as long as it takes), and answers of each user
 * at most one request. 1 where `stop`, a descriptor, has become readable; 0 otherwise. */
int ledger_server_turn(struct ledger_server *s, int stop, int timeout_ms, struct err *e);

/* How many are connected. */
size_t ledger_server_clients(const struct ledger_server *s);

/* From here on this process can do nothing but serve: files below `directory` alone, and those
 * system calls that it takes (ledger-walls.c). */
int ledger_server_confine(int directory, struct err *e);
