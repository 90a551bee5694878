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

#define MS 1000000LL
/* A status fits in one reply (CONTROL_MAX_REPLY), escapes and separators included. */
#define STATUS_COMMAND 2048

void keeper_reason(const struct keeper *k, char *text, size_t size)
{
	if (k->exec_error) {
		(void)snprintf(text, size, "error:exec");
	} else if (k->error.code) {
		(void)snprintf(text, size, "error:%s", err_kind_name(k->error.kind));
	} else if (k->stopped) {
		(void)snprintf(text, size, "stopped");
	} else if (k->denied) {
		(void)snprintf(text, size, "denied:%s",
			       denial_kind(k->denials.entries[0].code)->code);
	} else if (k->broken != LIMIT_NONE) {
		(void)snprintf(text, size, "limit:%s", limit_name(k->broken));
	} else {
		(void)snprintf(text, size, WIFSIGNALED(k->status) ? "signalled" : "exited");
	}
}

static json_t *exit_of(const struct keeper *k)
{
	if (k->exec_error) {
		return json_pack("{s:i}", "status", k->exec_error == ENOENT ? 127 : 126);
	}
	if (!k->exited) {
		return json_null();
	}
	return WIFSIGNALED(k->status) ? json_pack("{s:i}", "signal", WTERMSIG(k->status))
				      : json_pack("{s:i}", "status", WEXITSTATUS(k->status));
}

/* As many words as `room` bytes hold; "..." stands for the rest. */
static json_t *command_of(const struct keeper *k, size_t room)
{
	_cleanup_json_ json_t *list = json_array();
	size_t i, len;

	for (i = 0; list && k->argv && k->argv[i]; i++) {
		bool fits = (len = strlen(k->argv[i])) < room;

		if (json_array_append_new(list, json_text(fits ? k->argv[i] : "...")) < 0) {
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

static json_t *error_of(const struct keeper *k)
{
	if (k->exec_error) {
		return json_pack("{s:s, s:i, s:s}", "kind", "exec", "code", k->exec_error,
				 "message", strerror(k->exec_error));
	}
	if (!k->error.code) {
		return json_null();
	}
	return json_pack("{s:s, s:i, s:o}", "kind", err_kind_name(k->error.kind), "code",
			 k->error.code, "message", json_text(k->error.msg));
}

static json_t *bytes_of(const struct keeper *k)
{
	return json_pack("{s:I, s:I, s:I}", "stdout", (json_int_t)k->pumps[PUMP_STDOUT].bytes,
			 "stderr", (json_int_t)k->pumps[PUMP_STDERR].bytes, "terminal",
			 (json_int_t)k->pumps[PUMP_TERMINAL].bytes);
}

static json_t *durations_of(const struct keeper *k)
{
	int64_t begun = k->started_ns ? k->started_ns : k->ended_ns;

	return json_pack("{s:f, s:f, s:f}", "setup", span_ms(k->born_ns, begun), "run",
			 span_ms(k->started_ns, k->ended_ns), "teardown",
			 span_ms(k->ended_ns, k->down_ns));
}

json_t *keeper_status(const struct keeper *k)
{
	return json_pack("{s:s, s:o, s:s, s:f, s:f, s:I, s:o, s:i}", "sandbox", k->home.id,
			 "command", command_of(k, STATUS_COMMAND), "tier", tier_name(k->plan.tier),
			 "age_ms", span_ms(k->started_ns, clock_now_ns()), "cpu_ms",
			 (double)k->limits.cpu_ns / (double)MS, "memory_peak_bytes",
			 (json_int_t)k->limits.peak_memory, "bytes", bytes_of(k), "keeper",
			 (int)getpid());
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
	r = r < 0 ? r : json_put(doc, "command", command_of(k, SIZE_MAX));
	r = r < 0 ? r : json_put(doc, "exit", exit_of(k));
	r = r < 0 ? r : json_put(doc, "reason", json_string(reason));
	r = r < 0 ? r : json_put(doc, "error", error_of(k));
	r = r < 0 ? r : json_put(doc, "durations_ms", durations_of(k));
	r = r < 0 ? r : json_put(doc, "cpu_ms", json_real((double)k->limits.cpu_ns / (double)MS));
	r = r < 0 ? r
		  : json_put(doc, "memory_peak_bytes",
			     json_integer((json_int_t)k->limits.peak_memory));
	r = r < 0 ? r : json_put(doc, "bytes", bytes_of(k));
	r = r < 0 ? r : json_put(doc, "tier", json_string(tier_name(k->plan.tier)));
	r = r < 0 ? r : json_put(doc, "receipt_digest", json_string(k->receipt_digest));
	r = r < 0 ? r
		  : json_put(doc, "receipt", k->receipt ? json_incref(k->receipt) : json_null());
	r = r < 0 ? r : json_put(doc, "denials", denials_to_json(&k->denials, k->home.id));
	r = r < 0 ? r : json_put(doc, "limits", k->armed ? json_incref(k->armed) : json_array());
	r = r < 0 ? r : json_put(doc, "copy_kept", json_boolean(k->copy_kept));
	r = r < 0 ? r : json_put(doc, "torn_down", json_boolean(clean));
	return r < 0 ? NULL : TAKE_PTR(doc);
}
