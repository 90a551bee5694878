/* SPDX-License-Identifier: Apache-2.0 */
/* atoll diff: what a sandbox changed in its copy of the workspace, in the form that is asked for.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
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
#include "front/cli/pager.h"
#include "front/cli/patch-stat.h"
#include "front/cli/patch.h"
#include "front/cli/sandboxes.h"
#include "front/terminal.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024)

struct diff_options {
	bool patch;
	bool stat;
	bool no_pager;
	bool name_only;
	bool zero;
	bool json;
	bool no_renames;
};

static const struct cli_option diff_options[] = {
	CLI_FLAG("--patch", "line by line, as git apply and patch take it", .letter = 'p',
		 .offset = offsetof(struct diff_options, patch)),
	CLI_FLAG("--stat", "how many lines each file has more and less, and the sum",
		 .offset = offsetof(struct diff_options, stat)),
	CLI_FLAG("--name-only", "the paths alone, one a line",
		 .offset = offsetof(struct diff_options, name_only)),
	CLI_FLAG("--zero", "the paths alone, as they are, each ended by a NUL byte",
		 .offset = offsetof(struct diff_options, zero)),
	CLI_FLAG("--no-renames", "a file that was moved is one deleted and one added",
		 .offset = offsetof(struct diff_options, no_renames)),
	CLI_FLAG("--json", "as JSON; with --stat the numbers of lines, too",
		 .offset = offsetof(struct diff_options, json)),
	CLI_FLAG("--no-pager", "all at once, also where it is longer than the screen",
		 .offset = offsetof(struct diff_options, no_pager)),
	{},
};

static const char *colour_of(enum change_kind k)
{
	return k == CHANGE_ADDED ? "\033[32m" : k == CHANGE_DELETED ? "\033[31m" : "\033[33m";
}

/* Lines for people. */
static void print_changes(const struct review *r, FILE *out)
{
	_cleanup_buf_ struct buf line = {};
	bool colours = cli_colours();
	const struct hazard *h;
	size_t i, next = 0;

	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < r->changes.n; i++) {
		buf_clear(&line);
		review_line(r, i, &line);
		(void)fprintf(out, "%s%s%s\n", colours ? colour_of(r->changes.list[i].kind) : "",
			      buf_str(&line), colours ? "\033[0m" : "");
		while ((h = review_hazard(r, i, &next))) {
			(void)fprintf(out, "%s   ! %s: %s%s\n", colours ? "\033[1;31m" : "",
				      h->code, h->why, colours ? "\033[0m" : "");
		}
	}
}

static void print_names(const struct review *r, bool zero, FILE *out)
{
	_cleanup_buf_ struct buf line = {};
	size_t i;

	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < r->changes.n; i++) {
		const char *path = r->changes.list[i].path;

		if (zero) {
			(void)fwrite(path, 1, strlen(path) + 1, out);
			continue;
		}
		buf_clear(&line);
		(void)utf8_neutralise(&line, path, strlen(path));
		(void)fprintf(out, "%s\n", buf_str(&line));
	}
}

int review_put_path(json_t *row, const char *key, const char *path)
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
	n = n < 0 ? n : review_put_path(row, "target", s->target);
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

/* The lines of a change, null where they are not compared. */
static int put_count(json_t *row, const struct patch_count *n)
{
	int r;

	if (!n) {
		return 0;
	}
	r = json_put(row, "insertions",
		     n->binary ? json_null() : json_integer((json_int_t)n->added));
	return r < 0 ? r
		     : json_put(row, "deletions",
				n->binary ? json_null() : json_integer((json_int_t)n->removed));
}

/* `n` is NULL where nobody has counted. */
static json_t *change_json(const struct review *r, size_t i, size_t *next,
			   const struct patch_count *count)
{
	const struct change *c = &r->changes.list[i];
	_cleanup_json_ json_t *row = json_object();
	int n = row ? review_put_path(row, "path", c->path) : -ENOMEM;

	n = n < 0 ? n : review_put_path(row, "from", c->from);
	n = n < 0 ? n : json_put(row, "kind", json_string(change_word(c->kind)));
	n = n < 0 ? n : json_put(row, "before", side_json(&c->before));
	n = n < 0 ? n : json_put(row, "after", side_json(&c->after));
	n = n < 0 ? n : json_put(row, "binary", json_boolean(c->binary));
	n = n < 0 ? n : put_count(row, count);
	n = n < 0 ? n : json_put(row, "hazards", hazards_json(r, i, next));
	return n < 0 ? NULL : TAKE_PTR(row);
}

static json_t *sum_json(const struct patch_stat *t)
{
	return json_pack("{s:I, s:I, s:I}", "files", (json_int_t)t->files, "insertions",
			 (json_int_t)t->added, "deletions", (json_int_t)t->removed);
}

