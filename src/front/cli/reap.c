/* SPDX-License-Identifier: Apache-2.0 */
/* atoll reap, atoll gc: what every other command does on its way, by itself. */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "keeper/state.h"

struct reap_options {
	bool dry_run;
	bool json;
};

static int reap(const struct cli_command *c, int argc, char **argv)
{
	struct reap_options o = {};
	struct reaped n = {};
	struct cli_operands none;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &none);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = state_open(&s, &e);
	r = r < 0 ? r : reap_run(&s, o.dry_run ? REAP_LOOK : REAP_ALL, &n, &e);
	state_done(&s);
	if (o.json) {
		int printed = cli_print_json(json_pack(
			"{s:i, s:i, s:i, s:i, s:b}", "orphans", n.orphans, "expired", n.expired,
			"logs", n.logs, "trails", n.trails, "removed", !o.dry_run));

		return r < 0 ? cli_fail(&e) : printed;
	}
	printf("%s%d without a keeper, %d cop%s and %d log%s whose time is up\n",
	       o.dry_run ? "would be removed: " : "removed: ", n.orphans, n.expired,
	       n.expired == 1 ? "y" : "ies", n.logs, n.logs == 1 ? "" : "s");
	if (n.trails > 0) {
		printf("%s%d record%s whose time is up\n",
		       o.dry_run ? "would be removed: " : "removed: ", n.trails,
		       n.trails == 1 ? "" : "s");
	}
	return r < 0 ? cli_fail(&e) : cli_written();
}

static const struct cli_option reap_options[] = {
	CLI_FLAG("--dry-run", "say what would be removed, and remove nothing",
		 .offset = offsetof(struct reap_options, dry_run)),
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct reap_options, json)),
	{},
};

static const struct cli_example reap_examples[] = {
	CLI_EXAMPLE("atoll reap --dry-run"),
	CLI_EXAMPLE("atoll reap"),
	{},
};

const struct cli_command cli_reap_command = {
	.name = "reap",
	.summary = "remove what the dead have left",
	.about = "Remove what sandboxes have left whose keeper was killed, and copies that have "
		 "waited\n"
		 "for longer than their policy says (time.keep). Every other command does the same "
		 "on\n"
		 "its way; this one is for a timer.\n",
	.options = reap_options,
	.examples = reap_examples,
	.run = reap,
};

static const struct cli_example gc_examples[] = {
	CLI_EXAMPLE("atoll gc"),
	{},
};

/* The name that other programs have for it: a row of its own, so that the parser, the help and the
 * completion of shells need not know of names beside the first. */
const struct cli_command cli_gc_command = {
	.name = "gc",
	.summary = "the same as reap",
	.about = "The same as 'atoll reap'.\n",
	.options = reap_options,
	.examples = gc_examples,
	.run = reap,
};
