/* SPDX-License-Identifier: Apache-2.0 */
/* atoll run: the main job; atoll create: the same sandbox, without a command. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/copies.h"
#include "front/cli/lock.h"
#include "front/cli/report.h"
#include "front/cli/run-options.h"
#include "front/cli/sandboxes.h"
#include "front/session.h"
#include "keeper/copy.h"
#include "keeper/state.h"
#include "policy/plan.h"

extern char **environ;

/* With what its payload could have put links into. */
static int write_report(const char *path, const struct plan *plan, const json_t *doc, struct err *e)
{
	_cleanup_json_ json_t *j = plan_to_json(plan);

	return j ? sandbox_write_report(path, j, doc, e)
		 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* --json and --receipt; the result alone carries the digest, the receipt its own file. */
static int write_reports(const struct run_options *o, const struct plan *plan, json_t *result,
			 const struct session *s, struct err *e)
{
	json_t *bytes = json_object_get(result, "bytes");
	int r = 0;

	if (bytes && json_put(bytes, "stdin", json_integer((json_int_t)s->stdin_bytes)) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (o->receipt && !json_is_null(json_object_get(result, "receipt"))) {
		r = write_report(o->receipt, plan, json_object_get(result, "receipt"), e);
	}
	(void)json_object_del(result, "receipt");
	return r >= 0 && o->json ? write_report(o->json, plan, result, e) : r;
}

static int print_plan(const struct plan *plan, const char *path, struct err *e)
{
	_cleanup_json_ json_t *doc = plan_to_json(plan);

	return doc ? sandbox_write_report(path ? path : "-", doc, doc, e)
		   : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* Done while the sandbox is being built. */
static int reap_orphans(struct err *e)
{
	struct state state;
	int r = state_open(&state, e);

	if (r >= 0) {
		cli_reap(&state, REAP_PASSING);
	}
	state_done(&state);
	return r;
}

/* What is weaker than a reader would assume is said once, on a terminal. */
static void say_sampler(const struct session *s)
{
	if (s->sampled && isatty(STDERR_FILENO)) {
		cli_say("note: memory is watched by sampling, for want of a control group; short "
			"peaks and "
			"kernel memory can escape it");
	}
}

static void say_progress(int files, int mebibytes)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "copying the workspace: %d file%s, %d MiB; ^C ends it",
		       files, files == 1 ? "" : "s", mebibytes);
	cli_progress(files < 0 ? NULL : line);
}

/* The id alone goes to standard output, for who keeps it in a variable. */
static int report_created(const json_t *result, const struct run_options *o, struct session *s)
{
	const char *reason = json_string_value(json_object_get(result, "reason"));
	const char *id = json_string_value(json_object_get(result, "sandbox"));
	int r;

	if (!reason || strcmp(reason, "created") != 0) {
		return report_result(result, o->quiet, s, "");
	}
	if (!o->json || strcmp(o->json, "-") != 0) {
		printf("%s\n", id);
	}
	if (!o->quiet && isatty(STDERR_FILENO)) {
		cli_say("it lives for %lld minutes at most, and for %lld without anything to do; "
			"'atoll exec %s -- COMMAND' runs something in it, 'atoll stop %s' ends it",
			(long long)json_integer_value(json_object_get(result, "session_ms")) /
				60000,
			(long long)json_integer_value(json_object_get(result, "idle_ms")) / 60000,
			o->name ? o->name : id, o->name ? o->name : id);
	}
	r = cli_written();
	if (r == CLI_OK) {
		session_taken(s);
	}
	return r;
}

static json_t *labels_of(const struct run_options *o)
{
	_cleanup_json_ json_t *labels = json_object();
	size_t i;

	for (i = 0; labels && i < o->n_labels; i++) {
		if (json_put(labels, o->labels[i].key, json_string(o->labels[i].value)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(labels);
}

static int run(const struct run_options *o, struct session *s, struct plan *plan, struct err *e)
{
	_cleanup_json_ json_t *labels = labels_of(o);
	const struct session_sandbox sandbox = {
		.plan = plan, .name = o->name, .labels = labels, .receipt = o->receipt != NULL};
	const struct session_command command = {.argv = o->command};
	_cleanup_json_ json_t *result = NULL;
	json_t *more;
	size_t i;
	int r = labels ? reap_orphans(e) : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");

	for (i = 0; r >= 0 && !o->quiet && i < plan->n_notes; i++) {
		cli_say("note: %s", plan->notes[i]);
	}
	if (r >= 0) {
		r = session_run(s, &sandbox, o->command ? &command : NULL, &result, e);
	}
	/* A report may end us by a signal; and a copy is the keeper's until it ends. */
	if (o->command) {
		session_done(s);
	}
	if (r >= 0 && json_is_true(json_object_get(result, "copy_kept"))) {
		bool kept = review_after_run(json_string_value(json_object_get(result, "sandbox")),
					     o->quiet);

		(void)json_put(result, "copy_kept", json_boolean(kept));
	}
	json_array_foreach(json_object_get(result, "more"), i, more)
	{
		if (r >= 0 && json_is_true(json_object_get(more, "copy_kept"))) {
			const char *id = json_string_value(json_object_get(more, "sandbox"));

			(void)json_put(more, "copy_kept",
				       json_boolean(review_after_run(id, o->quiet)));
		}
	}
	if (r >= 0 && o->lock) {
		r = lock_write(o->lock, plan, result, e);
	}
	if (r >= 0) {
		r = write_reports(o, plan, result, s, e);
	}
	if (r < 0) {
		return r;
	}
	return o->command ? report_result(result, o->quiet, s, o->command[0])
			  : report_created(result, o, s);
}

/* Both commands: with one to run, and without. */
static int perform(const struct run_options *o)
{
	struct session s = {.socket = FD_NONE, .dir = FD_NONE};
	struct plan plan = {};
	struct policy_request req = {};
	struct err e = {};
	int r = 0;

	if (!o->plan_only) {
		r = session_open(&s, &e);
		s.on_start = o->quiet ? NULL : say_sampler;
		s.on_progress = o->quiet ? NULL : say_progress;
		s.on_suspicion = report_suspicion;
	}
	if (r >= 0) {
		req = (struct policy_request){.template = o->template,
					      .file = o->file,
					      .overrides = o->overrides,
					      .n_overrides = o->n_overrides,
					      .accept_tier = o->accept_tier,
					      .learn = o->learn,
					      .no_copy = copy_impossible(),
					      .no_bounded_copy = copy_unbounded(),
					      .environ = environ};
		r = policy_plan(&req, &plan, &e);
	}
	if (r >= 0) {
		r = o->locked ? lock_check(o->locked, &plan, &e) : 0;
		r = r < 0          ? r
		    : o->plan_only ? print_plan(&plan, o->json, &e)
				   : run(o, &s, &plan, &e);
		plan_done(&plan);
	}
	session_done(&s);
	return r < 0 ? cli_fail(&e) : r;
}

int cmd_run(const struct cli_command *c, int argc, char **argv)
{
	struct run_options o;
	int r = run_options_parse(&o, c, argc, argv);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (!o.command && !o.plan_only) {
		return cli_complain(c->name, "a command is missing; see 'atoll %s --help'",
				    c->name);
	}
	return perform(&o);
}

int cmd_create(const struct cli_command *c, int argc, char **argv)
{
	struct run_options o;
	int r = run_options_parse(&o, c, argc, argv);

	return r != 0 ? (r > 0 ? CLI_OK : -r) : perform(&o);
}
