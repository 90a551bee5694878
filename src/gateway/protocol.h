/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper and the gateway of a sandbox say to each other, over a SOCK_SEQPACKET pair that
 * is the gateway's descriptor GATEWAY_FD. The gateway parses what a payload and servers send: to
 * the keeper whatever comes from it is foreign. Messages are of one size; texts end in a NUL. When
 * the sandbox is over the keeper closes its direction; the gateway tells the rest, and ends.
 */
#pragma once

#include <stdint.h>

#include "policy/egress.h"
#include "policy/hostname.h"

#define GATEWAY_FD 3

/* How many times GATEWAY_OPEN may wait for its answer: who answers does not wait for room. */
#define GATEWAY_OPENING 32

#define GATEWAY_STALE_S 5

/* So many kinds of refusal have an id; the keeper tells as many apart (keeper/denial.h). */
#define GATEWAY_REQUESTS 48

enum gateway_op {
	/*
	 * Keeper to gateway, first of all: one descriptor, a sealed file with the configuration,
	 * {"sandbox": id, "allow": [destination], "deny": [host], "learn": true or false,
	 * "connections": n, "bytes": n, "host_bytes": n, "requests": n in a minute, "cooldown_ms":
	 * n, "resolv_conf": text, "hosts": text, "uid": n}. Where uid is not null, root started it,
	 * and that is what it becomes.
	 */
	GATEWAY_CONFIG = 1,
	/* Keeper to gateway: sockets of the sandbox; `id` says which (enum gateway_socket). */
	GATEWAY_SOCKETS,
	/* Keeper to gateway: the answer to GATEWAY_OPEN with that id; the listeners in the order of
	 * its ports, or none and `code`, an errno. */
	GATEWAY_LISTENERS,
	/* Keeper to gateway: the sandbox was ended, and did not end by itself. What is on its way
	 * goes nowhere any more. */
	GATEWAY_STOP,
	/* Keeper to gateway, after GATEWAY_STALE: one descriptor, a sealed file with what the host
	 * says now, {"resolv_conf": text, "hosts": text}. */
	GATEWAY_SERVERS,
	/* Gateway to keeper: its walls stand, and it serves. */
	GATEWAY_READY,
	/* Gateway to keeper: it cannot; `text` says why. */
	GATEWAY_FAILED,
	/* Gateway to keeper: it needs listeners at `address`, which stands for `text`, for these
	 * ports. Not more than
	 * GATEWAY_OPENING at once. */
	GATEWAY_OPEN,
	/* Gateway to keeper: no name server answers; there may be others by now. Not more than once
	 * in GATEWAY_STALE_S seconds. */
	GATEWAY_STALE,
	/* Gateway to keeper: there are connections now, of which it did not know (`open`). */
	GATEWAY_CONNECTED,
	/* Gateway to keeper, for the record: a connection is over; something was refused. */
	GATEWAY_CONNECTION,
	GATEWAY_DENIED,
};

enum gateway_socket { GATEWAY_DNS_UDP, GATEWAY_DNS_TCP, GATEWAY_OBSERVER, GATEWAY_LISTENER };

/* Why something was refused; the keeper has a code for each (keeper/denial.h). */
enum gateway_denial {
	GATEWAY_DENY_NAME,     /* no rule names it */
	GATEWAY_DENY_DENIED,   /* a name or an address that network.deny names */
	GATEWAY_DENY_ADDRESS,  /* an address, or a port, that no rule names */
	GATEWAY_DENY_PRIVATE,  /* a name that leads to an address that is nobody's */
	GATEWAY_DENY_PROTOCOL, /* what was sent is not what the rule says */
	GATEWAY_DENY_UDP,
	GATEWAY_DENY_LIMIT, /* too many connections, requests or bytes */
	GATEWAY_DENIALS,
};

/* How a connection ended. */
enum gateway_end {
	GATEWAY_END_CLOSED,      /* by both sides */
	GATEWAY_END_RESET,       /* by one of them */
	GATEWAY_END_UNREACHABLE, /* no address of the name answered */
	GATEWAY_END_UNRESOLVED,  /* the name has no address */
	GATEWAY_END_REFUSED,     /* by the gateway: there is a denial, too */
	GATEWAY_END_STOPPED,     /* the sandbox ended */
	GATEWAY_ENDS,
};

struct gateway_message {
	uint32_t op;
	uint32_t id;  /* of a denial: of the request, or 0 */
	int32_t code; /* an errno; of a denial, enum gateway_denial; of a connection, gateway_end */
	uint32_t open;    /* from the gateway: connections that have not ended */
	uint32_t address; /* IPv4 inside, in the order of the host */
	uint16_t port;    /* that was dialled; 0: none */
	uint16_t tls;     /* the version of the server's hello; 0: none was seen */
	uint16_t rule;    /* of a connection: which of "allow" let it through */
	uint16_t n_ports;
	uint16_t ports[EGRESS_PORTS_MAX];
	char text[HOST_SIZE]; /* the host; of a failure, why */
	char peer[64];        /* of a connection: the address that was dialled for it */
	uint64_t up, down;    /* bytes from the payload, and to it */
	uint64_t count;       /* of a denial: how many, this one included */
	int64_t ns;           /* how long it lasted */
};
