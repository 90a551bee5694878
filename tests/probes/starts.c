/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Program starts as an attacker makes them: starts KIND [ARGUMENT]. What is run in the end is
 * /bin/true; a call that returns is reported.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "probe.h"

#define TRUE "/bin/true"
#define MANY 5000

static char *const none[] = {NULL};

/* In a child: `path` and `argv` as they are, which need not be pointers to anything. */
static void start(const char *name, const void *path, const void *argv)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		probe_call(name, syscall(SYS_execve, path, argv, none));
		_exit(9);
	}
	(void)waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 9) {
		probe_say(name, 0, 0);
	}
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Arguments that are not there, end at the end of what is there, or lead nowhere. */
static void pointers(void)
{
	char *good[] = {(char *)"true", NULL}, *bad[] = {(char *)"true", (char *)8, NULL};
	char *pages = map(8192), *edge = pages + 4096, **list;
	char *file;
	int fd = memfd_create("short", 0);

	if (!pages) {
		probe_call("mmap", -1);
		return;
	}
	(void)munmap(edge, 4096);
	memcpy(edge - sizeof(TRUE), TRUE, sizeof(TRUE));
	start("path at the edge", edge - sizeof(TRUE), good);
	edge[-1] = 'x';
	start("path over the edge", edge - sizeof(TRUE), good);
	list = (char **)(void *)edge - 2;
	list[0] = good[0];
	list[1] = good[0];
	start("argv over the edge", TRUE, list);
	start("argv NULL", TRUE, NULL);
	start("argv bad", TRUE, (void *)8);
	start("argument bad", TRUE, bad);
	start("path bad", (void *)8, good);
	start("path NULL", NULL, good);
	start("path kernel", (void *)(uintptr_t)0xffffffff81000000, good);
	start("path empty", "", good);
	/* Pages of a file that has become shorter. */
	(void)!ftruncate(fd, 8192);
	file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)!ftruncate(fd, 0);
	start("path truncated", file, good);
	start("argv truncated", TRUE, file);
}

/* Two megabytes of arguments; and very many short ones. */
static void huge(void)
{
	static char *large[22], *many[MANY + 1];
	size_t i;

	for (i = 0; i < 20; i++) {
		large[i] = map(101 * 1024);
		memset(large[i], 'a' + (int)i, 100000);
	}
	start("large", TRUE, large);
	for (i = 0; i < MANY; i++) {
		many[i] = (char *)"x";
	}
	start("many", TRUE, many);
}

static void descriptors(void)
{
	int self = open("/proc/self/exe", O_RDONLY), bin = open("/usr/bin", O_PATH | O_DIRECTORY);
	int fd = memfd_create("hidden", 0);
	char *argv[] = {(char *)"from-memory", (char *)"nothing", NULL};
	char text[65536];
	ssize_t n;
	int status;

	while ((n = read(self, text, sizeof(text))) > 0) {
		(void)!write(fd, text, (size_t)n);
	}
	if (fork() == 0) {
		probe_call("memfd", syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH));
		_exit(9);
	}
	(void)wait(&status);
	if (fork() == 0) {
		probe_call("at", syscall(SYS_execveat, bin, "true", argv, none, 0));
		_exit(9);
	}
	(void)wait(&status);
	probe_say("descriptors", 0, 0);
}

static volatile bool stop; /* global: for all threads of a storm */
static volatile char flipping[] =
	"/bin/true"; /* global: what one thread changes under the others */

static void *flip(void *unused)
{
	(void)unused;
	while (!stop) {
		flipping[8] = 'x'; /* which is not there */
		flipping[8] = 'e';
		flipping[0] = '\0';
		flipping[0] = '/';
	}
	return NULL;
}

/* As posix_spawn(3) does it. */
static void spawn(void)
{
	const volatile char *argv[] = {flipping, NULL};
	pid_t child = vfork();

	if (child == 0) {
		(void)syscall(SYS_execve, flipping, argv, none);
		_exit(0);
	}
	(void)waitpid(child, NULL, 0);
}

static void *attempt(void *unused)
{
	while (!stop) {
		spawn();
	}
	return unused;
}

