/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway waits for: descriptors in one epoll(7) set. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* One of them. It lies in what it belongs to; a descriptor is closed by that. */
struct source {
	int fd; /* FD_NONE: it is in no set */
	void (*ready)(struct source *s, uint32_t events);
};

#define SOURCES_BATCH 64

struct sources {
	int epoll;
	/* Events of the current wait. Who is closed meanwhile is struck out: what it lay in may be
	 * gone. */
	struct epoll_event batch[SOURCES_BATCH];
	int n_batch;
};

int sources_open(struct sources *set);

/* `events` are EPOLL* bits. 0 or -errno. */
int source_add(struct sources *set, struct source *s, uint32_t events);
int source_change(struct sources *set, struct source *s, uint32_t events);

/* Closes the descriptor, which nobody else has: by that it is out of the set (epoll(7)). Of events
 * that are on their way it hears nothing more. */
void source_close(struct sources *set, struct source *s);

/* Of events that are on their way to it, it hears nothing more. */
void sources_strike(struct sources *set, const struct source *s);

/* Waits at most so long (-1: for ever) and calls whoever is ready. 0 or -errno. */
int sources_wait(struct sources *set, int timeout_ms);
