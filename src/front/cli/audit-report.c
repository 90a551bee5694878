/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll audit report: who could access what, and who did.
 *
 * A row for each sandbox is gathered from its record: what its plan let it see, change and reach,
 * what of that it used, what it was refused, who answers for it, and whether somebody was to look
 * at it and has not. Rows are printed by owner and account.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/secrets.h"
#include "front/cli/trails.h"
#include "policy/scalar.h"

struct report_options {
	struct trail_filter filter; /* first: options are taken into it */
	bool json;
};

/* How often a review is due, by the words of governance.review. */
static const struct {
	const char *word;
	int days;
} periods[] = {
	{"daily", 1}, {"weekly", 7}, {"monthly", 31}, {"quarterly", 92}, {"yearly", 366},
};

/* ---- gathering ---- */

struct gathering {
	const struct trail_filter *filter;
	json_t *row;
	json_t *plan;     /* of "created"; borrowed from the row's own */
	json_t *reached;  /* host:port -> {connections, bytes_up, bytes_down, rule} */
	json_t *refused;  /* code -> count */
	json_t *programs; /* path -> count */
	json_t *applied;
	char first[LINE_TIME_LEN + 1], last[LINE_TIME_LEN + 1], reviewed[LINE_TIME_LEN + 1];
	char reason[64];
	bool escape;
	bool failed; /* memory ran out */
};

static void must(struct gathering *g, int r)
{
	g->failed = g->failed || r < 0;
}

static json_int_t integer_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static json_t *copy_of(const json_t *plan, const char *key)
{
	json_t *v = json_object_get(plan, key);

	return v ? json_incref(v) : json_null();
}

/* A record that somebody has forged may have any number; those that were written never add up to so
 * much. */
static json_int_t sum(json_int_t a, json_int_t b)
{
	json_int_t both;

	return __builtin_add_overflow(a, b, &both) ? INT64_MAX : both;
}

static void add_to(struct gathering *g, json_t *counts, const char *key, json_int_t n)
{
	must(g, json_put(counts, key, json_integer(sum(integer_of(counts, key), n))));
}

static void take_connection(struct gathering *g, const json_t *data)
{
	_cleanup_free_ char *key = NULL;
	json_t *entry;

	if (asprintf(&key, "%s:%" PRIi64, text_of(data, "host"),
		     (int64_t)integer_of(data, "port")) < 0) {
		key = NULL; /* it is undefined then */
		must(g, -ENOMEM);
		return;
	}
	entry = json_object_get(g->reached, key);
	if (!entry) {
		entry = json_object();
		must(g, json_put(g->reached, key, entry));
		if (g->failed) {
			return;
		}
		must(g, json_put(entry, "rule", json_string(text_of(data, "rule"))));
	}
	add_to(g, entry, "connections", 1);
	add_to(g, entry, "bytes_up", integer_of(data, "bytes_up"));
	add_to(g, entry, "bytes_down", integer_of(data, "bytes_down"));
}

static void take_applied(struct gathering *g, const json_t *data)
{
	must(g, json_array_append_new(
			g->applied,
			json_pack("{s:I, s:I, s:O*}", "caller", integer_of(data, "caller"), "files",
				  sum((json_int_t)json_array_size(json_object_get(data, "files")),
				      integer_of(data, "more")),
				  "allowed", json_object_get(data, "allowed"))));
}

static void take_text(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text);
}

