/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying bytes. A pipe is lent to a direction while it holds something: an idle connection has
 * none. How much a connection moves in one turn is bounded, so that others have theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "gateway/conn.h"

#define PIPE_BYTES (256UL * 1024)
#define TURN_BYTES (1024UL * 1024)

static bool take_pipe(struct gateway *g, struct flow *f)
{
	if (g->n_pipes > 0) {
		g->n_pipes--;
		f->pipe[0] = g->pipes[g->n_pipes][0];
		f->pipe[1] = g->pipes[g->n_pipes][1];
		return true;
	}
	if (pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		f->pipe[0] = f->pipe[1] = FD_NONE;
		return false;
	}
	/* A user may have only so many large ones; a small one is slower, and no less right. */
	(void)fcntl(f->pipe[1], F_SETPIPE_SZ, (int)PIPE_BYTES);
	return true;
}

void flow_done(struct gateway *g, struct flow *f)
{
	if (f->pipe[0] >= 0 && f->held == 0 && g->n_pipes < GATEWAY_PIPES) {
		g->pipes[g->n_pipes][0] = f->pipe[0];
		g->pipes[g->n_pipes++][1] = f->pipe[1];
	} else {
		(void)fd_close(f->pipe[0]);
		(void)fd_close(f->pipe[1]);
	}
	f->pipe[0] = f->pipe[1] = FD_NONE;
}

enum moved { MOVED_NOTHING, MOVED_SOME, MOVED_RESET, MOVED_TOO_MUCH };

/* No byte may be taken any more; an end may. */
static enum moved await_end(struct flow *f, struct side *from)
{
	char byte;
	ssize_t n = recv(from->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0) {
		return MOVED_TOO_MUCH;
	}
	f->eof = n == 0;
	from->readable = false;
	return n == 0                              ? MOVED_SOME
	       : errno == EAGAIN || errno == EINTR ? MOVED_NOTHING
						   : MOVED_RESET;
}

static enum moved fill(struct conn *c, struct flow *f, struct side *from)
{
	uint64_t left = limit_left(c->gateway, *c->listener->moved);
	size_t most = f->allow < PIPE_BYTES ? (size_t)f->allow : PIPE_BYTES;
	ssize_t n;

	if (left == 0) {
		return await_end(f, from);
	}
	most = left < most ? (size_t)left : most;
	if (f->pipe[0] < 0 && !take_pipe(c->gateway, f)) {
		return MOVED_RESET; /* no room for what it has to say */
	}
	n = splice(from->source.fd, NULL, f->pipe[1], NULL, most,
		   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0) {
		f->held += (size_t)n;
		c->gateway->limits.moved += (uint64_t)n;
		*c->listener->moved += (uint64_t)n;
		f->allow -= f->allow == CONN_ALL ? 0 : (uint64_t)n;
		return MOVED_SOME;
	}
	if (n == 0) {
		f->eof = true;
		return MOVED_SOME;
	}
	if (errno != EAGAIN && errno != EINTR) {
		return MOVED_RESET;
	}
	/* Where the pipe holds something it may be the pipe that has no room. */
	from->readable = from->readable && f->held > 0;
	return MOVED_NOTHING;
}

static enum moved empty(struct flow *f, struct side *to)
{
	ssize_t n = splice(f->pipe[0], NULL, to->source.fd, NULL, f->held,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n > 0) {
		f->held -= (size_t)n;
		f->moved += (uint64_t)n;
		return MOVED_SOME;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		return MOVED_RESET;
	}
	to->writable = false;
	return MOVED_NOTHING;
}

void conn_reset(struct conn *c, struct side *side)
{
	struct flow *to = side == &c->inner ? &c->down : &c->up;

	to->dead = true;
	side->readable = true;
}

