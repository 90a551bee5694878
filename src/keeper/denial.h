/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Denials: what was refused, under which rule, how often. Each kind has a stable code, a sentence
 * for the agent on how to go on inside the walls, and a remedy that widens them, for humans only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct err;
struct seccomp_denial;
struct trail;

enum denial_code {
	DENIAL_SYSCALL_ABI,
	DENIAL_SOCKET_FAMILY,
	DENIAL_NAMESPACE,
	DENIAL_MOUNT,
	DENIAL_TRACE,
	DENIAL_TERMINAL,
	DENIAL_KERNEL,
	DENIAL_DEVICE_NODE,
	DENIAL_SET_ID,
	DENIAL_INIT,
	DENIAL_SYSCALL,
	DENIAL_NETWORK,
	DENIAL_NET_NAME,
	DENIAL_NET_DENIED,
	DENIAL_NET_ADDRESS,
	DENIAL_NET_PRIVATE,
	DENIAL_NET_PROTOCOL,
	DENIAL_NET_UDP,
	DENIAL_NET_LIMIT,
	DENIAL_PROCESSES,
	DENIAL_COUNT,
};

struct denial_kind {
	const char *code;   /* stable */
	const char *rule;   /* the key of the policy that decides it */
	const char *agent;  /* how to go on */
	const char *remedy; /* how a human widens it */
	unsigned weight;    /* how much of an escape it is: 0, everyday; 4, of no other use */
};

/* The documented table (docs/denials.md), by code. */
const struct denial_kind *denial_kind(enum denial_code code);

/* The code for a refused system call. */
enum denial_code denial_classify(const struct seccomp_denial *d);

/* Distinct (code, what) pairs that are told apart: those of the gateway, which has ids for as many,
 * and others. A payload finds as many of either as it likes. */
#define DENIAL_MAX_NET   48
#define DENIAL_MAX_OTHER 64
#define DENIAL_MAX       (DENIAL_MAX_NET + DENIAL_MAX_OTHER)

/* Collected for one sandbox. */
struct denials {
	struct denial_entry {
		enum denial_code code;
		char what[272]; /* a host and a port fit */
		uint64_t count;
		char request[16]; /* of its first request, in this sandbox */
	} entries[DENIAL_MAX];
	unsigned n;
	uint64_t total;
	uint32_t beyond; /* bits: codes of what there was no room for */
};

/* `request` is how the payload was told to call it; NULL: it is counted here. True when this is the
 * first of its kind, which is then worth a record. */
bool denials_add(struct denials *d, enum denial_code code, const char *what, const char *request,
		 uint64_t count);

/* One entry as JSON: for the trail and the result. NULL: out of memory. */
json_t *denial_to_json(const struct denial_entry *entry, const char *sandbox);

/* The sum of the weights of all different refusals, each counted once; of those that there was no
 * room for each code once, so that many everyday ones hide none of the others. */
unsigned denials_score(const struct denials *d);

/* All of them. */
json_t *denials_to_json(const struct denials *d, const char *sandbox);
