/* SPDX-License-Identifier: Apache-2.0 */
/* atoll apply, atoll discard: what becomes of a sandbox's copy of the workspace. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/copies.h"
#include "front/cli/sandboxes.h"
#include "workspace/apply.h"
#include "workspace/select.h"
#include "workspace/summary.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024)

/* ---- apply ---- */

#define MAX_ALLOWED 64

struct apply_options {
	const char *allowed[MAX_ALLOWED];
	size_t n_allowed;
	bool dry_run;
	bool interactive;
	bool go_on;
	bool undo;
	bool keep;
};

static int take_allowed(void *into, const struct cli_option *o, char *value)
{
	struct apply_options *options = into;

	if (options->n_allowed == MAX_ALLOWED) {
		cli_say("apply: %s may be given at most %d times", o->name, MAX_ALLOWED);
		return -CLI_FAILED;
	}
	options->allowed[options->n_allowed++] = value;
	return 0;
}

static const struct cli_option apply_options[] = {
	CLI_TAKES("--allow-hazard", "PATH", CLI_TEXT,
		  "take this over although the host would obey it", .take = take_allowed,
		  .repeat = true),
	CLI_FLAG("--interactive", "ask about each change",
		 .offset = offsetof(struct apply_options, interactive)),
	CLI_FLAG("--dry-run", "say what would be done, and what stands in the way",
		 .offset = offsetof(struct apply_options, dry_run)),
	CLI_FLAG("--keep", "keep the copy when nothing is left in it",
		 .offset = offsetof(struct apply_options, keep)),
	CLI_FLAG("--continue", "finish an apply that was interrupted",
		 .offset = offsetof(struct apply_options, go_on)),
	CLI_FLAG("--undo", "undo an apply that was interrupted",
		 .offset = offsetof(struct apply_options, undo)),
	{},
};

static bool is_allowed(const struct apply_options *o, const char *path)
{
	size_t i;

	for (i = 0; i < o->n_allowed; i++) {
		const char *allowed = o->allowed[i];

		if (strncmp(allowed, "./", 2) == 0) {
			allowed += 2;
		}
		if (strcmp(allowed, path) == 0) {
			return true;
		}
	}
	return false;
}

/* One question on the terminal; end of file is "quit". */
static char ask(const char *line)
{
	char answer[64] = "q", first;

	(void)printf("%s\n   take it over? [y]es, [n]o, [a]ll that is left, [q]uit: ", line);
	(void)fflush(stdout);
	first = fgets(answer, sizeof(answer), stdin) ? answer[0] : 'q';
	while (!strchr(answer, '\n') && fgets(answer, sizeof(answer), stdin)) {
		/* one line is one answer, however long it is */
	}
	return first;
}

/*
 * Leaves the changes that a person says yes to. A yes to a change is one to its hazards, which
 * stand with the question; "all" is none for those. What is in a new directory that was refused has
 * no place, and is not asked about; a directory stays where something in it does.
 */
static int choose(struct review *r, struct apply_options *o, bool **ret_chosen, struct err *e)
{
	bool *chosen = calloc(r->changes.n + 1, sizeof(*chosen));
	_cleanup_buf_ struct buf line = {};
	size_t i, next = 0, stay;
	bool all = false;
	char answer = 'n';

	if (!chosen) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	*ret_chosen = chosen;
	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < r->changes.n; i++) {
		const struct hazard *h;
		bool hazardous = false;

		buf_clear(&line);
		review_line(r, i, &line);
		while ((h = review_hazard(r, i, &next))) {
			(void)buf_addf(&line, "\n   ! %s: %s", h->code, h->why);
			hazardous = !is_allowed(o, r->changes.list[i].path);
		}
		/* Nor is anybody asked about what will be refused. */
		if (r->changes.list[i].denied || changes_homeless(&r->changes, i, chosen)) {
			continue;
		}
		if (!all || hazardous) {
			answer = ask(buf_str(&line));
			all = all || answer == 'a';
		}
		if (answer == 'q') {
			return err_set(e, ERR_USER, ECANCELED, "nothing was taken over");
		}
		chosen[i] = all ? !hazardous || answer == 'y' : answer == 'y';
		answer = all ? 'a' : 'n';
	}
	stay = changes_reconcile(&r->changes, chosen);
	if (stay > 0) {
		cli_say("%zu director%s, for what is to stay there", stay,
			stay == 1 ? "y stays" : "ies stay");
	}
	return 0;
}

/* What a person must decide first: said line by line. The number of them. */
static size_t say_hazards(const struct review *r, const struct apply_options *o)
{
	_cleanup_buf_ struct buf line = {};
	const struct hazard *h;
	size_t i, next = 0, n = 0;

	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < r->changes.n; i++) {
		/* Nobody is asked about those: they are refused. */
		bool allowed = r->changes.list[i].denied || is_allowed(o, r->changes.list[i].path);

		while ((h = review_hazard(r, i, &next))) {
			if (allowed) {
				continue;
			}
			buf_clear(&line);
			(void)utf8_neutralise(&line, r->changes.list[i].path,
					      strlen(r->changes.list[i].path));
			cli_say("%s: %s: %s", buf_str(&line), h->code, h->why);
			n++;
		}
	}
	return n;
}

