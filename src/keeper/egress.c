/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the gateway, opening listeners for it, writing down what it tells. */
#include "keeper/egress.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/program.h"
#include "linux/clone.h"
#include "linux/fdpass.h"
#include "policy/egress.h"

#define PROGRAM "atoll-gateway"
#define NEEDED  "no destination can be allowed (network.allow)"

/* Of the host's files that say where names are asked. */
#define FILE_MAX (16UL * 1024 * 1024)

/* Messages of the gateway in one turn of the keeper. */
#define TURN 64

/* How long it may go on telling once the sandbox is over. */
#define FAREWELL_NS 1000000000LL

/* And, once it has closed its socket, until it is gone. */
#define END_MS 200

/* A name's listeners, and a turn's sockets, are one message. */
static_assert(EGRESS_PORTS_MAX <= FDPASS_MAX);

/* What has an id is told apart. */
static_assert(GATEWAY_REQUESTS == DENIAL_MAX_NET);

void egress_init(struct egress *x)
{
	*x = (struct egress){.fd = FD_NONE, .pidfd = FD_NONE};
}

void egress_done(struct egress *x)
{
	learned_done(&x->learned);
}

int egress_check(const struct keeper *k, struct err *e)
{
	char path[PATH_MAX];

	return plan_has_gateway(&k->plan) ? program_find(PROGRAM, NEEDED, path, e) : 0;
}

static struct tier_net *net_of(struct keeper *k)
{
	return &k->sandbox.net;
}

/* The first of those that listen. */
static size_t first_listener(const struct tier_net *net)
{
	return TIER_NET_HELD + net->n_held;
}

int egress_open(struct keeper *k, struct err *e)
{
	struct egress *x = &k->egress;
	struct tier_net *net = net_of(k);

	if (!plan_has_gateway(&k->plan)) {
		return 0;
	}
	if (net->n < first_listener(net)) {
		return err_set(e, ERR_BUG, EPROTO, "the sandbox's network has no sockets");
	}
	x->fd = epoll_create1(EPOLL_CLOEXEC);
	if (x->fd < 0) {
		return err_sys(e, errno, "cannot wait for the sandbox's network");
	}
	for (size_t i = TIER_NET_DNS_UDP; i < net->n; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		if ((i < TIER_NET_HELD || i >= first_listener(net)) &&
		    epoll_ctl(x->fd, EPOLL_CTL_ADD, net->fds[i], &event) < 0) {
			return err_sys(e, errno, "cannot wait for the sandbox's network");
		}
	}
	x->state = EGRESS_WAITS;
	return 0;
}

void egress_poll(const struct egress *x, struct pollfd *w)
{
	*w = (struct pollfd){.fd = x->fd, .events = POLLIN};
}

/* ---- starting it ---- */

/* The text of a file of the host, or "" where it cannot be read. */
static json_t *file_text(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, FILE_MAX);
	if (fd < 0 || buf_read_fd(&b, fd) < 0) {
		return json_string("");
	}
	return json_text(buf_str(&b));
}

