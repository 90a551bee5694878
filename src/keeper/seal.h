/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: what ends a piece of a trail. A checkpoint signs it with the key of the installation,
 * and is anchored (anchor.h); where that fails the trail says so, and is sealed once more. A
 * sandbox that ends is sealed by its keeper after its result was told; one whose keeper died by
 * whoever finds it; and whoever adds to a trail later (an apply, an expiry) seals it again.
 */
#pragma once

#include <jansson.h>

struct err;
struct state;
struct trail;

/* The end of a keeper, who writes no more: where somebody outside is to be told (anchor.h), a child
 * does that, and has the trail from then on. */
int seal(const struct state *s, struct trail *t, struct err *e);

/* The same for a trail that goes on: nobody outside is waited for. */
int seal_meanwhile(const struct state *s, struct trail *t, struct err *e);

/* What is sealed with an event that is added later. */
enum seal_what {
	SEAL_AGAIN,   /* what was sealed, and is as it was; another record stays without a seal */
	SEAL_PASSING, /* the same by who looks for the dead, and waits for nobody outside */
	SEAL_FIRST,   /* what its keeper has left, if that holds together, is all that was anchored,
		       * and had no seal behind its end yet; nothing is added to one that ended well
		       * and has its seal. Waits for nobody either */
	SEAL_ASKED,   /* what is there: somebody has looked at it, and is told where it fails */
};

/*
 * Adds an event to the trail of a sandbox that has ended, and seals it; takes `data`, whose maker
 * ran out of memory when it is NULL. -ENOENT without *e set: it has none.
 */
int seal_event(const struct state *s, const char *sandbox, const char *event, json_t *data,
	       enum seal_what what, struct err *e);
