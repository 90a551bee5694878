/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one sandbox.
 *
 * Theory of operation. The keeper is a process of its own in a session of its own: neither the
 * terminal's signals nor the front's death reach it other than through its socket. A sandbox is
 * made for one command and ends with it, or is made to live and take commands (exec.c) until
 * somebody or a limit ends it; then nobody is tied to it. The keeper makes things
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/agent.h"
#include "keeper/keeper-internal.h"
#include "keeper/kept.h"
#include "keeper/message.h"
#include "keeper/name.h"
#include "keeper/progress.h"
#include "keeper/result.h"
#include "keeper/seal.h"
#include "linux/fdpass.h"
#include "linux/machine.h"
#include "record/event.h"
#include "record/key.h"
#include "tier/command.h"
#include "workspace/change.h"
#include "workspace/summary.h"

int keeper_record(struct keeper *k, const char *event, json_t *data, struct err *e)
{
	/* Never an event without what it is about: the caller had no memory to make it. */
	if (!data) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	return trail_add(&k->trail, event, data, e);
}

/* What the payload can read in the file of denials: not how the wall could be widened. Where its
 * file system is full the record has it all the same. */
static void tell_inside(const struct keeper *k, const struct denial_entry *entry)
{
	_cleanup_json_ json_t *line = denial_to_json(entry, k->home.id);
	_cleanup_free_ char *text = NULL;

	if (k->sandbox.denials >= 0 && line && json_object_del(line, "remedy") == 0 &&
	    json_object_del(line, "count") == 0) {
		text = json_dumps(line, JSON_COMPACT);
		(void)dprintf(k->sandbox.denials, "%s\n", text ? text : "");
	}
}

int keeper_deny(struct keeper *k, enum denial_code code, const char *what, const char *request,
		uint64_t count, struct err *e)
{
	if (!denials_add(&k->denials, code, what, request, count)) {
		return 0;
	}
	tell_inside(k, &k->denials.entries[k->denials.n - 1]);
	return keeper_record(k, "denied",
			     denial_to_json(&k->denials.entries[k->denials.n - 1], k->home.id), e);
}