static int say_conflicts(const struct review *r, const struct apply *a, size_t *ret_n,
			 struct err *e)
{
	_cleanup_(conflicts_done) struct conflicts found = {};
	_cleanup_buf_ struct buf line = {};
	size_t i;
	int n = apply_check(a, &r->changes, &found, e);

	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; n >= 0 && i < found.n; i++) {
		const char *path = r->changes.list[found.list[i].change].path;

		buf_clear(&line);
		(void)utf8_neutralise(&line, path, strlen(path));
		cli_say("%s: conflict: %s", buf_str(&line), found.list[i].why);
	}
	*ret_n = found.n;
	return n;
}

/* How much is different still; without anything the copy goes. */
static int let_go(struct review *r, const struct apply_options *o, struct err *e)
{
	int n = review_find(r, true, e);

	if (n >= 0 && r->changes.n > 0) {
		cli_say("%zu more in the copy: 'atoll diff %s'", r->changes.n, r->kept.home.id);
	} else if (n >= 0 && !o->keep) {
		n = kept_discard(&r->state, &r->kept, e);
	}
	return n < 0 ? err_wrap(e, "the changes are taken over, but") : 0;
}

/* Takes the document. */
static int record_taken(const struct review *r, json_t *doc, struct err *e)
{
	int n = review_record(r, "applied", doc, e);

	return n < 0 ? err_wrap(e, "the changes are taken over, but not recorded") : n;
}

static int recover(struct review *r, const char *id, const struct apply_options *o, struct err *e)
{
	struct apply a = review_apply(r);
	_cleanup_json_ json_t *doc = NULL;
	int n;

	if (!apply_pending(r->kept.home.dir)) {
		return err_set(e, ERR_USER, ENOENT, "no apply of sandbox %s was interrupted", id);
	}
	if (!o->undo && !(doc = apply_summary(&a, e))) {
		return -e->code;
	}
	n = apply_recover(&a, o->undo, e);
	if (n >= 0 && doc) {
		n = record_taken(r, TAKE_PTR(doc), e);
	}
	if (n >= 0) {
		cli_say(o->undo ? "undone: the workspace is as it was before the apply"
				: "finished what was interrupted");
	}
	return n < 0 || o->undo ? n : let_go(r, o, e);
}

/* What is going to be taken over, with the digests of what arrives, and the hazards that somebody
 * allowed by name or by an answer. */
static json_t *taken_document(const struct review *r)
{
	_cleanup_json_ json_t *doc = changes_summary(&r->changes, r->kept.upper);
	_cleanup_json_ json_t *allowed = json_array();
	size_t next = 0, more = 0, text = SUMMARY_TEXT_MAX;

	/* All that are allowed, also behind the last change that is listed. */
	for (size_t i = 0; i < r->changes.n; i++) {
		const char *path = r->changes.list[i].path;
		const struct hazard *h;

		while ((h = review_hazard(r, i, &next))) {
			if (json_array_size(allowed) == SUMMARY_MAX || strlen(path) > text) {
				more++;
				continue;
			}
			text -= strlen(path);
			if (json_array_append_new(allowed,
						  json_pack("{s:o, s:s}", "path", json_text(path),
							    "hazard", h->code)) < 0) {
				return NULL;
			}
		}
	}
	if (!doc ||
	    (more > 0 && json_put(doc, "allowed_more", json_integer((json_int_t)more)) < 0) ||
	    (json_array_size(allowed) > 0 && json_object_set(doc, "allowed", allowed) < 0)) {
		return NULL;
	}
	return TAKE_PTR(doc);
}

/* CLI_REFUSED where somebody has to decide, 0 where all is done; negative: *e says why. */
static int take_over(struct review *r, struct apply_options *o, struct err *e)
{
	struct apply a = review_apply(r);
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_buf_ struct buf sum = {};
	size_t conflicts = 0, hazards = o->interactive ? 0 : say_hazards(r, o);
	int n = say_conflicts(r, &a, &conflicts, e);

	if (n < 0) {
		return n;
	}
	if (hazards + conflicts > 0) {
		cli_say("nothing was taken over; choose other paths%s%s",
			hazards > 0
				? ", allow what the host would obey with --allow-hazard PATH or "
				  "--interactive"
				: "",
			conflicts > 0 ? ", settle conflicts by hand" : "");
		return CLI_REFUSED;
	}
	buf_init(&sum, 256);
	review_sum(&r->changes, &sum);
	if (o->dry_run) {
		cli_say("nothing stands in the way of %s",
			sum.len > 0 ? buf_str(&sum) : "no change at all");
		return 0;
	}
	doc = taken_document(r);
	n = doc ? apply_changes(&a, &r->changes, e)
		: err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	if (n >= 0) {
		n = record_taken(r, TAKE_PTR(doc), e);
	}
	if (n >= 0) {
		cli_say("%s taken over into '%s'", sum.len > 0 ? buf_str(&sum) : "nothing",
			r->kept.workspace);
		n = let_go(r, o, e);
	}
	return n;
}

