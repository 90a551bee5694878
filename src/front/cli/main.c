/* SPDX-License-Identifier: Apache-2.0 */
/* The program's entry: the commands, and the keeper's door. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "front/cli/cli.h"
#include "front/cli/cli-options.h"
#include "front/session.h"
#include "keeper/keeper.h"

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

static int perform(int argc, char **argv)
{
	if (argc < 2) {
		(void)cli_help(&cli_atoll, stderr);
		return CLI_FAILED;
	}
	if (strcmp(argv[1], "help") == 0) {
		return cli_help(&cli_atoll, stdout);
	}
	return cli_run(&cli_atoll, argc, argv);
}

int main(int argc, char **argv)
{
	int r;

	if (!hold_standard()) {
		return CLI_FAILED;
	}

	/* The front starts the keeper under this name; see entry.c. */
	if (argc == 1 && strcmp(argv[0], "atoll-keeper") == 0) {
		return keeper_main();
	}
	r = perform(argc, argv);
	session_unused();
	return r;
}
