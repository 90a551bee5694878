/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pump moves a payload's output to the front, byte for byte, without blocking: by splice(2) from
 * pipe to pipe; by copying from a terminal, and where somebody else has a look at what goes by, or
 * nobody but that one is there to take it. It waits either for input or for room, never for both,
 * so a front that does not read stops the payload (back-pressure) and nothing else.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUMP_BUFFER 65536

struct pump;

/* Has a look at bytes that have come, before they go on. */
typedef void pump_tap(void *data, const struct pump *p, const char *bytes, size_t len);

struct pump {
	int in;  /* owned; FD_NONE when done */
	int out; /* owned; FD_NONE when done, or when nobody takes it */
	bool terminal;
	bool full; /* waiting for room in `out` */
	bool over; /* there is more than the budget allows; nothing moves any more */
	bool ends; /* it moves `last` bytes more, and is done */
	uint64_t last;
	uint64_t *budget; /* bytes that all pumps together may still move */
	uint64_t bytes;
	char *buffer; /* when copying: PUMP_BUFFER bytes, [from, to) is waiting */
	size_t from, to;
	pump_tap *tap; /* NULL: nobody looks */
	void *tap_data;
};

/* Takes both descriptors and makes them non-blocking; borrows the budget. With `out`
 * FD_NONE nobody takes it. 0 or -ENOMEM. */
int pump_init(struct pump *p, int in, int out, bool terminal, uint64_t *budget);

/* Shows all that moves to `tap`, which knows the pump by its address. 0 or -ENOMEM. */
int pump_tap_to(struct pump *p, pump_tap *tap, void *data);
void pump_done(struct pump *p);

static inline bool pump_active(const struct pump *p)
{
	return p->in >= 0;
}

/* Fills in what to poll for. */
void pump_poll(const struct pump *p, struct pollfd *pfd);

/* Whoever wrote has ended: what is in a pipe by now still goes out, and nothing that others write
 * there later. Of a terminal nobody knows how much is on its way. */
void pump_end(struct pump *p);

/* Moves what can be moved now. Ends the pump at end of file, or when nobody reads any more. */
void pump_run(struct pump *p);
