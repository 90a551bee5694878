/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges names as fast as it can until standard input ends, then says how often; works on the
 * host, as a second sandbox with the same directory would:  swapper DIRECTORY OTHER COUNT
 * The pairs are DIRECTORY/dN and OTHER/dN, N from 0 to COUNT - 1.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "probe.h"

int main(int argc, char **argv)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
	int a = argc == 4 ? open(argv[1], O_PATH | O_DIRECTORY) : -1;
	int b = argc == 4 ? open(argv[2], O_PATH | O_DIRECTORY) : -1;
	unsigned long swaps = 0;

	if (a < 0 || b < 0 || count <= 0) {
		fprintf(stderr, "usage: swapper DIRECTORY OTHER COUNT\n");
		return 2;
	}
	printf("ready\n");
	(void)fflush(stdout);
	while (poll(&in, 1, 0) == 0) {
		for (long i = 0; i < count; i++) {
			char name[24];

			(void)snprintf(name, sizeof(name), "d%ld", i);
			swaps += renameat2(a, name, b, name, RENAME_EXCHANGE) == 0;
		}
	}
	printf("%lu\n", swaps);
	return 0;
}
