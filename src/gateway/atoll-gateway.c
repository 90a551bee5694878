/* SPDX-License-Identifier: Apache-2.0 */
/* The program atoll-gateway: see gateway.h. The keeper starts it (keeper/egress.c). */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "gateway/conn.h"
#include "gateway/gateway.h"
#include "gateway/names.h"
#include "gateway/resolve.h"
#include "gateway/server.h"
#include "linux/fdpass.h"
#include "linux/route.h"
#include "policy/plan.h"

#define TICK_MS 500

#define DRAIN_TURN_MS 10

/* What the keeper hands over at the start. */
struct start {
	json_t *config;
	int sockets[GATEWAY_LISTENER];
	int listeners[PLAN_NET_MAX];
	size_t n_listeners;
	int64_t uid;
};

static int take_denied(struct gateway *g, const json_t *deny, struct err *e)
{
	const json_t *text;
	size_t i;

	g->deny = calloc(json_array_size(deny) + 1, sizeof(*g->deny));
	if (!g->deny) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	json_array_foreach(deny, i, text)
	{
		if (!json_is_string(text) ||
		    hostname_canonical(json_string_value(text), g->deny[g->n_deny++], e) < 0) {
			return err_set(e, ERR_BUG, EINVAL, "what is denied is no host");
		}
	}
	return 0;
}

static int take_limits(struct gateway *g, const json_t *config, struct err *e)
{
	json_int_t connections, bytes, host, requests, cooldown;
	int learn;
	const char *sandbox;

	if (json_unpack((json_t *)config, "{s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "sandbox",
			&sandbox, "learn", &learn, "connections", &connections, "bytes", &bytes,
			"host_bytes", &host, "requests", &requests, "cooldown_ms", &cooldown) < 0 ||
	    connections < 1 || bytes < 1 || host < 1 || requests < 1 || cooldown < 0) {
		return err_set(e, ERR_BUG, EINVAL, "the limits are none");
	}
	(void)snprintf(g->sandbox, sizeof(g->sandbox), "%s", sandbox);
	g->learn = learn;
	g->limits = (struct gateway_limits){.connections = (size_t)connections,
					    .bytes = (uint64_t)bytes,
					    .host_bytes = (uint64_t)host,
					    .requests = (uint64_t)requests,
					    .cooldown_ns = cooldown * 1000000LL};
	return 0;
}

static int take_config(struct gateway *g, struct start *s, int fd, struct err *e)
{
	const json_t *allow, *uid, *text;
	size_t i;

	s->config = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	(void)fd_close(fd);
	if (take_limits(g, s->config, e) < 0 ||
	    take_denied(g, json_object_get(s->config, "deny"), e) < 0) {
		return -e->code;
	}
	allow = json_object_get(s->config, "allow");
	uid = json_object_get(s->config, "uid");
	s->uid = json_is_integer(uid) ? json_integer_value(uid) : -1;
	g->rules = calloc(json_array_size(allow) + 1, sizeof(*g->rules));
	if (!g->rules) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	json_array_foreach(allow, i, text)
	{
		if (!json_is_string(text) ||
		    destination_parse(json_string_value(text), &g->rules[g->n_rules++], e) < 0) {
			return err_set(e, ERR_BUG, EINVAL, "a rule is no destination");
		}
	}
	return g->n_rules > 0 || g->learn ? 0 : err_set(e, ERR_BUG, EINVAL, "there are no rules");
}

/* Until everything is here: the sockets of one kind come in as many messages as they need. */
static int receive_start(struct gateway *g, struct start *s, struct err *e)
{
	for (;;) {
		struct gateway_message m;
		int fds[FDPASS_MAX];
		size_t n = FDPASS_MAX;
		ssize_t len = fdpass_recv(GATEWAY_FD, &m, sizeof(m), fds, &n);
		int r = 0;

		if (len != (ssize_t)sizeof(m)) {
			return err_set(e, ERR_SYSTEM, EPIPE, "the keeper went away");
		}
		if (m.op == GATEWAY_CONFIG && n == 1 && !s->config) {
			r = take_config(g, s, fds[0], e);
		} else if (m.op == GATEWAY_SOCKETS && m.id < GATEWAY_LISTENER && n == 1) {
			s->sockets[m.id] = fds[0];
		} else if (m.op == GATEWAY_SOCKETS && m.id == GATEWAY_LISTENER &&
			   s->n_listeners + n <= ARRAY_SIZE(s->listeners)) {
			memcpy(s->listeners + s->n_listeners, fds, n * sizeof(*fds));
			s->n_listeners += n;
		} else if (m.op == GATEWAY_READY && n == 0 && s->config) {
			return 0;
		} else {
			return err_set(e, ERR_BUG, EPROTO, "the keeper sent something else");
		}
		if (r < 0) {
			return r;
		}
	}
}

static const char *text_of(const json_t *config, const char *key)
{
	const char *text = json_string_value(json_object_get(config, key));

	return text ? text : "";
}

