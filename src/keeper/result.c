/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ended, as one document. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/result.h"

#define MS 1000000LL
/* A status fits in one reply (CONTROL_MAX_REPLY), escapes and separators included. */
#define STATUS_COMMAND 2048

static int exec_error(const struct keeper *k)
{
	return k->main ? k->main->exec_error : 0;
}

void keeper_command_reason(const struct keeper *k, const struct command *c, char *text, size_t size)
{
	if (c->exec_error) {
		(void)snprintf(text, size, "error:exec");
	} else if (c->broken != LIMIT_NONE) {
		(void)snprintf(text, size, "limit:%s", limit_name(c->broken));
	} else if (c->error.code) {
		(void)snprintf(text, size, "error:%s", err_kind_name(c->error.kind));
	} else if (c->stopped) {
		(void)snprintf(text, size, "stopped");
	} else if (c->exited && !c->cut) {
		(void)snprintf(text, size, WIFSIGNALED(c->status) ? "signalled" : "exited");
	} else if (c->cut || (k->main && k->main->exited)) {
		(void)snprintf(text, size, "stopped"); /* the sandbox was another command's */
	} else {
		keeper_reason(k, text, size); /* it has ended with the sandbox */
	}
}

void keeper_reason(const struct keeper *k, char *text, size_t size)
{
	if (exec_error(k)) {
		(void)snprintf(text, size, "error:exec");
	} else if (k->error.code) {
		(void)snprintf(text, size, "error:%s", err_kind_name(k->error.kind));
	} else if (k->stopped) {
		(void)snprintf(text, size, "stopped");
	} else if (k->caught) {
		(void)snprintf(text, size, "escape");
	} else if (k->denied) {
		(void)snprintf(text, size, "denied:%s",
			       denial_kind(k->denials.entries[0].code)->code);
	} else if (k->broken != LIMIT_NONE) {
		(void)snprintf(text, size, "limit:%s", limit_name(k->broken));
	} else {
		(void)snprintf(text, size,
			       k->main && WIFSIGNALED(k->main->status) ? "signalled" : "exited");
	}
}

json_t *keeper_exit_of(const struct command *c)
{
	if (c && c->exec_error) {
		return json_pack("{s:i}", "status", c->exec_error == ENOENT ? 127 : 126);
	}
	if (!c || !c->exited) {
		return json_null();
	}
	return WIFSIGNALED(c->status) ? json_pack("{s:i}", "signal", WTERMSIG(c->status))
				      : json_pack("{s:i}", "status", WEXITSTATUS(c->status));
}

json_t *keeper_words(const struct command *c, size_t room)
{
	_cleanup_json_ json_t *list = json_array();
	size_t i, len;

	for (i = 0; list && c && c->argv && c->argv[i]; i++) {
		bool fits = (len = strlen(c->argv[i])) < room;

		if (json_array_append_new(list, json_text(fits ? c->argv[i] : "...")) < 0) {
			return NULL;
		}
		if (!fits) {
			break;
		}
		room -= len + 1;
	}
	return TAKE_PTR(list);
}

static double span_ms(int64_t from, int64_t to)
{
	return from > 0 && to > from ? (double)(to - from) / (double)MS : 0.0;
}

static json_t *error_of(int exec, const struct err *error)
{
	if (exec) {
		return json_pack("{s:s, s:i, s:s}", "kind", "exec", "code", exec, "message",
				 strerror(exec));
	}
	if (!error->code) {
		return json_null();
	}
	return json_pack("{s:s, s:i, s:o}", "kind", err_kind_name(error->kind), "code", error->code,
			 "message", json_text(error->msg));
}

static json_t *bytes_of(const struct command *c)
{
	static const struct pump none;
	const struct pump *p = c ? c->pumps : NULL;

	return json_pack("{s:I, s:I, s:I}", "stdout", (json_int_t)(p ? p[PUMP_STDOUT] : none).bytes,
			 "stderr", (json_int_t)(p ? p[PUMP_STDERR] : none).bytes, "terminal",
			 (json_int_t)(p ? p[PUMP_TERMINAL] : none).bytes);
}

static json_t *durations_of(const struct keeper *k)
{
	int64_t begun = k->started_ns ? k->started_ns : k->ended_ns;

	return json_pack("{s:f, s:f, s:f}", "setup", span_ms(k->born_ns, begun), "run",
			 span_ms(k->started_ns, k->ended_ns), "teardown",
			 span_ms(k->ended_ns, k->down_ns));
}

static const char *state_of(const struct keeper *k)
{
	return k->frozen ? "paused" : k->n_commands > 0 ? "running" : "waiting";
}

json_t *keeper_status(const struct keeper *k)
{
	return json_pack(
		"{s:s, s:s?, s:O?, s:s, s:o, s:i, s:s, s:f, s:f, s:I, s:o, s:i, s:f, s:i}",
		"sandbox", k->home.id, "name", k->name, "labels", k->labels, "state", state_of(k),
		"command", keeper_words(k->main, STATUS_COMMAND), "commands", (int)k->n_commands,
		"tier", tier_name(k->plan.tier), "age_ms", span_ms(k->started_ns, clock_now_ns()),
		"cpu_ms", (double)k->limits.cpu_ns / (double)MS, "memory_peak_bytes",
		(json_int_t)k->limits.peak_memory, "bytes", bytes_of(k->main), "pauses",
		(int)k->limits.pauses, "paused_ms",
		(double)limits_paused_ns(&k->limits) / (double)MS, "keeper", (int)getpid());
}

