/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a running sandbox: HOME/sandboxes/ID/control, SOCK_SEQPACKET, open to the
 * keeper's own user and root. One connection carries one request, a fixed-size message (struct
 * message), and one reply, a JSON text, which comes in a memfd where it is long. Where there is no
 * room for the next connection, the one that has said nothing for the longest goes.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct err;
struct message;

/* New ones go to the end: a keeper is asked by fronts of other versions, too. */
enum control_op {
	CONTROL_STATUS = 1,   /* reply: the sandbox's state */
	CONTROL_STOP,         /* ends the sandbox; reply, when it is torn down: {} */
	CONTROL_INSPECT,      /* reply: all there is to know of it */
	CONTROL_PAUSE,        /* reply: {}, or {"error": text} */
	CONTROL_RESUME,       /* the same */
	CONTROL_STOP_COMMAND, /* a: its number; reply: {}, or {"error": text} */
	CONTROL_EXEC, /* the connection becomes that of a command (message.h); a, b: rows and
		       * columns of its terminal; with the descriptors of a request */
	CONTROL_COPY, /* a: 0, or that of plan->more from 1 on; reply: {} with a descriptor of the
		       * upper layer of its copy, or {"error": text} */
};

#define CONTROL_MAX_REPLY 32768
#define CONTROL_MAX_TEXT  (16 * 1024 * 1024)

#define CONTROL_PEERS 8
/* The listener, then the peers. */
#define CONTROL_POLLS (1 + CONTROL_PEERS)

struct control {
	int listener;
	int spare; /* given up for a moment where descriptors have run out */
	struct control_peer {
		int fd;
		bool waiting;   /* for control_finish(): its request is being carried out */
	} peers[CONTROL_PEERS]; /* the oldest first */
	size_t n;
};

/* Binds in the sandbox's directory. */
int control_open(struct control *c, int dir, struct err *e);
void control_done(struct control *c);

/* Fills in what to poll for. */
void control_poll(const struct control *c, struct pollfd w[CONTROL_POLLS]);

/* Takes a waiting connection; one of another user is closed at once. */
void control_accept(struct control *c);

/* Takes the request of peer i with its descriptors, of which there may be *n: its op, or 0 when
 * there is none (the peer is dropped then). */
uint32_t control_receive(struct control *c, size_t i, struct message *ret, int *fds, size_t *n);

/* The connection of peer i is the caller's now. */
int control_take(struct control *c, size_t i);

/* Sends the reply and ends the connection. */
void control_reply(struct control *c, size_t i, const json_t *reply);

/* Sends a descriptor, which stays the caller's, with an empty reply. */
void control_reply_fd(struct control *c, size_t i, int fd);

/* Keeps the peer for control_finish(). */
void control_defer(struct control *c, size_t i);

/* Tells those that wait that their request was carried out. */
void control_finish(struct control *c);

/* The other side: asks the keeper whose directory this is; `a` is of those ops that have one.
 * -ENOENT: there is no socket, or it ended before it answered. */
int control_ask(int dir, enum control_op op, int32_t a, json_t **ret, struct err *e);

/* Asks for the upper layer of its copy, or of another one (CONTROL_COPY): a descriptor. -ENOENT as
 * above. */
int control_ask_copy(int dir, int32_t number, struct err *e);

/* Connects, and no more. -ENOENT as above. */
int control_connect(int dir, struct err *e);
