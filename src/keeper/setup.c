/* SPDX-License-Identifier: Apache-2.0 */
/* How a sandbox comes to be: everything before the release of its first command. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/agent.h"
#include "keeper/keeper-internal.h"
#include "keeper/name.h"
#include "keeper/result.h"
#include "linux/machine.h"
#include "record/event.h"
#include "record/key.h"
#include "tier/command.h"

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
	const struct mount_table *mounts;
	int r = state_open(&k->state, e);

	if (r >= 0) {
		r = mount_ahead_get(&k->mounts, &mounts, e);
	}
	if (r >= 0) {
		r = state_check_hidden(&k->state, &k->plan, mounts, e);
	}
	mount_ahead_done(&k->mounts);
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
	return r < 0 ? r : keeper_sync(k, e);
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

int keeper_start(struct keeper *k, struct err *e)
{
	struct err unused = {};
	int r = state_name(&k->home, e);

	if (r >= 0 && k->unready.code) {
		*e = k->unready;
		r = -e->code;
	}
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
