/* SPDX-License-Identifier: Apache-2.0 */
/* atoll inspect, atoll rm: one sandbox, whatever state it is in. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/copies.h"
#include "front/cli/sandboxes.h"
#include "keeper/log.h"
#include "keeper/name.h"
#include "keeper/state.h"
#include "policy/plan.h"

/* Ended, with a copy that waits. */
static json_t *describe_kept(const struct state *s, const char *id)
{
	char name[NAME_MAX_LENGTH + 1];
	json_t *doc = NULL;
	struct err why = {};
	struct kept k;

	(void)kept_look(s, id, &k, &why);
	if (k.home.dir >= 0) {
		name_read(k.home.dir, name);
		doc = json_pack("{s:s, s:s?, s:s, s:s?, s:b}", "sandbox", id, "name",
				*name ? name : NULL, "state", "kept", "workspace", k.workspace,
				"workspace_found", k.original >= 0);
	}
	kept_done(&k);
	return doc;
}

static int describe(const struct state *s, const char *word, void *list, struct err *e)
{
	char id[STATE_ID_SIZE];
	json_t *doc = NULL;
	int r = name_find(s, word, id, e);

	if (r < 0) {
		return r;
	}
	r = sandbox_ask(s, id, CONTROL_INSPECT, &doc, e);
	if (r == -ENOENT) {
		doc = describe_kept(s, id);
		r = doc               ? 0
		    : strchr(id, '.') ? sandbox_find(s, word, id, e)
				      : err_set(e, ERR_USER, ENOENT,
						"sandbox '%s' has ended meanwhile", word);
	}
	return r < 0 || json_array_append_new(list, doc) >= 0
		       ? r
		       : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

struct inspect_options {
	bool json; /* as without it: who asks every command for JSON need not know which have it */
};

static int inspect(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *list = json_array();
	struct inspect_options o = {};
	struct cli_operands words;
	struct state s;
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	cli_reap(&s, REAP_SANDBOXES);
	r = sandboxes_each(&s, &words, describe, list);
	state_done(&s);
	/* All that were asked about, or nothing: who reads the list need not look for gaps. */
	return r == CLI_OK ? cli_print_json(json_incref(list)) : r;
}

static const struct cli_option inspect_options[] = {
	CLI_FLAG("--json", "as JSON, which it is without it, too",
		 .offset = offsetof(struct inspect_options, json)),
	{},
};

static const struct cli_example inspect_examples[] = {
	CLI_EXAMPLE("atoll inspect work"),
	CLI_EXAMPLE("atoll inspect work >inspected.json"),
	{},
};

const struct cli_command cli_inspect_command = {
	.name = "inspect",
	.summary = "all there is to know of a sandbox, as JSON",
	.operands = "SANDBOX...",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about =
		"Print what is known of sandboxes as a JSON list: state, commands, plan, receipt,\n"
		"limits, denials.\n",
	.options = inspect_options,
	.examples = inspect_examples,
	.run = inspect,
};

#define TEARDOWN_PAUSES 2000 /* of 5 ms */
#define OTHERS_PAUSES   40

struct rm_options {
	bool force;
};

/*
 * A keeper that was told to end, or answers nobody any more, is through in a moment and then lets
 * go of the directory, whose note goes before. Without a note it may be another command that holds
 * it.
 */
static void await_teardown(const struct state *s, const char *id, bool told)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	_cleanup_fd_ int dir =
		openat(s->sandboxes, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool note = dir >= 0 && faccessat(dir, "sandbox.json", F_OK, 0) == 0;
	int pauses = told || note ? TEARDOWN_PAUSES : OTHERS_PAUSES;

	while (dir >= 0 && pauses-- > 0 && flock(dir, LOCK_SH | LOCK_NB) < 0) {
		(void)nanosleep(&pause, NULL);
	}
}

/* Its keeper tears it down; what it changed is then a kept copy. 1: it was running. */
static int end_running(const struct state *s, const char *id, const char *word, bool force,
		       struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = sandbox_ask(s, id, force ? CONTROL_STOP : CONTROL_STATUS, &reply, e);

	if (force && (r >= 0 || r == -ENOENT)) {
		await_teardown(s, id, r >= 0);
	}
	if (r < 0) {
		return r == -ENOENT ? 0 : r;
	}
	return force ? 1
		     : err_set(e, ERR_USER, EBUSY,
			       "sandbox '%s' is running; 'atoll stop %s' ends it and keeps what it "
			       "changed, 'atoll rm --force %s' throws that away, too",
			       word, word, word);
}

/* The copy that it has left, if it has. */
static int discard(const struct state *s, const char *id, struct err *e)
{
	struct kept k;
	int r;

	if (kept_open(s, id, &k, e) >= 0 || k.home.dir >= 0) {
		r = kept_discard(s, &k, e);
	} else {
		r = e->code == ENOENT ? 0 : -e->code;
	}
	kept_done(&k);
	if (r >= 0) {
		*e = (struct err){};
	}
	return r;
}

/* The copy of a further directory is its sandbox's, as long as that runs. */
static int refuse_part(const struct state *s, const char *id, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	char of[STATE_ID_SIZE] = {};
	struct err unused = {};

	if (!strchr(id, '.')) {
		return 0;
	}
	state_name_of(id, of);
	return sandbox_ask(s, of, CONTROL_STATUS, &reply, &unused) < 0
		       ? 0
		       : err_set(e, ERR_USER, EBUSY,
				 "it is a copy of sandbox %s, which is running; 'atoll stop %s' "
				 "ends that",
				 of, of);
}

static int rm_one(const struct state *s, const char *word, void *options, struct err *e)
{
	bool force = ((const struct rm_options *)options)->force;
	char id[STATE_ID_SIZE];
	char more[STATE_ID_SIZE];
	struct err why = {};
	int r = name_find(s, word, id, e);
	size_t i;

	if (r == -ENOENT && log_find(s, word, id, &why) >= 0) {
		(void)log_remove(s, id); /* all that was left of it */
		*e = (struct err){};
		return 0;
	}
	r = r < 0 ? r : refuse_part(s, id, e);
	r = r < 0 ? r : end_running(s, id, word, force, e);
	if (r < 0) {
		return r;
	}
	for (i = 0; r > 0 && i < PLAN_MORE_MAX; i++) {
		state_name_more(id, i, more);
		await_teardown(s, more, true);
		r = discard(s, more, e) < 0 ? -e->code : r;
	}
	if (r < 0) {
		return r;
	}
	r = discard(s, id, e);
	if (r >= 0) {
		(void)log_remove(s, id);
	}
	return r;
}

static int rm(const struct cli_command *c, int argc, char **argv)
{
	struct rm_options o = {};
	struct cli_operands words;
	struct state s;
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	cli_reap(&s, REAP_SANDBOXES);
	r = sandboxes_each(&s, &words, rm_one, &o);
	state_done(&s);
	return r;
}

static const struct cli_option rm_options[] = {
	CLI_FLAG("--force", "end it if it is running, whatever it has changed",
		 .offset = offsetof(struct rm_options, force)),
	{},
};

static const struct cli_example rm_examples[] = {
	CLI_EXAMPLE("atoll rm work"),
	CLI_EXAMPLE("atoll rm --force $(atoll ps --quiet)", .why = "all that run"),
	{},
};

const struct cli_command cli_rm_command = {
	.name = "rm",
	.summary = "remove a sandbox, and its copy",
	.operands = "SANDBOX...",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about =
		"Remove sandboxes that have ended, with the copies that they have left; and with\n"
		"--force those that are running, too. Nothing of them remains but their records.\n",
	.options = rm_options,
	.examples = rm_examples,
	.run = rm,
};
