/* SPDX-License-Identifier: Apache-2.0 */
/* atoll audit verify: whether records are what was written. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/anchors.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/sandboxes.h"
#include "front/cli/trails.h"
#include "keeper/anchor.h"
#include "record/key.h"
#include "record/reader.h"
#include "record/verify.h"

/* How long the seal of one that has just ended may take, and a line to be whole that is written. */
#define SEAL_NS 5000000000LL
#define TRIES   5

struct verify_options {
	bool json;
	const char *file;
	const char *anchors;
	const char *keys[KEY_MAX];  /* files */
	const char *names[KEY_MAX]; /* fingerprints of keys of this installation */
	size_t n_keys, n_names;
};

struct verifying {
	const struct verify_options *o;
	struct key_list keys;
	struct anchor_list anchors;
	struct trail_gap *gaps;
	size_t n_gaps;
	json_t *list; /* with --json */
	bool bad;     /* one of them is not as it was */
};

/* What there is to say of one record. */
struct verdict {
	const char *word; /* "intact", "running", "unsealed", "broken" */
	struct verify_report report;
	bool running;
};

/* One that has ended has a seal behind everything that was in it then. What was added later, and
 * not sealed, is left from a command that was killed. What was sealed on its way (checkpoints), and
 * then stops, was cut off there: nothing ends without saying so. */
static void judge(struct verdict *v)
{
	const struct verify_report *r = &v->report;

	v->word = !r->good                      ? "broken"
		  : v->running                  ? "running"
		  : r->sealed < r->records      ? "unsealed"
		  : r->records == 0 || !r->over ? "unsealed"
						: "intact";
}

static bool is_bad(const struct verdict *v)
{
	return strcmp(v->word, "broken") == 0 || strcmp(v->word, "unsealed") == 0;
}

static void say_covered(struct buf *b, const char *what, uint64_t to, uint64_t records)
{
	if (to == records) {
		(void)buf_addf(b, ", %s", what);
	} else if (to > 0) {
		(void)buf_addf(b, ", %s up to %" PRIu64 " and not after", what, to - 1);
	} else {
		(void)buf_addf(b, ", not %s", what);
	}
}

static void print_verdict(const struct verdict *v)
{
	const struct verify_report *r = &v->report;
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, 4096);
	if (!r->good) {
		(void)buf_addf(&b, "%s: BROKEN at record %" PRIu64 ": %s", r->sandbox, r->bad,
			       r->why);
	} else {
		(void)buf_addf(&b, "%s: %s; %" PRIu64 " records", r->sandbox,
			       strcmp(v->word, "unsealed") == 0 ? "NOT SEALED" : v->word,
			       r->records);
		say_covered(&b, "sealed", r->sealed, r->records);
		say_covered(&b, "anchored", r->anchored, r->records);
		if (strcmp(v->word, "unsealed") == 0) {
			(void)buf_addf(&b,
				       ": its end is missing, or was never signed; look at it, and "
				       "'atoll audit review %s' signs what is there",
				       r->sandbox);
		}
	}
	(void)printf("%s\n", buf_str(&b));
}

static json_t *to_json(const struct verdict *v)
{
	const struct verify_report *r = &v->report;

	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:o*, s:s?}", "sandbox",
			 json_text(r->sandbox), "verdict", v->word, "records",
			 (json_int_t)r->records, "checkpoints", (json_int_t)r->checkpoints,
			 "sealed", (json_int_t)r->sealed, "anchored", (json_int_t)r->anchored,
			 "head", r->head, "first_time", r->first_time, "last_time", r->last_time,
			 "bad_record", r->good ? NULL : json_integer((json_int_t)r->bad), "why",
			 r->good ? NULL : r->why);
}

static int tell(struct verifying *v, const struct verdict *verdict, struct err *e)
{
	v->bad = v->bad || is_bad(verdict);
	if (!v->list) {
		print_verdict(verdict);
		return 0;
	}
	return json_array_append_new(v->list, to_json(verdict)) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		       : 0;
}

