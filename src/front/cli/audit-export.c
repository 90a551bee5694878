/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll audit export: records for other systems.
 *
 * OCSF is the Open Cybersecurity Schema Framework, version 1.3: one object a line, each event in
 * the class that it belongs to, with what that class requires; the event as it was recorded stands
 * in "unmapped". CSV is RFC 4180, with a cell for each part of a line; no cell begins with what a
 * spreadsheet would take for a formula.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/trails.h"
#include "record/trail.h"

struct export_options {
	struct trail_filter filter; /* first: options are taken into it */
	const char *format;
};

/* ---- OCSF ---- */

#define OCSF_VERSION "1.3.0"

enum {
	OCSF_BASE = 0,
	OCSF_FILE = 1001,
	OCSF_PROCESS = 1007,
	OCSF_FINDING = 2004,
	OCSF_NETWORK = 4001,
	OCSF_DNS = 4003,
	OCSF_APPLICATION = 6002,
};

enum { OCSF_INFORMATIONAL = 1, OCSF_LOW, OCSF_MEDIUM, OCSF_HIGH };
enum { OCSF_OTHER = 99 };

/* The class, the activity in it, and the severity of each event; others are base events. */
static const struct ocsf_row {
	const char *event;
	int class, activity, severity;
} ocsf_rows[] = {
	{"created", OCSF_APPLICATION, OCSF_OTHER, OCSF_INFORMATIONAL},
	{"started", OCSF_APPLICATION, 3 /* start */, OCSF_INFORMATIONAL},
	{"exec", OCSF_APPLICATION, 3, OCSF_INFORMATIONAL},
	{"exec_ended", OCSF_APPLICATION, 4 /* stop */, OCSF_INFORMATIONAL},
	{"ended", OCSF_APPLICATION, 4, OCSF_INFORMATIONAL},
	{"reaped", OCSF_APPLICATION, 4, OCSF_LOW},
	{"limit", OCSF_APPLICATION, 4, OCSF_LOW},
	{"program", OCSF_PROCESS, 1 /* launch */, OCSF_INFORMATIONAL},
	{"name", OCSF_DNS, 1 /* query */, OCSF_INFORMATIONAL},
	{"connection", OCSF_NETWORK, 2 /* close */, OCSF_INFORMATIONAL},
	{"denied", OCSF_FINDING, 1 /* create */, OCSF_LOW},
	{"denial", OCSF_FINDING, 1, OCSF_MEDIUM},
	{"escape.suspected", OCSF_FINDING, 1, OCSF_HIGH},
	{"trust.lowered", OCSF_FINDING, 1, OCSF_HIGH},
	{"changed", OCSF_FILE, 3 /* update */, OCSF_INFORMATIONAL},
	{"applied", OCSF_FILE, 3, OCSF_INFORMATIONAL},
};

static const struct ocsf_row *ocsf_find(const char *event)
{
	static const struct ocsf_row base = {NULL, OCSF_BASE, OCSF_OTHER, OCSF_INFORMATIONAL};

	for (size_t i = 0; i < ARRAY_SIZE(ocsf_rows); i++) {
		if (strcmp(ocsf_rows[i].event, event) == 0) {
			return &ocsf_rows[i];
		}
	}
	return &base;
}

/* Milliseconds since 1970 of a time as lines have it. */
static int64_t ocsf_time(const char *text)
{
	struct tm tm = {};
	char second[20];

	(void)snprintf(second, sizeof(second), "%.19s", text);
	return strptime(second, "%Y-%m-%dT%H:%M:%S", &tm)
		       ? (int64_t)timegm(&tm) * 1000 + (text[20] - '0') * 100 +
				 (text[21] - '0') * 10 + (text[22] - '0')
		       : 0;
}

static const char *text_of(const json_t *data, const char *key)
{
	const char *text = json_string_value(json_object_get(data, key));

	return text ? text : "";
}

