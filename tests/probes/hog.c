/* SPDX-License-Identifier: Apache-2.0 */
/* Takes more and more of one resource: hog KIND MIB [DIRECTORY]. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "probe.h"

#define BLOCK ((size_t)4 << 20)

static const char *directory = "/tmp"; /* global: the third argument, for all kinds */
static size_t bound;                   /* global: bytes, or things, to be content with */

/* Counts what was taken; says so and returns false when it is enough. */
static int more(const char *what, size_t n)
{
	static size_t taken; /* global: belongs to bound */

	taken += n;
	if (taken >= bound) {
		probe_say(what, 0, 0);
		return 0;
	}
	return 1;
}

static void anonymous(void)
{
	while (more("mmap", BLOCK)) {
		void *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED) {
			probe_call("mmap", -1);
			return;
		}
		memset(p, 0x5a, BLOCK);
	}
}

/* Without the owner's leave to look at it (prctl(2)). */
static void undumpable(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
	anonymous();
}

static void *take_and_exit(void *unused)
{
	(void)unused;
	anonymous();
	exit(0);
}

/* In a thread that goes on when the first has ended. */
static void leaderless(void)
{
	pthread_t thread;

	(void)pthread_create(&thread, NULL, take_and_exit, NULL);
	pthread_exit(NULL);
}

static void fill(int fd, const char *what)
{
	static const char block[65536] = {1};

	while (more(what, sizeof(block))) {
		if (write(fd, block, sizeof(block)) < 0) {
			probe_call(what, -1);
			return;
		}
	}
}

static void one_file(void)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/hog", directory);
	fill(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "write");
}

static void many_files(void)
{
	char path[256];

	for (unsigned int i = 0; more("create", 4096); i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "%s/hog-%u", directory, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0) {
			probe_call("create", -1);
			return;
		}
		(void)close(fd);
	}
}

/* A file without a name, never mapped: it belongs to nobody's resident set. */
static void memfd(void)
{
	fill(memfd_create("hog", MFD_CLOEXEC), "memfd");
}

static void pipes(void)
{
	static const char block[65536] = {1};
	int fds[2];

	while (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0) {
		(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		while (write(fds[1], block, sizeof(block)) > 0) {
			if (!more("pipe", sizeof(block))) {
				return;
			}
		}
	}
	probe_call("pipe", -1);
}

static void sockets(void)
{
	static const char block[65536] = {1};
	int fds[2];

	while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0) {
		while (send(fds[0], block, sizeof(block), MSG_NOSIGNAL) > 0) {
			if (!more("socketpair", sizeof(block))) {
				return;
			}
		}
	}
	probe_call("socketpair", -1);
}

static void watches(void)
{
	while (inotify_init1(IN_CLOEXEC) >= 0 && epoll_create1(EPOLL_CLOEXEC) >= 0) {
		if (!more("inotify", 4096)) {
			return;
		}
	}
	probe_call("inotify", -1);
}

static void processor(void)
{
	for (volatile uint64_t n = 0; n < bound * 4; n++) {
	}
}

/* One endless line. */
static void endless_line(void)
{
	fill(STDOUT_FILENO, "stdout");
}

static void tiny_writes(void)
{
	for (int i = 0; i < 1000000; i++) {
		if (write(i % 2 ? STDOUT_FILENO : STDERR_FILENO, "x", 1) < 0) {
			return;
		}
	}
}

static long now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * Its command is over at once. What goes on is a process that starts the next one and ends, again
 * and again, until whoever looks at processes one by one may have seen none; then it takes.
 */
static void hopping(void)
{
	long until;
	int fd;

	if (fork() != 0) {
		_exit(0);
	}
	(void)setsid();
	(void)signal(SIGCHLD, SIG_IGN);
	for (fd = 0; fd < 3; fd++) {
		(void)close(fd);
	}
	until = now_ms() + 100;
	while (now_ms() < until) {
		if (syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) > 0) {
			_exit(0);
		}
	}
	anonymous();
	(void)sleep(5);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} kinds[] = {
		{"anonymous", anonymous}, {"file", one_file},         {"files", many_files},
		{"memfd", memfd},         {"pipes", pipes},           {"sockets", sockets},
		{"watches", watches},     {"processor", processor},   {"line", endless_line},
		{"tiny", tiny_writes},    {"undumpable", undumpable}, {"leaderless", leaderless},
		{"hopping", hopping},
	};

	if (argc < 3) {
		return 2;
	}
	bound = (size_t)strtoul(argv[2], NULL, 10) << 20;
	if (argc > 3) {
		directory = argv[3];
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name) == 0) {
			kinds[i].run();
			return 0;
		}
	}
	return 2;
}
