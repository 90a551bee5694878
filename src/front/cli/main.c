/* SPDX-License-Identifier: Apache-2.0 */
/* The program's entry: the table of subcommands, and the keeper's door. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "front/cli/cli.h"
#include "keeper/keeper.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"run", cmd_run, "run a command behind walls"},
	{"ps", cmd_ps, "list running sandboxes"},
	{"stop", cmd_stop, "end a running sandbox"},
	{"policy", cmd_policy, "show, check and explain policies"},
	{"doctor", cmd_doctor, "say what this host can enforce"},
	{"version", cmd_version, "print the version"},
};

static void help(FILE *out)
{
	size_t i;

	fprintf(out,
		"Run untrusted code behind a boundary that you choose, can see, and can prove.\n\n"
		"usage: atoll COMMAND [options]\n\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	}
	fprintf(out, "\nexamples:\n"
		     "  atoll run -- python3 script.py       the current directory is visible, "
		     "read-only\n"
		     "  atoll run --workspace .:direct -- make   and this may change it\n"
		     "  atoll policy explain --trust medium  what the default policy means\n\n"
		     "'atoll COMMAND --help' tells more.\n");
}

/*
 * A closed descriptor 0, 1 or 2 would be the next thing that is opened, and the payload's input or
 * output would go there. What stands in its place fails in the same way: EBADF.
 */
static bool hold_standard(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		if (fcntl(i, F_GETFD) < 0 && open("/dev/null", i == 0 ? O_WRONLY : O_RDONLY) != i) {
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	size_t i;

	if (!hold_standard()) {
		return CLI_FAILED;
	}

	/* The front starts the keeper under this name; see session.c. */
	if (argc == 1 && strcmp(argv[0], "atoll-keeper") == 0) {
		return keeper_main();
	}
	if (argc < 2) {
		help(stderr);
		return CLI_FAILED;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		return cmd_version(1, (char *[]){"version", NULL});
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	cli_say("there is no command '%s'; see 'atoll --help'", argv[1]);
	return CLI_FAILED;
}
