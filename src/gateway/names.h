/* SPDX-License-Identifier: Apache-2.0 */
/* The names that were asked for, each with an address that stands for it as long as the gateway
 * lives, with its listeners, and with what it leads to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/protocol.h"
#include "gateway/resolve.h"
#include "gateway/source.h"

struct gateway;
struct name;
struct names;

/* Where the sandbox connects to: one port of a name, or a destination that is an address. */
struct listener {
	struct source source; /* first */
	struct gateway *gateway;
	struct name *name; /* NULL: an address */
	char host[HOST_SIZE];
	uint16_t port;
	uint64_t *moved;       /* bytes of all connections to that host */
	struct listener *next; /* of those of addresses, the next */
	uint64_t own_moved;    /* where no other listener has that host */
};

struct name {
	char host[HOST_SIZE];
	uint32_t address; /* in the order of the host */
	struct resolved resolved;
	bool asked; /* the resolver has been asked, and has not answered */
	enum { NAME_CLOSED, NAME_OPENING, NAME_OPEN } state; /* of its listeners */
	int error;        /* why they could not be opened, the last time */
	int64_t again_ns; /* and from when on that may be tried again */
	uint16_t ports[EGRESS_PORTS_MAX];
	size_t n_ports; /* 0: no rule names it, and what is tried there is to be known */
	uint64_t moved; /* bytes of all its connections */
	struct listener *listeners;
	struct name_waiter *waiters;
	struct name *next; /* in its bucket */
};

/*
 * Under a pattern a payload chooses the names, and every new one is asked of a server outside: so
 * few of them, so slowly, and so short that they are no way out for data. What stands for the
 * asterisk has at most NAMES_WILD_BYTES bytes; NAMES_WILD_BURST come at once, then one in
 * NAMES_WILD_PAUSE_S seconds, and NAMES_WILD_MAX in all.
 */
#define NAMES_WILD_BYTES   63
#define NAMES_WILD_BURST   64
#define NAMES_WILD_PAUSE_S 2
#define NAMES_WILD_MAX     1024

/* Where every name is allowed, one of the payload's own server is, too: there is nothing to hold.
 */
#define NAMES_ANY_MAX 4096

/* So long listeners that could not be opened are not asked for again. */
#define NAMES_AGAIN_NS 1000000000LL

struct names *names_new(void);

/* The name; made where it is not there yet. NULL: no rule names it (*ret_why NULL), or there are
 * too many or it is too long (*ret_why says so). */
struct name *names_get(struct gateway *g, const char *host, const char **ret_why);

/* The name for which an address stands, or NULL. */
const struct name *names_by_address(const struct gateway *g, uint32_t address);

/*
 * Calls `done` once, at once or later, when what the name leads to is known and still good, and,
 * where it is to be connected to, its listeners are there (or name->error says that they are not).
 * -EBUSY: too many wait for its listeners already, or there is no memory.
 */
int name_await(struct gateway *g, struct name *n, bool listeners,
	       void (*done)(void *arg, struct name *n), void *arg);

/* Who is gone waits no longer. */
void name_forget(struct name *n, const void *arg);

/* The keeper's answer to GATEWAY_OPEN. Takes the descriptors. */
void names_opened(struct gateway *g, const struct gateway_message *m, const int *fds, size_t n);

/* A listener that was there from the start, at an address that a rule names. Takes it. */
int names_add_address(struct gateway *g, int fd);

/* conn.c: somebody connects. */
void conn_accept(struct source *s, uint32_t events);
