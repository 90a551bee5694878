/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of its corpus and reports in TAP. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

#include <fcntl.h>

#define INPUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(int dir, const char *name, unsigned int number)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b;

	buf_init(&b, INPUT_MAX);
	if (fd < 0 || buf_read_fd(&b, fd) < 0) {
		printf("not ok %u - %s: cannot be read\n", number, name);
		return -1;
	}
	(void)LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&b), b.len);
	printf("ok %u - %s\n", number, name);
	return 0;
}

static int by_any_file(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **names = NULL;
	int failed = 0;
	int count;
	int dir;

	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	count = dir < 0 ? -1 : scandir(argv[1], &names, by_any_file, alphasort);
	if (count <= 0) {
		fprintf(stderr, "%s: %s\n", argv[1], count ? strerror(errno) : "no inputs");
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		failed |= replay_file(dir, names[i]->d_name, (unsigned int)i + 1);
		free(names[i]);
	}
	free(names);
	fd_close(dir);
	return failed ? 1 : 0;
}
