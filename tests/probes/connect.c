/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to everything that it is told of: connect KIND ADDRESS ... (tcp, udp, unix, abstract).
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "probe.h"

/* "ADDRESS PORT" of either family. */
static int dial(const char *text, int type)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct timeval limit = {.tv_sec = 2};
	char address[64];
	const char *space = strchr(text, ' ');
	int fd, r;

	if (!space || (size_t)(space - text) >= sizeof(address)) {
		errno = EDOM;
		return -1;
	}
	memcpy(address, text, (size_t)(space - text));
	address[space - text] = '\0';
	v4.sin_port = v6.sin6_port = htons((uint16_t)strtoul(space + 1, NULL, 10));
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		r = connect(fd, (struct sockaddr *)&v4, sizeof(v4));
	} else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
		fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		r = connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	} else {
		errno = EDOM;
		return -1;
	}
	if (r == 0) {
		r = send(fd, "probe", 5, MSG_NOSIGNAL) == 5 ? 0 : -1;
	}
	return r;
}

static int dial_unix(const char *path, int abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (len + 2 > sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(a.sun_path + (abstract ? 1 : 0), path, len);
	return connect(fd, (struct sockaddr *)&a,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1));
}

static long milliseconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		long begin = milliseconds();
		int r;

		if (strcmp(argv[i], "tcp") == 0) {
			r = dial(argv[i + 1], SOCK_STREAM);
		} else if (strcmp(argv[i], "udp") == 0) {
			r = dial(argv[i + 1], SOCK_DGRAM);
		} else {
			r = dial_unix(argv[i + 1], strcmp(argv[i], "abstract") == 0);
		}
		probe_callf(r, "%s:%s", argv[i], argv[i + 1]);
		if (milliseconds() - begin > 1000) {
			probe_callf(0, "slow:%s:%s", argv[i], argv[i + 1]);
		}
	}
	return 0;
}
