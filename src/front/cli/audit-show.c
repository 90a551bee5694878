/* SPDX-License-Identifier: Apache-2.0 */
/* atoll audit show: what records say, of one sandbox or of all. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/trails.h"

struct show_options {
	struct trail_filter filter; /* first: options are taken into it */
	bool json;
	bool follow;
};

static int print_event(void *arg, const struct line *l, const char *text, size_t len, struct err *e)
{
	const struct show_options *o = arg;

	(void)e;
	if (!o->json) {
		return trail_print(stdout, l, true);
	}
	trail_print_json(text, len);
	return 0;
}

static int show_one(const struct state *s, const char *id, void *arg, struct err *e)
{
	struct show_options *o = arg;

	return o->follow ? trail_follow(s, id, &o->filter, print_event, o, e)
			 : trail_read(s, id, &o->filter, print_event, o, e);
}

static int show(const struct cli_command *c, int argc, char **argv)
{
	struct show_options o = {};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &words);

	r = r == 0 ? trail_filter_settle(&o.filter, c->name) : r;
	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (o.follow && words.n != 1) {
		return cli_complain(c->name, "--follow needs one sandbox, which is followed");
	}
	r = state_open(&s, &e);
	r = r < 0 ? r : trails_each(&s, &words, show_one, &o, &e);
	state_done(&s);
	return r < 0 && e.code ? cli_fail(&e) : cli_written();
}

static const struct cli_option show_options[] = {
	TRAIL_FILTER_OPTIONS(show_options),
	CLI_FLAG("--follow", "go on until the record of the one sandbox has its end", .letter = 'f',
		 .offset = offsetof(struct show_options, follow)),
	CLI_FLAG("--json", "the lines of the records as they stand",
		 .offset = offsetof(struct show_options, json)),
	{},
};

static const struct cli_example show_examples[] = {
	CLI_EXAMPLE("atoll audit show --since 24h --class denial"),
	CLI_EXAMPLE("atoll audit show work --class program"),
	CLI_EXAMPLE("atoll audit show --owner ci --event connection --json"),
	{},
};

const struct cli_command cli_audit_show_command = {
	.name = "audit show",
	.summary = "print events of all records, or of some",
	.operands = "[SANDBOX...]",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about = "Print events, the oldest record first. Without SANDBOX, of every record.\n",
	.notes = "What is printed is not verified by it: 'atoll audit verify' does that.\n",
	.options = show_options,
	.examples = show_examples,
	.run = show,
};
