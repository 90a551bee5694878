/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of every file takes as long as it takes, so whoever waits is told how far it is, and can
 * end it. The guard of the start (message.h) is for what has hung: it begins anew as long as there
 * is something to tell. Nothing of the payload's has run by then, and what was copied goes with the
 * rest of the sandbox.
 */
#include "keeper/progress.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"

/* Fast enough for who presses ^C; a second is for who reads. */
#define LOOK_NS        250000000LL
#define LOOKS_PER_TELL 4

static int32_t bounded(uint64_t n)
{
	return n < INT32_MAX ? (int32_t)n : INT32_MAX;
}

/* A front that does not read has news enough. */
static void tell(int front, uint64_t files, uint64_t bytes)
{
	const struct message m = {
		.op = MSG_PROGRESS, .a = bounded(files), .b = bounded(bytes >> 20)};

	(void)send(front, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool is_end(int signal_number)
{
	return signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP ||
	       signal_number == SIGQUIT;
}

/* What else is passed on finds no command yet. */
static int listen_to(struct keeper *k, int front)
{
	struct message m;
	ssize_t n;

	while ((n = recv(front, &m, sizeof(m), MSG_DONTWAIT)) == (ssize_t)sizeof(m)) {
		if (m.op == MSG_SIGNAL && is_end(m.a)) {
			k->stopped = true;
			return -ECANCELED;
		}
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

int keeper_progress(void *arg, uint64_t files, uint64_t bytes)
{
	struct keeper *k = arg;
	int front = k->main ? k->main->front : k->front, r;
	int64_t now = clock_now_ns();

	if (now - k->looked_ns < LOOK_NS) {
		return 0;
	}
	k->looked_ns = now;
	(void)alarm(KEEPER_START_SECONDS);
	if (++k->looks % LOOKS_PER_TELL == 0) {
		tell(front, files, bytes);
	}
	r = listen_to(k, front);
	if (r < 0) {
		(void)alarm(0); /* what was copied is removed, however much it is */
	}
	return r;
}
