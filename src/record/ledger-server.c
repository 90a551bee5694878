/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving the ledger.
 *
 * TRUST: every byte that a client sends. Who it is the kernel says (SO_PEERCRED: the user at
 * connect(2)); what that one may ask is for ledger-rights.c.
 *
 * A client is in one of three states. It *sends*: the length, then as many bytes; room is made for
 * what has come and not for what was announced. It is *ready*: its request is whole. It *takes*:
 * its answer is on the way, and nothing is read from it before all of that is taken. Then it sends
 * again, or goes. Each state has a time in which it must be over. What is no message ends the
 * connection: nothing is ever looked for in the middle of garbage.
 *
 * Nobody waits for a client, for all of that is done as far as it can be done without waiting. Nor
 * for a user: in a turn one request of each is answered, and the next turn begins behind the one
 * who was last. A request takes milliseconds, for answers come in pages; whose took long, because
 * the books are, owes the others that time, and is heard when nobody else has anything to ask for
 * some times as long. Whoever has many
 * connections takes none from others: there is a limit for each user, and where all are taken the
 * one with the most loses the one that has said nothing for longest. Strangers count as one user.
 */
#include "record/ledger-server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "record/ledger-internal.h"
#include "record/ledger-rights.h"
#include "record/remote.h"

/* What a user's clients may have waiting for them in answers before the next one is begun. */
#define UNTAKEN_MAX (8 * 1024 * 1024)
#define ACCEPT_TURN 64
#define READ_STEP   4096
/* What is said of clients that break the rules, at most so often. */
#define COMPLAIN_NS 10000000000LL
/* A request that others notice, and for how many times as long they come first. */
#define SLOW_NS   30000000LL
#define OWED_TIME 8

const struct ledger_server_limits ledger_server_limits_default = {
	.clients = 1024,
	.per_user = 256,
	.idle_ms = 30000,
	.request_ms = 5000,
	.answer_ms = 5000,
};

enum state { SENDS, READY, TAKES };

/* All of those who may use no account, of whom one person can be many: one user. */
#define STRANGERS (-2)

struct client {
	int fd;
	int64_t uid;
	int64_t whose; /* whom it counts for: the uid, or STRANGERS */
	enum state state;
	int64_t since_ns; /* that it is in this state, or that it began to send */
	char *in, *out;
	size_t n_in, room; /* with the length before it */
	size_t n_out, sent;
	bool over;
};

struct debt {
	int64_t whose;
	int64_t until_ns;
};

struct ledger_server {
	int listener;
	struct ledger *ledger;
	struct ledger_server_limits limits;
	struct client *clients;
	struct pollfd *polls; /* of the clients, behind the two others */
	int64_t *heard;       /* in this turn */
	struct debt *debts;   /* as many as there can be clients */
	size_t n_debts;
	size_t n;
	size_t next; /* who is looked at first */
	uint64_t broken;
	int64_t said_ns;
};

int ledger_server_new(struct ledger_server **ret, int listener, struct ledger *l,
		      const struct ledger_server_limits *limits, struct err *e)
{
	struct ledger_server *s = calloc(1, sizeof(*s));

	if (s) {
		*s = (struct ledger_server){.listener = listener, .ledger = l, .limits = *limits};
		s->clients = calloc(limits->clients, sizeof(*s->clients));
		s->polls = calloc(limits->clients + 2, sizeof(*s->polls));
		s->heard = calloc(limits->clients, sizeof(*s->heard));
		s->debts = calloc(limits->clients, sizeof(*s->debts));
	}
	if (!s || !s->clients || !s->polls || !s->heard || !s->debts) {
		ledger_server_free(s);
		return ledger_no_memory(e);
	}
	*ret = s;
	return 0;
}

static void client_done(struct client *c)
{
	c->fd = fd_close(c->fd);
	free(c->in);
	free(c->out);
	*c = (struct client){.fd = FD_NONE};
}