/* How often each kind was refused. */
static json_t *count_codes(const struct denials *d)
{
	_cleanup_json_ json_t *counts = json_object();

	for (unsigned i = 0; counts && i < d->n; i++) {
		const char *code = denial_kind(d->entries[i].code)->code;
		json_int_t n = json_integer_value(json_object_get(counts, code));

		if (json_put(counts, code, json_integer(n + (json_int_t)d->entries[i].count)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(counts);
}

int keeper_suspect(struct keeper *k, struct err *e)
{
	static const char *const actions[] = {[ESCAPE_LOWER] = "lower",
					      [ESCAPE_STOP] = "stop",
					      [ESCAPE_PAUSE] = "pause",
					      [ESCAPE_NOTE] = "note"};
	unsigned score = denials_score(&k->denials);
	int r;

	if (k->suspected || score < k->plan.escape_threshold) {
		return 0;
	}
	k->suspected = true;
	r = keeper_record(k, "escape.suspected",
			  json_pack("{s:i, s:i, s:s, s:o}", "score", (int)score, "threshold",
				    (int)k->plan.escape_threshold, "action",
				    actions[k->plan.escape], "codes", count_codes(&k->denials)),
			  e);
	return r < 0 ? r : 1;
}

int keeper_record_denial(struct keeper *k, struct err *e)
{
	const struct denial_entry *first = &k->denials.entries[0];

	return keeper_record(k, "denial",
			     json_pack("{s:s, s:o}", "denial", denial_kind(first->code)->code,
				       "request_id",
				       json_sprintf("%s.%s", k->home.id, first->request)),
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
	int failed = doc && k->name ? json_put(doc, "name", json_string(k->name)) : 0;

	if (doc && failed >= 0 && k->plan.account) {
		failed = json_put(doc, "account", json_string(k->plan.account));
	}
	text = doc && failed >= 0 ? json_canonical(doc, &len) : NULL;
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
	r = r < 0 ? r : json_put(data, "schema", json_integer(EVENT_VERSION));
	r = r < 0 || !k->plan.policy ? r : json_put(data, "policy", json_incref(k->plan.policy));
	r = r < 0 || !k->plan.origins ? r : json_put(data, "origins", json_incref(k->plan.origins));
	r = r < 0 ? r : json_put(data, "version", json_string(ATOLL_VERSION));
	r = r < 0 ? r : json_put(data, "machine", machine_facts());
	r = r < 0 ? r : json_put(data, "caller", json_integer(getuid()));
	r = r < 0 || !k->name ? r : json_put(data, "name", json_string(k->name));
	r = r < 0 || json_object_size(k->labels) == 0
		    ? r
		    : json_put(data, "labels", json_incref(k->labels));
	if (r < 0) {
		json_decref(data);
		return NULL;
	}
	return data;
}

/*
 * The copy of a further directory, where a dead keeper's would be found. Its note has the sandbox's
 * groups, too: whoever finds it first ends what may still write to it before it is settled.
 */
static int make_more(struct keeper *k, struct copy_more *m, struct err *e)
{
	_cleanup_json_ json_t *doc =
		json_pack("{s:i, s:s, s:o, s:s, s:O}", "keeper", (int)getpid(), "of", k->home.id,
			  "groups", group_paths(&k->limits.group, k->home.id), "tier",
			  tier_name(k->plan.tier), "copy", m->copy.note);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	text = doc ? json_canonical(doc, &len) : NULL;
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = state_create(&k->state, &m->home, e);
	r = r < 0 ? r : state_write(&m->home, "sandbox.json", text, len, e);
	return r < 0 ? r
		     : copy_make(&m->copy, &m->home, &k->plan, k->spec.host_uid, k->spec.host_gid,
				 e);
}

/* State and record: everything outside the sandbox, in the order of the header. */
static int prepare(struct keeper *k, struct err *e)
{
	int r = state_open(&k->state, e);

	if (r >= 0) {
		r = state_check_hidden(&k->state, &k->plan, &k->mounts, e);
	}
	if (r >= 0) {
		r = state_create(&k->state, &k->home, e);
	}
	if (r >= 0 && k->name) {
		r = name_claim(&k->state, &k->home, k->name, e);
	}
	if (r >= 0) {
		r = key_need(k->state.home, e);
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
	if (r >= 0 && k->copy.layers.kind != TIER_COPY_NONE) {
		r = copy_make(&k->copy, &k->home, &k->plan, k->spec.host_uid, k->spec.host_gid, e);
		k->spec.copy = k->copy.layers;
	}
	for (size_t i = 0; r >= 0 && i < k->plan.n_more; i++) {
		if (k->more[i].copy.layers.kind != TIER_COPY_NONE) {
			r = make_more(k, &k->more[i], e);
			k->spec.more[i] = k->more[i].copy.layers;
		}
	}
	if (r >= 0) {
		r = control_open(&k->control, k->home.dir, e);
	}
	return r;
}

/* Of the copies whose size the kernel is to hold. */
static int check_sizes(const struct keeper *k, struct err *e)
{
	int r = k->copy.layers.kind != TIER_COPY_NONE
			? copy_check_size(k->copy.upper, k->plan.limits.copy, e)
			: 0;

	for (size_t i = 0; r >= 0 && i < k->plan.n_more; i++) {
		const struct copy *c = &k->more[i].copy;

		r = c->layers.kind != TIER_COPY_NONE
			    ? copy_check_size(c->upper, k->plan.limits.copy, e)
			    : 0;
	}
	return r;
}

int keeper_read(struct keeper *k, const struct command *c, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL, *armed = NULL;
	int r = k->tier->receipt(&k->sandbox, c ? &c->inside : NULL, &doc, e);

	if (r >= 0) {
		r = limits_receipt(&k->limits, &k->sandbox, c ? c->inside.pid : k->sandbox.init,
				   &armed, e);
	}
	if (r >= 0 && plan_bounds_copy(&k->plan)) {
		r = check_sizes(k, e);
	}
	if (r < 0) {
		return r;
	}
	if (json_object_set(doc, "limits", armed) < 0 ||
	    json_put(doc, "tier", json_string(k->tier->name)) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(doc);
	return 0;
}

/* What was recorded by now is on the disk, if the policy says so. */
static int settle_record(struct keeper *k, struct err *e)
{
	return k->plan.durability == DURABILITY_POWER ? trail_sync(&k->trail, e) : 0;
}

/* Reads back, compares, seals: nothing of the payload has run yet. */
static int seal_receipt(struct keeper *k, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	json_t *data;
	size_t len = 0;
	int r = keeper_read(k, k->main, &k->receipt, e);

	if (r < 0) {
		return r;
	}
	k->armed = json_incref(json_object_get(k->receipt, "limits"));
	text = json_canonical(k->receipt, &len);
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	digest_hex(text, len, k->receipt_digest);
	data = json_pack("{s:s, s:O}", "digest", k->receipt_digest, "receipt", k->receipt);
	r = keeper_record(k, "receipt", data, e);
	return r < 0 ? r : settle_record(k, e);
}

json_t *keeper_started_event(const struct command *c, size_t room)
{
	return json_pack("{s:o, s:o}", "argv", keeper_words(c, room), "cwd",
			 json_text(c->cwd ? c->cwd : ""));
}

/* Where the scratch directory will be, so that the tier can begin with it. */
static int name_scratch(struct keeper *k, struct err *e)
{
	int r = scratch_name(&k->scratch, k->home.id, k->plan.env, e);

	if (r < 0) {
		return r;
	}
	k->spec.scratch = k->scratch.path;
	return 0;
}

/* What the tier and the limits need to know of each other before either begins. */
static int choose(struct keeper *k, struct err *e)
{
	int r = tier_find(&k->plan, &k->tier, e);

	r = r < 0 ? r : egress_check(k, e);
	if (r >= 0) {
		r = limits_choose(&k->limits, &k->plan, !k->main, e);
	}
	if (r < 0) {
		return r;
	}
	log_init(&k->log, &k->state, k->home.id, k->plan.log, k->plan.limits.keep,
		 k->plan.expires > 0 ? clock_real_ns() + (int64_t)k->plan.expires : 0);
	k->spec.plan = &k->plan;
	k->spec.first = k->main ? &k->main->program : NULL;
	limits_delegate(&k->limits, &k->spec);
	r = keeper_find_denied(k, e);
	if (r >= 0 && k->plan.workspace_mode == WORKSPACE_COPY) {
		r = copy_name(&k->copy, k->home.id, &k->plan, &k->plan.workspace, &k->hidden, e);
		k->spec.copy = k->copy.layers;
	}
	for (size_t i = 0; r >= 0 && i < k->plan.n_more; i++) {
		struct copy_more *m = &k->more[i];

		if (k->plan.more[i].mode == WORKSPACE_COPY) {
			state_name_more(k->home.id, i, m->home.id);
			r = copy_name(&m->copy, m->home.id, &k->plan, &k->plan.more[i].place,
				      &k->hidden, e);
			k->spec.more[i] = m->copy.layers;
		}
	}
	return r >= 0 && needs_scratch(k) ? name_scratch(k, e) : r;
}

/* Where the builder starts the main command itself, that has all it needs before it. */
static int open_main(struct keeper *k, struct err *e)
{
	struct command *c = k->main;
	int r = c ? command_open(c, &k->plan, e) : 0;

	if (c && needs_scratch(k)) {
		c->program.env = k->scratch.env;
		/* The front is at home where nothing else of the plan can be entered. */
		if (strcmp(c->cwd, k->plan.identity.home) == 0 &&
		    k->plan.workspace_mode == WORKSPACE_NONE) {
			c->program.cwd = k->scratch.home;
		}
	}
	/* Where there is no devpts of the sandbox's own. */
	if (r >= 0 && c && k->plan.tier <= TIER_PROCESS && command_on_terminal(c)) {
		r = command_open_terminal(c, FD_NONE, k->spec.host_uid, k->spec.host_gid, e);
	}
	return r;
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

/* The main command is asked for as soon as somebody is there to start it. */
static int ask_main(struct keeper *k, struct err *e)
{
	struct command *c = k->main;
	int r = 0;

	if (c && command_on_terminal(c) && c->program.terminal < 0) {
		r = command_open_terminal(c, k->sandbox.ptmx, k->spec.host_uid, k->spec.host_gid,
					  e);
	}
	if (r >= 0 && c) {
		r = k->tier->exec(&k->sandbox, &c->inside, e);
	}
	return r;
}

/* Nobody is inside yet who could make us wait for it; but its exec waits for us, as all do. */
static int await_main(struct keeper *k, struct command *c, int children, struct err *e)
{
	struct signalfd_siginfo info;
	int r = tier_command_advance(&k->sandbox, &c->inside, e);

	while (r >= 0 && c->inside.stage != COMMAND_HELD) {
		bool asked = c->inside.stage == COMMAND_ASKED;
		struct pollfd w[] = {{.fd = asked ? c->inside.start : FD_NONE, .events = POLLIN},
				     {.fd = children, .events = POLLIN},
				     {.fd = k->sandbox.listener, .events = POLLIN}};

		if (poll(w, ARRAY_SIZE(w), -1) < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for the payload");
		}
		(void)!read(children, &info, sizeof(info));
		r = w[2].revents ? keeper_hear_calls(k, e) : 0;
		r = r < 0 ? r : tier_command_advance(&k->sandbox, &c->inside, e);
	}
	return r;
}

static int hold_main(struct keeper *k, struct err *e)
{
	struct command *c = k->main;
	_cleanup_fd_ int children = FD_NONE;
	sigset_t set;
	int r = 0;

	if (c) {
		(void)sigemptyset(&set);
		(void)sigaddset(&set, SIGCHLD);
		(void)sigprocmask(SIG_BLOCK, &set, NULL); /* for good: see keeper_watch() */
		children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
		r = children < 0 ? err_sys(e, errno, "cannot watch for signals")
				 : await_main(k, c, children, e);
	}
	if (r < 0 && e->kind == ERR_GUEST) {
		c->exec_error = e->code;
	}
	return r;
}

static int release_main(struct keeper *k, struct err *e)
{
	struct command *c = k->main;
	int r = command_send_streams(c, k->limits.group.kind == GROUP_NONE, e);

	command_close_ends(c);
	if (r >= 0) {
		r = keeper_record(k, "started", keeper_started_event(c, SIZE_MAX), e);
	}
	r = r < 0 ? r : keeper_record_first(k, c, e);
	if (r >= 0) {
		r = tier_command_release(&c->inside, e);
	}
	c->started = r >= 0;
	c->started_ns = clock_now_ns();
	return r;
}

static int start(struct keeper *k, struct err *e)
{
	struct err unused = {};
	int r = state_name(&k->home, e);

	if (r >= 0) {
		r = choose(k, e);
	}
	if (r >= 0) {
		r = open_main(k, e);
	}
	if (r >= 0) {
		r = begin(k, e);
	} else {
		(void)prepare(k, &unused);
	}
	if (r >= 0) {
		r = k->tier->supply(&k->sandbox, k->limits.group.tasks, k->limits.group.n_tasks, e);
	}
	/* The builder has all it needs and is at its walls: nothing of the payload exists. */
	r = r < 0 ? r : agent_check(k, e);
	r = r < 0 ? r : account_reserve(k, e);
	r = r < 0 ? r : k->tier->confine(&k->sandbox, e);
	/* A sandbox that was never begun is all zeros, and has none. */
	if (r >= 0 && k->sandbox.upper >= 0) {
		k->copy.upper = TAKE_FD(k->sandbox.upper);
	}
	r = r < 0 ? r : egress_open(k, e);
	if (r >= 0) {
		r = ask_main(k, e);
	}
	/* Init is on its way to its command. */
	if (r >= 0 && k->tier->survey) {
		r = k->tier->survey(&k->sandbox, e);
	}
	if (r >= 0) {
		r = hold_main(k, e);
	}
	if (r >= 0) {
		r = seal_receipt(k, e);
	}
	return r >= 0 && k->main ? release_main(k, e) : r;
}

/* Backwards through what was made; true if nothing is left. */
static bool tear_down(struct keeper *k, struct err *e)
{
	bool clean = true;
	size_t i;

	for (i = 0; i < k->n_commands; i++) {
		tier_command_done(&k->commands[i]->inside);
	}
	if (k->sandbox.ops) {
		k->tier->stop(&k->sandbox);
		(void)egress_stop(k, &k->error);
		starts_done(&k->starts);
		k->tier->done(&k->sandbox);
	}
	/* What is to be looked at now needs descriptors, of which there may be few. */
	for (i = 0; i < k->n_commands; i++) {
		command_stop_streams(k->commands[i]);
		command_close_ends(k->commands[i]);
	}
	if (k->limits.plan) {
		enum limit l = limits_settle(&k->limits);

		if (l != LIMIT_NONE && k->broken == LIMIT_NONE && !k->denied && !k->caught) {
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
	return k->stopped || k->denied || k->caught || k->broken != LIMIT_NONE || k->error.code;
}

static json_t *ended_event(const struct keeper *k)
{
	char reason[64];

	keeper_reason(k, reason, sizeof(reason));
	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:b, s:o*}", "reason", reason,
			 "wait_status", k->main && k->main->exited ? k->main->status : -1, "cpu_ns",
			 (json_int_t)k->limits.cpu_ns, "memory_peak",
			 (json_int_t)k->limits.peak_memory, "denials", (json_int_t)k->denials.total,
			 "programs", (json_int_t)k->starts.seen, "programs_unfound",
			 (json_int_t)k->starts.unfound, "copy_kept", k->copy_kept, "more",
			 k->plan.n_more > 0 ? keeper_more(k) : NULL);
}

/* A front may stop itself only now, for a message from before the end: it ends when it has the
 * result. */
static void wake(const struct command *c)
{
	int tries;

	for (tries = 0; c->paused && c->front >= 0 && tries < 20; tries++) {
		struct pollfd pfd = {.fd = c->front};

		command_wake(c);
		if (poll(&pfd, 1, 50) == 1) {
			break;
		}
	}
}

/* Whoever asked for the sandbox itself; false: is not there to hear it. */
static bool report_start(const struct keeper *k, const json_t *doc)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	struct message m = {.op = MSG_RESULT};
	size_t len = 0;

	text = doc ? json_canonical(doc, &len) : NULL;
	fd = text ? message_text_fd(text, len, NULL) : FD_NONE;
	return fd >= 0 && fdpass_send(k->front, &m, sizeof(m), &fd, 1) >= 0;
}

/* How long the end waits for a front that reads nothing. */
#define REPORT_MS 1000

/* The others first: whoever waits for the sandbox itself has the last word. */
static void report(struct keeper *k, bool clean)
{
	_cleanup_json_ json_t *doc = keeper_result(k, clean);
	size_t i;

	for (i = 0; i < k->n_commands; i++) {
		struct command *c = k->commands[i];
		_cleanup_json_ json_t *own = c->main ? NULL : keeper_command_result(k, c);
		struct pollfd pfd = {.fd = c->front, .events = POLLOUT};

		/* A front whose socket is full of news gets a moment to take them. */
		if (!c->reported && !command_report(c, c->main ? doc : own)) {
			command_wake(c);
			(void)poll(&pfd, 1, REPORT_MS);
			(void)command_report(c, own);
		}
	}
	for (i = 0; i < k->n_commands; i++) {
		wake(k->commands[i]);
	}
	if (k->front >= 0) {
		(void)report_start(k, doc);
	}
}

/* What is in a copy is kept. What else could not be removed waits for the next command, and so does
 * the copy; a tmpfs does not wait. */
static int settle_copy(struct keeper *k, bool clean, struct err *e)
{
	enum tier_copy_kind kind = k->copy.layers.kind;
	bool now = clean || (kind == TIER_COPY_TMPFS && !k->sandbox.survivors);

	return now && kind != TIER_COPY_NONE && k->home.dir >= 0 ? copy_end(&k->copy, &k->home, e)
								 : 0;
}

/* The same for those of further directories. False: something of them could not be settled. */
static bool settle_more(struct keeper *k, bool clean, struct err *e)
{
	for (size_t i = 0; clean && i < k->plan.n_more; i++) {
		struct copy_more *m = &k->more[i];
		int kept = m->home.dir >= 0 ? copy_end(&m->copy, &m->home, e) : 0;

		m->kept = kept > 0;
		clean = kept >= 0;
	}
	return clean;
}

/* And when all is said: what is kept waits, the rest goes. */
static bool release_more(struct keeper *k, bool clean, struct err *e)
{
	for (size_t i = 0; i < k->plan.n_more; i++) {
		struct copy_more *m = &k->more[i];

		if (clean && m->home.dir >= 0) {
			clean = (m->kept ? copy_release(&m->home, e)
					 : state_remove(&k->state, &m->home, e)) >= 0;
		}
		state_sandbox_done(&m->home);
	}
	return clean;
}

/* What is different in one copy, or that it could not be found out; where somebody was quicker,
 * that one says what became of it. */
static void record_copy(struct keeper *k, const char *id)
{
	struct changes changes = {};
	struct err e = {};
	struct kept kept;

	if (kept_open(&k->state, id, &kept, &e) >= 0) {
		const struct change_view view = {.rules = &kept.denied,
						 .workspace = kept.workspace,
						 .begun_ns = kept.begun_ns,
						 .made_ns = kept.made_ns,
						 .dirs = &kept.dirs};
		json_t *doc = NULL;

		if (changes_find(kept.original, kept.upper, &view, false, &changes, &e) < 0) {
			doc = changes_unread(e.msg);
		} else if (changes.n > 0) {
			doc = changes_summary(&changes, kept.upper);
		}
		if (doc && json_put(doc, "copy", json_string(id)) >= 0) {
			(void)keeper_record(k, "changed", json_incref(doc), &e);
		}
		json_decref(doc);
		changes_done(&changes);
	}
	kept_done(&kept);
}

/* Of a sandbox that was made for a command its front says this: it looks at the copy anyway. */
static void record_changes(struct keeper *k)
{
	char id[STATE_ID_SIZE];

	if (k->main || !k->recording) {
		return;
	}
	if (k->copy_kept) {
		record_copy(k, k->home.id);
	}
	for (size_t i = 0; i < k->plan.n_more; i++) {
		if (k->more[i].kept) {
			state_name_more(k->home.id, i, id);
			record_copy(k, id);
		}
	}
}

/* The last that the record says of its life. */
static void record_end(struct keeper *k, bool clean, struct err *e)
{
	for (size_t i = 0; i < k->n_commands; i++) {
		(void)keeper_record_end(k, k->commands[i], e);
	}
	if (keeper_record_starts(k, e) < 0 ||
	    (*k->copy.loss.first &&
	     keeper_record(k, "copy_reduced", copy_loss_to_json(&k->copy), e) < 0) ||
	    keeper_record(k, "ended", ended_event(k), e) < 0 ||
	    keeper_record(k, "torn_down", json_pack("{s:b}", "clean", clean), e) < 0 ||
	    settle_record(k, e) < 0) {
		k->error = k->error.code ? k->error : *e;
	}
}

/* Whoever waits for the end is not held up by it. Where it fails, 'atoll audit verify' says that
 * the record is not sealed. */
static void seal_record(struct keeper *k)
{
	struct err unused = {};

	if (k->recording && seal(&k->state, &k->trail, &unused) >= 0) {
		(void)settle_record(k, &unused);
	}
}

/* What was refused is known when nothing can be heard any more; the gateway tells the last of it
 * when the command has ended. */
static void judge_refusals(struct keeper *k)
{
	/* A command that ended by itself, and at its end a counter told of a refusal. */
	bool ended = k->main && k->main->exited;

	if (!k->recording) {
		return;
	}
	if (keeper_suspect(k, &k->error) > 0 && k->plan.escape <= ESCAPE_STOP && ended &&
	    !ended_by_us(k)) {
		k->caught = true;
	}
	if (k->plan.denials == DENIALS_END && k->denials.n > 0 && ended && !ended_by_us(k)) {
		k->denied = keeper_record_denial(k, &k->error) >= 0;
	}
	if (k->suspected && k->plan.escape == ESCAPE_LOWER) {
		(void)agent_lower(k, k->error.code ? NULL : &k->error);
	}
}

/* The end of every life, however far it came. */
static void finish(struct keeper *k)
{
	struct err e = {};
	bool gone = tear_down(k, &e), clean = gone;
	int kept = settle_copy(k, clean, &e);

	clean = clean && kept >= 0 && settle_more(k, clean, &e);
	k->copy_kept = kept > 0;

	/* Nobody inside can end pid 1; without a status there is no success to report. */
	if (k->started && !(k->main && k->main->exited) && !ended_by_us(k)) {
		(void)err_set(&k->error, ERR_SYSTEM, ECHILD,
			      "the sandbox was killed from outside before its command ended; see "
			      "whether the host ran out of memory (dmesg)");
	}
	judge_refusals(k);
	if (account_release(k, gone, &e) < 0) {
		clean = false; /* whoever reaps it returns what it holds */
	}
	if (k->recording) {
		record_end(k, clean, &e);
	}
	/* What could not be removed keeps its directory, so that the next command tries again. */
	clean = release_more(k, clean, &e);
	if (clean && k->home.dir >= 0) {
		clean = (k->copy_kept ? copy_release(&k->home, &e)
				      : state_remove(&k->state, &k->home, &e)) >= 0;
	}
	state_sandbox_done(&k->home); /* whoever hears of the end may have what is left at once */
	record_changes(k);
	control_finish(&k->control);
	if (!clean && !k->error.code) {
		k->error = e;
	}
	report(k, clean);
	seal_record(k);
}

static void keeper_done(struct keeper *k)
{
	size_t i;

	json_decref(k->receipt);
	json_decref(k->armed);
	limits_done(&k->limits);
	scratch_done(&k->scratch);
	copy_done(&k->copy);
	for (i = 0; i < PLAN_MORE_MAX; i++) {
		copy_done(&k->more[i].copy);
		state_sandbox_done(&k->more[i].home);
	}
	deny_layers_done(&k->hidden);
	egress_done(&k->egress);
	account_done(&k->account);
	log_done(&k->log);
	control_done(&k->control);
	trail_done(&k->trail);
	state_sandbox_done(&k->home);
	state_done(&k->state);
	for (i = 0; i < k->n_commands; i++) {
		command_free(k->commands[i]);
	}
	free(k->name);
	json_decref(k->labels);
	plan_done(&k->plan);
	mount_table_done(&k->mounts);
	k->sandbox.denials = fd_close(k->sandbox.denials);
	k->front = fd_close(k->front);
}

#define MAX_FILES 4096

/* On its own: in a session of its own, with room for its descriptors, and nobody's signals. */
static void settle_in(void)
{
	/* SIGXFSZ: the caller's limit of file sizes is an error like any other. */
	static const int signals[] = {SIGPIPE, SIGHUP,  SIGINT,  SIGQUIT,
				      SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ};
	struct rlimit files;
	size_t i;

	(void)setsid();
	/* Sixty commands hold ten descriptors each; what the caller had in mind for itself was
	 * less. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max < MAX_FILES ? files.rlim_max : MAX_FILES;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	/* Paths are absolute by now; the caller's directory is not held up for hours. */
	(void)!chdir("/");
	/* Whatever the caller ignores: the guard of the start; and a child that the kernel collects
	 * by itself leaves a number that may be another process's when we send a signal to it. */
	(void)signal(SIGALRM, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_NAME, "atoll-keeper");
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)signal(signals[i], SIG_IGN);
	}
}

/* A sandbox without a main command stands. When its front has said that it has the id, nobody is
 * needed any more for it to live; until then it ends with the front (watch.c). */
static int answer(struct keeper *k, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;

	if (k->main) {
		return 0;
	}
	doc = keeper_created(k);
	return report_start(k, doc) ? 0 : err_set(e, ERR_SYSTEM, EPIPE, "the front ended");
}

/*
 * The front is still at its plan, so whatever needs none is done now: the way to a control group is
 * found, init's image is made, and our own code, of which a start runs most, is mapped.
 */
static int prepare_early(struct keeper *k, struct err *e)
{
	extern char __executable_start[], _end[];
	uintptr_t begin = (uintptr_t)__executable_start & ~(uintptr_t)4095;

	int r = mount_table_read(&k->mounts, e);

	limits_find(&k->limits);
	(void)madvise((void *)begin, (uintptr_t)_end - begin, MADV_POPULATE_READ);
	return r < 0 ? r : (k->spec.image = tier_image(e));
}

int keeper_main(void)
{
	struct keeper k = {.front = KEEPER_FD_FRONT,
			   .parent = getppid(),
			   .spec = {.image = FD_NONE, .cgroup = FD_NONE},
			   .state = {FD_NONE, FD_NONE, FD_NONE},
			   .home = {.dir = FD_NONE},
			   .sandbox = {.denials = FD_NONE},
			   .control = {.listener = FD_NONE, .spare = FD_NONE},
			   .trail = {.first = FD_NONE, .fd = FD_NONE},
			   .log = {.dir = FD_NONE, .fd = FD_NONE}};
	struct err why = {};
	int early, r;

	settle_in();
	(void)fcntl(k.front, F_SETFD, FD_CLOEXEC);
	scratch_init(&k.scratch);
	egress_init(&k.egress);
	starts_init(&k.starts);
	copy_init(&k.copy);
	k.copy.tell = keeper_progress;
	k.copy.tell_arg = &k;
	for (size_t i = 0; i < PLAN_MORE_MAX; i++) {
		copy_init(&k.more[i].copy);
		k.more[i].copy.tell = keeper_progress;
		k.more[i].copy.tell_arg = &k;
		k.more[i].home.dir = FD_NONE;
	}
	early = prepare_early(&k, &why);
	(void)alarm(KEEPER_START_SECONDS);
	k.born_ns = k.looked_ns = clock_now_ns();
	r = keeper_receive(&k, &k.error);
	if (r >= 0 && k.plan.identity.from_root) {
		r = state_host_id(k.plan.tier == TIER_CONTAINER, &k.spec.host_uid, &k.error);
		k.spec.host_gid = k.spec.host_uid;
	} else if (r >= 0) {
		k.spec.host_uid = k.plan.identity.uid;
		k.spec.host_gid = k.plan.identity.gid;
	}
	if (r >= 0 && early < 0) {
		k.error = why;
		r = early;
	}
	if (r >= 0) {
		r = start(&k, &k.error);
	}
	k.spec.image = fd_close(k.spec.image);
	(void)alarm(0);
	if (k.stopped) {
		k.error = (struct err){}; /* it was asked for */
	}
	if (r >= 0) {
		k.started = true;
		k.started_ns = clock_now_ns();
		limits_start(&k.limits, k.main != NULL);
		if (answer(&k, &k.error) >= 0) {
			(void)keeper_watch(&k, &k.error);
		}
	}
	if (k.ended_ns == 0) {
		k.ended_ns = clock_now_ns();
	}
	finish(&k);
	keeper_done(&k);
	return 0;
}
