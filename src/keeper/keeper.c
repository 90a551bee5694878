/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one sandbox.
 *
 * Theory of operation. The keeper is a process of its own in a session of its own: neither the
 * terminal's signals nor the front's death reach it other than through its socket. It makes things
 * in an order that lets the next command clean up after its death at any point. The process that
 * builds the sandbox comes first, for it dies with the keeper by itself, and is at work on the
 * walls while the keeper makes what outlives it: the state directory, locked; then the trail; then
 * sandbox.json, which names the control groups; then those groups. Teardown runs the list backwards
 * and checks each step. Every failure before the release of the payload means that nothing ran.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"
#include "linux/fdpass.h"

int keeper_record(struct keeper *k, const char *event, json_t *data, struct err *e)
{
	/* Never an event without what it is about: the caller had no memory to make it. */
	if (!data) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	return trail_add(&k->trail, event, data, e);
}

int keeper_deny(struct keeper *k, enum denial_code code, const char *what, uint64_t count,
		struct err *e)
{
	if (!denials_add(&k->denials, code, what, count)) {
		return 0;
	}
	return keeper_record(k, "denied",
			     denial_to_json(&k->denials.entries[k->denials.n - 1], k->home.id), e);
}

int keeper_record_denial(struct keeper *k, struct err *e)
{
	const struct denial_entry *first = &k->denials.entries[0];

	return keeper_record(k, "denial",
			     json_pack("{s:s, s:o}", "denial", denial_kind(first->code)->code,
				       "request_id",
				       json_sprintf("%s.%u", k->home.id, first->request)),
			     e);
}

/* Without a mount namespace there is no tmpfs for what may be written beside the workspace. */
static bool needs_scratch(const struct keeper *k)
{
	return k->plan.tier == TIER_PROCESS;
}

/* sandbox.json: who keeps it, and what must be undone if the keeper cannot. */
static int write_state(const struct keeper *k, struct err *e)
{
	_cleanup_json_ json_t *doc =
		json_pack("{s:i, s:o, s:b, s:s, s:O?}", "keeper", (int)getpid(), "groups",
			  group_paths(&k->limits.group, k->home.id), "scratch", needs_scratch(k),
			  "tier", tier_name(k->plan.tier), "copy", k->copy.note);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = doc ? json_canonical(doc, &len) : NULL;
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return state_write(&k->home, "sandbox.json", text, len, e);
}

static json_t *created_event(const struct keeper *k)
{
	json_t *data = json_object();
	char digest[DIGEST_HEX_SIZE];
	int r = data ? plan_digest(&k->plan, digest) : -ENOMEM;

	r = r < 0 ? r : json_put(data, "plan", plan_to_json(&k->plan));
	r = r < 0 ? r : json_put(data, "plan_digest", json_string(digest));
	r = r < 0 ? r : json_put(data, "caller", json_integer(getuid()));
	if (r < 0) {
		json_decref(data);
		return NULL;
	}
	return data;
}

/* State and record: everything outside the sandbox, in the order of the header. */
static int prepare(struct keeper *k, struct err *e)
{
	int r = state_open(&k->state, e);

	if (r >= 0) {
		r = state_check_hidden(&k->state, &k->plan, e);
	}
	if (r >= 0) {
		r = state_create(&k->state, &k->home, e);
	}
	if (r >= 0) {
		r = trail_create(&k->trail, k->state.trail, k->home.id, e);
	}
	if (r < 0) {
		return r;
	}
	k->recording = true;
	r = write_state(k, e);
	if (r >= 0) {
		r = keeper_record(k, "created", created_event(k), e);
	}
	if (r >= 0 && needs_scratch(k)) {
		r = scratch_make(&k->scratch, k->spec.host_uid, k->spec.host_gid, e);
	}
	if (r >= 0 && k->copy.path) {
		r = copy_make(&k->copy, &k->home, &k->plan, e);
	}
	if (r >= 0) {
		r = control_open(&k->control, k->home.dir, e);
	}
	return r;
}

