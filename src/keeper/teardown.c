/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a sandbox, however far it came. */
#include <errno.h>
#include <poll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/agent.h"
#include "keeper/exec-internal.h"
#include "keeper/keeper-internal.h"
#include "keeper/kept.h"
#include "keeper/name.h"
#include "keeper/result.h"
#include "keeper/seal.h"
#include "tier/command.h"
#include "workspace/change.h"
#include "workspace/summary.h"

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
		(void)keeper_answer(k, doc);
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
	    keeper_sync(k, e) < 0) {
		k->error = k->error.code ? k->error : *e;
	}
}

/* Whoever waits for the end is not held up by it. Where it fails, 'atoll audit verify' says that
 * the record is not sealed. */
static void seal_record(struct keeper *k)
{
	struct err unused = {};

	if (k->recording && seal(&k->state, &k->trail, &unused) >= 0) {
		(void)keeper_sync(k, &unused);
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
void keeper_finish(struct keeper *k)
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
