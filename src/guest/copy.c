/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner side of `atoll cp`: a command like any other, but that its program is this one. It has
 * no right that the payload has not, so what it can be made to read or write the payload could have
 * read or written, and links and names mean here what they mean to the payload.
 */
#include "guest/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "linux/parcel.h"

static int send_out(const char *path)
{
	return parcel_send(STDOUT_FILENO, parcel_open(path, false)) < 0;
}

static void write_all(const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno != EINTR) {
			_exit(1); /* nobody hears us any more */
		}
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void tell(void *data, const char *path, enum parcel_problem why, int error)
{
	const struct parcel_told told = {(uint32_t)why, (uint32_t)error, (uint32_t)strlen(path)};

	(void)data;
	write_all(&told, sizeof(told));
	write_all(path, told.len);
}

static int take_in(const char *path, const char *from)
{
	const struct parcel_rules rules = {.say = tell};
	struct parcel_told last = {.why = PARCEL_DONE};
	struct parcel_count count;
	char name[NAME_MAX + 1];
	bool named;
	int dir = parcel_place(path, false, from, name, &named);
	int r = dir < 0 ? dir
			: parcel_receive(STDIN_FILENO, dir, named ? name : NULL, &rules, &count);

	last.error = r < 0 ? (uint32_t)-r : 0;
	write_all(&last, sizeof(last));
	return r < 0;
}

int copy_main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "out") == 0) {
		return send_out(argv[2]);
	}
	if (argc == 4 && strcmp(argv[1], "in") == 0) {
		return take_in(argv[2], argv[3]);
	}
	return 125;
}