static int put_process(json_t *doc, const json_t *data)
{
	_cleanup_buf_ struct buf line = {};
	const char *path = text_of(data, "path");
	const char *slash = strrchr(path, '/');
	const json_t *word;
	size_t i;

	buf_init(&line, 16 << 20);
	json_array_foreach(json_object_get(data, "argv"), i, word)
	{
		(void)buf_addf(&line, "%s%s", i > 0 ? " " : "",
			       json_string_value(word) ? json_string_value(word) : "");
	}
	return json_put(doc, "process",
			json_pack("{s:I, s:s, s:{s:s, s:s, s:i}, s:{s:I}}", "pid",
				  json_integer_value(json_object_get(data, "pid")), "cmd_line",
				  buf_str(&line), "file", "path", path, "name",
				  slash ? slash + 1 : path, "type_id", 1, "parent_process", "pid",
				  json_integer_value(json_object_get(data, "parent"))));
}

static int put_connection(json_t *doc, const json_t *data)
{
	return json_put(doc, "dst_endpoint",
			json_pack("{s:s, s:s, s:I}", "hostname", text_of(data, "host"), "ip",
				  text_of(data, "address"), "port",
				  json_integer_value(json_object_get(data, "port")))) < 0 ||
			       json_put(doc, "traffic",
					json_pack("{s:I, s:I}", "bytes_out",
						  json_integer_value(
							  json_object_get(data, "bytes_up")),
						  "bytes_in",
						  json_integer_value(
							  json_object_get(data, "bytes_down")))) < 0
		       ? -ENOMEM
		       : 0;
}

static int put_finding(json_t *doc, const struct line *l, const json_t *data)
{
	const char *code = text_of(data, "code");
	json_t *uid = json_sprintf("%s:%" PRIu64, l->sandbox, l->seq);

	return json_put(doc, "finding_info",
			json_pack("{s:s, s:o}", "title",
				  *code                      ? code
				  : *text_of(data, "denial") ? text_of(data, "denial")
							     : l->event,
				  "uid", uid));
}

/* What the class of an event requires beside what all have. */
static int put_class(json_t *doc, const struct ocsf_row *row, const struct line *l,
		     const json_t *data)
{
	switch (row->class) {
	case OCSF_PROCESS:
		return put_process(doc, data);
	case OCSF_NETWORK:
		return put_connection(doc, data);
	case OCSF_DNS:
		return json_put(doc, "query",
				json_pack("{s:s}", "hostname", text_of(data, "host")));
	case OCSF_FINDING:
		return put_finding(doc, l, data);
	case OCSF_APPLICATION:
		return json_put(doc, "app",
				json_pack("{s:s, s:s}", "name", "sandbox", "uid", l->sandbox));
	case OCSF_FILE:
		return json_put(doc, "file",
				json_pack("{s:s, s:i}", "name", text_of(data, "copy"), "type_id",
					  2 /* folder */));
	default:
		return 0;
	}
}

static int export_ocsf(const struct line *l, struct err *e)
{
	_cleanup_json_ json_t *data = trail_data(l), *doc = NULL;
	const struct ocsf_row *row = ocsf_find(l->event);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	doc = json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:{s:s, s:{s:s, s:s, s:s}, s:o, s:s, s:I}, "
			"s:{s:i, s:s}, s:{s:s, s:O?}}",
			"activity_id", row->activity, "category_uid", row->class / 1000,
			"class_uid", row->class, "type_uid", row->class * 100 + row->activity,
			"severity_id", row->severity, "time", (json_int_t)ocsf_time(l->time),
			"metadata", "version", OCSF_VERSION, "product", "name", "Atoll",
			"vendor_name", "Atoll", "version", ATOLL_VERSION, "uid",
			json_sprintf("%s:%" PRIu64, l->sandbox, l->seq), "log_name", "trail",
			"sequence", (json_int_t)l->seq, "device", "type_id", 6 /* virtual */,
			"name", l->sandbox, "unmapped", "event", l->event, "data", data);
	if (doc && put_class(doc, row, l, data) >= 0) {
		text = json_canonical(doc, &len);
	}
	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	trail_print_json(text, len);
	return 0;
}