static int take_event(void *arg, const struct line *l, const char *text, size_t len, struct err *e)
{
	_cleanup_json_ json_t *data = trail_data(l);
	struct gathering *g = arg;

	(void)text;
	(void)len;
	(void)snprintf(g->last, sizeof(g->last), "%.*s", LINE_TIME_LEN, l->time);
	if (!g->first[0]) {
		memcpy(g->first, g->last, sizeof(g->first));
	}
	if (strcmp(l->event, "created") == 0) {
		json_decref(g->plan);
		g->plan = json_incref(json_object_get(data, "plan"));
		must(g, json_put(g->row, "caller", copy_of(data, "caller")));
		must(g, json_put(g->row, "granted", copy_of(data, "origins")));
		if (json_object_get(data, "name")) {
			must(g,
			     json_put(g->row, "name", json_incref(json_object_get(data, "name"))));
		}
	} else if (strcmp(l->event, "connection") == 0) {
		take_connection(g, data);
	} else if (strcmp(l->event, "denied") == 0) {
		add_to(g, g->refused, text_of(data, "code"), integer_of(data, "count"));
	} else if (strcmp(l->event, "program") == 0) {
		add_to(g, g->programs, text_of(data, "path"), 1);
	} else if (strcmp(l->event, "applied") == 0) {
		take_applied(g, data);
	} else if (strcmp(l->event, "ended") == 0) {
		take_text(g->reason, sizeof(g->reason), text_of(data, "reason"));
	} else if (strcmp(l->event, "reaped") == 0) {
		take_text(g->reason, sizeof(g->reason), "its keeper was killed");
	} else if (strcmp(l->event, "reviewed") == 0) {
		memcpy(g->reviewed, g->last, sizeof(g->reviewed));
	} else if (strcmp(l->event, "escape.suspected") == 0) {
		g->escape = true;
	}
	return g->failed ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : 0;
}

/* ---- what follows from it ---- */

static void add_path(struct gathering *g, json_t *list, const json_t *place, const char *mode)
{
	const char *path = text_of(place, "path");

	if (*path) {
		must(g, json_array_append_new(list,
					      json_pack("{s:s, s:s}", "path", path, "mode", mode)));
	}
}

/* Then it had whatever its user has. */
static bool has_no_wall(const struct gathering *g)
{
	return strcmp(text_of(g->plan, "tier"), "none") == 0;
}

static json_t *paths_of(struct gathering *g)
{
	json_t *list = json_array(), *row;
	size_t i;

	if (has_no_wall(g)) {
		must(g, json_array_append_new(
				list, json_pack("{s:s, s:s}", "path", "/", "mode", "direct")));
	}
	add_path(g, list, json_object_get(g->plan, "workspace"),
		 text_of(g->plan, "workspace_mode"));
	json_array_foreach(json_object_get(g->plan, "more"), i, row)
	{
		add_path(g, list, row, text_of(row, "mode"));
	}
	json_array_foreach(json_object_get(g->plan, "read"), i, row)
	{
		add_path(g, list, row, "read-only");
	}
	return list;
}

/* Rules that nothing was let through by. */
static json_t *unused_of(struct gathering *g)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *rule, *entry;
	const char *key;
	size_t i;

	json_array_foreach(json_object_get(g->plan, "net"), i, rule)
	{
		bool used = false;

		json_object_foreach(g->reached, key, entry)
		{
			used = used || json_equal(json_object_get(entry, "rule"), rule);
		}
		if (!used) {
			must(g, json_array_append(list, rule));
		}
	}
	return TAKE_PTR(list);
}

static time_t time_of(const char *text)
{
	struct tm tm = {};
	char second[20];

	(void)snprintf(second, sizeof(second), "%.19s", text);
	return strptime(second, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
}

/* When somebody is to look at it next; NULL: nobody is. */
static json_t *review_of(const struct gathering *g)
{
	const char *word = text_of(g->plan, "review");
	time_t due, now = (time_t)(clock_real_ns() / 1000000000);
	char text[32];
	struct tm tm;
	size_t i = 0;

	while (i < ARRAY_SIZE(periods) && strcmp(periods[i].word, word) != 0) {
		i++;
	}
	if (i == ARRAY_SIZE(periods)) {
		return json_null();
	}
	due = time_of(g->reviewed[0] ? g->reviewed : g->first) + (time_t)periods[i].days * 86400;
	(void)gmtime_r(&due, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s, s:s?, s:s, s:b}", "every", word, "last",
			 g->reviewed[0] ? g->reviewed : NULL, "due", text, "overdue", now > due);
}

