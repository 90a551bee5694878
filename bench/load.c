/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of bench/gateway, the same inside a sandbox and out of it. Prints nanoseconds.
 *
 *   load [-c HOST:PORT] bulk HOST PORT BYTES          how long that many bytes take to come
 *   load [-c HOST:PORT] small HOST PORT COUNT THREADS all of it, then each: connect, 100 bytes,
 *                                                     the answer, the end
 *   load first HOST PORT COUNT                        each, with the question for the name
 *   load names SERVER PORT NAME COUNT WINDOW          so many questions, WINDOW on their way
 *
 * -c: at HOST PORT is an HTTP proxy, which is to connect to HOST:PORT.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define THREADS_MAX 256
#define BULK_PIECE  (1024UL * 1024)

static struct {
	const char *host, *port;
	struct sockaddr_in name;
	char connect[512]; /* the request to the proxy; "": none */
} target;                  /* global: what all threads dial */

struct worker {
	pthread_t thread;
	long count;
	int64_t *times;
};

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void resolve(void)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int r = getaddrinfo(target.host, target.port, &hints, &found);

	if (r != 0) {
		fprintf(stderr, "load: %s: %s\n", target.host, gai_strerror(r));
		exit(1);
	}
	memcpy(&target.name, found->ai_addr, sizeof(target.name));
	freeaddrinfo(found);
}

/* The answer of a proxy: nothing comes behind it before we have spoken. */
static void pass_proxy(int fd)
{
	char head[2048] = "";
	size_t have = 0;

	if (send(fd, target.connect, strlen(target.connect), 0) < 0) {
		fail("send to the proxy");
	}
	while (!strstr(head, "\r\n\r\n")) {
		ssize_t n = recv(fd, head + have, sizeof(head) - 1 - have, 0);

		if (n <= 0) {
			fail("answer of the proxy");
		}
		have += (size_t)n;
		head[have] = '\0';
	}
	if (strncmp(head + strcspn(head, " "), " 200", 4) != 0) {
		fprintf(stderr, "load: the proxy says %.40s\n", head);
		exit(1);
	}
}

static int dial(void)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    connect(fd, (struct sockaddr *)&target.name, sizeof(target.name)) < 0) {
		fail("connect");
	}
	if (*target.connect) {
		pass_proxy(fd);
	}
	return fd;
}

static void ask_small(void)
{
	/* One of HTTP, for where that is looked at. */
	char bytes[] = "GET / HTTP/1.1\r\nHost: " LOAD_HOST "\r\nUser-Agent: "
		       "a client of a bench, with words that fill it up.\r\n\r\n";
	size_t have = 0;
	int fd = dial();
	ssize_t n;

	static_assert(sizeof(bytes) == LOAD_BYTES + 1);
	if (send(fd, bytes, LOAD_BYTES, 0) != LOAD_BYTES) {
		fail("send");
	}
	while ((n = recv(fd, bytes + have, sizeof(bytes) - have, 0)) > 0) {
		have += (size_t)n;
	}
	if (have != LOAD_BYTES) {
		fail("answer");
	}
	(void)close(fd);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (long i = 0; i < w->count; i++) {
		int64_t begin = now();

		ask_small();
		w->times[i] = now() - begin;
	}
	return NULL;
}

static void small(long count, long threads)
{
	static struct worker workers[THREADS_MAX];
	int64_t *times = calloc((size_t)count, sizeof(*times)), begin = now();
	long each = count / threads;

	for (long i = 0; i < threads; i++) {
		workers[i].count = each;
		workers[i].times = times + i * each;
		if (!times || pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
			fail("threads");
		}
	}
	for (long i = 0; i < threads; i++) {
		(void)pthread_join(workers[i].thread, NULL);
	}
	printf("%lld\n", (long long)(now() - begin));
	for (long i = 0; i < threads * each; i++) {
		printf("%lld\n", (long long)times[i]);
	}
	free(times);
}

/* What comes is not copied (MSG_TRUNC): it is the way here that is measured. */
static void bulk(uint64_t bytes)
{
	static char bin[BULK_PIECE];
	int64_t begin = now();
	uint64_t left = bytes;
	int fd = dial();

	if (send(fd, &bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		fail("send");
	}
	while (left > 0) {
		ssize_t n = recv(fd, bin, sizeof(bin), MSG_TRUNC);

		if (n <= 0) {
			fail("bulk");
		}
		left -= (uint64_t)n;
	}
	printf("%lld\n", (long long)(now() - begin));
	(void)close(fd);
}

static size_t make_question(const char *name, uint8_t *out)
{
	static const uint8_t head[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0},
			     tail[] = {0, 0, 1, 0, 1};
	size_t len = sizeof(head);

	memcpy(out, head, sizeof(head));
	while (*name) {
		size_t label = strcspn(name, ".");

		out[len++] = (uint8_t)label;
		memcpy(out + len, name, label);
		len += label;
		name += label + (name[label] == '.');
	}
	memcpy(out + len, tail, sizeof(tail));
	return len + sizeof(tail);
}

static void names(const char *name, long count, long window)
{
	const struct timeval patience = {.tv_sec = 5};
	uint8_t question[300] = {}, answer[1500];
	size_t len = make_question(name, question);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int64_t begin = now();
	long sent = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&target.name, sizeof(target.name)) < 0) {
		fail("socket");
	}
	for (; sent < window; sent++) {
		if (send(fd, question, len, 0) < 0) {
			fail("send");
		}
	}
	for (long got = 0; got < count; got++) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		if (n < 12 || (answer[3] & 15) != 0 || answer[7] != 1) {
			fail("no answer with one address");
		}
		if (sent++ < count && send(fd, question, len, 0) < 0) {
			fail("send");
		}
	}
	printf("%lld\n", (long long)(now() - begin));
}

static void first(long count)
{
	for (long i = 0; i < count; i++) {
		int64_t begin = now();

		resolve();
		ask_small();
		printf("%lld\n", (long long)(now() - begin));
	}
}

static int run(int argc, char **argv)
{
	long a = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
	long b = argc > 5 ? strtol(argv[5], NULL, 10) : 0;

	if (argc < 5) {
		return 2;
	}
	target.host = argv[2];
	target.port = argv[3];
	if (strcmp(argv[1], "first") == 0 && a > 0) {
		first(a);
		return 0;
	}
	resolve();
	if (strcmp(argv[1], "bulk") == 0 && a > 0) {
		bulk((uint64_t)a);
	} else if (strcmp(argv[1], "small") == 0 && a > 0 && b > 0 && b <= THREADS_MAX) {
		small(a, b);
	} else if (strcmp(argv[1], "names") == 0 && b > 0 && argc > 6 && strlen(argv[4]) < 254) {
		names(argv[4], b, strtol(argv[6], NULL, 10));
	} else {
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc > 2 && strcmp(argv[1], "-c") == 0) {
		(void)snprintf(target.connect, sizeof(target.connect),
			       "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[2], argv[2]);
		argc -= 2;
		argv += 2;
	}
	r = run(argc, argv);
	if (r == 2) {
		fprintf(stderr,
			"usage: load [-c HOST:PORT] bulk|small|first|names HOST PORT ...\n");
	}
	return r;
}