static int choose_and_take(struct review *r, struct apply_options *o, struct err *e)
{
	_cleanup_free_ bool *chosen = NULL;
	int n = o->interactive ? choose(r, o, &chosen, e) : 0;

	if (n >= 0 && chosen) {
		changes_keep(&r->changes, chosen);
		/* Those of what was chosen, for the record. */
		hazards_done(&r->hazards);
		n = hazards_find(&r->changes, r->kept.upper, getenv("PATH"), &r->hazards, e);
	}
	return n < 0 ? n : take_over(r, o, e);
}

static int apply(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_(review_done) struct review r = REVIEW_NONE;
	struct apply_options o = {};
	struct cli_operands words;
	struct err e = {};
	const char *id;
	int n = sandboxes_parse(c, argc, argv, &o, &words);

	if (n != 0) {
		return n > 0 ? CLI_OK : -n;
	}
	if ((o.go_on || o.undo) &&
	    (words.n > 1 || (o.go_on && o.undo) || o.dry_run || o.interactive || o.n_allowed > 0)) {
		return cli_complain(c->name, "--continue or --undo stand alone, with one sandbox");
	}
	id = words.words[0];
	n = review_open(&r, id, &e);
	if (n >= 0 && (o.go_on || o.undo)) {
		n = recover(&r, id, &o, &e);
		return n < 0 ? cli_fail(&e) : CLI_OK;
	}
	n = n < 0 ? n : review_refuse_pending(&r, &e);
	/* Without renames: what is chosen by one path brings nothing along from another. */
	n = n < 0 ? n : review_find(&r, false, &e);
	n = n < 0 ? n : review_select(&r, words.words + 1, words.n - 1, &e);
	n = n < 0 ? n : choose_and_take(&r, &o, &e);
	return n < 0 ? cli_fail(&e) : n;
}

static const struct cli_example apply_examples[] = {
	CLI_EXAMPLE("atoll apply s-k3m9w2xqzr", .why = "all of it, or nothing"),
	CLI_EXAMPLE("atoll apply s-k3m9w2xqzr src tests", .why = "what is below these"),
	CLI_EXAMPLE("atoll apply --allow-hazard Makefile s-k3m9w2xqzr"),
	{},
};

const struct cli_command cli_apply_command = {
	.name = "apply",
	.summary = "take changes over from a copy",
	.operands = "SANDBOX [PATH...]",
	.operand.kind = CLI_KEPT,
	.further.kind = CLI_FILE,
	.max_operands = SIZE_MAX,
	.about = "Take what a sandbox changed in its copy over into the workspace: all that is "
		 "named, or,\n"
		 "where anything stands in the way, nothing.\n",
	.notes = "Exit status: 0 it is done; 1 nothing was done, for conflicts, or for files that "
		 "the host\n"
		 "would obey and that nobody allowed; 125 it could not be done.\n",
	.options = apply_options,
	.examples = apply_examples,
	.run = apply,
};

/* ---- discard ---- */

static int discard_one(const char *id, struct err *e)
{
	_cleanup_(review_done) struct review r;
	int n = review_open(&r, id, e);

	if (n >= 0) {
		struct apply a = review_apply(&r);

		n = apply_lost(&a) ? 0 : review_refuse_pending(&r, e);
		n = n < 0 ? n : apply_clean(&a, e);
	} else if (r.kept.home.dir >= 0) {
		n = 0; /* without its workspace, or damaged, it can only be thrown away */
	}
	if (n < 0 || (n = kept_discard(&r.state, &r.kept, e)) < 0) {
		return n;
	}
	/* Room for that may be what it was thrown away for. */
	n = review_record(&r, "discarded", NULL, e);
	return n < 0 ? err_wrap(e, "it is thrown away, but that is not recorded") : 0;
}

static int discard(const struct cli_command *c, int argc, char **argv)
{
	struct cli_operands ids;
	struct err e = {};
	size_t i;
	int n = sandboxes_parse(c, argc, argv, NULL, &ids);

	if (n != 0) {
		return n > 0 ? CLI_OK : -n;
	}
	/* One that cannot be thrown away now keeps none of the others. */
	for (i = 0; i < ids.n; i++) {
		e = (struct err){};
		n = discard_one(ids.words[i], &e) < 0 ? cli_fail(&e) : n;
	}
	return n;
}

static const struct cli_example discard_examples[] = {
	CLI_EXAMPLE("atoll discard s-k3m9w2xqzr"),
	CLI_EXAMPLE("atoll discard $(atoll ps --kept --quiet)", .why = "all of them"),
	{},
};

const struct cli_command cli_discard_command = {
	.name = "discard",
	.summary = "throw a copy away",
	.operands = "SANDBOX...",
	.operand.kind = CLI_KEPT,
	.max_operands = SIZE_MAX,
	.about = "Throw away what sandboxes changed in their copies. The workspace stays as it "
		 "is.\n",
	.examples = discard_examples,
	.run = discard,
};
