/* SPDX-License-Identifier: Apache-2.0 */
/* atoll version */
#include <stdio.h>

#include "front/cli/cli.h"
#include "front/cli/commands.h"

struct version_options {
	bool json;
};

static const struct cli_option options[] = {
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct version_options, json)),
	{},
};

static const struct cli_example examples[] = {
	CLI_EXAMPLE("atoll version"),
	CLI_EXAMPLE("atoll version --json"),
	{},
};

static int print_version(bool as_json)
{
	printf(as_json ? "{\"version\":\"%s\"}\n" : "atoll %s\n", ATOLL_VERSION);
#ifdef ATOLL_MUTANT
	/* A build for tests, with a defence switched off, must never be taken for the product. */
	cli_say("MUTANT: built without %s; never use it outside tests", ATOLL_MUTANT);
#endif
	return cli_written();
}

static int run(const struct cli_command *c, int argc, char **argv)
{
	struct version_options o = {};
	struct cli_operands none;
	int r = cli_parse(c, argc, argv, &o, &none);

	return r != 0 ? (r > 0 ? CLI_OK : -r) : print_version(o.json);
}

const struct cli_command cli_version_command = {
	.name = "version",
	.summary = "print the version",
	.about = "Print the version.\n",
	.options = options,
	.examples = examples,
	.run = run,
};

int cli_take_version(void *into, const struct cli_option *option, char *value)
{
	(void)into;
	(void)option;
	(void)value;
	return print_version(false);
}
