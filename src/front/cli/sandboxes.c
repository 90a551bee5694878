/* SPDX-License-Identifier: Apache-2.0 */
/* atoll ps, atoll stop: the sandboxes that are there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/report.h"
#include "front/cli/sandboxes.h"
#include "keeper/kept.h"
#include "keeper/name.h"
#include "policy/plan.h"
#include "policy/scalar.h"

int sandbox_ask(const struct state *s, const char *id, enum control_op op, json_t **ret,
		struct err *e)
{
	_cleanup_fd_ int dir =
		openat(s->sandboxes, id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return dir < 0 ? -ENOENT : control_ask(dir, op, 0, ret, e);
}

int sandbox_absent(const char *word, struct err *e)
{
	return err_set(e, ERR_USER, ENOENT, "sandbox '%s' is not running", word);
}

/* `dir`: text, or an object with a path. */
static int add_direct(json_t *list, const json_t *mode, const json_t *dir)
{
	const char *word = json_string_value(mode);

	if (!word || strcmp(word, workspace_mode_name(WORKSPACE_DIRECT)) != 0) {
		return 0;
	}
	dir = json_is_object(dir) ? json_object_get(dir, "path") : dir;
	return json_is_string(dir) ? json_array_append(list, (json_t *)dir) : -1;
}

json_t *sandbox_written(const json_t *result)
{
	_cleanup_json_ json_t *list = json_array();
	const json_t *more;
	size_t i;
	int r = list ? add_direct(list, json_object_get(result, "workspace_mode"),
				  json_object_get(result, "workspace"))
		     : -1;

	json_array_foreach(json_object_get(result, "more"), i, more)
	{
		r = r < 0 ? r : add_direct(list, json_object_get(more, "mode"), more);
	}
	return r < 0 ? NULL : TAKE_PTR(list);
}

int sandbox_write_report(const char *path, const json_t *result, const json_t *doc, struct err *e)
{
	_cleanup_json_ json_t *written = sandbox_written(result);

	return written ? report_write(path, written, doc, e)
		       : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

int sandbox_find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e)
{
	int r = name_find(s, word, id, e);
	char of[STATE_ID_SIZE];

	if (r < 0 || !strchr(id, '.')) {
		return r;
	}
	state_name_of(id, of);
	return err_set(e, ERR_USER, EISDIR,
		       "'%s' is the copy of a further directory of sandbox %s; name the sandbox",
		       word, of);
}