/* Takes what was gathered. */
static void finish_row(struct gathering *g, const char *id)
{
	static const char *const same[] = {"owner", "account", "purpose",    "scopes",
					   "trust", "tier",    "provenance", "tier_accepted"};
	json_t *row = g->row;

	must(g, json_put(row, "sandbox", json_string(id)));
	must(g, json_put(row, "created", json_string(g->first)));
	must(g, json_put(row, "last", json_string(g->last)));
	must(g, json_put(row, "ended", json_text(g->reason))); /* it may be cut */
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		must(g, json_put(row, same[i], copy_of(g->plan, same[i])));
	}
	must(g, json_put(row, "paths", paths_of(g)));
	must(g, json_put(row, "hosts",
			 has_no_wall(g) ? json_pack("[s]", "*") : copy_of(g->plan, "net")));
	must(g, json_put(row, "network_default", copy_of(g->plan, "net_default")));
	must(g, json_put(row, "secrets", secrets_of(g->plan)));
	must(g, json_put(row, "unused_hosts", unused_of(g)));
	must(g, json_put(row, "reached", json_incref(g->reached)));
	must(g, json_put(row, "refused", json_incref(g->refused)));
	must(g, json_put(row, "programs", json_incref(g->programs)));
	must(g, json_put(row, "applied", json_incref(g->applied)));
	must(g, json_put(row, "escape_suspected", json_boolean(g->escape)));
	must(g, json_put(row, "review", review_of(g)));
}

static void gathering_done(struct gathering *g)
{
	json_decref(g->row);
	json_decref(g->plan);
	json_decref(g->reached);
	json_decref(g->refused);
	json_decref(g->programs);
	json_decref(g->applied);
}

/* Whether it lived in the time that is asked about. */
static bool is_in_time(const struct gathering *g)
{
	const struct trail_filter *f = g->filter;

	return (!f->from[0] || strcmp(g->last, f->from) >= 0) &&
	       (!f->to[0] || strcmp(g->first, f->to) < 0);
}

struct report {
	const struct report_options *o;
	json_t *rows;
};

static int report_one(const struct state *s, const char *id, void *arg, struct err *e)
{
	struct report *report = arg;
	/* All of its events count, whenever they were. */
	struct trail_filter all = {.any_class = true,
				   .owner = report->o->filter.owner,
				   .account = report->o->filter.account};
	_cleanup_(gathering_done) struct gathering g = {
		.filter = &report->o->filter,
		.row = json_object(),
		.reached = json_object(),
		.refused = json_object(),
		.programs = json_object(),
		.applied = json_array(),
	};
	int r = trail_read(s, id, &all, take_event, &g, e);

	if (r < 0 || !g.plan || !is_in_time(&g)) {
		return r;
	}
	finish_row(&g, id);
	if (g.failed || json_array_append(report->rows, g.row) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return 0;
}

/* ---- printing ---- */

static void put(const char *text)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, 1 << 20);
	(void)utf8_neutralise(&b, text, strlen(text));
	(void)fputs(buf_str(&b), stdout);
}

static void begin_line(const char *what)
{
	(void)printf("  %-14s ", what);
}

/* "KEY N, KEY N" */
static void print_counts(const char *what, const json_t *counts)
{
	const char *key, *before = "";
	json_t *n;

	if (json_object_size(counts) == 0) {
		return;
	}
	begin_line(what);
	json_object_foreach((json_t *)counts, key, n)
	{
		(void)fputs(before, stdout);
		put(key);
		(void)printf(" %" PRIi64, (int64_t)json_integer_value(n));
		before = ", ";
	}
	(void)putchar('\n');
}

static void print_texts(const char *what, const json_t *list)
{
	const json_t *text;
	size_t i;

	if (json_array_size(list) == 0) {
		return;
	}
	begin_line(what);
	json_array_foreach((json_t *)list, i, text)
	{
		(void)fputs(i > 0 ? ", " : "", stdout);
		put(json_string_value(text) ? json_string_value(text) : "?");
	}
	(void)putchar('\n');
}

/* "$TOKEN, ~/.aws" */
static void print_secrets(const json_t *list)
{
	char text[SECRET_TEXT_SIZE];
	const json_t *secret;
	size_t i;

	json_array_foreach((json_t *)list, i, secret)
	{
		if (i == 0) {
			begin_line("secrets");
		}
		(void)fputs(i > 0 ? ", " : "", stdout);
		put(secret_text(secret, text));
	}
	(void)fputs(i > 0 ? "\n" : "", stdout);
}