/* False: the connection is over. */
static bool take(struct conn *c, struct flow *f, struct side *from, bool *ret_more)
{
	enum moved m = fill(c, f, from);

	if (m == MOVED_TOO_MUCH) {
		conn_refuse(c, GATEWAY_DENY_LIMIT, CONN_NO_BYTES);
		return false;
	}
	if (m == MOVED_RESET) {
		conn_reset(c, from);
		from->readable = false; /* all of it has been read */
	}
	*ret_more = m == MOVED_SOME;
	return true;
}

static void give(struct conn *c, struct flow *f, struct side *to, bool *ret_more)
{
	enum moved m = empty(f, to);

	if (m == MOVED_RESET) {
		conn_reset(c, to);
	}
	/* What `to` has said may be in the direction that had its turn. */
	*ret_more = *ret_more || m != MOVED_NOTHING;
}

static void pass_end(struct conn *c, struct flow *f, struct side *to)
{
	/* Where the server ended first, and was read to its end, it is told by the end of its
	 * socket, at once. */
	if (f == &c->down || !c->down.shut) {
		(void)shutdown(to->source.fd, SHUT_WR);
	}
	f->shut = true;
}

/* One direction, until nothing moves or the turn is over. False: the connection is over. */
static bool carry(struct conn *c, struct flow *f, struct side *from, struct side *to,
		  bool *ret_more)
{
	uint64_t until = f->moved + TURN_BYTES;
	bool more = true;

	while (more && !f->dead && f->moved < until) {
		more = false;
		/* Of HTTP, what comes next has to be judged first. */
		if (f->allow == 0 && !f->eof && from->readable && f == &c->up && !conn_judge(c)) {
			return false;
		}
		if (!f->eof && from->readable && f->allow > 0 && f->held < PIPE_BYTES &&
		    !take(c, f, from, &more)) {
			return false;
		}
		if (f->held > 0 && to->writable) {
			give(c, f, to, &more);
		}
	}
	*ret_more = *ret_more || more;
	if (f->held == 0 && f->pipe[0] >= 0) {
		flow_done(c->gateway, f);
	}
	if (f->eof && f->held == 0 && !f->shut && !c->up.dead && !c->down.dead) {
		pass_end(c, f, to);
	}
	return true;
}

static bool is_empty(const struct flow *f, const struct side *from)
{
	return f->held == 0 && (f->eof || !from->readable);
}

/* True where one side was reset, and nothing is left of what it had said. For the sandbox that
 * waits; a server that takes nothing, or is yet to answer a hello, holds nobody who is gone. */
static bool is_reset(const struct conn *c)
{
	if (c->up.dead && c->down.dead) {
		return true;
	}
	if (c->up.dead) {
		return is_empty(&c->down, &c->outer);
	}
	return c->down.dead &&
	       (is_empty(&c->up, &c->inner) || !c->outer.writable || c->hello == HELLO_SENT);
}

void conn_carry(struct conn *c)
{
	bool more = false;

	if (c->hello == HELLO_SENT && c->outer.readable) {
		conn_judge_answer(c);
	}
	if (!carry(c, &c->up, &c->inner, &c->outer, &more) || c->state != CONN_CARRY ||
	    !carry(c, &c->down, &c->outer, &c->inner, &more)) {
		return;
	}
	if (c->up.shut && c->down.shut) {
		conn_end(c, GATEWAY_END_CLOSED, false);
	} else if (is_reset(c)) {
		conn_end(c, GATEWAY_END_RESET, true);
	} else if (more && !c->in_hurry) {
		c->in_hurry = true;
		c->hurried = c->gateway->hurried;
		c->gateway->hurried = c;
	}
}

void conns_carry(struct gateway *g)
{
	struct conn *list = g->hurried;

	/* Each once; who is still in a hurry afterwards is in the list of the next turn. */
	g->hurried = NULL;
	while (list) {
		struct conn *c = list;

		list = c->hurried;
		c->in_hurry = false;
		/* One may have been refused meanwhile, and says its farewell. */
		if (c->state == CONN_CARRY) {
			conn_carry(c);
		}
	}
}