int sandbox_tell(const struct state *s, const char *word, enum control_op op, int32_t a,
		 struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_fd_ int dir = FD_NONE;
	char id[STATE_ID_SIZE];
	const char *why;
	int r = sandbox_find(s, word, id, e);

	if (r < 0) {
		return r;
	}
	dir = openat(s->sandboxes, id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = dir < 0 ? -ENOENT : control_ask(dir, op, a, &reply, e);
	why = json_string_value(json_object_get(reply, "error"));
	return r == -ENOENT ? sandbox_absent(word, e)
	       : why        ? err_set(e, ERR_USER, EOPNOTSUPP, "%s: %s", word, why)
			    : r;
}

int sandboxes_parse(const struct cli_command *c, int argc, char **argv, void *into,
		    struct cli_operands *ret)
{
	int r = cli_parse(c, argc, argv, into, ret);

	if (r != 0 || ret->n > 0) {
		return r;
	}
	return -cli_complain(c->name, "which sandbox? %s their ids and names",
			     c->operand.kind == CLI_KEPT      ? "'atoll ps --kept' shows"
			     : c->operand.kind == CLI_SANDBOX ? "'atoll ps' shows"
							      : "'atoll ps' and 'atoll ps --kept' "
								"show");
}

int sandboxes_begin(const struct cli_command *c, int argc, char **argv, void *into,
		    struct cli_operands *ret, struct state *ret_state)
{
	int r = sandboxes_parse(c, argc, argv, into, ret);
	struct err e = {};

	if (r == 0 && state_open(ret_state, &e) < 0) {
		state_done(ret_state);
		r = -cli_fail(&e);
	}
	return r;
}

int sandboxes_each(const struct state *s, const struct cli_operands *words, sandbox_fn *fn,
		   void *arg)
{
	int status = CLI_OK;

	for (size_t i = 0; i < words->n; i++) {
		struct err e = {};

		if (fn(s, words->words[i], arg, &e) < 0) {
			status = cli_fail(&e);
		}
	}
	return status;
}

/* Calls `add` for each directory of a sandbox, until one fails. */
static int each_sandbox(const struct state *s, json_t *list,
			int (*add)(const struct state *s, const char *id, json_t *list),
			struct err *e)
{
	int copy = openat(s->sandboxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *d;
	int r = 0;

	if (!dir) {
		(void)fd_close(copy);
		return err_sys(e, errno, "cannot list the state directory");
	}
	while (r >= 0 && (d = readdir(dir))) {
		r = d->d_name[0] == '.' ? 0 : add(s, d->d_name, list);
	}
	(void)closedir(dir);
	return r < 0 ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : 0;
}

/* One that answers; if it ended meanwhile it is simply not there. */
static int add_running(const struct state *s, const char *id, json_t *list)
{
	json_t *status = NULL;
	struct err why = {};
	int asked = sandbox_ask(s, id, CONTROL_STATUS, &status, &why);

	if (asked < 0 && asked != -ENOENT) {
		cli_say("sandbox %s: %s", id, why.msg);
	}
	return asked == 0 ? json_array_append_new(list, status) : 0;
}

static void print_row(const json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	_cleanup_buf_ struct buf b = {};
	json_int_t n;
	json_t *word;
	size_t i;

	buf_init(&b, 65536);
	json_array_foreach(json_object_get(row, "command"), i, word)
	{
		const char *text = json_string_value(word);

		if (i > 0) {
			(void)buf_addc(&b, ' ');
		}
		if (text) {
			(void)utf8_neutralise(&b, text, strlen(text));
		}
	}
	if (b.len == 0) {
		n = json_integer_value(json_object_get(row, "commands"));
		(void)buf_addf(&b, n > 0 ? "(%lld commands)" : "(waits)", n);
	}
	printf("%-14s %-12s %-8s %8.1fs %9.1f MiB  %-10s %.60s\n",
	       json_string_value(json_object_get(row, "sandbox")), name ? name : "",
	       json_string_value(json_object_get(row, "state")),
	       json_number_value(json_object_get(row, "age_ms")) / 1e3,
	       json_number_value(json_object_get(row, "memory_peak_bytes")) / 1048576,
	       json_string_value(json_object_get(row, "tier")), buf_str(&b));
}

/* In the largest unit that fits twice. */
static void say_time(double ms, const char *after, char *text, size_t size)
{
	static const struct {
		const char *word;
		double seconds;
	} units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
	double seconds = ms > 0 ? ms / 1e3 : 0;
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && seconds < 2 * units[i].seconds) {
		i++;
	}
	(void)snprintf(text, size, "%.0f %ss%s", seconds / units[i].seconds, units[i].word, after);
}

static void print_kept(const json_t *row)
{
	const char *workspace = json_string_value(json_object_get(row, "workspace"));
	const char *name = json_string_value(json_object_get(row, "name"));
	_cleanup_buf_ struct buf b = {};
	char ago[48], left[48];

	say_time(json_number_value(json_object_get(row, "ended_ms_ago")), " ago", ago, sizeof(ago));
	say_time(json_number_value(json_object_get(row, "removed_in_ms")), "", left, sizeof(left));
	buf_init(&b, 65536);
	(void)utf8_neutralise(&b, workspace ? workspace : "", workspace ? strlen(workspace) : 0);
	printf("%-14s %-12s %15s %12s  %s\n", json_string_value(json_object_get(row, "sandbox")),
	       name ? name : "", ago, left, buf_str(&b));
}

/* A copy that waits, whoever is at work on it. */
static int add_kept(const struct state *s, const char *id, json_t *list)
{
	char name[NAME_MAX_LENGTH + 1];
	struct kept k;
	struct err why = {};
	int r = 0;

	(void)kept_look(s, id, &k, &why);
	if (k.home.dir >= 0) {
		name_read(k.home.dir, name);
		r = json_array_append_new(
			list,
			json_pack("{s:s, s:s?, s:s?, s:f, s:f, s:b}", "sandbox", k.home.id, "name",
				  *name ? name : NULL, "workspace", k.workspace, "ended_ms_ago",
				  (double)(clock_real_ns() - k.ended_ns) / 1e6, "removed_in_ms",
				  (double)(k.until_ns - clock_real_ns()) / 1e6, "workspace_found",
				  k.original >= 0));
	}
	kept_done(&k);
	return r;
}

#define MAX_FILTERS 16

struct ps_options {
	bool json;
	bool quiet;
	bool names;
	bool kept;
	struct filter {
		const char *key;
		const char *value; /* NULL: any, of a label */
	} filters[MAX_FILTERS];
	size_t n_filters;
};

/* What a filter can ask for, beside label=KEY[=VALUE]. */
static const char *const filter_keys[] = {"name", "state", "tier", NULL};

static bool is_filter(const char *key)
{
	size_t i;

	for (i = 0; filter_keys[i] && strcmp(filter_keys[i], key) != 0; i++) {
	}
	return filter_keys[i] != NULL;
}

/* KEY=VALUE, or label=KEY, or label=KEY=VALUE, which is kept as ":KEY". */
static int take_filter(void *into, const struct cli_option *option, char *value)
{
	struct ps_options *o = into;
	char *equals = strchr(value, '=');
	bool label = strncmp(value, "label=", 6) == 0 && value[6];
	struct filter *f = &o->filters[o->n_filters];

	(void)option;
	if (o->n_filters == MAX_FILTERS) {
		return -cli_complain("ps", "at most %d filters", MAX_FILTERS);
	}
	if (label) {
		value[5] = ':';
		f->key = value + 5;
		equals = strchr(f->key, '=');
	} else {
		f->key = value;
	}
	if (equals) {
		*equals = '\0';
	}
	f->value = equals ? equals + 1 : NULL;
	if (!label && (!equals || !is_filter(f->key))) {
		return -cli_complain("ps", "--filter takes label=KEY, label=KEY=VALUE, name=NAME, "
					   "state=STATE or tier=TIER");
	}
	o->n_filters++;
	return 0;
}

/* All of the filters hold. */
static bool matches(const json_t *row, const struct ps_options *o)
{
	size_t i;

	for (i = 0; i < o->n_filters; i++) {
		const struct filter *f = &o->filters[i];
		const json_t *at = *f->key == ':' ? json_object_get(row, "labels") : row;
		const char *have =
			json_string_value(json_object_get(at, f->key + (*f->key == ':')));

		if (!have || (f->value && strcmp(have, f->value) != 0)) {
			return false;
		}
	}
	return true;
}

static const struct cli_option ps_options[] = {
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct ps_options, json)),
	CLI_TAKES("--filter", "KEY=VALUE", CLI_TEXT,
		  "only those of label=KEY[=VALUE], name, state or tier", .take = take_filter,
		  .repeat = true),
	CLI_FLAG("--kept", "those that have ended and whose copy waits to be looked at",
		 .offset = offsetof(struct ps_options, kept)),
	CLI_FLAG("--quiet", "the ids alone, one a line",
		 .offset = offsetof(struct ps_options, quiet)),
	CLI_FLAG("--names", "the names alone, one a line; with --quiet ids and names",
		 .offset = offsetof(struct ps_options, names)),
	{},
};