/*
 * The payload's pipes. `theirs` are its ends; ours go into the pumps and to the front. Descriptor 0
 * bypasses the keeper: the front writes into the pipe itself.
 */
static int make_pipes(struct keeper *k, int theirs[3], int *ret_stdin, int to_front[PUMP_COUNT],
		      struct err *e)
{
	int i;

	for (i = 0; i < 3; i++) {
		int pair[2], relay[2];

		if (k->tty & 1U << i) {
			continue;
		}
		if (i == 2 && k->one_output && theirs[1] >= 0) {
			theirs[2] = fcntl(theirs[1], F_DUPFD_CLOEXEC, 0);
			return theirs[2] < 0 ? err_sys(e, errno, "cannot share the output's pipe")
					     : 0;
		}
		if (pipe2(pair, O_CLOEXEC) < 0) {
			return err_sys(e, errno, "cannot create a pipe");
		}
		theirs[i] = i == 0 ? pair[0] : pair[1];
		if (i == 0) {
			*ret_stdin = pair[1];
			continue;
		}
		if (pipe2(relay, O_CLOEXEC) < 0) {
			(void)fd_close(pair[0]);
			return err_sys(e, errno, "cannot create a pipe");
		}
		to_front[i - 1] = relay[0];
		if (pump_init(&k->pumps[i - 1], pair[0], relay[1], false, &k->output_left) < 0) {
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	return 0;
}

/* The terminal's master exists once the tier has started. */
static int make_terminal(struct keeper *k, int *ret_relay, struct err *e)
{
	struct winsize size = {.ws_row = (unsigned short)k->rows,
			       .ws_col = (unsigned short)k->columns};
	int relay[2], master;

	if (k->sandbox.terminal < 0) {
		return 0;
	}
	(void)ioctl(k->sandbox.terminal, TIOCSWINSZ, &size);
	master = fcntl(k->sandbox.terminal, F_DUPFD_CLOEXEC, 0);
	if (master < 0) {
		return err_sys(e, errno, "cannot relay the terminal");
	}
	if (pipe2(relay, O_CLOEXEC) < 0) {
		(void)fd_close(master);
		return err_sys(e, errno, "cannot relay the terminal");
	}
	*ret_relay = relay[0];
	if (pump_init(&k->pumps[PUMP_TERMINAL], master, relay[1], true, &k->output_left) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return 0;
}

static int send_streams(const struct keeper *k, int in, const int to_front[PUMP_COUNT],
			struct err *e)
{
	const struct {
		int fd, bit;
	} rows[] = {
		{in, STREAM_STDIN},
		{to_front[PUMP_STDOUT], STREAM_STDOUT},
		{to_front[PUMP_STDERR], STREAM_STDERR},
		{to_front[PUMP_TERMINAL], STREAM_TERMINAL},
		{k->sandbox.terminal, STREAM_MASTER},
	};
	struct message m = {.op = MSG_STREAMS, .b = k->limits.group.kind == GROUP_NONE};
	int fds[ARRAY_SIZE(rows)];
	size_t i, n = 0;
	int r;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].fd >= 0) {
			m.a |= rows[i].bit;
			fds[n++] = rows[i].fd;
		}
	}
	r = fdpass_send(k->front, &m, sizeof(m), fds, n);
	return r < 0 ? err_sys(e, -r, "cannot reach the front") : 0;
}