static json_t *commands_of(const struct keeper *k)
{
	_cleanup_json_ json_t *list = json_array();
	int64_t now = clock_now_ns();
	size_t i;

	for (i = 0; list && i < k->n_commands; i++) {
		const struct command *c = k->commands[i];
		json_t *row = json_pack("{s:i, s:o, s:o, s:b, s:b, s:f, s:o}", "number",
					(int)c->number, "command", keeper_words(c, STATUS_COMMAND),
					"cwd", json_text(c->cwd), "terminal", c->tty != 0,
					"detached", c->detached, "age_ms",
					span_ms(c->started_ns, now), "bytes", bytes_of(c));

		if (!row || json_array_append_new(list, row) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

/* What was refused, and what it looks like. */
static int put_refused(json_t *doc, const struct keeper *k)
{
	int r = json_put(doc, "denials", denials_to_json(&k->denials, k->home.id));

	return r < 0 ? r : json_put(doc, "escape_suspected", json_boolean(k->suspected));
}

json_t *keeper_inspect(const struct keeper *k)
{
	_cleanup_json_ json_t *doc = keeper_status(k);
	int r = doc ? 0 : -ENOMEM;

	r = r < 0 ? r : json_put(doc, "commands", commands_of(k));
	r = r < 0 ? r : json_put(doc, "plan", plan_to_json(&k->plan));
	r = r < 0 ? r : json_put(doc, "receipt_digest", json_string(k->receipt_digest));
	r = r < 0 ? r
		  : json_put(doc, "receipt", k->receipt ? json_incref(k->receipt) : json_null());
	r = r < 0 ? r : put_refused(doc, k);
	r = r < 0 ? r : json_put(doc, "limits", k->armed ? json_incref(k->armed) : json_array());
	r = r < 0 ? r
		  : json_put(doc, "log",
			     json_pack("{s:I, s:I, s:I}", "limit", (json_int_t)k->log.limit,
				       "bytes", (json_int_t)k->log.position, "lost",
				       (json_int_t)k->log.lost));
	return r < 0 ? NULL : TAKE_PTR(doc);
}

/* Of the kilobytes of a result it is most, so it is there for who asked. */
static json_t *receipt_of(const struct keeper *k)
{
	return k->receipt && k->tell_receipt ? json_incref(k->receipt) : json_null();
}

json_t *keeper_created(const struct keeper *k)
{
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:o, s:O?, s:I, s:I}", "sandbox", k->home.id,
			 "name", k->name, "reason", "created", "tier", tier_name(k->plan.tier),
			 "receipt_digest", k->receipt_digest, "receipt", receipt_of(k), "limits",
			 k->armed, "session_ms", (json_int_t)(k->plan.limits.session / MS),
			 "idle_ms", (json_int_t)(k->plan.limits.idle / MS));
}

json_t *keeper_command_started(const struct keeper *k, const struct command *c)
{
	return json_pack("{s:s, s:i, s:o, s:s}", "sandbox", k->home.id, "number", (int)c->number,
			 "command", keeper_words(c, SIZE_MAX), "reason", "started");
}

/* The sandbox's, but for the time of a command that has less. */
static json_t *limits_of(const struct keeper *k, const struct command *c)
{
	_cleanup_json_ json_t *list = k->armed ? json_deep_copy(k->armed) : json_array();
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));

		if (c->wall > 0 && c->wall < k->plan.limits.wall && name &&
		    strcmp(name, "wall_ms") == 0 &&
		    json_put(row, "value", json_integer((json_int_t)(c->wall / MS))) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

/* Those that came while it was there; all of them where they ended the sandbox. */
static json_t *denials_of(const struct keeper *k, const struct command *c)
{
	_cleanup_json_ json_t *list = json_array();
	unsigned i;

	for (i = 0; list && i < k->denials.n; i++) {
		struct denial_entry entry = k->denials.entries[i];

		entry.count -= k->denied ? 0 : c->denials[i];
		if (entry.count > 0 &&
		    json_array_append_new(list, denial_to_json(&entry, k->home.id)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

json_t *keeper_more(const struct keeper *k)
{
	_cleanup_json_ json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < k->plan.n_more; i++) {
		const struct plan_more *m = &k->plan.more[i];
		bool copy = m->mode == WORKSPACE_COPY;
		json_t *row =
			json_pack("{s:o, s:s, s:s?, s:b}", "path", json_text(m->place.path), "mode",
				  workspace_mode_name(m->mode), "sandbox",
				  copy ? k->more[i].home.id : NULL, "copy_kept", k->more[i].kept);

		if (!row || json_array_append_new(list, row) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

/* Whether there was one: "served", and "ended" where it did so before the sandbox. */
static json_t *gateway_of(const struct keeper *k)
{
	return k->egress.died                   ? json_string("ended")
	       : k->egress.state > EGRESS_WAITS ? json_string("served")
						: json_null();
}

/* What both results have of it. */
static int put_of_sandbox(const struct keeper *k, json_t *doc)
{
	int r = json_put(doc, "more", keeper_more(k));

	return r < 0 ? r : json_put(doc, "account", account_to_json(k));
}

json_t *keeper_command_result(const struct keeper *k, const struct command *c)
{
	_cleanup_json_ json_t *doc = json_object();
	bool alone = c->exited || c->error.code || c->exec_error || c->broken != LIMIT_NONE ||
		     c->stopped;
	int64_t begun = c->started_ns ? c->started_ns : c->ended_ns;
	char reason[64];
	int r;

	if (!doc) {
		return NULL;
	}
	keeper_command_reason(k, c, reason, sizeof(reason));
	r = json_put(doc, "sandbox", json_string(k->home.id));
	r = r < 0 ? r : json_put(doc, "number", json_integer(c->number));
	r = r < 0 ? r : json_put(doc, "command", keeper_words(c, SIZE_MAX));
	r = r < 0 ? r : json_put(doc, "exit", keeper_exit_of(c));
	r = r < 0 ? r : json_put(doc, "reason", json_string(reason));
	r = r < 0 ? r
		  : json_put(doc, "error",
			     error_of(c->exec_error, c->broken != LIMIT_NONE ? &(struct err){}
						     : alone                 ? &c->error
									     : &k->error));
	r = r < 0 ? r
		  : json_put(doc, "durations_ms",
			     json_pack("{s:f, s:f}", "setup", span_ms(c->asked_ns, begun), "run",
				       span_ms(c->started_ns,
					       c->ended_ns ? c->ended_ns : k->ended_ns)));
	r = r < 0 ? r : json_put(doc, "bytes", bytes_of(c));
	r = r < 0 ? r : json_put(doc, "tier", json_string(tier_name(k->plan.tier)));
	r = r < 0 ? r : json_put(doc, "receipt_digest", json_string(k->receipt_digest));
	r = r < 0 ? r : json_put(doc, "limits", limits_of(k, c));
	r = r < 0 ? r : json_put(doc, "denials", denials_of(k, c));
	r = r < 0 ? r
		  : json_put(doc, "workspace",
			     k->plan.workspace.path ? json_text(k->plan.workspace.path)
						    : json_null());
	r = r < 0 ? r
		  : json_put(doc, "workspace_mode",
			     json_string(workspace_mode_name(k->plan.workspace_mode)));
	r = r < 0 ? r : put_of_sandbox(k, doc);
	return r < 0 ? NULL : TAKE_PTR(doc);
}

json_t *keeper_result(const struct keeper *k, bool clean)
{
	_cleanup_json_ json_t *doc = json_object();
	char reason[64];
	int r;

	if (!doc) {
		return NULL;
	}
	keeper_reason(k, reason, sizeof(reason));
	r = json_put(doc, "sandbox", json_string(k->home.id));
	r = r < 0 ? r : json_put(doc, "command", keeper_words(k->main, SIZE_MAX));
	r = r < 0 ? r : json_put(doc, "exit", keeper_exit_of(k->main));
	r = r < 0 ? r : json_put(doc, "reason", json_string(reason));
	r = r < 0 ? r : json_put(doc, "error", error_of(exec_error(k), &k->error));
	r = r < 0 ? r : json_put(doc, "durations_ms", durations_of(k));
	r = r < 0 ? r : json_put(doc, "cpu_ms", json_real((double)k->limits.cpu_ns / (double)MS));
	r = r < 0 ? r
		  : json_put(doc, "memory_peak_bytes",
			     json_integer((json_int_t)k->limits.peak_memory));
	r = r < 0 ? r : json_put(doc, "bytes", bytes_of(k->main));
	r = r < 0 ? r : json_put(doc, "tier", json_string(tier_name(k->plan.tier)));
	r = r < 0 ? r : json_put(doc, "receipt_digest", json_string(k->receipt_digest));
	r = r < 0 ? r : json_put(doc, "receipt", receipt_of(k));
	r = r < 0 ? r : put_refused(doc, k);
	r = r < 0 ? r : json_put(doc, "limits", k->armed ? json_incref(k->armed) : json_array());
	r = r < 0 ? r : json_put(doc, "copy_kept", json_boolean(k->copy_kept));
	r = r < 0 ? r : json_put(doc, "gateway", gateway_of(k));
	r = r < 0 ? r
		  : json_put(doc, "learned",
			     k->plan.learn ? learned_to_json(&k->egress.learned) : json_null());
	r = r < 0 ? r : json_put(doc, "learned_more", json_boolean(k->egress.learned.more));
	r = r < 0 ? r : json_put(doc, "copy_reduced", copy_loss_to_json(&k->copy));
	r = r < 0 ? r : put_of_sandbox(k, doc);
	r = r < 0 ? r : json_put(doc, "torn_down", json_boolean(clean));
	return r < 0 ? NULL : TAKE_PTR(doc);
}