/* What other programs take as words: ids, names, or both. */
static void print_words(const json_t *row, const struct ps_options *o)
{
	const char *name = json_string_value(json_object_get(row, "name"));

	if (o->quiet) {
		printf("%s\n", json_string_value(json_object_get(row, "sandbox")));
	}
	if (o->names && name) {
		printf("%s\n", name);
	}
}

static int print_list(json_t *list, const struct ps_options *o)
{
	bool words = o->quiet || o->names;
	json_t *row;
	size_t i;

	if (o->json) {
		return cli_print_json(json_incref(list));
	}
	if (!words && o->kept) {
		printf("%-14s %-12s %15s %12s  %s\n", "SANDBOX", "NAME", "ENDED", "REMOVED IN",
		       "WORKSPACE");
	} else if (!words) {
		printf("%-14s %-12s %-8s %9s %13s  %-10s %s\n", "SANDBOX", "NAME", "STATE", "AGE",
		       "PEAK MEMORY", "TIER", "COMMAND");
	}
	json_array_foreach(list, i, row)
	{
		if (words) {
			print_words(row, o);
		} else if (o->kept) {
			print_kept(row);
		} else {
			print_row(row);
		}
	}
	return cli_written();
}

static int ps(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *list = json_array();
	struct ps_options o = {};
	struct cli_operands none;
	struct state s;
	struct err e = {};
	size_t i;
	int r = cli_parse(c, argc, argv, &o, &none);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = state_open(&s, &e);
	if (r >= 0) {
		cli_reap(&s, REAP_SANDBOXES);
		r = each_sandbox(&s, list, o.kept ? add_kept : add_running, &e);
	}
	state_done(&s);
	for (i = json_array_size(list); i-- > 0;) {
		if (!matches(json_array_get(list, i), &o)) {
			(void)json_array_remove(list, i);
		}
	}
	return r < 0 ? cli_fail(&e) : print_list(list, &o);
}