static int verify_record(const struct state *s, const char *id, const struct verifying *v,
			 struct verdict *ret, struct err *e)
{
	struct verify_trust trust = {.keys = v->keys.keys, .n_keys = v->keys.n};
	_cleanup_free_ struct verify_anchor *anchors = NULL;
	struct reader in;
	struct err why = {};
	int r = anchors_of(&v->anchors, id, &anchors, &trust.n_anchors, e);

	if (r < 0) {
		return r;
	}
	r = reader_open(&in, s->trail, id, &why);
	/* No file in its place is damage like any other, and hides nothing of the rest. */
	if (r == -ELOOP || r == -EBADMSG) {
		(void)snprintf(ret->report.sandbox, sizeof(ret->report.sandbox), "%s", id);
		(void)snprintf(ret->report.why, sizeof(ret->report.why),
			       "it is no file of a record");
		return 0;
	}
	if (r < 0) {
		return err_set(e, why.kind, why.code, "%s", why.msg);
	}
	trust.anchors = anchors;
	ret->running = trail_is_written(s, id);
	if (!ret->running) {
		(void)reader_wait(&in, SEAL_NS);
	}
	r = verify_run(&in, &trust, NULL, NULL, &ret->report, e);
	reader_close(&in);
	return r;
}

/* A gap that readers do not see: they go as far as there are segments. */
static void check_gaps(const struct verifying *v, struct verdict *verdict)
{
	struct verify_report *r = &verdict->report;

	for (size_t i = 0; i < v->n_gaps; i++) {
		const struct trail_gap *gap = &v->gaps[i];

		if (r->good && strcmp(gap->id, r->sandbox) == 0) {
			r->good = false;
			r->bad = r->records;
			(void)snprintf(
				r->why, sizeof(r->why),
				"it is missing, with all of segment %u: a later one is there",
				gap->segment);
		}
	}
}

static int verify_one(const struct state *s, const char *id, void *arg, struct err *e)
{
	struct verifying *v = arg;
	struct verdict verdict = {};
	int r = 0, tries;

	/* Of one that is written to, a line can be seen in part. */
	for (tries = 0; tries < TRIES && r >= 0; tries++) {
		r = verify_record(s, id, v, &verdict, e);
		if (verdict.report.good || !verdict.running) {
			break;
		}
	}
	if (r < 0) {
		return r;
	}
	check_gaps(v, &verdict);
	judge(&verdict);
	return tell(v, &verdict, e);
}

/* Those of which not even the first segment is there. */
static int find_headless(const struct state *s, struct verifying *v, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < v->n_gaps && r >= 0; i++) {
		struct verdict verdict = {.word = "broken"};
		struct verify_report *report = &verdict.report;
		char name[TRAIL_FILE_SIZE];

		trail_file(v->gaps[i].id, 1, name);
		if (faccessat(s->trail, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			continue;
		}
		(void)snprintf(report->sandbox, sizeof(report->sandbox), "%s", v->gaps[i].id);
		(void)snprintf(report->why, sizeof(report->why),
			       "it is missing, with the first segment: a later one is there");
		r = tell(v, &verdict, e);
	}
	return r;
}

/* Records that were anchored, and are not there. */
static int find_missing(const struct state *s, struct verifying *v, struct err *e)
{
	bool retired = false;
	int r = 0;

	for (size_t i = 0; i < v->anchors.n && r >= 0; i++) {
		const struct anchor_row *row = &v->anchors.rows[i];
		struct verdict verdict = {.word = "broken"};
		struct verify_report *report = &verdict.report;
		struct reader in;
		struct err why = {};

		/* The last row of each sandbox says how long it was, and the first one whether it
		 * was removed by who may do that. */
		retired = (i > 0 && strcmp(row[-1].sandbox, row->sandbox) == 0 && retired) ||
			  row->retired;
		if (retired || (i + 1 < v->anchors.n &&
				strcmp(v->anchors.rows[i + 1].sandbox, row->sandbox) == 0)) {
			continue;
		}
		if (reader_open(&in, s->trail, row->sandbox, &why) != -ENOENT) {
			reader_close(&in);
			continue;
		}
		(void)snprintf(report->sandbox, sizeof(report->sandbox), "%s", row->sandbox);
		(void)snprintf(report->why, sizeof(report->why),
			       "it is missing, with the whole record: there were %" PRIu64
			       " records when it was anchored",
			       row->at.size);
		r = tell(v, &verdict, e);
	}
	return r;
}

