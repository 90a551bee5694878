/* SPDX-License-Identifier: Apache-2.0 */
/* atoll events: what a sandbox's record says, also after its end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/sandboxes.h"
#include "front/cli/trails.h"
#include "keeper/name.h"
#include "keeper/state.h"
#include "record/reader.h"

/* A record grows by whole lines; nobody tells who reads it. */
#define FOLLOW_MS 100

struct events_options {
	bool json;
	bool follow;
};

static void print_line(const char *text, size_t len)
{
	struct line l;

	if (line_parse(text, len, &l)) {
		(void)trail_print(stdout, &l, false);
	} else {
		printf("(a line that was cut short by a death)\n");
	}
}

int sandbox_find_record(const struct state *s, const char *word, char id[STATE_ID_SIZE],
			struct err *e)
{
	char found[STATE_ID_SIZE];
	int copy = FD_NONE, n = 0;
	struct err why = {};
	size_t len;
	DIR *dir;
	struct dirent *d;

	if (name_find(s, word, found, &why) >= 0) {
		state_name_of(found, id);
		return 0;
	}
	len = strcspn(word, "."); /* the record of ID.1 is that of ID */
	copy = openat(s->trail, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = copy >= 0 && len >= 3 ? fdopendir(copy) : NULL;
	while (dir && (d = readdir(dir))) {
		size_t whole = strcspn(d->d_name, ".");

		if (len <= whole && strncmp(d->d_name, word, len) == 0 &&
		    trail_take_name(d->d_name, id)) {
			n++;
		}
	}
	if (dir) {
		(void)closedir(dir);
	} else {
		(void)fd_close(copy);
	}
	return n == 1  ? 0
	       : n > 1 ? err_set(e, ERR_USER, ENOENT, "'%s' is the beginning of %d records", word,
				 n)
		       : err_set(e, ERR_USER, ENOENT, "there is no record of a sandbox '%s'", word);
}

/* The last word about a sandbox. */
static bool is_end(const char *line)
{
	return strstr(line, "\"event\":\"torn_down\"") || strstr(line, "\"event\":\"reaped\"");
}

static int print_record(struct reader *in, const struct events_options *o, struct err *e)
{
	bool over = false;
	const char *line;
	size_t len = 0;
	int r = 0;

	in->follows = o->follow;
	while (r >= 0 && !over) {
		r = reader_next(in, &line, &len, e);
		if (r == 0) {
			if (!o->follow || fflush(stdout) != 0) {
				break;
			}
			(void)poll(NULL, 0, FOLLOW_MS);
		} else if (r > 0) {
			over = o->follow && is_end(line);
			if (o->json) {
				trail_print_json(line, len);
			} else {
				print_line(line, len);
			}
		}
	}
	return r < 0 ? r : 0;
}

static int events(const struct cli_command *c, int argc, char **argv)
{
	struct events_options o = {};
	struct cli_operands words;
	struct reader in = {};
	char id[STATE_ID_SIZE];
	struct state s;
	struct err e = {};
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = sandbox_find_record(&s, words.words[0], id, &e);
	r = r < 0 ? r : reader_open(&in, s.trail, id, &e);
	r = r < 0 ? r : print_record(&in, &o, &e);
	reader_close(&in);
	state_done(&s);
	return r < 0 ? cli_fail(&e) : cli_written();
}

static const struct cli_option events_options[] = {
	CLI_FLAG("--follow", "go on until the sandbox has ended", .letter = 'f',
		 .offset = offsetof(struct events_options, follow)),
	CLI_FLAG("--json", "the lines of the record as they stand",
		 .offset = offsetof(struct events_options, json)),
	{},
};

static const struct cli_example events_examples[] = {
	CLI_EXAMPLE("atoll events work"),
	CLI_EXAMPLE("atoll events --json work >record.jsonl"),
	{},
};

const struct cli_command cli_events_command = {
	.name = "events",
	.summary = "what the record of a sandbox says",
	.operands = "SANDBOX",
	.operand.kind = CLI_EITHER,
	.max_operands = 1,
	.about =
		"Print the record of a sandbox, one event a line: what it was made from, what was\n"
		"found in force, what ran in it, what was refused, how it ended. Records stay "
		"when\n"
		"their sandboxes are gone.\n",
	.options = events_options,
	.examples = events_examples,
	.run = events,
};
