/* SPDX-License-Identifier: Apache-2.0 */
/* The set of descriptors. */
#include "gateway/source.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"

int sources_open(struct sources *set)
{
	set->n_batch = 0;
	set->epoll = epoll_create1(EPOLL_CLOEXEC);
	return set->epoll < 0 ? -errno : 0;
}

static int control(struct sources *set, int op, struct source *s, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = s};

	return epoll_ctl(set->epoll, op, s->fd, &event) < 0 ? -errno : 0;
}

int source_add(struct sources *set, struct source *s, uint32_t events)
{
	return control(set, EPOLL_CTL_ADD, s, events);
}

int source_change(struct sources *set, struct source *s, uint32_t events)
{
	return control(set, EPOLL_CTL_MOD, s, events);
}

void sources_strike(struct sources *set, const struct source *s)
{
	for (int i = 0; i < set->n_batch; i++) {
		if (set->batch[i].data.ptr == s) {
			set->batch[i].data.ptr = NULL;
		}
	}
}

void source_close(struct sources *set, struct source *s)
{
	if (s->fd < 0) {
		return;
	}
	sources_strike(set, s);
	s->fd = fd_close(s->fd);
}

int sources_wait(struct sources *set, int timeout_ms)
{
	int n = epoll_wait(set->epoll, set->batch, SOURCES_BATCH, timeout_ms);

	if (n < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	set->n_batch = n;
	for (int i = 0; i < n; i++) {
		struct source *s = set->batch[i].data.ptr;

		if (s) {
			s->ready(s, set->batch[i].events);
		}
	}
	set->n_batch = 0;
	return 0;
}