/* ---- CSV ---- */

static void put_cell(const char *text, size_t len, bool last)
{
	/* A spreadsheet would compute it; a quote before it is shown by none. */
	bool formula = len > 0 && strchr("=+-@\t\r", text[0]) != NULL;
	_cleanup_buf_ struct buf safe = {};

	if (isatty(STDOUT_FILENO)) {
		buf_init(&safe, 8 * TRAIL_MAX_LINE);
		(void)utf8_neutralise(&safe, text, len);
		text = buf_str(&safe);
		len = safe.len;
	}
	(void)putchar('"');
	if (formula) {
		(void)putchar('\'');
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"') {
			(void)putchar('"');
		}
		(void)putchar(text[i]);
	}
	(void)fputs(last ? "\"\r\n" : "\",", stdout);
}

static void export_csv(const struct line *l)
{
	const struct event_kind *k = event_find(l->event, strlen(l->event));
	const char *class = k ? event_class_name(k->class) : "";

	put_cell(l->time, LINE_TIME_LEN, false);
	put_cell(l->sandbox, strlen(l->sandbox), false);
	(void)printf("%" PRIu64 ",", l->seq);
	put_cell(class, strlen(class), false);
	put_cell(l->event, strlen(l->event), false);
	put_cell(l->data, l->data_len, true);
}

/* ---- the command ---- */

static int export_event(void *arg, const struct line *l, const char *text, size_t len,
			struct err *e)
{
	const struct export_options *o = arg;

	(void)text;
	(void)len;
	if (strcmp(o->format, "csv") == 0) {
		export_csv(l);
		return 0;
	}
	return export_ocsf(l, e);
}

static int export_one(const struct state *s, const char *id, void *arg, struct err *e)
{
	struct export_options *o = arg;

	return trail_read(s, id, &o->filter, export_event, o, e);
}

static int export(const struct cli_command *c, int argc, char **argv)
{
	struct export_options o = {.format = "ocsf"};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &words);

	r = r == 0 ? trail_filter_settle(&o.filter, c->name) : r;
	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (strcmp(o.format, "ocsf") != 0 && strcmp(o.format, "csv") != 0) {
		return cli_complain(c->name, "--format: '%s' is not one of ocsf, csv", o.format);
	}
	r = state_open(&s, &e);
	if (r >= 0 && strcmp(o.format, "csv") == 0) {
		(void)fputs("\"time\",\"sandbox\",\"seq\",\"class\",\"event\",\"data\"\r\n",
			    stdout);
	}
	r = r < 0 ? r : trails_each(&s, &words, export_one, &o, &e);
	state_done(&s);
	return r < 0 && e.code ? cli_fail(&e) : cli_written();
}

static const char *const formats[] = {"ocsf", "csv", NULL};

static const struct cli_option export_options[] = {
	CLI_TAKES("--format", "FORMAT", CLI_WORDS, "in what form", .value.choices = formats,
		  .offset = offsetof(struct export_options, format)),
	TRAIL_FILTER_OPTIONS(export_options),
	{},
};

static const struct cli_example export_examples[] = {
	CLI_EXAMPLE("atoll audit export --since 24h >events.ocsf.jsonl"),
	CLI_EXAMPLE("atoll audit export --format csv --class denial >denials.csv"),
	{},
};

const struct cli_command cli_audit_export_command = {
	.name = "audit export",
	.summary = "export events as OCSF or CSV",
	.operands = "[SANDBOX...]",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about = "Print events for other systems: as OCSF (JSON, one object a line), or as CSV. "
		 "Without\n"
		 "SANDBOX, of every record.\n",
	.notes = "The records themselves, which can be verified, are what 'atoll audit show "
		 "--json' prints.\n",
	.options = export_options,
	.examples = export_examples,
	.run = export,
};
