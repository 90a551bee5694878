/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's way out: its keeper's side.
 *
 * Until something comes from inside there is only a set of the sockets that the tier handed out
 * (tier/net.h), in one descriptor that the keeper waits for. Then the gateway is started and gets
 * the sockets. From there on the keeper opens listeners inside for it, and writes down what it
 * tells. When it is gone, so is every socket: inside, connections are refused. It is not started
 * again.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gateway/protocol.h"
#include "keeper/learned.h"

struct err;
struct keeper;

/* Each is in the trail, up to so many: a payload can make as many as it likes. Of the others there
 * is one event with their number and their bytes, at the end. */
#define EGRESS_CONNECTIONS_TOLD 16384

/* The same for names that were asked for. */
#define EGRESS_NAMES_TOLD 16384

struct egress {
	enum egress_state {
		EGRESS_NONE, /* no destination is allowed */
		EGRESS_WAITS,
		EGRESS_STARTING, /* the gateway has everything, and has not said that it serves */
		EGRESS_SERVES,
		EGRESS_OVER, /* it ended before the sandbox did */
	} state;
	int fd; /* what is waited for: the set, then the socket to the gateway; or FD_NONE */
	int pidfd;
	pid_t pid;
	uint64_t counted[GATEWAY_DENIALS]; /* of its numbers, what is among the denials */
	uint32_t named; /* the last address that a name in the trail stands for */
	uint64_t names, connections;
	uint64_t bytes;      /* of connections that are over, both ways */
	struct egress_more { /* of those that are not in the trail one by one */
		uint64_t connections, up, down;
	} more;
	int64_t stale_ns;       /* when it last asked for name servers */
	struct learned learned; /* where the plan says so */
	bool ending;            /* it was asked to */
	bool died;              /* before anybody asked it to */
};

void egress_init(struct egress *x);

/* 0 where the plan needs no gateway, or there is one to start. */
int egress_check(const struct keeper *k, struct err *e);

/* Begins to wait, once the tier has confined the sandbox. */
int egress_open(struct keeper *k, struct err *e);

void egress_poll(const struct egress *x, struct pollfd *w);

/* There is news. A failure to write it down ends the sandbox. */
int egress_hear(struct keeper *k, struct err *e);

void egress_done(struct egress *x);

/* Ends the gateway; what it tells until then, for which it has not long, is written down. */
int egress_stop(struct keeper *k, struct err *e);
