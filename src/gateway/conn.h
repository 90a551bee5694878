/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the sandbox.
 *
 * Theory of operation. It is accepted at a listener, so what was dialled, and by that the rule, is
 * known. Where the rule says what is spoken, the first bytes are looked at where they are, in the
 * socket (MSG_PEEK), and nothing has been dialled yet (judge.c). Then the name is resolved, an
 * address chosen that may be dialled, and exactly that is dialled (dial.c). From then on bytes go
 * from socket to socket by splice(2), through a pipe that is lent for as long as it holds something
 * (carry.c). Of HTTP only so many bytes go as have been judged: `allow` counts them. Both sockets
 * are in the set edge-triggered; `readable` and `writable` remember what epoll has said.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/gateway.h"
#include "gateway/names.h"
#include "gateway/source.h"
#include "policy/address.h"
#include "wire/http.h"

#define CONN_ALL UINT64_MAX

/* How long its first bytes may take to come, one address to answer, and a farewell. */
#define CONN_JUDGE_NS  (30 * 1000000000LL)
#define CONN_DIAL_NS   (10 * 1000000000LL)
#define CONN_LINGER_NS (2 * 1000000000LL)

struct side {
	struct source source; /* first */
	struct conn *conn;
	bool readable, writable;
	bool hup; /* it has said all that it will */
};

/* One direction. */
struct flow {
	int pipe[2]; /* FD_NONE while it holds nothing */
	size_t held; /* bytes in the pipe */
	uint64_t allow, moved;
	bool eof;  /* nothing more comes */
	bool shut; /* and that has been passed on */
	bool dead; /* who it leads to was reset */
};

struct conn {
	struct gateway *gateway;
	struct conn *next, **at; /* in gateway.conns */
	struct conn *hurried;    /* in gateway.hurried */
	bool in_hurry;
	bool wide; /* towards the server, its buffers grow */
	enum conn_state {
		CONN_JUDGE,
		CONN_RESOLVE,
		CONN_DIAL,
		CONN_CARRY,
		CONN_LINGER, /* it was refused with words, which are on their way */
	} state;
	const struct listener *listener;
	const struct destination *rule;
	struct side inner, outer;
	struct flow up, down;
	struct http_body body; /* of the request that is on its way up */
	/* A server may ask for another hello, which may have another name: until it has answered,
	 * no more than what was judged goes up (RFC 8446, 4.1.4). */
	enum conn_hello { HELLO_FIRST, HELLO_SENT, HELLO_AGAIN, HELLO_DONE } hello;
	struct resolved to; /* where it may lead */
	size_t next_address;
	const char *special; /* why the last of them that was refused was */
	enum gateway_denial special_code;
	char peer[64];
	int64_t born_ns, state_ns; /* when it was accepted; when its state began */
	uint16_t tls;
};

/* ---- conn.c ---- */

void conn_enter(struct conn *c, enum conn_state state);

/* It is over; it and what it holds are gone. `reset`: the sandbox is told by a RST. */
void conn_end(struct conn *c, enum gateway_end how, bool reset);

/* Refuses it: for the record, and to the sandbox in the words of what is spoken there. */
void conn_refuse(struct conn *c, enum gateway_denial why, const char *detail);

/* A farewell of this kind (an HTTP answer, a TLS alert), then the end. */
void conn_say(struct conn *c, const char *bytes, size_t len);

/* Counts a request of it. False: there were too many, or no bytes are left for one, and it is
 * refused. */
bool conn_counts(struct conn *c);

#define CONN_NO_BYTES "no more bytes may go there, or at all"

/* Some of them have not passed on all that was said inside. Where nobody is there any more, what
 * has been written still comes, and then an end. */
bool conns_owe(const struct gateway *g);

/* The end of all of them. */
void conns_end(struct gateway *g);

/* For those whose time is up. */
void conns_tick(struct gateway *g);

/* True while some of them have a time. */
bool conns_are_timed(const struct gateway *g);

/* ---- judge.c ---- */

/* Looks at what the sandbox sends, as far as it may go on; calls conn_dial() when the first bytes
 * are good. False: the connection is over. */
bool conn_judge(struct conn *c);

/* Looks at what the server answers to a ClientHello, before it goes on in either direction. */
void conn_judge_answer(struct conn *c);

/* ---- dial.c ---- */

/* Dials the next address that it may lead to. False: there is none any more, the connection is
 * over.
 */
bool conn_dial(struct conn *c);

/* ---- carry.c ---- */

/* One side was reset. It takes nothing any more; what it had said before still goes to the other
 * one, which learns of the reset behind it. */
void conn_reset(struct conn *c, struct side *side);

/* Moves what there is to move, for a turn. */
void conn_carry(struct conn *c);

/* Those that had more to move. */
void conns_carry(struct gateway *g);

void flow_done(struct gateway *g, struct flow *f);