static void take_servers(struct gateway *g, int fd)
{
	_cleanup_json_ json_t *doc = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);

	(void)fd_close(fd);
	resolver_renew(g->resolver, text_of(doc, "resolv_conf"), text_of(doc, "hosts"));
}

static void control_ready(struct source *source, uint32_t events)
{
	struct gateway *g = (struct gateway *)((char *)source - offsetof(struct gateway, control));
	struct gateway_message m;
	int fds[FDPASS_MAX];
	size_t n = FDPASS_MAX;
	ssize_t len = fdpass_recv(source->fd, &m, sizeof(m), fds, &n);

	(void)events;
	if (len == 0) {
		/* Once: that it has gone altogether is news of its own. */
		g->over = g->ending || source_change(&g->sources, source, 0) < 0;
		g->ending = true;
		return;
	}
	if (len == (ssize_t)sizeof(m) && m.op == GATEWAY_STOP && n == 0) {
		g->stopped = true;
		return;
	}
	if (len == (ssize_t)sizeof(m) && m.op == GATEWAY_SERVERS && n == 1) {
		take_servers(g, fds[0]);
		return;
	}
	if (len != (ssize_t)sizeof(m) || m.op != GATEWAY_LISTENERS) {
		g->over = true;
		return;
	}
	names_opened(g, &m, fds, n);
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static int set_up(struct gateway *g, struct start *s, struct err *e)
{
	struct rlimit files;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return err_sys(e, errno, "cannot read limits");
	}
	g->files = files.rlim_max; /* see confine() */
	if (sources_open(&g->sources) < 0 || !(g->names = names_new())) {
		return out_of_memory(e);
	}
	r = resolver_new(g, text_of(s->config, "resolv_conf"), text_of(s->config, "hosts"),
			 &g->resolver, e);
	if (r < 0) {
		return r;
	}
	g->routes = route_open();
	if (g->routes < 0) {
		return err_sys(e, -g->routes, "cannot ask for routes");
	}
	g->server = server_new(g, s->sockets[GATEWAY_DNS_UDP], s->sockets[GATEWAY_DNS_TCP]);
	g->control = (struct source){GATEWAY_FD, control_ready};
	g->observer = (struct source){s->sockets[GATEWAY_OBSERVER], watch_ready};
	if (!g->server || source_add(&g->sources, &g->control, EPOLLIN) < 0 ||
	    source_add(&g->sources, &g->observer, EPOLLIN) < 0) {
		return out_of_memory(e);
	}
	for (size_t i = 0; i < s->n_listeners; i++) {
		if (names_add_address(g, s->listeners[i]) < 0) {
			return out_of_memory(e);
		}
	}
	return 0;
}

/* How long nothing can happen without news. */
static int patience(const struct gateway *g)
{
	const int all[] = {resolver_timeout(g->resolver), report_patience(g),
			   conns_are_timed(g) ? TICK_MS : -1};
	int least = -1;

	if (g->hurried) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		least = all[i] >= 0 && (least < 0 || all[i] < least) ? all[i] : least;
	}
	return least;
}

/* What the payload has said before it ended goes on to where it was going, for a while. */
static bool is_done(const struct gateway *g, int64_t *until_ns)
{
	int64_t now = clock_now_ns();

	if (g->over || !g->ending) {
		return g->over;
	}
	if (*until_ns == 0 && !g->stopped) {
		*until_ns = now + GATEWAY_DRAIN_MS * 1000000LL;
		return false; /* what is there now is looked at in any case */
	}
	return g->stopped || now >= *until_ns || !conns_owe(g);
}

static int serve(struct gateway *g)
{
	int64_t ticked = 0, until = 0;

	while (!is_done(g, &until)) {
		bool first = g->ending && !conns_owe(g);
		int64_t now;

		if (sources_wait(&g->sources, first       ? 0
					      : g->ending ? DRAIN_TURN_MS
							  : patience(g)) < 0) {
			return -errno;
		}
		conns_carry(g);
		resolver_tick(g->resolver);
		report_due(g);
		now = clock_now_ns();
		if (now - ticked > TICK_MS * 1000000LL) {
			ticked = now;
			conns_tick(g);
			server_tick(g->server);
		}
	}
	conns_end(g);
	report_rest(g);
	return 0;
}

static void say(struct gateway *g, enum gateway_op op, const struct err *e)
{
	struct gateway_message m = {.op = op, .code = e ? e->code : 0};

	(void)snprintf(m.text, sizeof(m.text), "%.*s", (int)sizeof(m.text) - 1, e ? e->msg : "");
	g->control.fd = GATEWAY_FD;
	report(g, &m);
}

int main(void)
{
	struct gateway g = {};
	struct start s = {.sockets = {FD_NONE, FD_NONE, FD_NONE}};
	struct err e = {};
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = receive_start(&g, &s, &e);
	r = r < 0 ? r : set_up(&g, &s, &e);
	r = r < 0 ? r : confine(&g, s.uid, &e);
	json_decref(s.config);
	if (r < 0) {
		say(&g, GATEWAY_FAILED, &e);
		return 1;
	}
	say(&g, GATEWAY_READY, NULL);
	return serve(&g) < 0;
}
