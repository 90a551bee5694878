/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a command RUNS times, PARALLEL at once, and prints for each the nanoseconds from
 * posix_spawn to its reaped end: spawn RUNS PARALLEL [-f FD=PATH]... -- COMMAND [ARG...]
 * -f opens PATH as descriptor FD of every child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PARALLEL 256

extern char **environ;

static struct {
	pid_t pid;
	int64_t begin;
} running[MAX_PARALLEL]; /* global: what is in flight */

static int64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int start(int slot, posix_spawn_file_actions_t *actions, char **argv)
{
	running[slot].begin = now();
	errno = posix_spawnp(&running[slot].pid, argv[0], actions, NULL, argv, environ);
	return errno;
}

/* Waits for one, prints its time and returns its slot; -1 when it failed. */
static int finish(int parallel)
{
	int status;
	pid_t pid = wait(&status);
	int64_t end = now();

	for (int slot = 0; pid > 0 && slot < parallel; slot++) {
		if (running[slot].pid == pid) {
			printf("%lld\n", (long long)(end - running[slot].begin));
			running[slot].pid = 0;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
				fprintf(stderr, "spawn: the command ended with status %#x\n",
					(unsigned int)status);
				return -1;
			}
			return slot;
		}
	}
	return -1;
}

static int add_file(posix_spawn_file_actions_t *actions, const char *text)
{
	char *rest;
	long fd = strtol(text, &rest, 10);

	if (fd < 0 || fd > 1023 || *rest != '=') {
		return EINVAL;
	}
	return posix_spawn_file_actions_addopen(actions, (int)fd, rest + 1, O_RDONLY, 0);
}

static int run(long runs, int parallel, posix_spawn_file_actions_t *actions, char **argv)
{
	long started = 0;
	int slot;

	for (slot = 0; slot < parallel && started < runs; slot++, started++) {
		if (start(slot, actions, argv)) {
			return 1;
		}
	}
	for (long ended = 0; ended < runs; ended++) {
		slot = finish(parallel);
		if (slot < 0) {
			return 1;
		}
		if (started < runs) {
			started++;
			if (start(slot, actions, argv)) {
				return 1;
			}
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	long runs = argc > 3 ? strtol(argv[1], NULL, 10) : 0;
	long parallel = argc > 3 ? strtol(argv[2], NULL, 10) : 0;
	int i = 3;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	for (; i + 1 < argc && strcmp(argv[i], "-f") == 0; i += 2) {
		if (add_file(&actions, argv[i + 1])) {
			return 2;
		}
	}
	if (runs <= 0 || parallel <= 0 || parallel > MAX_PARALLEL || i + 1 >= argc ||
	    strcmp(argv[i], "--") != 0) {
		fprintf(stderr, "usage: spawn RUNS PARALLEL [-f FD=PATH]... -- COMMAND [ARG...]\n");
		return 2;
	}
	return run(runs, (int)parallel, &actions, argv + i + 1);
}