static void print_reached(const json_t *reached)
{
	char up[SCALAR_TEXT_SIZE], down[SCALAR_TEXT_SIZE];
	const char *key;
	json_t *entry;

	json_object_foreach((json_t *)reached, key, entry)
	{
		begin_line("reached");
		put(key);
		(void)printf(": %" PRIi64 " connection%s, %s up, %s down\n",
			     (int64_t)integer_of(entry, "connections"),
			     integer_of(entry, "connections") == 1 ? "" : "s",
			     scalar_size_text((uint64_t)integer_of(entry, "bytes_up"), up),
			     scalar_size_text((uint64_t)integer_of(entry, "bytes_down"), down));
	}
}

static void print_review(const json_t *row)
{
	const json_t *review = json_object_get(row, "review");

	if (!json_is_object(review)) {
		return;
	}
	begin_line("review");
	put(text_of(review, "every"));
	(void)printf(", %s %.10s\n",
		     json_is_true(json_object_get(review, "overdue")) ? "OVERDUE since" : "next by",
		     text_of(review, "due"));
}

/* True for what widens, or says how far, access goes: limits and words of record are not. */
static bool is_access(const char *key)
{
	static const char *const beginnings[] = {
		"trust",       "tier",     "provenance",      "profile",
		"filesystem.", "network.", "execution.allow", "execution.syscalls",
		"data.env"};
	size_t i = 0;

	while (i < ARRAY_SIZE(beginnings) &&
	       strncmp(key, beginnings[i], strlen(beginnings[i])) != 0) {
		i++;
	}
	return i < ARRAY_SIZE(beginnings);
}

/* "granted  by user id 1000: network.allow (--allow), trust (p.yaml:3:8)" */
static void print_granted(const json_t *row)
{
	const char *key, *before = ": ";
	json_t *places;
	const json_t *place;
	size_t i;

	begin_line("granted");
	(void)printf("by user id %" PRIi64, (int64_t)integer_of(row, "caller"));
	json_object_foreach(json_object_get(row, "granted"), key, places)
	{
		if (!is_access(key)) {
			continue;
		}
		(void)fputs(before, stdout);
		put(key);
		json_array_foreach(places, i, place)
		{
			(void)fputs(i == 0 ? " (" : ", ", stdout);
			put(json_string_value(place) ? json_string_value(place) : "?");
		}
		(void)fputs(")", stdout);
		before = ", ";
	}
	(void)fputs(strcmp(before, ": ") == 0 ? ": nothing beyond its trust level\n" : "\n",
		    stdout);
}

static void print_applied(const json_t *row)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(row, "applied"), i, entry)
	{
		begin_line("taken over");
		(void)printf("%" PRIi64 " files, by user id %" PRIi64 "\n",
			     (int64_t)integer_of(entry, "files"),
			     (int64_t)integer_of(entry, "caller"));
	}
}

static void print_row(const json_t *row)
{
	const json_t *path;
	size_t i;

	(void)printf("%s %.19sZ  trust ", text_of(row, "sandbox"), text_of(row, "created"));
	put(text_of(row, "trust"));
	(void)fputs(", tier ", stdout);
	put(text_of(row, "tier"));
	if (*text_of(row, "name")) {
		(void)fputs(", ", stdout);
		put(text_of(row, "name"));
	}
	(void)fputs(": ", stdout);
	put(*text_of(row, "ended") ? text_of(row, "ended") : "runs");
	(void)putchar('\n');
	if (*text_of(row, "purpose")) {
		begin_line("purpose");
		put(text_of(row, "purpose"));
		(void)putchar('\n');
	}
	print_texts("data", json_object_get(row, "scopes"));
	print_granted(row);
	json_array_foreach(json_object_get(row, "paths"), i, path)
	{
		begin_line(strcmp(text_of(path, "mode"), "read-only") == 0 ? "could read"
									   : "could change");
		put(text_of(path, "path"));
		(void)fputs(" (", stdout);
		put(text_of(path, "mode"));
		(void)fputs(")\n", stdout);
	}
	print_secrets(json_object_get(row, "secrets"));
	print_texts("could reach", json_object_get(row, "hosts"));
	print_reached(json_object_get(row, "reached"));
	print_texts("never used", json_object_get(row, "unused_hosts"));
	print_counts("refused", json_object_get(row, "refused"));
	if (json_is_true(json_object_get(row, "tier_accepted"))) {
		begin_line("lowered");
		(void)fputs("a weaker tier was accepted by name\n", stdout);
	}
	if (json_is_true(json_object_get(row, "escape_suspected"))) {
		begin_line("ESCAPE");
		(void)fputs("an attempt is suspected\n", stdout);
	}
	print_applied(row);
	print_review(row);
}