/* NULL: out of memory. */
static json_t *texts(char *const *list, size_t n)
{
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < n; i++) {
		if (json_array_append_new(j, json_string(list[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

static json_t *make_config(const struct keeper *k, json_int_t uid)
{
	const struct plan_net_limits *l = &k->plan.limits.net;

	return json_pack("{s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "sandbox",
			 k->home.id, "allow", texts(k->plan.net, k->plan.n_net), "deny",
			 texts(k->plan.net_deny, k->plan.n_net_deny), "learn", (int)k->plan.learn,
			 "connections", (json_int_t)l->connections, "bytes", (json_int_t)l->bytes,
			 "host_bytes", (json_int_t)l->host_bytes, "requests",
			 (json_int_t)l->requests, "cooldown_ms",
			 (json_int_t)(l->cooldown / 1000000), "resolv_conf",
			 file_text("/etc/resolv.conf"), "hosts", file_text("/etc/hosts"), "uid",
			 k->plan.identity.from_root ? json_integer(uid) : json_null());
}

/* In a file that nobody can change any more. */
static int send_document(int socket, enum gateway_op op, const json_t *doc, struct err *e)
{
	struct gateway_message m = {.op = op};
	_cleanup_fd_ int fd = memfd_create("gateway", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (!doc || fd < 0 || json_dumpfd(doc, fd, JSON_COMPACT) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot prepare the gateway");
	}
	r = fdpass_send_now(socket, &m, sizeof(m), &fd, 1);
	return r < 0 ? err_sys(e, -r, "cannot reach the gateway") : 0;
}

static int send_config(struct keeper *k, int socket, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;
	uid_t uid = 0;
	int r = k->plan.identity.from_root ? state_host_id(false, &uid, e) : 0;

	if (r < 0) {
		return r;
	}
	doc = make_config(k, uid);
	return send_document(socket, GATEWAY_CONFIG, doc, e);
}

/* No name server answers it: what the host says now. One that asks again too soon is not answered:
 * of two questions the first may have waited here, and one that is left unanswered comes again. */
static int send_servers(struct keeper *k, struct err *e)
{
	struct egress *x = &k->egress;
	int64_t now = clock_now_ns();
	_cleanup_json_ json_t *doc = NULL;
	struct err why = {};

	if (x->stale_ns > 0 && now - x->stale_ns < (GATEWAY_STALE_S - 1) * 1000000000LL) {
		return 0;
	}
	x->stale_ns = now;
	doc = json_pack("{s:o, s:o}", "resolv_conf", file_text("/etc/resolv.conf"), "hosts",
			file_text("/etc/hosts"));
	/* What fails here is asked for again; only one that takes nothing is none any more. */
	if (send_document(x->fd, GATEWAY_SERVERS, doc, &why) >= 0 || why.code == ENOMEM) {
		return 0;
	}
	return err_set(e, ERR_BUG, EPROTO, "the gateway does not take name servers");
}

static int send_sockets(struct keeper *k, int socket, struct err *e)
{
	struct tier_net *net = net_of(k);
	struct gateway_message m = {.op = GATEWAY_SOCKETS};
	int r = 0;

	for (m.id = 0; m.id < GATEWAY_LISTENER && r >= 0; m.id++) {
		r = fdpass_send_now(socket, &m, sizeof(m), &net->fds[TIER_NET_DNS_UDP + m.id], 1);
	}
	m.id = GATEWAY_LISTENER;
	for (size_t i = first_listener(net); i < net->n && r >= 0; i += FDPASS_MAX) {
		size_t n = net->n - i < FDPASS_MAX ? net->n - i : FDPASS_MAX;

		r = fdpass_send_now(socket, &m, sizeof(m), &net->fds[i], n);
	}
	m = (struct gateway_message){.op = GATEWAY_READY};
	r = r < 0 ? r : fdpass_send_now(socket, &m, sizeof(m), NULL, 0);
	return r < 0 ? err_sys(e, -r, "cannot reach the gateway") : 0;
}

/* What is inside of the sandbox's network and not ours to serve: in other hands, or closed with the
 * gateway. What only holds a port stays. */
static void drop_sockets(struct keeper *k)
{
	struct tier_net *net = net_of(k);

	for (size_t i = TIER_NET_DNS_UDP; i < net->n; i++) {
		if (i < TIER_NET_HELD || i >= first_listener(net)) {
			net->fds[i] = fd_close(net->fds[i]);
		}
	}
}

static int write_map(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* In a user namespace of its own it is root there and nobody's root here, so that its capabilities
 * outlast the exec; it gives them up itself (gateway/confine.c). */
static bool map_ids(uid_t uid, gid_t gid)
{
	char text[32];

	if (write_map("/proc/self/setgroups", "deny") < 0) {
		return false;
	}
	(void)snprintf(text, sizeof(text), "0 %u 1", uid);
	if (write_map("/proc/self/uid_map", text) < 0) {
		return false;
	}
	(void)snprintf(text, sizeof(text), "0 %u 1", gid);
	return write_map("/proc/self/gid_map", text) >= 0;
}

static _Noreturn void become_gateway(int program, int socket, bool mapped, uid_t uid, gid_t gid)
{
	char *const argv[] = {(char *)PROGRAM, NULL}, *const env[] = {NULL};
	sigset_t none;
	int null, i;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 1; i < NSIG; i++) {
		(void)signal(i, SIG_DFL);
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (mapped && !map_ids(uid, gid)) {
		_exit(125);
	}
	/* Out of the way of the numbers that are given here. */
	program = fcntl(program, F_DUPFD_CLOEXEC, 10);
	socket = fcntl(socket, F_DUPFD_CLOEXEC, 10);
	null = open("/dev/null", O_RDWR);
	for (i = 0; i < 3; i++) {
		(void)dup2(null, i);
	}
	if (program < 0 || dup2(socket, GATEWAY_FD) < 0 ||
	    syscall(SYS_close_range, GATEWAY_FD + 1, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0) {
		_exit(125);
	}
	(void)syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	_exit(125);
}

static int spawn(struct keeper *k, int socket, struct err *e)
{
	struct egress *x = &k->egress;
	bool mapped = !k->plan.identity.from_root;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
			 (mapped ? (uint64_t)CLONE_NEWUSER : 0),
		.pidfd = (uintptr_t)&x->pidfd,
		.exit_signal = SIGCHLD,
	};
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char path[PATH_MAX];
	_cleanup_fd_ int program = FD_NONE;
	long pid;

	if (program_find(PROGRAM, NEEDED, path, e) < 0) {
		return -e->code;
	}
	program = open(path, O_PATH | O_CLOEXEC);
	pid = program < 0 ? -1 : clone_process(&args, &x->pidfd);
	if (pid < 0) {
		return err_sys(e, errno, "cannot start the gateway");
	}
	if (pid == 0) {
		become_gateway(program, socket, mapped, uid, gid);
	}
	x->pid = (pid_t)pid;
	return 0;
}

static int start(struct keeper *k, struct err *e)
{
	struct egress *x = &k->egress;
	int ends[2], r;

	x->fd = fd_close(x->fd);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return err_sys(e, errno, "cannot make a socket");
	}
	x->fd = ends[0];
	r = spawn(k, ends[1], e);
	(void)fd_close(ends[1]);
	r = r < 0 ? r : send_config(k, x->fd, e);
	r = r < 0 ? r : send_sockets(k, x->fd, e);
	drop_sockets(k);
	x->state = EGRESS_STARTING;
	return r;
}

/* ---- its listeners ---- */

/* Only where and how the rules allow: an address of the range, ports that they name. */
static bool is_due(const struct keeper *k, const struct gateway_message *m)
{
	if (m->address < EGRESS_FIRST || m->address > EGRESS_LAST || m->n_ports == 0 ||
	    m->n_ports > EGRESS_PORTS_MAX) {
		return false;
	}
	for (size_t i = 0; i < m->n_ports; i++) {
		bool named = false;

		for (size_t j = 0; j < k->plan.n_net && !named; j++) {
			struct destination d;
			struct err ignored = {};

			named = destination_parse(k->plan.net[j], &d, &ignored) >= 0 &&
				d.port == m->ports[i];
		}
		if (!named) {
			return false;
		}
	}
	return true;
}

static int make_listener(uint32_t address, uint16_t port)
{
	const struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
			       listen(fd, SOMAXCONN) < 0
		       ? -errno
		       : TAKE_FD(fd);
}

/* In a process of its own, which enters the sandbox's network for a moment. It waits for nobody. */
static _Noreturn void open_inside(const struct tier_net *net, const struct gateway_message *ask,
				  int to)
{
	struct gateway_message m = {.op = GATEWAY_LISTENERS, .id = ask->id};
	int fds[FDPASS_MAX];
	size_t n = 0;

	if (setns(net->fds[TIER_NET_USERNS], CLONE_NEWUSER) < 0 ||
	    setns(net->fds[TIER_NET_NETNS], CLONE_NEWNET) < 0) {
		m.code = errno;
	}
	for (size_t i = 0; i < ask->n_ports && m.code == 0; i++) {
		int fd = make_listener(ask->address, ask->ports[i]);

		if (fd < 0) {
			m.code = -fd;
		} else {
			fds[n++] = fd;
		}
	}
	_exit(fdpass_send_now(to, &m, sizeof(m), fds, m.code == 0 ? n : 0) < 0);
}

/* 0, or why nobody made them. One at a time: a gateway that asks on and on has no crowd started. */
static int start_inside(const struct keeper *k, const struct gateway_message *m, int *ret_status)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	long pid = clone_process(&args, NULL);

	if (pid == 0) {
		open_inside(&k->sandbox.net, m, k->egress.fd);
	}
	while (pid > 0 && waitpid((pid_t)pid, ret_status, __WALL) < 0) {
		if (errno != EINTR) {
			return errno;
		}
	}
	return pid < 0 ? errno : WIFEXITED(*ret_status) ? 0 : ECHILD;
}

/* A name that is asked for is in the trail once: addresses for them only grow. */
static int record_name(struct keeper *k, const struct gateway_message *m, struct err *e)
{
	struct egress *x = &k->egress;

	if (m->address <= x->named || x->names == EGRESS_NAMES_TOLD || !m->text[0]) {
		return 0;
	}
	x->named = m->address;
	x->names++;
	return keeper_record(k, "name", json_pack("{s:o}", "host", json_text(m->text)), e);
}

/* The gateway has the answer from whoever made the listeners, or else from us. It asks for so few
 * at once that there is room for every answer. */
static int open_listeners(struct keeper *k, const struct gateway_message *m, struct err *e)
{
	struct gateway_message no = {.op = GATEWAY_LISTENERS, .id = m->id};
	int status = 0;

	if (!is_due(k, m)) {
		return err_set(e, ERR_BUG, EPROTO,
			       "the gateway asked for listeners that no rule names");
	}
	if (record_name(k, m, e) < 0) {
		return -e->code;
	}
	no.code = start_inside(k, m, &status);
	if (status != 0 && no.code == 0) {
		return err_set(e, ERR_BUG, EPROTO, "the gateway does not take its listeners");
	}
	if (no.code != 0 && fdpass_send_now(k->egress.fd, &no, sizeof(no), NULL, 0) < 0) {
		return err_set(e, ERR_BUG, EPROTO, "the gateway does not listen");
	}
	return 0;
}

/* ---- what it tells ---- */

static enum denial_code code_of(int32_t why)
{
	static const enum denial_code codes[GATEWAY_DENIALS] = {
		[GATEWAY_DENY_NAME] = DENIAL_NET_NAME,
		[GATEWAY_DENY_DENIED] = DENIAL_NET_DENIED,
		[GATEWAY_DENY_ADDRESS] = DENIAL_NET_ADDRESS,
		[GATEWAY_DENY_PRIVATE] = DENIAL_NET_PRIVATE,
		[GATEWAY_DENY_PROTOCOL] = DENIAL_NET_PROTOCOL,
		[GATEWAY_DENY_UDP] = DENIAL_NET_UDP,
		[GATEWAY_DENY_LIMIT] = DENIAL_NET_LIMIT,
	};

	return codes[why];
}

/* Hosts and addresses are plain; what is longer is cut. */
static bool is_plain(char *text, size_t size)
{
	size_t n = 0;

	text[size - 1] = '\0';
	while (text[n] > ' ' && text[n] <= '~') {
		n++;
	}
	return text[n] == '\0';
}

/* Its numbers only grow; what is between two of them counts for the one that is told. */
static int take_denial(struct keeper *k, const struct gateway_message *m, struct err *e)
{
	struct egress *x = &k->egress;
	uint64_t more;
	char what[HOST_SIZE + 8], id[16] = "";

	if (m->code < 0 || m->code >= GATEWAY_DENIALS || m->count <= x->counted[m->code] ||
	    m->count > INT64_MAX / GATEWAY_DENIALS) {
		return err_set(e, ERR_BUG, EPROTO, "the gateway does not count");
	}
	more = m->count - x->counted[m->code];
	x->counted[m->code] = m->count;
	(void)snprintf(what, sizeof(what), m->port ? "%s:%u" : "%s", m->text, (unsigned)m->port);
	x->learned.more = x->learned.more || (more > 1 && m->id == 0);
	if (k->plan.learn && learned_refused(&x->learned, &k->plan, (enum gateway_denial)m->code,
					     m->text, m->port) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (m->id > 0) {
		(void)snprintf(id, sizeof(id), "net%u", m->id);
	}
	return keeper_deny(k, code_of(m->code), what, *id ? id : NULL, more, e);
}

/* What the trail has no place for. */
static void add_more(struct egress_more *more, const struct gateway_message *m)
{
	const uint64_t most = INT64_MAX;

	more->connections++;
	more->up += m->up < most - more->up ? m->up : most - more->up;
	more->down += m->down < most - more->down ? m->down : most - more->down;
}

static int record_more(struct keeper *k, struct err *e)
{
	const struct egress_more *more = &k->egress.more;

	return more->connections == 0
		       ? 0
		       : keeper_record(k, "connections",
				       json_pack("{s:I, s:I, s:I}", "more",
						 (json_int_t)more->connections, "bytes_up",
						 (json_int_t)more->up, "bytes_down",
						 (json_int_t)more->down),
				       e);
}

static int take_connection(struct keeper *k, const struct gateway_message *m, struct err *e)
{
	static const char *const ends[GATEWAY_ENDS] = {
		[GATEWAY_END_CLOSED] = "closed",           [GATEWAY_END_RESET] = "reset",
		[GATEWAY_END_UNREACHABLE] = "unreachable", [GATEWAY_END_UNRESOLVED] = "unresolved",
		[GATEWAY_END_REFUSED] = "refused",         [GATEWAY_END_STOPPED] = "stopped",
	};
	char tls[8] = "";

	if (m->code < 0 || m->code >= GATEWAY_ENDS || m->up > INT64_MAX || m->down > INT64_MAX ||
	    m->ns < 0 || m->rule >= k->plan.n_net) {
		return err_set(e, ERR_BUG, EPROTO, "the gateway tells of no end");
	}
	if (k->plan.learn && (m->code != GATEWAY_END_REFUSED || m->up > 0) &&
	    learned_allowed(&k->egress.learned, k->plan.net[m->rule], m->text) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (__builtin_add_overflow(k->egress.bytes, m->up + m->down, &k->egress.bytes)) {
		k->egress.bytes = UINT64_MAX;
	}
	if (k->egress.connections == EGRESS_CONNECTIONS_TOLD) {
		add_more(&k->egress.more, m);
		return 0;
	}
	if (m->tls > 0x0300) {
		(void)snprintf(tls, sizeof(tls), "1.%d", (m->tls & 0xff) - 1);
	}
	k->egress.connections++;
	return keeper_record(k, "connection",
			     json_pack("{s:o, s:i, s:s, s:o, s:s, s:I, s:I, s:f, s:s?}", "host",
				       json_text(m->text), "port", (int)m->port, "rule",
				       k->plan.net[m->rule], "address", json_text(m->peer), "end",
				       ends[m->code], "bytes_up", (json_int_t)m->up, "bytes_down",
				       (json_int_t)m->down, "duration_ms", (double)m->ns / 1e6,
				       "tls", *tls ? tls : NULL),
			     e);
}

/* Nothing is left of it, neither a process nor a socket. */
static void leave(struct keeper *k)
{
	struct egress *x = &k->egress;

	x->fd = fd_close(x->fd);
	drop_sockets(k);
	if (x->pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, x->pidfd, SIGKILL, NULL, 0);
		x->pidfd = fd_close(x->pidfd);
		(void)waitpid(x->pid, NULL, __WALL);
	}
}

/* It is gone, for whatever reason: said once, and never made good. */
static int is_over(struct keeper *k, const char *why, struct err *e)
{
	struct egress *x = &k->egress;

	leave(k);
	limits_connection(&k->limits, false, false);
	x->state = EGRESS_OVER;
	x->died = true;
	return keeper_record(k, "gateway_ended", json_pack("{s:o}", "why", json_text(why)), e);
}

static int take_ready(struct keeper *k, struct err *e)
{
	if (k->egress.state != EGRESS_STARTING) {
		return err_set(e, ERR_BUG, EPROTO, "the gateway started twice");
	}
	k->egress.state = EGRESS_SERVES;
	return keeper_record(k, "gateway_started", json_object(), e);
}

/* 1: there may be more. */
static int hear_one(struct keeper *k, struct err *e)
{
	struct egress *x = &k->egress;
	struct gateway_message m;
	struct err wrong = {};
	ssize_t n;
	int r = 0;

	n = fdpass_recv(x->fd, &m, sizeof(m), NULL, NULL);
	if (n == -EAGAIN) {
		return 0;
	}
	if (n == 0 && x->ending) {
		return 0;
	}
	if (n != (ssize_t)sizeof(m)) {
		return is_over(k, "the gateway ended", e);
	}
	if ((!is_plain(m.text, sizeof(m.text)) && m.op != GATEWAY_FAILED) ||
	    !is_plain(m.peer, sizeof(m.peer))) {
		return is_over(k, "the gateway names what is no host", e);
	}
	limits_connection(&k->limits, m.op == GATEWAY_CONNECTION, m.open > 0);
	switch (m.op) {
	case GATEWAY_CONNECTED:
		break;
	case GATEWAY_READY:
		r = take_ready(k, &wrong);
		break;
	case GATEWAY_FAILED:
		return is_over(k, m.text, e);
	case GATEWAY_OPEN:
		r = x->ending ? 0 : open_listeners(k, &m, &wrong);
		break;
	case GATEWAY_STALE:
		r = x->ending ? 0 : send_servers(k, &wrong);
		break;
	case GATEWAY_DENIED:
		r = take_denial(k, &m, &wrong);
		break;
	case GATEWAY_CONNECTION:
		r = take_connection(k, &m, &wrong);
		break;
	default:
		r = err_set(&wrong, ERR_BUG, EPROTO, "the gateway says what nobody understands");
	}
	if (r < 0 && wrong.kind == ERR_BUG) {
		return is_over(k, wrong.msg, e);
	}
	if (r < 0 && wrong.code) {
		*e = wrong;
	}
	return r < 0 ? r : 1;
}

static int hear_all(struct keeper *k, int most, struct err *e)
{
	int r = 1;

	for (int i = 0; i < most && r > 0 && k->egress.fd >= 0; i++) {
		struct pollfd w = {.fd = k->egress.fd, .events = POLLIN};

		r = poll(&w, 1, 0) == 1 ? hear_one(k, e) : 0;
	}
	return r < 0 ? r : 0;
}

int egress_hear(struct keeper *k, struct err *e)
{
	struct err why = {};

	if (k->egress.state != EGRESS_WAITS) {
		return hear_all(k, TURN, e);
	}
	return start(k, &why) < 0 ? is_over(k, why.msg, e) : 0;
}

/* It has told everything: its socket is closed by its end, and that was a good one. */
static bool ended_well(const struct egress *x)
{
	struct pollfd w = {.fd = x->pidfd, .events = POLLIN};
	siginfo_t info = {};

	return poll(&w, 1, END_MS) == 1 &&
	       waitid(P_PID, (id_t)x->pid, &info, WEXITED | WNOWAIT | __WALL) == 0 &&
	       info.si_code == CLD_EXITED && info.si_status == 0;
}

/* The rest of what it has to tell. One that does not come to an end is not waited for. */
static int hear_last(struct keeper *k, struct err *e)
{
	struct egress *x = &k->egress;
	const struct gateway_message stop = {.op = GATEWAY_STOP};
	int64_t until = clock_now_ns() + FAREWELL_NS;
	int r = 1;

	x->ending = true;
	if (k->broken != LIMIT_NONE || k->denied || k->caught || k->stopped || k->error.code) {
		(void)fdpass_send_now(x->fd, &stop, sizeof(stop), NULL, 0);
	}
	(void)shutdown(x->fd, SHUT_WR);
	while (r > 0 && x->fd >= 0) {
		struct pollfd w = {.fd = x->fd, .events = POLLIN};
		int64_t left = until - clock_now_ns();

		r = left > 0 && poll(&w, 1, (int)(left / 1000000) + 1) == 1 ? hear_one(k, e) : 0;
	}
	if (r >= 0 && x->fd >= 0 && !ended_well(x)) {
		return is_over(k, "the gateway did not tell everything", e);
	}
	return r < 0 ? r : 0;
}

int egress_stop(struct keeper *k, struct err *e)
{
	struct egress *x = &k->egress;
	int r = 0;

	if (x->state >= EGRESS_STARTING && k->recording) {
		r = hear_last(k, e);
		r = r < 0 ? r : record_more(k, e);
	}
	if (k->plan.learn && k->recording && r >= 0) {
		r = keeper_record(k, "learned",
				  json_pack("{s:o, s:b}", "rules", learned_to_json(&x->learned),
					    "more", (int)x->learned.more),
				  e);
	}
	leave(k);
	return r;
}