void ledger_server_free(struct ledger_server *s)
{
	if (!s) {
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		client_done(&s->clients[i]);
	}
	free(s->clients);
	free(s->polls);
	free(s->heard);
	free(s->debts);
	free(s);
}

size_t ledger_server_clients(const struct ledger_server *s)
{
	return s->n;
}

/* ---- messages ---- */

static void complain(struct ledger_server *s, const struct client *c, const char *what)
{
	int64_t now = clock_now_ns();

	s->broken++;
	if (s->said_ns == 0 || now - s->said_ns >= COMPLAIN_NS) {
		s->said_ns = now;
		(void)fprintf(stderr,
			      "atoll-ledger: a client of uid %" PRId64 " %s (%" PRIu64 " so far)\n",
			      c->uid, what, s->broken);
	}
}

/* As far as it goes without waiting. */
static void send_out(struct client *c)
{
	while (c->sent < c->n_out) {
		ssize_t n = send(c->fd, c->out + c->sent, c->n_out - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			c->over = c->over || errno != EAGAIN;
			return;
		}
		c->sent += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	c->n_out = c->sent = 0;
	c->state = SENDS;
	c->since_ns = clock_now_ns();
}

/* Takes the reply; NULL: no memory, and the connection ends. */
static void put_out(struct client *c, json_t *reply)
{
	_cleanup_json_ json_t *taken = reply;
	_cleanup_free_ char *text = taken ? json_dumps(taken, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	uint32_t head = (uint32_t)len;

	if (!text || len > LEDGER_REPLY_MAX || !(c->out = malloc(sizeof(head) + len))) {
		c->over = true;
		return;
	}
	memcpy(c->out, &head, sizeof(head));
	memcpy(c->out + sizeof(head), text, len);
	c->n_out = sizeof(head) + len;
	c->state = TAKES;
	c->since_ns = clock_now_ns();
	send_out(c);
}

/* How long the message is, as far as that is known: at first as long as its length. 0: too long. */
static size_t wanted(const struct client *c)
{
	uint32_t len;

	if (c->n_in < sizeof(len)) {
		return sizeof(len);
	}
	memcpy(&len, c->in, sizeof(len));
	return len == 0 || len > LEDGER_REQUEST_MAX ? 0 : sizeof(len) + len;
}

static bool make_room(struct client *c, size_t want)
{
	size_t room = c->n_in + READ_STEP < want ? c->n_in + READ_STEP : want;
	char *more = c->room >= room ? c->in : realloc(c->in, room);

	if (!more) {
		return false;
	}
	c->in = more;
	c->room = c->room > room ? c->room : room;
	return true;
}

/* What it has sent of one message, and never of the next one. */
static void take_in(struct ledger_server *s, struct client *c)
{
	for (size_t want = wanted(c); !c->over && c->state == SENDS; want = wanted(c)) {
		ssize_t n;

		if (want == 0) {
			complain(s, c, "sent what is no request");
			c->over = true;
			return;
		}
		if (c->n_in == want) {
			c->state = READY;
			return;
		}
		if (!make_room(c, want)) {
			c->over = true;
			return;
		}
		n = recv(c->fd, c->in + c->n_in, (c->room < want ? c->room : want) - c->n_in,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			c->over = n == 0 || errno != EAGAIN;
			return;
		}
		c->since_ns = c->n_in == 0 ? clock_now_ns() : c->since_ns;
		c->n_in += (size_t)n;
	}
}

static void answer(struct ledger_server *s, struct client *c)
{
	const size_t head = sizeof(uint32_t);
	_cleanup_json_ json_t *request =
		json_loadb(c->in + head, c->n_in - head, JSON_REJECT_DUPLICATES, NULL);
	json_t *reply = NULL;
	struct err e = {};

	free(c->in);
	c->in = NULL;
	c->n_in = c->room = 0;
	if (!json_is_object(request)) {
		complain(s, c, "sent what is no document");
		c->over = true;
		return;
	}
	if (ledger_handle_for(s->ledger, c->uid, request, &reply, &e) < 0) {
		reply = ledger_error(&e);
	}
	put_out(c, reply);
}

/* ---- who comes, and who goes ---- */

static size_t count_of(const struct ledger_server *s, int64_t whose)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		n += s->clients[i].whose == whose;
	}
	return n;
}

