/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway of one sandbox: it answers for the names that the rules allow, and carries the
 * connections to them. One process, one thread, one epoll(7) set; what it is made of:
 *
 *   rules     which rule names a host and port
 *   limit     how many requests there may be, and how many bytes
 *   names     the address that stands for a name, its listeners, what it resolves to
 *   resolve   asks the host's own name servers
 *   server    answers the sandbox's questions for names
 *   conn      one connection: judged, dialled, carried
 *   watch     what was refused without us
 *   report    what the keeper is told
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/limit.h"
#include "gateway/protocol.h"
#include "gateway/report.h"
#include "gateway/source.h"
#include "policy/hostname.h"

struct conn;
struct err;
struct names;
struct resolver;
struct server;
struct source;

/*
 * Descriptors: one that cannot be accepted for want of one would be offered again and again, and
 * what comes from the keeper would be lost. So there are only so many connections and listeners
 * that there is one for everything: a connection has two sockets and two pipes, and what there is
 * beside them are the servers' sockets and streams, those of c-ares, and pipes that wait.
 */
#define GATEWAY_FILES_EACH 6
#define GATEWAY_FILES_REST 112

/* For how long, at most, it goes on passing on what a payload said that has ended. The keeper waits
 * twice as long. */
#define GATEWAY_DRAIN_MS 500

/* Pipes that are kept for the next who needs one. */
#define GATEWAY_PIPES 16

/*
 * What lies in a socket's buffers is memory of the host, of which all its connections have a share,
 * and nobody but us counts what lies in ours. Towards the sandbox, which is near, they are small.
 * Towards servers they grow as the kernel sees fit, which distant ones need, for so many
 * connections at once; those of the others are as large as every connection's are at first.
 */
#define GATEWAY_BUFFER_UP   65536 /* bytes; the kernel takes twice as many for its own needs */
#define GATEWAY_BUFFER_DOWN 131072
#define GATEWAY_WIDE        32

struct gateway {
	char sandbox[64];
	struct sources sources;
	struct source control; /* to the keeper */
	struct destination *rules;
	size_t n_rules;
	char (*deny)[HOST_SIZE]; /* whatever the rules say */
	size_t n_deny;
	bool learn; /* names that no rule names have addresses, at which nobody listens */
	struct gateway_limits limits;
	struct names *names;
	struct resolver *resolver;
	int64_t stale_ns; /* when the keeper was last told that no name server answers */
	struct server *server;
	int routes;             /* to ask the kernel which addresses are this machine's */
	struct source observer; /* a packet socket: refusals and datagrams, from the IP header on */
	struct conn *conns;     /* all of them */
	size_t n_conns;
	int64_t conns_ns;     /* since when there has been one, where the keeper does not know */
	bool conns_told;      /* the keeper thinks that there are some */
	size_t n_wide;        /* of them, those with buffers that grow */
	size_t n_listeners;   /* that are there, or may be asked for */
	size_t files;         /* descriptors that it may have */
	size_t n_timed;       /* of them, whose state may last only so long */
	struct conn *hurried; /* some of them may have more to carry, without news from epoll */
	struct gateway_message ends[GATEWAY_ENDS_WAITING];
	size_t n_ends;
	int64_t ends_ns;                                /* since when the first of them waits */
	uint64_t denied[GATEWAY_DENIALS];               /* so far */
	struct gateway_message untold[GATEWAY_DENIALS]; /* the last ones; count 0: told */
	struct refused *refused;                        /* what has an id */
	uint32_t n_refused;
	int pipes[GATEWAY_PIPES][2]; /* that nobody has; the last n_pipes are used up first */
	size_t n_pipes;
	bool ending;  /* the keeper says that it is over, and listens to the last of it */
	bool stopped; /* it did not end by itself */
	bool over;    /* the keeper has gone, or cannot be told any more */
};

/* ---- watch.c: what the kernel refused by itself ---- */

void watch_ready(struct source *s, uint32_t events);

/* ---- confine.c ---- */

/* The walls around the gateway, once all it needs is open: nothing to read, nothing to start, no
 * rights. `uid` is what it becomes where root started it, and -1 where not. */
int confine(const struct gateway *g, int64_t uid, struct err *e);
