/* SPDX-License-Identifier: Apache-2.0 */
/* atoll ps, atoll stop: the sandboxes that are running now. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "keeper/control.h"
#include "keeper/state.h"

static int ask(const struct state *s, const char *id, enum control_op op, json_t **ret,
	       struct err *e)
{
	_cleanup_fd_ int dir =
		openat(s->sandboxes, id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return dir < 0 ? -ENOENT : control_ask(dir, op, ret, e);
}

/* Every sandbox that answers; one that ended meanwhile is simply not there. */
static int collect(const struct state *s, json_t *list, struct err *e)
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
		json_t *status = NULL;
		struct err why = {};
		int asked = d->d_name[0] == '.' ? -ENOENT
						: ask(s, d->d_name, CONTROL_STATUS, &status, &why);

		if (asked == 0 && json_array_append_new(list, status) < 0) {
			r = err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		} else if (asked < 0 && asked != -ENOENT) {
			cli_say("sandbox %s: %s", d->d_name, why.msg);
		}
	}
	(void)closedir(dir);
	return r;
}

static void print_row(const json_t *row)
{
	_cleanup_buf_ struct buf b = {};
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
	printf("%-14s %8.1fs %9.1f MiB  %-10s %.60s\n",
	       json_string_value(json_object_get(row, "sandbox")),
	       json_number_value(json_object_get(row, "age_ms")) / 1e3,
	       json_number_value(json_object_get(row, "memory_peak_bytes")) / 1048576,
	       json_string_value(json_object_get(row, "tier")), buf_str(&b));
}

static int print_list(const json_t *list, bool as_json)
{
	json_t *row;
	size_t i;

	if (as_json) {
		return json_dumpf(list, stdout, JSON_INDENT(2) | JSON_SORT_KEYS) == 0 &&
				       putchar('\n') != EOF
			       ? CLI_OK
			       : CLI_FAILED;
	}
	printf("%-14s %9s %13s  %-10s %s\n", "SANDBOX", "AGE", "PEAK MEMORY", "TIER", "COMMAND");
	json_array_foreach(list, i, row)
	{
		print_row(row);
	}
	return CLI_OK;
}

static int help(const char *text)
{
	(void)fputs(text, stdout);
	return CLI_OK;
}

int cmd_ps(int argc, char **argv)
{
	_cleanup_json_ json_t *list = json_array();
	struct state s;
	struct err e = {};
	bool as_json = argc == 2 && strcmp(argv[1], "--json") == 0;
	int r;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		return help("List the sandboxes that are running.\n\nusage: atoll ps [--json]\n\n"
			    "examples:\n  atoll ps\n  atoll ps --json\n");
	}
	if (argc > 1 && !as_json) {
		return cli_usage("ps", "ps takes no argument but --json");
	}
	r = state_open(&s, &e);
	if (r >= 0) {
		cli_reap(&s);
		r = collect(&s, list, &e);
	}
	state_done(&s);
	return r < 0 ? cli_fail(&e) : print_list(list, as_json);
}

int cmd_stop(int argc, char **argv)
{
	struct state s;
	struct err e = {};
	int i, r;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		return help(
			"End running sandboxes: everything inside is killed, and torn down.\n\n"
			"usage: atoll stop SANDBOX...\n\nexamples:\n  atoll stop s-k3m9w2xqzr\n");
	}
	if (argc < 2 || argv[1][0] == '-') {
		return cli_usage("stop",
				 "stop takes the ids of sandboxes, as 'atoll ps' shows them");
	}
	r = state_open(&s, &e);
	for (i = 1; r >= 0 && i < argc; i++) {
		_cleanup_json_ json_t *reply = NULL;

		/* An id is one name: no slashes, nothing hidden. */
		r = strchr(argv[i], '/') || argv[i][0] == '.' || !argv[i][0]
			    ? -ENOENT
			    : ask(&s, argv[i], CONTROL_STOP, &reply, &e);
		if (r == -ENOENT) {
			r = err_set(&e, ERR_USER, ENOENT, "there is no running sandbox '%s'",
				    argv[i]);
		}
	}
	state_done(&s);
	return r < 0 ? cli_fail(&e) : CLI_OK;
}