static size_t untaken_of(const struct ledger_server *s, int64_t whose)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		n += s->clients[i].whose == whose ? s->clients[i].n_out - s->clients[i].sent : 0;
	}
	return n;
}

static void drop(struct ledger_server *s, size_t i)
{
	client_done(&s->clients[i]);
	s->clients[i] = s->clients[--s->n];
}

/* Room for one more of that user, from whoever has the most. */
static bool give_room(struct ledger_server *s, int64_t whose)
{
	size_t most = count_of(s, whose), victim = s->n;

	if (most >= s->limits.per_user) {
		return false;
	}
	if (s->n < s->limits.clients) {
		return true;
	}
	for (size_t i = 0; i < s->n; i++) {
		size_t n = count_of(s, s->clients[i].whose);

		if (n > most || (n == most && victim < s->n &&
				 s->clients[i].whose == s->clients[victim].whose &&
				 s->clients[i].since_ns < s->clients[victim].since_ns)) {
			most = n;
			victim = i;
		}
	}
	if (victim == s->n) {
		return false;
	}
	drop(s, victim);
	return true;
}

/* Said without waiting for anybody to hear it. */
static void refuse(struct client *c)
{
	struct err e = {};

	(void)err_set(&e, ERR_SYSTEM, EUSERS,
		      "the ledger has too many connections of uid %" PRId64
		      " (or of all); try again in a moment",
		      c->uid);
	put_out(c, ledger_error(&e));
}

static void accept_some(struct ledger_server *s)
{
	for (int i = 0; i < ACCEPT_TURN; i++) {
		struct client c = {
			.fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK),
			.since_ns = clock_now_ns()};
		struct ucred who = {};
		socklen_t len = sizeof(who);

		if (c.fd < 0) {
			return;
		}
		if (getsockopt(c.fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
		    len != sizeof(who) || who.uid == (uid_t)-1) {
			client_done(&c);
			continue;
		}
		/* Our own user has the file: root's rights are no more than that. */
		c.uid = who.uid == geteuid() ? 0 : who.uid;
		c.whose = ledger_is_member(s->ledger->store, c.uid, NULL) > 0 ? c.uid : STRANGERS;
		if (!give_room(s, c.whose)) {
			refuse(&c);
			client_done(&c);
			continue;
		}
		s->clients[s->n++] = c;
	}
}

static int time_of(const struct ledger_server *s, const struct client *c)
{
	return c->state == TAKES   ? s->limits.answer_ms
	       : c->state == READY ? -1
	       : c->n_in > 0       ? s->limits.request_ms
				   : s->limits.idle_ms;
}

static void drop_those_over(struct ledger_server *s)
{
	int64_t now = clock_now_ns();

	for (size_t i = s->n; i-- > 0;) {
		struct client *c = &s->clients[i];
		int ms = time_of(s, c);
		bool late = ms >= 0 && now - c->since_ns >= ms * 1000000LL;

		if (late && (c->n_in > 0 || c->n_out > 0)) {
			complain(s, c, c->n_in > 0 ? "sent half a request" : "took no answer");
		}
		if (c->over || late) {
			drop(s, i);
		}
	}
}

/* ---- a turn ---- */

static bool was_heard(const struct ledger_server *s, size_t n_heard, int64_t whose)
{
	for (size_t i = 0; i < n_heard; i++) {
		if (s->heard[i] == whose) {
			return true;
		}
	}
	return false;
}

static bool owes(const struct ledger_server *s, int64_t whose, int64_t now)
{
	for (size_t i = 0; i < s->n_debts; i++) {
		if (s->debts[i].whose == whose) {
			return now < s->debts[i].until_ns;
		}
	}
	return false;
}

