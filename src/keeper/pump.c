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

static int make_buffer(struct pump *p)
{
	p->buffer = p->buffer ? p->buffer : malloc(PUMP_BUFFER);
	if (!p->buffer) {
		pump_done(p);
		return -ENOMEM;
	}
	return 0;
}

int pump_init(struct pump *p, int in, int out, bool terminal, uint64_t *budget)
{
	*p = (struct pump){.in = in, .out = out, .terminal = terminal, .budget = budget};
	(void)fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	if (out >= 0) {
		(void)fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	}
	return terminal || out < 0 ? make_buffer(p) : 0;
}

int pump_tap_to(struct pump *p, pump_tap *tap, void *data)
{
	p->tap = tap;
	p->tap_data = data;
	return make_buffer(p);
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

/* Reads what has come into the empty buffer. True if something is there to go on. */
static bool take(struct pump *p)
{
	size_t room = p->ends && p->last < PUMP_BUFFER ? (size_t)p->last : PUMP_BUFFER;
	ssize_t n;

	if (p->over) {
		return false;
	}
	if (p->ends && room == 0) {
		pump_done(p);
		return false;
	}
	n = read(p->in, p->buffer, room);
	if (n < 0 && errno == EINTR) {
		return false;
	}
	if (n < 0 && errno == EAGAIN && !p->ends) {
		return false;
	}
	if (n <= 0) {
		/* EIO: the last descriptor of a terminal's other side is closed. At the end
		 * somebody else may have taken what was counted. */
		pump_done(p);
		return false;
	}
	p->last -= p->ends ? (uint64_t)n : 0;
	if ((uint64_t)n > *p->budget) {
		n = (ssize_t)*p->budget;
		p->over = true;
	}
	p->bytes += (uint64_t)n;
	*p->budget -= (uint64_t)n;
	p->from = 0;
	p->to = (size_t)n;
	if (p->tap && n > 0) {
		p->tap(p->tap_data, p, p->buffer, (size_t)n);
	}
	if (p->out < 0) {
		p->from = p->to;
	}
	return n > 0;
}

/* True to go on. */
static bool copy_step(struct pump *p)
{
	ssize_t n;

	if (p->from == p->to && !take(p)) {
		return false;
	}
	if (p->from == p->to) {
		return true;
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

	if (!pump_active(p) || p->terminal) {
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
		if (!(p->buffer ? copy_step(p) : splice_step(p))) {
			break;
		}
	}
}