/* An export, somebody else's perhaps: by the key that is named alone. */
static int verify_file(struct verifying *v, struct err *e)
{
	struct verify_trust trust = {.keys = v->keys.keys, .n_keys = v->keys.n};
	_cleanup_free_ struct verify_anchor *anchors = NULL;
	int fd = open(v->o->file, O_RDONLY | O_CLOEXEC);
	struct verdict verdict = {};
	struct reader in = {};
	struct line l;
	const char *text;
	size_t len = 0;
	int r = fd < 0 ? err_sys(e, errno, "cannot open '%s'", v->o->file)
		       : reader_open_file(&in, fd, e);

	/* Whose it is says its first line, and every other one has to say the same. */
	r = r < 0 ? r : reader_next(&in, &text, &len, e);
	if (r > 0 && line_parse(text, len, &l)) {
		r = anchors_of(&v->anchors, l.sandbox, &anchors, &trust.n_anchors, e);
		trust.anchors = anchors;
	}
	if (r >= 0) {
		rewind(in.in);
		r = verify_run(&in, &trust, NULL, NULL, &verdict.report, e);
	}
	reader_close(&in);
	if (r < 0) {
		return r;
	}
	judge(&verdict);
	if (!verdict.report.sandbox[0]) {
		(void)snprintf(verdict.report.sandbox, sizeof(verdict.report.sandbox), "?");
	}
	return tell(v, &verdict, e);
}

/* A ledger whose own chain is broken is a finding like any other, and vouches for nothing. */
static int read_ledger(const struct state *s, struct verifying *v, struct err *e)
{
	struct verdict verdict = {.word = "broken"};
	struct anchor_list known = {};
	struct err why = {};
	int r = anchor_pending(s, &why);

	r = r < 0 ? r : anchors_read_ledger(&known, s->home, &why);

	for (size_t i = 0; i < known.n && r >= 0; i++) {
		r = anchors_add(&v->anchors, &known.rows[i], e);
	}
	anchors_done(&known);
	if (r >= 0 || !why.code) {
		return r;
	}
	if (r != -EBADMSG) {
		*e = why;
		return r;
	}
	(void)snprintf(verdict.report.sandbox, sizeof(verdict.report.sandbox), "ledger");
	(void)snprintf(verdict.report.why, sizeof(verdict.report.why), "%.200s", why.msg);
	return tell(v, &verdict, e);
}

/* Those that are named, and else all that lie beside the private one: whoever can write there can
 * add his own. */
static int take_keys(const struct state *s, struct verifying *v, struct err *e)
{
	const struct verify_options *o = v->o;
	struct key_list all = {};
	int r = o->n_keys > 0 && o->n_names == 0 ? 0 : key_list(s->home, &all, e);

	if (r >= 0 && o->n_keys == 0 && o->n_names == 0) {
		v->keys = all;
	}
	for (size_t i = 0; i < o->n_keys && r >= 0; i++) {
		r = key_read(o->keys[i], &v->keys, e);
	}
	for (size_t i = 0; i < o->n_names && r >= 0; i++) {
		r = key_pick(&all, o->names[i], &v->keys, e);
	}
	return r;
}

static int run(const struct state *s, const struct cli_operands *words, struct verifying *v,
	       struct err *e)
{
	const struct verify_options *o = v->o;
	int r = take_keys(s, v, e);

