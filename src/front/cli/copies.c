/* SPDX-License-Identifier: Apache-2.0 */
/* atoll diff, atoll apply, atoll discard: what a sandbox changed in its copy of the workspace. */
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
#include "front/cli/patch.h"
#include "front/cli/sandboxes.h"
#include "workspace/apply.h"
#include "workspace/select.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024)

/* ---- diff ---- */

struct diff_options {
	bool patch;
	bool name_only;
	bool zero;
	bool json;
	bool no_renames;
};

static const struct cli_option diff_options[] = {
	CLI_FLAG("--patch", "line by line, as git apply and patch take it", .letter = 'p',
		 .offset = offsetof(struct diff_options, patch)),
	CLI_FLAG("--name-only", "the paths alone, one a line",
		 .offset = offsetof(struct diff_options, name_only)),
	CLI_FLAG("--zero", "the paths alone, as they are, each ended by a NUL byte",
		 .offset = offsetof(struct diff_options, zero)),
	CLI_FLAG("--no-renames", "a file that was moved is one deleted and one added",
		 .offset = offsetof(struct diff_options, no_renames)),
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct diff_options, json)),
	{},
};

static const char *colour_of(enum change_kind k)
{
	return k == CHANGE_ADDED ? "\033[32m" : k == CHANGE_DELETED ? "\033[31m" : "\033[33m";
}

/* Lines for people; colours only on a terminal. */
static void print_changes(const struct review *r, bool colours)
{
	_cleanup_buf_ struct buf line = {};
	const struct hazard *h;
	size_t i, next = 0;

	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < r->changes.n; i++) {
		buf_clear(&line);
		review_line(r, i, &line);
		printf("%s%s%s\n", colours ? colour_of(r->changes.list[i].kind) : "",
		       buf_str(&line), colours ? "\033[0m" : "");
		while ((h = review_hazard(r, i, &next))) {
			printf("%s   ! %s: %s%s\n", colours ? "\033[1;31m" : "", h->code, h->why,
			       colours ? "\033[0m" : "");
		}
	}
}

static void print_names(const struct review *r, bool zero)
{
	_cleanup_buf_ struct buf line = {};
	size_t i;

	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < r->changes.n; i++) {
		const char *path = r->changes.list[i].path;

		if (zero) {
			(void)fwrite(path, 1, strlen(path) + 1, stdout);
			continue;
		}
		buf_clear(&line);
		(void)utf8_neutralise(&line, path, strlen(path));
		(void)puts(buf_str(&line));
	}
}

/* A name that is no UTF-8 has its bytes beside it, in hexadecimal. */
static int put_path(json_t *row, const char *key, const char *path)
{
	_cleanup_buf_ struct buf hex = {};
	char name[32];
	size_t i;

	if (!path) {
		return json_put(row, key, json_null());
	}
	if (!utf8_valid(path, strlen(path))) {
		buf_init(&hex, 2 * strlen(path) + 1);
		for (i = 0; path[i]; i++) {
			(void)buf_addf(&hex, "%02x", (unsigned char)path[i]);
		}
		(void)snprintf(name, sizeof(name), "%s_bytes", key);
		if (json_put(row, name, json_string(buf_str(&hex))) < 0) {
			return -ENOMEM;
		}
	}
	return json_put(row, key, json_text(path));
}

static json_t *side_json(const struct change_side *s)
{
	_cleanup_json_ json_t *row = json_object();
	char mode[16];
	int n = row ? 0 : -ENOMEM;

	if (s->mode == 0) {
		return json_null();
	}
	(void)snprintf(mode, sizeof(mode), "%06o", (unsigned)s->mode);
	n = n < 0 ? n : json_put(row, "mode", json_string(mode));
	n = n < 0 ? n : json_put(row, "size", json_integer((json_int_t)s->size));
	n = n < 0 ? n : put_path(row, "target", s->target);
	return n < 0 ? NULL : TAKE_PTR(row);
}