static void note_debt(struct ledger_server *s, int64_t whose, int64_t since)
{
	int64_t now = clock_now_ns();
	size_t at = 0;

	if (now - since < SLOW_NS) {
		return;
	}
	while (at < s->n_debts && s->debts[at].whose != whose) {
		at++;
	}
	for (size_t i = 0; at == s->n_debts && i < s->n_debts; i++) {
		at = s->debts[i].until_ns <= now ? i : at;
	}
	if (at < s->limits.clients) {
		s->debts[at] = (struct debt){whose, now + OWED_TIME * (now - since)};
		s->n_debts = at == s->n_debts ? at + 1 : s->n_debts;
	}
}

static bool can_be_heard(const struct ledger_server *s, const struct client *c)
{
	return c->state == READY && !c->over && untaken_of(s, c->whose) <= UNTAKEN_MAX;
}

/* One request of each user who owes nothing, or of one of those who do; those behind the last one
 * who was heard come first. */
static size_t answer_each(struct ledger_server *s, bool owing)
{
	size_t n = s->n, first = n > 0 ? s->next % n : 0, n_heard = 0;

	for (size_t k = 0; k < n && !(owing && n_heard > 0); k++) {
		struct client *c = &s->clients[(first + k) % n];
		int64_t now = clock_now_ns();

		if (can_be_heard(s, c) && !was_heard(s, n_heard, c->whose) &&
		    owes(s, c->whose, now) == owing) {
			s->heard[n_heard++] = c->whose;
			s->next = (first + k) % n + 1;
			answer(s, c);
			note_debt(s, c->whose, now);
		}
	}
	return n_heard;
}

static void answer_some(struct ledger_server *s)
{
	if (answer_each(s, false) == 0) {
		(void)answer_each(s, true);
	}
}

static bool any_ready(const struct ledger_server *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (can_be_heard(s, &s->clients[i])) {
			return true;
		}
	}
	return false;
}

/* How long nobody's time is up. */
static int patience(const struct ledger_server *s, int timeout_ms)
{
	int64_t now = clock_now_ns();

	for (size_t i = 0; i < s->n; i++) {
		int ms = time_of(s, &s->clients[i]);
		int64_t left = ms - (now - s->clients[i].since_ns) / 1000000 + 1;

		if (ms >= 0 && (timeout_ms < 0 || left < timeout_ms)) {
			timeout_ms = left > 0 ? (int)left : 0;
		}
	}
	return any_ready(s) ? 0 : timeout_ms;
}

int ledger_server_turn(struct ledger_server *s, int stop, int timeout_ms, struct err *e)
{
	struct pollfd *w = s->polls;
	size_t n = s->n;

	w[0] = (struct pollfd){.fd = stop, .events = POLLIN};
	w[1] = (struct pollfd){.fd = s->listener, .events = POLLIN};
	for (size_t i = 0; i < n; i++) {
		static const short events[] = {[SENDS] = POLLIN, [READY] = 0, [TAKES] = POLLOUT};

		/* Whoever is ready and has gone would be news again and again. */
		w[2 + i] = (struct pollfd){.fd = s->clients[i].state == READY ? FD_NONE
									      : s->clients[i].fd,
					   .events = events[s->clients[i].state]};
	}
	if (poll(w, n + 2, patience(s, timeout_ms)) < 0) {
		return errno == EINTR ? 0 : err_sys(e, errno, "cannot wait for requests");
	}
	for (size_t i = 0; i < n; i++) {
		struct client *c = &s->clients[i];

		if (w[2 + i].revents && c->state == SENDS) {
			take_in(s, c);
		} else if (w[2 + i].revents && c->state == TAKES) {
			send_out(c);
		}
		/* Who has gone before it was heard is heard all the same: what it asked for may be
		 * what ends a sandbox. */
	}
	answer_some(s);
	drop_those_over(s);
	if (w[1].revents) {
		accept_some(s);
	}
	return w[0].revents ? 1 : 0;
}
