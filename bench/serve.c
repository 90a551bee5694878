/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers that bench/gateway measures against: serve ADDRESS BULK PORT...
 * On BULK a connection says in eight bytes how many it wants, and gets them. On each PORT it sends
 * LOAD_BYTES, gets as many, and is closed. Says "ready" when all listen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define PIECE     (256UL * 1024)
#define PORTS_MAX 8

static int listen_at(const char *address, const char *port, int kind)
{
	const int on = 1;
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
	int fd = socket(AF_INET, SOCK_STREAM | kind, 0);

	if (inet_pton(AF_INET, address, &name.sin_addr) != 1 || fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, 4096) < 0) {
		perror("serve");
		exit(1);
	}
	return fd;
}

static _Noreturn void serve_bulk(int listener)
{
	static char piece[PIECE];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		uint64_t left = 0;

		if (recv(fd, &left, sizeof(left), MSG_WAITALL) != sizeof(left)) {
			left = 0;
		}
		while (left > 0) {
			ssize_t n = send(fd, piece, left < PIECE ? left : PIECE, 0);

			left = n < 0 ? 0 : left - (uint64_t)n;
		}
		(void)close(fd);
	}
}

/* True: it is over. What is asked comes in one piece, for it was sent as one. */
static int answer(int fd)
{
	char bytes[LOAD_BYTES];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		return 0;
	}
	if (n == (ssize_t)sizeof(bytes)) {
		(void)send(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
	(void)close(fd);
	return 1;
}

static void take(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		if (!answer(fd) && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
			(void)close(fd);
		}
	}
}

static _Noreturn void serve_small(const int *listeners, int n_listeners)
{
	struct epoll_event events[64];
	int epoll = epoll_create1(0);

	for (int i = 0; i < n_listeners; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = listeners[i]};

		(void)epoll_ctl(epoll, EPOLL_CTL_ADD, listeners[i], &event);
	}
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			/* The listeners have the first numbers. */
			if (events[i].data.fd <= listeners[n_listeners - 1]) {
				take(epoll, events[i].data.fd);
			} else {
				(void)answer(events[i].data.fd);
			}
		}
	}
}

int main(int argc, char **argv)
{
	int listeners[PORTS_MAX], n = 0, bulk;

	if (argc < 4 || argc - 3 > PORTS_MAX) {
		fprintf(stderr, "usage: serve ADDRESS BULK PORT...\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	bulk = listen_at(argv[1], argv[2], 0);
	for (; n < argc - 3; n++) {
		listeners[n] = listen_at(argv[1], argv[n + 3], SOCK_NONBLOCK);
	}
	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_bulk(bulk);
	}
	puts("ready");
	(void)fflush(stdout);
	serve_small(listeners, n);
}