/* Reads back, compares, seals: nothing of the payload has run yet. */
static int seal_receipt(struct keeper *k, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	json_t *data;
	size_t len = 0;
	int r = k->tier->receipt(&k->sandbox, &k->receipt, e);

	if (r >= 0) {
		r = limits_receipt(&k->limits, &k->sandbox, &k->armed, e);
	}
	if (r < 0) {
		return r;
	}
	if (json_object_set(k->receipt, "limits", k->armed) < 0 ||
	    json_put(k->receipt, "tier", json_string(k->tier->name)) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	text = json_canonical(k->receipt, &len);
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	digest_hex(text, len, k->receipt_digest);
	data = json_pack("{s:s, s:O}", "digest", k->receipt_digest, "receipt", k->receipt);
	return keeper_record(k, "receipt", data, e);
}

static int hold_payload(struct keeper *k, struct err *e)
{
	int r = k->tier->hold(&k->sandbox, e);

	if (r < 0 && e->kind == ERR_GUEST) {
		k->exec_error = e->code;
	}
	return r;
}

static json_t *started_event(const struct keeper *k)
{
	json_t *argv = json_array();
	size_t i;

	for (i = 0; argv && k->argv[i]; i++) {
		if (json_array_append_new(argv, json_text(k->argv[i])) < 0) {
			json_decref(argv);
			return NULL;
		}
	}
	return json_pack("{s:o, s:o}", "argv", argv, "cwd", json_text(k->cwd));
}

/* Where the scratch directory will be, so that the tier can begin with it. */
static int name_scratch(struct keeper *k, struct err *e)
{
	int r = scratch_name(&k->scratch, k->home.id, k->plan.env, e);

	if (r < 0) {
		return r;
	}
	k->spec.scratch = k->scratch.path;
	k->spec.env = k->scratch.env;
	/* The front names the home directory where nothing else of the plan can be entered. */
	if (strcmp(k->cwd, k->plan.identity.home) == 0 &&
	    k->plan.workspace_mode == WORKSPACE_NONE) {
		k->spec.cwd = k->scratch.home;
	}
	return 0;
}

/* What the tier and the limits need to know of each other before either begins. */
static int choose(struct keeper *k, const int theirs[3], struct err *e)
{
	int r = tier_find(&k->plan, &k->tier, e);

	if (r >= 0) {
		r = limits_choose(&k->limits, &k->plan, e);
	}
	if (r < 0) {
		return r;
	}
	k->spec.plan = &k->plan;
	k->spec.argv = k->argv;
	k->spec.cwd = k->cwd;
	k->spec.env = k->plan.env;
	k->spec.tty = k->tty;
	memcpy(k->spec.stdio, theirs, sizeof(k->spec.stdio));
	limits_delegate(&k->limits, &k->spec);
	if (k->plan.workspace_mode == WORKSPACE_COPY) {
		r = copy_name(&k->copy, k->home.id, &k->plan, e);
		k->spec.copy = k->copy.path;
	}
	return r >= 0 && needs_scratch(k) ? name_scratch(k, e) : r;
}

/*
 * The sandbox's first process is at work on the walls while we make what outlives us; where it is
 * born into its group, that comes first. A start that failed has a record too.
 */
static int begin(struct keeper *k, struct err *e)
{
	bool first = group_comes_first(&k->limits.group);
	struct err unused = {};
	int r = first ? 0 : k->tier->start(&k->spec, &k->sandbox, e);
	int prepared = prepare(k, r < 0 ? &unused : e);

	r = r < 0 ? r : prepared;
	if (r >= 0) {
		r = limits_arm(&k->limits, k->home.id, first ? 0 : k->sandbox.init, e);
	}
	if (r >= 0 && first) {
		k->spec.cgroup = group_birthplace(&k->limits.group);
		r = k->tier->start(&k->spec, &k->sandbox, e);
	}
	return r;
}

static int start(struct keeper *k, struct err *e)
{
	int theirs[3] = {FD_NONE, FD_NONE, FD_NONE}, in = FD_NONE, i;
	int to_front[PUMP_COUNT] = {FD_NONE, FD_NONE, FD_NONE};
	struct err unused = {};
	int r;

	k->output_left = k->plan.limits.output;
	r = state_name(&k->home, e);
	if (r >= 0) {
		r = make_pipes(k, theirs, &in, to_front, e);
	}
	if (r >= 0) {
		r = choose(k, theirs, e);
	}
	if (r >= 0) {
		r = begin(k, e);
	} else {
		(void)prepare(k, &unused);
	}
	if (r >= 0) {
		r = k->tier->confine(&k->sandbox, k->limits.group.tasks, k->limits.group.n_tasks,
				     e);
	}
	if (r >= 0) {
		r = make_terminal(k, &to_front[PUMP_TERMINAL], e);
	}
	if (r >= 0) {
		r = hold_payload(k, e);
	}
	if (r >= 0) {
		r = seal_receipt(k, e);
	}
	if (r >= 0) {
		r = send_streams(k, in, to_front, e);
	}
	for (i = 0; i < 3; i++) {
		(void)fd_close(theirs[i]);
		(void)fd_close(to_front[i]);
	}
	(void)fd_close(in);
	if (r >= 0) {
		r = keeper_record(k, "started", started_event(k), e);
	}
	if (r >= 0) {
		r = k->tier->release(&k->sandbox, e);
	}
	return r;
}

/* Backwards through what was made; true if nothing is left. */
static bool tear_down(struct keeper *k, struct err *e)
{
	bool clean = true;
	size_t i;

	if (k->sandbox.ops) {
		k->tier->stop(&k->sandbox);
		k->tier->done(&k->sandbox);
	}
	for (i = 0; i < PUMP_COUNT; i++) {
		pump_done(&k->pumps[i]);
	}
	if (k->limits.plan) {
		enum limit l = limits_settle(&k->limits);

		if (l != LIMIT_NONE && k->broken == LIMIT_NONE && !k->denied) {
			k->broken = l;
		}
		clean = limits_disarm(&k->limits, e) >= 0;
	}
	if (k->sandbox.survivors) {
		clean = false;
		(void)err_set(e, ERR_SYSTEM, EBUSY,
			      "some of the sandbox's processes could not be ended");
	}
	if (k->scratch.made && scratch_remove(k->home.id, e) < 0) {
		clean = false;
	}
	k->down_ns = clock_now_ns();
	return clean;
}

/* Something else than the end of its command ended it. */
static bool ended_by_us(const struct keeper *k)
{
	return k->stopped || k->denied || k->broken != LIMIT_NONE || k->error.code;
}

static json_t *ended_event(const struct keeper *k)
{
	char reason[64];

	keeper_reason(k, reason, sizeof(reason));
	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:b}", "reason", reason, "wait_status",
			 k->exited ? k->status : -1, "cpu_ns", (json_int_t)k->limits.cpu_ns,
			 "memory_peak", (json_int_t)k->limits.peak_memory, "denials",
			 (json_int_t)k->denials.total, "copy_kept", k->copy_kept);
}

