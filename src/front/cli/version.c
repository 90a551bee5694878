/* SPDX-License-Identifier: Apache-2.0 */
/* atoll version */
#include <stdio.h>
#include <string.h>

#include "front/cli/cli.h"

int cmd_version(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--json") == 0) {
		printf("{\"version\":\"%s\"}\n", ATOLL_VERSION);
	} else if (argc > 1) {
		return cli_usage("version", "version takes no argument but --json");
	} else {
		printf("atoll %s\n", ATOLL_VERSION);
	}
#ifdef ATOLL_MUTANT
	/* A build for tests, with a defence switched off, must never be taken for the product. */
	cli_say("MUTANT: built without %s; never use it outside tests", ATOLL_MUTANT);
#endif
	return CLI_OK;
}
