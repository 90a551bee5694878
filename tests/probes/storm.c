/* SPDX-License-Identifier: Apache-2.0 */
/* Process trees that do not want to end: storm KIND [NAME] (NAME becomes their command name). */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "probe.h"

#define HERD         128
#define HERD_SECONDS 2

static void ignore_signals(void)
{
	for (int s = 1; s < NSIG; s++) {
		(void)signal(s, SIG_IGN);
	}
}

__attribute__((noreturn)) static void wait_forever(void)
{
	for (;;) {
		(void)pause();
	}
}

/* A daemon that survives whoever started it, for as long as somebody lets it. */
static void daemonise(void)
{
	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			(void)setsid();
			if (fork() == 0) {
				ignore_signals();
				(void)close(STDIN_FILENO);
				(void)close(STDOUT_FILENO);
				(void)close(STDERR_FILENO);
				wait_forever();
			}
			_exit(0);
		}
	}
	probe_say("daemons", 0, 0);
}

/* Each process makes two and stays: the classic. */
static void bomb(void)
{
	for (;;) {
		if (fork() < 0) {
			probe_call("fork", -1);
			(void)sched_yield();
		}
	}
}

/* A counted number of children that stay: the bomb that may also go off outside. */
static void herd(void)
{
	for (int i = 0; i < HERD; i++) {
		pid_t child = fork();

		if (child == 0) {
			(void)alarm(HERD_SECONDS);
			wait_forever();
		}
		if (child < 0) {
			probe_callf(-1, "herd:%d", i);
			return;
		}
	}
	probe_callf(0, "herd:%d", HERD);
}

/* Each process is replaced by its child, so that no pid can be caught. */
static void chain(void)
{
	ignore_signals();
	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			for (;;) {
				if (fork() > 0) {
					_exit(0);
				}
				(void)setsid();
			}
		}
	}
	wait_forever();
}

static void *sleeper(void *unused)
{
	(void)unused;
	wait_forever();
}

static void threads(void)
{
	pthread_attr_t small;
	pthread_t t;
	int r = 0;

	(void)pthread_attr_init(&small);
	(void)pthread_attr_setstacksize(&small, 65536);
	for (int i = 0; i < 100000 && r == 0; i++) {
		r = pthread_create(&t, &small, sleeper, NULL);
	}
	probe_say("pthread_create", r == 0 ? 0 : -1, r);
	wait_forever();
}

/* The first thread of each ends and another goes on: to stat(5) these are zombies. */
static void leaderless(void)
{
	pthread_t t;

	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			ignore_signals();
			(void)setsid();
			(void)close(STDOUT_FILENO);
			(void)close(STDERR_FILENO);
			(void)pthread_create(&t, NULL, sleeper, NULL);
			pthread_exit(NULL);
		}
	}
	probe_say("leaderless", 0, 0);
	wait_forever();
}

static void stopped(void)
{
	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			ignore_signals();
			(void)raise(SIGSTOP);
			wait_forever();
		}
	}
	probe_say("stopped", 0, 0);
	wait_forever();
}

/* The parent sits in vfork, uninterruptible until its child execs or ends. */
__attribute__((noreturn)) static void vfork_and_wait(void)
{
	ignore_signals();
	if (vfork() == 0) {
		wait_forever();
	}
	_exit(0);
}

static void vforked(void)
{
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			vfork_and_wait();
		}
	}
	probe_say("vforked", 0, 0);
	wait_forever();
}

static void traced(void)
{
	pid_t child = fork();

	if (child == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, 0, 0);
		(void)raise(SIGSTOP);
		wait_forever();
	}
	(void)waitpid(child, NULL, WUNTRACED);
	probe_say("traced", 0, 0);
	ignore_signals();
	wait_forever();
}

static void fifo(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/tmp/fifo-%d", (int)getpid());
	probe_call("mkfifo", mkfifo(path, 0600));
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			ignore_signals();
			(void)open(path, O_RDONLY | O_CLOEXEC);
			wait_forever();
		}
	}
	wait_forever();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} kinds[] = {
		{"daemons", daemonise},     {"bomb", bomb},       {"chain", chain},
		{"threads", threads},       {"stopped", stopped}, {"vforked", vforked},
		{"traced", traced},         {"fifo", fifo},       {"herd", herd},
		{"leaderless", leaderless},
	};

	if (argc > 2) {
		(void)prctl(PR_SET_NAME, argv[2]);
	}
	for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name) == 0) {
			kinds[i].run();
			return 0;
		}
	}
	return 2;
}