static const struct cli_example ps_examples[] = {
	CLI_EXAMPLE("atoll ps"),
	CLI_EXAMPLE("atoll ps --json"),
	CLI_EXAMPLE("atoll ps --filter label=team=a --quiet"),
	CLI_EXAMPLE("atoll ps --kept", .why = "what waits for 'atoll diff'"),
	{},
};

const struct cli_command cli_ps_command = {
	.name = "ps",
	.summary = "list running sandboxes, and copies",
	.about = "List the sandboxes that are running, or the copies that ended ones have left.\n",
	.options = ps_options,
	.examples = ps_examples,
	.run = ps,
};

struct stop_options {
	const char *command; /* --command N */
	int32_t number;      /* what it means; 0: the sandbox itself */
};

static int stop_one(const struct state *s, const char *word, void *options, struct err *e)
{
	int32_t number = ((const struct stop_options *)options)->number;

	return sandbox_tell(s, word, number > 0 ? CONTROL_STOP_COMMAND : CONTROL_STOP, number, e);
}

static int stop(const struct cli_command *c, int argc, char **argv)
{
	struct stop_options o = {};
	struct cli_operands words;
	uint64_t number = 0;
	struct state s;
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (o.command &&
	    (scalar_int(o.command, &number) < 0 || number == 0 || number > INT32_MAX)) {
		state_done(&s);
		return cli_complain(c->name, "--command: '%s' is no number of a command",
				    o.command);
	}
	o.number = (int32_t)number;
	r = sandboxes_each(&s, &words, stop_one, &o);
	state_done(&s);
	return r;
}

static const struct cli_option stop_options[] = {
	CLI_TAKES("--command", "N", CLI_TEXT, "only the command with this number (atoll inspect)",
		  .offset = offsetof(struct stop_options, command)),
	{},
};

static const struct cli_example stop_examples[] = {
	CLI_EXAMPLE("atoll stop s-k3m9w2xqzr"),
	CLI_EXAMPLE("atoll stop $(atoll ps --quiet)", .why = "all of them"),
	CLI_EXAMPLE("atoll stop --command 1 work", .why = "what 'atoll exec --detach' began"),
	{},
};

const struct cli_command cli_stop_command = {
	.name = "stop",
	.summary = "end a running sandbox",
	.operands = "SANDBOX...",
	.operand.kind = CLI_SANDBOX,
	.max_operands = SIZE_MAX,
	.about = "End running sandboxes: everything inside is killed, and torn down.\n",
	.options = stop_options,
	.examples = stop_examples,
	.run = stop,
};