	r = r < 0 || !o->anchors ? r : anchors_read_file(&v->anchors, o->anchors, e);
	r = r < 0 || o->file ? r : read_ledger(s, v, e);
	if (r < 0) {
		return r;
	}
	anchors_sort(&v->anchors);
	if (o->file) {
		return verify_file(v, e);
	}
	r = trails_gaps(s, &v->gaps, &v->n_gaps, e);
	r = r < 0 ? r : trails_each(s, words, verify_one, v, e);
	r = r < 0 || words->n > 0 ? r : find_headless(s, v, e);
	return r < 0 || words->n > 0 ? r : find_missing(s, v, e);
}

static int verify(const struct cli_command *c, int argc, char **argv)
{
	struct verify_options o = {};
	struct verifying v = {.o = &o};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (o.file && words.n > 0) {
		return cli_complain(c->name, "--file and a sandbox exclude each other");
	}
	if (state_open(&s, &e) < 0) {
		state_done(&s);
		return cli_fail(&e);
	}
	if (!o.file) {
		cli_reap(&s, REAP_SANDBOXES);
	}
	v.list = o.json ? json_array() : NULL;
	r = run(&s, &words, &v, &e);
	anchors_done(&v.anchors);
	free(v.gaps);
	state_done(&s);
	if (r < 0) {
		json_decref(v.list);
		return cli_fail(&e);
	}
	r = o.json ? cli_print_json(v.list) : cli_written();
	return r != CLI_OK ? r : v.bad ? CLI_REFUSED : CLI_OK;
}

static int take_key(void *into, const struct cli_option *c, char *value)
{
	struct verify_options *o = into;

	(void)c;
	if (o->n_keys == KEY_MAX) {
		return -cli_complain("audit verify", "there are more than %d keys", KEY_MAX);
	}
	o->keys[o->n_keys++] = value;
	return 0;
}

static int take_fingerprint(void *into, const struct cli_option *c, char *value)
{
	struct verify_options *o = into;

	(void)c;
	if (!key_is_name(value)) {
		return -cli_complain("audit verify",
				     "'%s' is no fingerprint: 64 digits, as 'atoll audit key "
				     "--json' has them",
				     value);
	}
	if (o->n_names == KEY_MAX) {
		return -cli_complain("audit verify", "there are more than %d keys", KEY_MAX);
	}
	o->names[o->n_names++] = value;
	return 0;
}

static const struct cli_option verify_options[] = {
	CLI_TAKES("--file", "FILE", CLI_FILE, "a record that was exported or copied",
		  .offset = offsetof(struct verify_options, file)),
	CLI_TAKES("--key", "FILE", CLI_FILE, "trust only public keys that are named (PEM)",
		  .take = take_key, .repeat = true),
	CLI_TAKES("--fingerprint", "HEX", CLI_TEXT, "the same, of this installation's",
		  .take = take_fingerprint, .repeat = true),
	CLI_TAKES("--anchors", "FILE", CLI_FILE, "anchors that were kept elsewhere",
		  .offset = offsetof(struct verify_options, anchors)),
	CLI_FLAG("--json", "as JSON, a verdict for each record",
		 .offset = offsetof(struct verify_options, json)),
	{},
};

static const struct cli_example verify_examples[] = {
	CLI_EXAMPLE("atoll audit verify", .why = "every record"),
	CLI_EXAMPLE("atoll audit verify work"),
	CLI_EXAMPLE("atoll audit verify --file trail.jsonl --key trail.pub"),
	{},
};

const struct cli_command cli_audit_verify_command = {
	.name = "audit verify",
	.summary = "check that records are what was written",
	.operands = "[SANDBOX...]",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about = "Check records: that each line follows from the one before, that what was signed "
		 "is what\n"
		 "stands there, and that what was anchored is all still there. Without SANDBOX, "
		 "every\n"
		 "record. The first record that is not as it was is named.\n",
	.notes = "Exit status 1 where a record is broken, or has no seal at its end though its "
		 "sandbox has\n"
		 "ended. What an anchor does not cover can be cut off at its end unseen.\n",
	.options = verify_options,
	.examples = verify_examples,
	.run = verify,
};