/* `t` is NULL where nobody has counted. */
static json_t *document_of(const struct review *r, const struct patch_stat *t)
{
	_cleanup_json_ json_t *doc = json_object();
	json_t *list = json_array();
	size_t i, next = 0;
	int n = doc ? json_put(doc, "sandbox", json_string(r->kept.home.id)) : -ENOMEM;

	n = n < 0 ? n : json_put(doc, "workspace", json_text(r->kept.workspace));
	n = n < 0 ? n : json_put(doc, "running", json_boolean(r->kept.running));
	n = n < 0 || !t ? n : json_put(doc, "stat", sum_json(t));
	for (i = 0; n == 0 && i < r->changes.n; i++) {
		n = json_array_append_new(list, change_json(r, i, &next, t ? &t->list[i] : NULL));
	}
	n = n < 0 ? n : json_put(doc, "changes", json_incref(list));
	json_decref(list);
	return n < 0 ? NULL : TAKE_PTR(doc);
}

json_t *review_json(const struct review *r)
{
	return document_of(r, NULL);
}

int review_patch(const struct review *r, FILE *out, struct err *e)
{
	const struct patch_source source = {
		.original = r->kept.original, .upper = r->kept.upper, .out = out};

	return patch_print(&source, &r->changes, e);
}

/* 80 columns where there is no terminal. */
static int width_of_output(void)
{
	int rows, columns;

	terminal_size(STDOUT_FILENO, &rows, &columns);
	return columns;
}

static int print_stat(const struct patch_source *s, const struct review *r, bool json,
		      struct err *e)
{
	_cleanup_(patch_stat_done) struct patch_stat t = {};
	int n = patch_stat_count(s, &r->changes, &t, e);

	if (n >= 0 && json) {
		return cli_print_json(document_of(r, &t));
	}
	if (n >= 0) {
		patch_stat_print(s, &r->changes, &t, width_of_output());
	}
	return n;
}

/* The exit status; negative: *e says why. */
static int print(const struct diff_options *o, const struct review *r, FILE *out, struct err *e)
{
	const struct patch_source source = {.original = r->kept.original,
					    .upper = r->kept.upper,
					    .out = out,
					    .safe = isatty(STDOUT_FILENO),
					    .colours = cli_colours()};
	int n = 0;

	if (o->json) {
		return o->stat ? print_stat(&source, r, true, e) : cli_print_json(review_json(r));
	}
	if (o->stat || o->patch) {
		n = o->stat ? print_stat(&source, r, false, e) : 0;
		if (n >= 0 && o->stat && o->patch) {
			(void)putc('\n', out);
		}
		return n < 0 || !o->patch ? n : patch_print(&source, &r->changes, e);
	}
	if (o->name_only || o->zero) {
		print_names(r, o->zero, out);
	} else {
		print_changes(r, out);
	}
	return 0;
}

/* The copy is let go before anybody waits for a pager to be left. */
static int review_and_print(const struct diff_options *o, const struct cli_operands *words,
			    FILE *out, struct err *e)
{
	_cleanup_(review_done) struct review r = REVIEW_NONE;
	int n = review_open_any(&r, words->words[0], e);

	if (n >= 0 && r.kept.running) {
		cli_say("sandbox %s is running: this is what is different now", r.kept.home.id);
	} else {
		n = n < 0 ? n : review_refuse_pending(&r, e);
	}
	n = n < 0 ? n : review_find(&r, !o->no_renames, e);
	n = n < 0 ? n : review_select(&r, words->words + 1, words->n - 1, e);
	if (n >= 0) {
		n = print(o, &r, out, e);
		n = n < 0 ? review_advise(&r, e) : n;
	}
	return n;
}

static int diff(const struct cli_command *c, int argc, char **argv)
{
	struct diff_options o = {};
	struct cli_operands words;
	struct pager pager;
	struct err e = {};
	int n = sandboxes_parse(c, argc, argv, &o, &words), paged;

	if (n != 0) {
		return n > 0 ? CLI_OK : -n;
	}
	pager_init(&pager, !o.no_pager && !o.zero && !o.json);
	n = review_and_print(&o, &words, pager.out, &e);
	paged = pager_done(&pager);
	return n < 0 ? cli_fail(&e) : n != 0 ? n : paged;
}

static const struct cli_example diff_examples[] = {
	CLI_EXAMPLE("atoll diff s-k3m9w2xqzr"),
	CLI_EXAMPLE("atoll diff s-k3m9w2xqzr src", .why = "what is different below src"),
	CLI_EXAMPLE("atoll diff -p s-k3m9w2xqzr", .why = "line by line"),
	CLI_EXAMPLE("atoll diff --stat s-k3m9w2xqzr", .why = "how much of what"),
	CLI_EXAMPLE("atoll diff --json s-k3m9w2xqzr"),
	{},
};

const struct cli_command cli_diff_command = {
	.name = "diff",
	.summary = "show what a sandbox changed in its copy",
	.operands = "SANDBOX [PATH...]",
	.operand.kind = CLI_EITHER,
	.further.kind = CLI_FILE,
	.max_operands = SIZE_MAX,
	.about = "Show what is different in the copy of the workspace that a sandbox has left: A "
		 "added, M\n"
		 "modified or with another mode, D deleted, R renamed, T of another type. Of one "
		 "that\n"
		 "runs, what is different at this moment.\n",
	.notes = "A line with ! names what on the host would obey the file above it, and when.\n",
	.options = diff_options,
	.examples = diff_examples,
	.run = diff,
};