static json_t *hazards_json(const struct review *r, size_t i, size_t *next)
{
	_cleanup_json_ json_t *list = json_array();
	const struct hazard *h;

	while (list && (h = review_hazard(r, i, next))) {
		if (json_array_append_new(
			    list, json_pack("{s:s, s:s}", "code", h->code, "why", h->why)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

static json_t *change_json(const struct review *r, size_t i, size_t *next)
{
	const struct change *c = &r->changes.list[i];
	_cleanup_json_ json_t *row = json_object();
	int n = row ? put_path(row, "path", c->path) : -ENOMEM;

	n = n < 0 ? n : put_path(row, "from", c->from);
	n = n < 0 ? n : json_put(row, "kind", json_string(change_word(c->kind)));
	n = n < 0 ? n : json_put(row, "before", side_json(&c->before));
	n = n < 0 ? n : json_put(row, "after", side_json(&c->after));
	n = n < 0 ? n : json_put(row, "binary", json_boolean(c->binary));
	n = n < 0 ? n : json_put(row, "hazards", hazards_json(r, i, next));
	return n < 0 ? NULL : TAKE_PTR(row);
}

static int print_json(const struct review *r)
{
	_cleanup_json_ json_t *list = json_array();
	size_t i, next = 0;
	int n = list ? 0 : -ENOMEM;

	for (i = 0; n == 0 && i < r->changes.n; i++) {
		n = json_array_append_new(list, change_json(r, i, &next));
	}
	return cli_print_json(n < 0 ? NULL
				    : json_pack("{s:s, s:o, s:O}", "sandbox", r->kept.home.id,
						"workspace", json_text(r->kept.workspace),
						"changes", list));
}

/* A copy whose apply was interrupted is neither the one nor the other. */
static int refuse_pending(const struct review *r, struct err *e)
{
	return apply_pending(r->kept.home.dir)
		       ? err_set(e, ERR_USER, EBUSY,
				 "an apply of sandbox %s was interrupted; finish it with 'atoll "
				 "apply --continue %s', or undo it with 'atoll apply --undo %s'",
				 r->kept.home.id, r->kept.home.id, r->kept.home.id)
		       : 0;
}

static int print_patch(const struct review *r, struct err *e)
{
	const struct patch_source source = {.original = r->kept.original,
					    .upper = r->kept.upper,
					    .safe = isatty(STDOUT_FILENO),
					    .colours =
						    isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};

	return patch_print(&source, &r->changes, e);
}

static int diff(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_(review_done) struct review r = REVIEW_NONE;
	struct diff_options o = {};
	struct cli_operands words;
	struct err e = {};
	int n = sandboxes_parse(c, argc, argv, &o, &words);

	if (n != 0) {
		return n > 0 ? CLI_OK : -n;
	}
	n = review_open(&r, words.words[0], &e);
	n = n < 0 ? n : refuse_pending(&r, &e);
	n = n < 0 ? n : review_find(&r, !o.no_renames, &e);
	n = n < 0 ? n : review_select(&r, words.words + 1, words.n - 1, &e);
	if (n < 0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return print_json(&r);
	}
	if (o.patch) {
		n = print_patch(&r, &e);
	} else if (o.name_only || o.zero) {
		print_names(&r, o.zero);
	} else {
		print_changes(&r, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	}
	return n < 0 ? cli_fail(&e) : cli_written();
}

static const struct cli_example diff_examples[] = {
	CLI_EXAMPLE("atoll diff s-k3m9w2xqzr"),
	CLI_EXAMPLE("atoll diff s-k3m9w2xqzr src", .why = "what is different below src"),
	CLI_EXAMPLE("atoll diff --patch s-k3m9w2xqzr"),
	CLI_EXAMPLE("atoll diff --json s-k3m9w2xqzr"),
	{},
};

const struct cli_command cli_diff_command = {
	.name = "diff",
	.summary = "show what a sandbox changed in its copy",
	.operands = "SANDBOX [PATH...]",
	.operand.kind = CLI_KEPT,
	.further.kind = CLI_FILE,
	.max_operands = SIZE_MAX,
	.about = "Show what is different in the copy of the workspace that a sandbox has left: A "
		 "added, M\n"
		 "modified or with another mode, D deleted, R renamed, T of another type.\n",
	.notes = "A line with ! names what on the host would obey the file above it, and when.\n",
	.options = diff_options,
	.examples = diff_examples,
	.run = diff,
};

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
		if (changes_homeless(&r->changes, i, chosen)) {
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
		bool allowed = is_allowed(o, r->changes.list[i].path);

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

static int recover(struct review *r, const char *id, const struct apply_options *o, struct err *e)
{
	struct apply a = review_apply(r);
	int n = apply_pending(r->kept.home.dir)
			? apply_recover(&a, o->undo, e)
			: err_set(e, ERR_USER, ENOENT, "no apply of sandbox %s was interrupted",
				  id);

	if (n >= 0) {
		cli_say(o->undo ? "undone: the workspace is as it was before the apply"
				: "finished what was interrupted");
	}
	return n < 0 || o->undo ? n : let_go(r, o, e);
}

/* CLI_REFUSED where somebody has to decide, 0 where all is done; negative: *e says why. */
static int take_over(struct review *r, struct apply_options *o, struct err *e)
{
	struct apply a = review_apply(r);
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
	n = apply_changes(&a, &r->changes, e);
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
		hazards_done(&r->hazards);
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
	n = n < 0 ? n : refuse_pending(&r, &e);
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

		n = apply_lost(&a) ? 0 : refuse_pending(&r, e);
		n = n < 0 ? n : apply_clean(&a, e);
	} else if (r.kept.home.dir >= 0) {
		n = 0; /* without its workspace, or damaged, it can only be thrown away */
	}
	return n < 0 ? n : kept_discard(&r.state, &r.kept, e);
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