/* Threads that start programs, while another changes what they start. */
static void race(int seconds)
{
	pthread_t flipper, threads[4];
	size_t i;

	(void)pthread_create(&flipper, NULL, flip, NULL);
	for (i = 0; i < 4; i++) {
		(void)pthread_create(&threads[i], NULL, attempt, NULL);
	}
	(void)sleep((unsigned)seconds);
	stop = true;
	for (i = 0; i < 4; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	(void)pthread_join(flipper, NULL);
	probe_say("race", 0, 0);
}

/* `processes` that try to execute a directory, as fast as they can; how often they could. */
static void storm(int processes, int seconds, bool refused)
{
	uint64_t *count =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec begin, now;
	int i;

	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < processes; i++) {
		if (fork() == 0) {
			do {
				if (refused) {
					(void)syscall(SYS_bpf, 0, NULL, 0);
				} else {
					(void)syscall(SYS_execve, "/usr", none, none);
				}
				__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
				(void)clock_gettime(CLOCK_MONOTONIC, &now);
			} while (now.tv_sec - begin.tv_sec < seconds);
			_exit(0);
		}
	}
	while (wait(NULL) > 0) {
	}
	probe_callf(0, "storm:%llu", (unsigned long long)*count);
}

/* Children that are killed while they start something. */
static void killed(int n)
{
	char *argv[] = {(char *)"true", NULL};
	int i;

	for (i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0) {
			(void)syscall(SYS_execve, TRUE, argv, none);
			_exit(9);
		}
		if (i % 2) {
			(void)sched_yield();
		}
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	probe_say("killed", 0, 0);
}

static void on_alarm(int unused)
{
	(void)unused;
}

/* Signals that come while a start waits; without WAIT_KILLABLE they may interrupt it. */
static void signals(int n)
{
	const struct sigaction restart = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval often = {{0, 50}, {0, 50}};
	char *argv[] = {(char *)"true", NULL};
	int i, status, bad = 0;

	for (i = 0; i < n; i++) {
		if (fork() == 0) {
			(void)sigaction(SIGALRM, &restart, NULL);
			(void)setitimer(ITIMER_REAL, &often, NULL);
			(void)syscall(SYS_execve, TRUE, argv, none);
			_exit(9);
		}
		(void)wait(&status);
		/* The new program has no handler, and the timer goes on: SIGALRM may end it. */
		bad += WIFEXITED(status) && WEXITSTATUS(status) == 9;
	}
	probe_say("signals", bad ? -1 : 0, EINTR);
}

/* Names a page of a file that nobody gives out; then others go on, and it is ended. */
static void slow(const char *path, int n)
{
	char *good[] = {(char *)"true", NULL};
	int fd = open(path, O_RDONLY), i;
	const void *page = fd < 0 ? NULL : mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	pid_t child;

	if (!page || page == MAP_FAILED) {
		probe_call("slow", -1);
		return;
	}
	for (i = 0; i < n; i++) {
		child = fork();
		if (child == 0) {
			(void)syscall(SYS_execve, page, good, none);
			_exit(9);
		}
		(void)usleep(1000); /* it is on its way first, mostly */
		start("beside it", TRUE, good);
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	probe_say("slow", 0, 0);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	int a = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
	int b = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;

	if (strcmp(kind, "pointers") == 0) {
		pointers();
	} else if (strcmp(kind, "huge") == 0) {
		huge();
	} else if (strcmp(kind, "descriptors") == 0) {
		descriptors();
	} else if (strcmp(kind, "race") == 0) {
		race(a);
	} else if (strcmp(kind, "storm") == 0) {
		storm(a, b, false);
	} else if (strcmp(kind, "refusals") == 0) {
		storm(a, b, true);
	} else if (strcmp(kind, "killed") == 0) {
		killed(a);
	} else if (strcmp(kind, "slow") == 0 && argc > 3) {
		slow(argv[2], b);
	} else if (strcmp(kind, "signals") == 0) {
		signals(a);
	} else {
		return strcmp(kind, "nothing") == 0 ? 0 : 2;
	}
	return 0;
}
