/* SPDX-License-Identifier: Apache-2.0 */
/* Moving output. */
#include "keeper/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"

#define STEP (1024 * 1024)
/* Steps in one run, so that one busy stream cannot starve timers and signals. */
#define STEPS 16

int pump_init(struct pump *p, int in, int out, bool copy, uint64_t *budget)
{
	*p = (struct pump){.in = in, .out = out, .copy = copy, .budget = budget};
	(void)fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	(void)fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	if (copy) {
		p->buffer = malloc(PUMP_BUFFER);
		if (!p->buffer) {
			pump_done(p);
			return -ENOMEM;
		}
	}
	return 0;
}

void pump_done(struct pump *p)
{
	p->in = fd_close(p->in);
	p->out = fd_close(p->out);
	free(p->buffer);
	p->buffer = NULL;
}

void pump_poll(const struct pump *p, struct pollfd *pfd)
{
	/* What is over only waits to be ended. */
	bool still = p->over && p->from == p->to;

	*pfd = (struct pollfd){.fd = still     ? FD_NONE
				     : p->full ? p->out
					       : p->in,
			       .events = p->full ? POLLOUT : POLLIN};
}

/* True to go on. */
static bool splice_step(struct pump *p)
{
	size_t step = *p->budget < STEP ? (size_t)*p->budget : STEP;
	struct pollfd pfd = {.fd = p->in, .events = POLLIN};
	ssize_t n;

	if (p->ends && p->last == 0) {
		pump_done(p);
		return false;
	}
	step = p->ends && p->last < step ? (size_t)p->last : step;
	if (step == 0) {
		/* Spent; whether that is too little shows when there is more. */
		p->over = poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
		if (!p->over && (pfd.revents & POLLHUP)) {
			pump_done(p);
		}
		return false;
	}
	n = splice(p->in, NULL, p->out, NULL, step, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0) {
		p->bytes += (uint64_t)n;
		*p->budget -= (uint64_t)n;
		p->last -= p->ends ? (uint64_t)n : 0;
		return true;
	}
	if (n < 0 && errno == EINTR) {
		return true;
	}
	if (n < 0 && errno == EAGAIN) {
		/* EAGAIN does not say which side: with input waiting, it is the room. */
		p->full = poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
		if (p->ends && !p->full) {
			pump_done(p); /* somebody else has taken what was counted */
		}
		return false;
	}
	pump_done(p);
	return false;
}

static bool copy_step(struct pump *p)
{
	ssize_t n;

	if (p->ends && p->from == p->to) {
		pump_done(p);
		return false;
	}
	if (p->over && p->from == p->to) {
		return false;
	}
	if (p->from == p->to) {
		n = read(p->in, p->buffer, PUMP_BUFFER);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return false;
		}
		if (n <= 0) {
			/* EIO: the last descriptor of the terminal's other side is closed. */
			pump_done(p);
			return false;
		}
		if ((uint64_t)n > *p->budget) {
			n = (ssize_t)*p->budget;
			p->over = true;
		}
		p->bytes += (uint64_t)n;
		*p->budget -= (uint64_t)n;
		p->from = 0;
		p->to = (size_t)n;
	}
	if (p->from == p->to) {
		return false;
	}
	n = write(p->out, p->buffer + p->from, p->to - p->from);
	if (n > 0) {
		p->from += (size_t)n;
		return true;
	}
	if (errno == EAGAIN) {
		p->full = true;
		return false;
	}
	pump_done(p);
	return false;
}

void pump_end(struct pump *p)
{
	int left = 0;

	if (!pump_active(p) || p->copy) {
		return;
	}
	(void)ioctl(p->in, FIONREAD, &left);
	p->ends = true;
	p->last = left > 0 ? (uint64_t)left : 0;
}

void pump_run(struct pump *p)
{
	int i;

	p->full = false;
	for (i = 0; pump_active(p) && i < STEPS; i++) {
		if (!(p->copy ? copy_step(p) : splice_step(p))) {
			break;
		}
	}
}
