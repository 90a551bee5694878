/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one sandbox: its begin is in setup.c, what follows in watch.c, its end in teardown.c.
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
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"
#include "keeper/progress.h"
#include "keeper/result.h"
#include "linux/fdpass.h"

int keeper_record(struct keeper *k, const char *event, json_t *data, struct err *e)
{
	/* Never an event without what it is about: the caller had no memory to make it. */
	if (!data) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	return trail_add(&k->trail, event, data, e);
}

int keeper_sync(struct keeper *k, struct err *e)
{
	return k->plan.durability == DURABILITY_POWER ? trail_sync(&k->trail, e) : 0;
}

bool keeper_answer(const struct keeper *k, const json_t *doc)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	struct message m = {.op = MSG_RESULT};
	size_t len = 0;

	text = doc ? json_canonical(doc, &len) : NULL;
	fd = text ? message_text_fd(text, len, NULL) : FD_NONE;
	return fd >= 0 && fdpass_send(k->front, &m, sizeof(m), &fd, 1) >= 0;
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
	mount_ahead_done(&k->mounts);
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
	return keeper_answer(k, doc) ? 0 : err_set(e, ERR_SYSTEM, EPIPE, "the front ended");
}

/*
 * The front is still at its plan, so whatever needs none is done now: the host's mounts are read (a
 * reading holds up whoever mounts meanwhile, as the builder will), the way to a control group is
 * found, init's image is made, and our own code is mapped in one go rather than fault by fault
 * (a kernel before 5.14 knows no such advice). Nothing is made yet that anybody could see.
 */
static void prepare_early(struct keeper *k)
{
	extern char __executable_start[], etext[];
	uintptr_t begin = (uintptr_t)__executable_start & ~(uintptr_t)4095;

	mount_ahead_read(&k->mounts);
	limits_find(&k->limits);
	(void)madvise((void *)begin, (uintptr_t)etext - begin, MADV_POPULATE_READ);
	k->spec.image = tier_image(&k->unready);
}

int keeper_main(void)
{
	struct keeper k = {.front = KEEPER_FD_FRONT,
			   .parent = getppid(),
			   .mounts = {.fd = FD_NONE},
			   .spec = {.image = FD_NONE, .cgroup = FD_NONE},
			   .state = {FD_NONE, FD_NONE, FD_NONE},
			   .home = {.dir = FD_NONE},
			   .sandbox = {.denials = FD_NONE},
			   .control = {.listener = FD_NONE, .spare = FD_NONE},
			   .trail = {.first = FD_NONE, .fd = FD_NONE},
			   .log = {.dir = FD_NONE, .fd = FD_NONE}};
	int r;

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
	(void)alarm(KEEPER_START_SECONDS);
	prepare_early(&k);
	k.born_ns = k.looked_ns = clock_now_ns();
	r = keeper_receive(&k, &k.error);
	if (r >= 0 && k.plan.identity.from_root) {
		r = state_host_id(k.plan.tier == TIER_CONTAINER, &k.spec.host_uid, &k.error);
		k.spec.host_gid = k.spec.host_uid;
	} else if (r >= 0) {
		k.spec.host_uid = k.plan.identity.uid;
		k.spec.host_gid = k.plan.identity.gid;
	}
	if (r >= 0) {
		r = keeper_start(&k, &k.error);
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
	keeper_finish(&k);
	keeper_done(&k);
	return 0;
}