static void report(struct keeper *k, bool clean)
{
	_cleanup_json_ json_t *doc = keeper_result(k, clean);
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	struct message m = {.op = MSG_RESULT};
	size_t len = 0;
	int tries;

	text = doc ? json_canonical(doc, &len) : NULL;
	fd = text ? message_text_fd(text, len, NULL) : FD_NONE;
	/* Without a document the front sees the end of file, and says that the keeper failed. */
	if (fd >= 0 && k->front >= 0) {
		(void)fdpass_send(k->front, &m, sizeof(m), &fd, 1);
	}
	/* A front may stop itself only now, for a message from before the end: it ends when it has
	 * the result. */
	for (tries = 0; k->paused && k->front >= 0 && tries < 20; tries++) {
		struct pollfd pfd = {.fd = k->front};

		keeper_wake_front(k);
		if (poll(&pfd, 1, 50) == 1) {
			break;
		}
	}
}

/* The end of every life, however far it came. */
static void finish(struct keeper *k)
{
	struct err e = {};
	bool clean = tear_down(k, &e);
	int kept = clean && k->copy.path && k->home.dir >= 0
			   ? copy_settle(&k->home, k->copy.note, &e)
			   : 0;

	clean = clean && kept >= 0;
	k->copy_kept = kept > 0;

	/* Nobody inside can end pid 1; without a status there is no success to report. */
	if (k->started && !k->exited && !ended_by_us(k)) {
		(void)err_set(&k->error, ERR_SYSTEM, ECHILD,
			      "the sandbox was killed from outside before its command ended; see "
			      "whether the host ran out of memory (dmesg)");
	}
	/* A command that ended by itself, and at its end a counter told of a refusal. */
	if (k->plan.denials == DENIALS_END && k->denials.n > 0 && k->exited && !ended_by_us(k)) {
		k->denied = keeper_record_denial(k, &k->error) >= 0;
	}
	if (k->recording) {
		if (keeper_record(k, "ended", ended_event(k), &e) < 0 ||
		    keeper_record(k, "torn_down", json_pack("{s:b}", "clean", clean), &e) < 0) {
			k->error = k->error.code ? k->error : e;
		}
	}
	/* What could not be removed keeps its directory, so that the next command tries again. */
	if (clean && k->home.dir >= 0) {
		clean = (k->copy_kept ? copy_release(&k->home, &e)
				      : state_remove(&k->state, &k->home, &e)) >= 0;
	}
	control_finish(&k->control);
	if (!clean && !k->error.code) {
		k->error = e;
	}
	report(k, clean);
}