/* A row in its place. */
struct sorted {
	const json_t *row;
};

static int compare_texts(const json_t *a, const json_t *b, const char *key)
{
	return strcmp(text_of(a, key), text_of(b, key));
}

static int by_owner(const void *a, const void *b)
{
	const json_t *x = ((const struct sorted *)a)->row, *y = ((const struct sorted *)b)->row;
	int order = compare_texts(x, y, "owner");

	order = order ? order : compare_texts(x, y, "account");
	return order ? order : compare_texts(x, y, "created");
}

static void print_heading(const json_t *row)
{
	const char *owner = text_of(row, "owner"), *account = text_of(row, "account");

	(void)fputs("owner ", stdout);
	put(*owner ? owner : "(nobody declared)");
	(void)fputs(", account ", stdout);
	put(*account ? account : "(none)");
	(void)putchar('\n');
}

static int print_rows(json_t *rows)
{
	size_t n = json_array_size(rows), overdue = 0;
	_cleanup_free_ struct sorted *sorted = calloc(n + 1, sizeof(*sorted));

	if (!sorted) {
		cli_say("out of memory");
		return CLI_FAILED;
	}
	for (size_t i = 0; i < n; i++) {
		sorted[i].row = json_array_get(rows, i);
		overdue += json_is_true(
			json_object_get(json_object_get(sorted[i].row, "review"), "overdue"));
	}
	qsort(sorted, n, sizeof(*sorted), by_owner);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || compare_texts(sorted[i - 1].row, sorted[i].row, "owner") ||
		    compare_texts(sorted[i - 1].row, sorted[i].row, "account")) {
			print_heading(sorted[i].row);
		}
		print_row(sorted[i].row);
	}
	(void)printf("%zu sandbox%s, %zu review%s overdue\n", n, n == 1 ? "" : "es", overdue,
		     overdue == 1 ? "" : "s");
	return cli_written();
}

static int report(const struct cli_command *c, int argc, char **argv)
{
	struct report_options o = {};
	struct report report = {.o = &o};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &words);

	r = r == 0 ? trail_filter_settle(&o.filter, c->name) : r;
	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	report.rows = json_array();
	r = state_open(&s, &e);
	r = r < 0 ? r : trails_each(&s, &words, report_one, &report, &e);
	state_done(&s);
	if (r < 0) {
		json_decref(report.rows);
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(report.rows);
	}
	r = print_rows(report.rows);
	json_decref(report.rows);
	return r;
}

static const struct cli_option report_options[] = {
	CLI_TAKES("--owner", "NAME", CLI_TEXT, "only sandboxes that this one answers for",
		  .offset = offsetof(struct report_options, filter.owner)),
	CLI_TAKES("--account", "NAME", CLI_TEXT, "only sandboxes of this account",
		  .offset = offsetof(struct report_options, filter.account)),
	CLI_TAKES("--since", "TIME", CLI_TEXT, "that lived then (UTC), or so long ago, or later",
		  .offset = offsetof(struct report_options, filter.since)),
	CLI_TAKES("--until", "TIME", CLI_TEXT, "that were made before",
		  .offset = offsetof(struct report_options, filter.until)),
	CLI_FLAG("--json", "as JSON, an object for each sandbox",
		 .offset = offsetof(struct report_options, json)),
	{},
};

static const struct cli_example report_examples[] = {
	CLI_EXAMPLE("atoll audit report --since 7d"),
	CLI_EXAMPLE("atoll audit report --owner ci --json"),
	{},
};

const struct cli_command cli_audit_report_command = {
	.name = "audit report",
	.summary = "who could access what, and did",
	.operands = "[SANDBOX...]",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about = "Print, for each sandbox, what it could see, change and reach, what of that it "
		 "used and\n"
		 "never used, what it was refused, who answers for it, who took its changes over, "
		 "and\n"
		 "which reviews are overdue.\n",
	.notes = "It reads the records as they stand: 'atoll audit verify' first.\n",
	.options = report_options,
	.examples = report_examples,
	.run = report,
};
