/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a running sandbox: HOME/sandboxes/ID/control, SOCK_SEQPACKET, open to the
 * keeper's own user and root. One connection carries one request, a fixed-size message, and one
 * reply, a JSON text. A peer that says nothing is dropped for the next one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct err;

enum control_op {
	CONTROL_STATUS = 1, /* reply: the sandbox's state */
	CONTROL_STOP,       /* ends the sandbox; reply, when it is torn down: {} */
};

struct control_request {
	uint32_t op;
};

#define CONTROL_MAX_REPLY 32768

struct control {
	int listener;
	int peer;    /* the connection whose request has not come yet */
	int waiting; /* the connection whose request is being carried out */
};

/* Binds in the sandbox's directory. */
int control_open(struct control *c, int dir, struct err *e);
void control_done(struct control *c);

/* Takes a waiting connection; one of another user is closed at once. */
void control_accept(struct control *c);

/* Takes the request of the peer: its op, or 0 when there is none (the peer is dropped then). */
uint32_t control_receive(struct control *c);

/* Sends the reply and ends the connection. */
void control_reply(struct control *c, const json_t *reply);

/* Keeps the peer for control_finish(). One that waits already gets its reply now. */
void control_defer(struct control *c);

/* Tells the one that waits that its request was carried out. */
void control_finish(struct control *c);

/* The other side: asks the keeper whose directory this is. -ENOENT: there is no socket,
 * or it ended before it answered. */
int control_ask(int dir, enum control_op op, json_t **ret, struct err *e);