static void keeper_done(struct keeper *k)
{
	size_t i;

	json_decref(k->receipt);
	json_decref(k->armed);
	limits_done(&k->limits);
	scratch_done(&k->scratch);
	copy_done(&k->copy);
	control_done(&k->control);
	trail_done(&k->trail);
	state_sandbox_done(&k->home);
	state_done(&k->state);
	for (i = 0; k->argv && k->argv[i]; i++) {
		free(k->argv[i]);
	}
	free(k->argv);
	free(k->cwd);
	plan_done(&k->plan);
	k->front = fd_close(k->front);
}

static void ignore_terminal(void)
{
	/* SIGXFSZ: the caller's limit of file sizes is an error like any other. */
	static const int signals[] = {SIGPIPE, SIGHUP,  SIGINT,  SIGQUIT,
				      SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ};
	size_t i;

	(void)setsid();
	/* Whatever the caller ignores: the guard of the start; and a child that the kernel collects
	 * by itself leaves a number that may be another process's when we send a signal to it. */
	(void)signal(SIGALRM, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_NAME, "atoll-keeper");
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)signal(signals[i], SIG_IGN);
	}
}

int keeper_main(void)
{
	struct keeper k = {.front = KEEPER_FD_FRONT,
			   .parent = getppid(),
			   .spec = {.cgroup = FD_NONE},
			   .state = {FD_NONE, FD_NONE, FD_NONE},
			   .home = {.dir = FD_NONE},
			   .control = {.listener = FD_NONE},
			   .trail = {.fd = FD_NONE}};
	size_t i;
	int r;

	ignore_terminal();
	(void)fcntl(k.front, F_SETFD, FD_CLOEXEC);
	for (i = 0; i < PUMP_COUNT; i++) {
		k.pumps[i].in = k.pumps[i].out = FD_NONE;
	}
	group_init(&k.limits.group);
	scratch_init(&k.scratch);
	copy_init(&k.copy);
	(void)alarm(KEEPER_START_SECONDS);
	k.born_ns = clock_now_ns();
	r = keeper_receive(&k, &k.error);
	if (r >= 0 && k.plan.identity.from_root) {
		r = state_host_id(k.plan.tier == TIER_CONTAINER, &k.spec.host_uid, &k.error);
		k.spec.host_gid = k.spec.host_uid;
	} else if (r >= 0) {
		k.spec.host_uid = k.plan.identity.uid;
		k.spec.host_gid = k.plan.identity.gid;
	}
	if (r >= 0) {
		r = start(&k, &k.error);
	}
	(void)alarm(0);
	if (r >= 0) {
		k.started = true;
		k.started_ns = clock_now_ns();
		limits_start(&k.limits);
		(void)keeper_watch(&k, &k.error);
	}
	if (k.ended_ns == 0) {
		k.ended_ns = clock_now_ns();
	}
	finish(&k);
	keeper_done(&k);
	return 0;
}
