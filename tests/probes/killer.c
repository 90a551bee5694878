/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs `atoll run` and kills one of its processes at a chosen moment; works on the host, not in a
 * sandbox:  killer [--keeper PID] REPORT CLOCK VICTIM STEP COMMAND...
 *
 * Theory of operation. VICTIM is front, keeper or init. CLOCK is one of them as well, and then the
 * victim is killed at the STEP-th system-call stop (entry or exit) of the clock, while the clock
 * stands still; or it is `time`, and then the victim is killed STEP quarters of a millisecond after
 * the start, without ptrace. With a clock that is traced, whatever the clock clones waits until the
 * clock's next stop, so that a child finds its parent dead before its own first instruction. The
 * payload is let go at its first stop, because the keeper traces it itself.
 *
 * With --keeper the keeper is one that lives already, of the sandbox that COMMAND is about. It is
 * nobody's child here: when COMMAND has ended and nothing more is heard of it, it is let go, and
 * what becomes of it and of what it has started is for the caller to look at.
 *
 * This process is the subreaper of everything it starts, and nothing can leave a subreaper: what is
 * not reaped two seconds after the kill has survived. REPORT is written as JSON:
 *   {"steps": N, "killed": bool, "ended": bool, "survivors": ["name", ...]}
 * where N counts the stops of the clock and `ended` says that there was no victim any more.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "probe.h"

#define QUARTER_NS    250000L
#define DEATH_SECONDS 2      /* from the kill until nothing may be left, on a machine of its own */
#define RUN_SECONDS   30     /* without a kill */
#define QUIET_US      100000 /* of a keeper that lives on, after the end of the front */
#define MAX_HELD      16
#define MAX_SURVIVORS 16

/* A machine that is emulated says how much longer everything takes. */
static unsigned death_seconds(void)
{
	const char *slow = getenv("ATOLL_TEST_SLOW");
	double times = slow ? strtod(slow, NULL) : 1;

	return (unsigned)(DEATH_SECONDS * (times > 1 ? times : 1));
}

enum role { FRONT, KEEPER, INIT, OTHER, TIME };

struct killer {
	enum role clock, victim;
	long step;
	long steps;
	pid_t pids[OTHER]; /* 0: not born; stays set after death */
	bool alive[OTHER];
	bool attached;        /* the keeper lived before, and may live on */
	pid_t held[MAX_HELD]; /* children of the clock that wait for its next stop */
	int n_held;
	pid_t newest;           /* what the clock is about to return from cloning */
	pid_t passed[MAX_HELD]; /* children of the clock that need not wait any more */
	unsigned n_passed;
	bool killed;
	bool ended;
	char survivors[MAX_SURVIVORS][32];
	int n_survivors;
};

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(2);
}

static enum role role_of(const char *name)
{
	static const char *const names[] = {
		[FRONT] = "front", [KEEPER] = "keeper", [INIT] = "init", [TIME] = "time"};

	for (int i = 0; i <= TIME; i++) {
		if (names[i] && strcmp(name, names[i]) == 0) {
			return (enum role)i;
		}
	}
	fprintf(stderr, "killer: there is no role '%s'\n", name);
	exit(2);
}

/* The last number of the line `key` in /proc/PID/status, and how many there are; 0: no such. */
static long status_numbers(pid_t pid, const char *key, long *ret_last)
{
	char path[64], line[256];
	long count = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *at = line + strlen(key);

		if (strncmp(line, key, strlen(key)) != 0) {
			continue;
		}
		while (isspace((unsigned char)*at) && *at != '\n') {
			*ret_last = strtol(at, &at, 10);
			count++;
		}
	}
	if (f) {
		(void)fclose(f);
	}
	return count;
}

/* By birth: the front, its first child, and the first process of a new pid namespace. */
static enum role classify(struct killer *k, pid_t pid)
{
	long last = 0, levels = status_numbers(pid, "NSpid:", &last), own;
	enum role role = OTHER;

	own = status_numbers(getpid(), "NSpid:", &last);
	(void)status_numbers(pid, "NSpid:", &last);
	if (levels > own) {
		role = last == 1 && !k->pids[INIT] ? INIT : OTHER;
	} else if (!k->pids[KEEPER] && pid != k->pids[FRONT]) {
		role = KEEPER;
	}
	if (role != OTHER) {
		k->pids[role] = pid;
		k->alive[role] = true;
	}
	return role;
}

static enum role known(const struct killer *k, pid_t pid)
{
	for (int i = 0; i < OTHER; i++) {
		if (k->pids[i] == pid) {
			return (enum role)i;
		}
	}
	return OTHER;
}

/* On its way: traced stop by stop as the clock, from event to event otherwise; or let go. */
static void resume(const struct killer *k, pid_t pid, int sig)
{
	enum role role = known(k, pid);
	long how = role == OTHER ? PTRACE_DETACH : role == k->clock ? PTRACE_SYSCALL : PTRACE_CONT;

	(void)ptrace((enum __ptrace_request)how, pid, NULL, (long)sig);
}

static void release_held(struct killer *k)
{
	while (k->n_held > 0) {
		resume(k, k->held[--k->n_held], 0);
	}
}

static void handle(struct killer *k, pid_t pid, int status);

/*
 * Returns when the victim is reaped: here as its tracer, its own parent hears of it after that. An
 * init may need the clock for that, which must wait for the payload that it traces.
 */
static void kill_victim(struct killer *k)
{
	if (!k->alive[k->victim] || kill(k->pids[k->victim], SIGKILL) < 0) {
		k->ended = true;
		return;
	}
	k->killed = true;
	(void)alarm(death_seconds());
	while (k->victim != INIT && k->alive[k->victim]) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0) {
			return;
		}
		handle(k, pid, status);
	}
}

/* The stops of a child and of its parent are reported in any order. */
static bool must_wait(const struct killer *k, pid_t pid)
{
	long parent = 0;

	if (k->clock >= OTHER || !k->alive[k->clock] || k->n_held == MAX_HELD) {
		return false;
	}
	for (int i = 0; i < MAX_HELD; i++) {
		if (k->passed[i] == pid) {
			return false;
		}
	}
	return status_numbers(pid, "PPid:", &parent) == 1 && parent == k->pids[k->clock];
}

static void pass_newest(struct killer *k)
{
	if (k->newest) {
		k->passed[k->n_passed++ % MAX_HELD] = k->newest;
		k->newest = 0;
	}
	release_held(k);
}

static void cloned(struct killer *k, pid_t pid, int event)
{
	unsigned long child = 0;

	(void)ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child);
	k->newest = (pid_t)child;
	if (event == PTRACE_EVENT_VFORK) {
		pass_newest(k); /* the clock waits for it */
	}
}

static void born(struct killer *k, pid_t pid)
{
	(void)classify(k, pid);
	if (must_wait(k, pid)) {
		k->held[k->n_held++] = pid;
	} else {
		resume(k, pid, 0);
	}
}

static void stopped(struct killer *k, pid_t pid, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);
	enum role role = known(k, pid);

	if (role == OTHER) {
		born(k, pid);
		return;
	}
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		(void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
		return;
	}
	if (role == k->clock && (event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_FORK ||
				 event == PTRACE_EVENT_CLONE)) {
		cloned(k, pid, event);
	}
	if (role == k->clock && sig == (SIGTRAP | 0x80)) {
		k->steps++;
		if (k->steps == k->step) {
			kill_victim(k);
		}
		pass_newest(k);
	}
	if (k->alive[role]) {
		resume(k, pid, event || sig == SIGTRAP || sig == (SIGTRAP | 0x80) ? 0 : sig);
	}
}

static void on_alarm(int unused)
{
	(void)unused; /* interrupts waitpid() */
}

static bool only_the_keeper(const struct killer *k)
{
	return k->attached && k->alive[KEEPER] && !k->alive[FRONT];
}

/* One report of waitpid(2). */
static void handle(struct killer *k, pid_t pid, int status)
{
	if (WIFSTOPPED(status)) {
		stopped(k, pid, status);
		return;
	}
	for (int i = 0; i < OTHER; i++) {
		if (k->pids[i] == pid) {
			k->alive[i] = false;
		}
	}
	if (k->clock == TIME || !k->alive[k->clock]) {
		release_held(k);
	}
}

/* A keeper that lives on goes its own way. */
static void let_go(struct killer *k)
{
	pid_t pid = k->pids[KEEPER];
	int status;

	(void)alarm(death_seconds());
	(void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	}
	k->alive[KEEPER] = false;
	(void)alarm(0);
}

/* Until there is no process left, or the time is over. */
static void follow(struct killer *k)
{
	const struct itimerval quiet = {.it_value = {.tv_usec = QUIET_US}};
	int status;
	pid_t pid;

	/* ECHILD: nobody is left; EINTR: the alarm. */
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		handle(k, pid, status);
		if (only_the_keeper(k)) {
			(void)setitimer(ITIMER_REAL, &quiet, NULL);
		}
	}
	if (k->attached && k->alive[KEEPER]) {
		let_go(k);
	}
}

static void read_name(pid_t pid, char name[32])
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	(void)snprintf(name, 32, "%d", (int)pid);
	f = fopen(path, "re");
	if (f) {
		size_t n = strlen(name);

		name[n++] = ' ';
		n += fread(name + n, 1, 31 - n, f);
		name[n] = '\0';
		name[strcspn(name, "\n")] = '\0';
		(void)fclose(f);
	}
}

/* The children of a process, by looking at every process; returns how many fit. */
static int children(pid_t parent, pid_t *ret, int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int n = 0;

	while (proc && n < max && (d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		long its = 0;

		if (pid > 0 && status_numbers(pid, "PPid:", &its) == 1 && its == parent) {
			ret[n++] = pid;
		}
	}
	if (proc) {
		(void)closedir(proc);
	}
	return n;
}

/* Names what is still there, and ends it: all of it was started here. */
static void collect_survivors(struct killer *k)
{
	pid_t pids[MAX_SURVIVORS];
	int n = children(getpid(), pids, MAX_SURVIVORS);

	for (int i = 0; i < n; i++) {
		read_name(pids[i], k->survivors[k->n_survivors++]);
		(void)kill(pids[i], SIGKILL);
	}
	(void)alarm(death_seconds());
	while (waitpid(-1, NULL, __WALL) > 0) {
	}
}

static void kill_in_time(struct killer *k)
{
	struct timespec wait = {.tv_sec = k->step * QUARTER_NS / 1000000000L,
				.tv_nsec = k->step * QUARTER_NS % 1000000000L};
	pid_t found[8];
	int n;

	while (nanosleep(&wait, &wait) < 0) {
	}
	k->alive[FRONT] = waitpid(k->pids[FRONT], NULL, WNOHANG) == 0;
	n = children(k->pids[FRONT], found, 8);
	if (n > 0) {
		(void)classify(k, found[0]);
		n = children(found[0], found, 8);
	}
	for (int i = 0; i < n; i++) {
		(void)classify(k, found[i]);
	}
	k->ended = !k->alive[FRONT];
	if (k->alive[k->victim] && kill(k->pids[k->victim], SIGKILL) == 0) {
		k->killed = true;
		(void)alarm(death_seconds());
	}
}

#define FOLLOWED                                                                                  \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
	 PTRACE_O_TRACEEXEC)

/* Traces a keeper that lives; it is stopped once where its system calls are counted. */
static void attach(struct killer *k)
{
	pid_t pid = k->pids[KEEPER];

	k->alive[KEEPER] = k->attached = true;
	if (ptrace(PTRACE_SEIZE, pid, NULL, (long)FOLLOWED) < 0) {
		fail("seize the keeper");
	}
	if (k->clock == KEEPER) {
		(void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
		(void)waitpid(pid, NULL, __WALL);
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	}
}

/* Starts the command; it waits for a byte until it is traced. */
static void start(struct killer *k, char **argv)
{
	const long options = FOLLOWED | PTRACE_O_EXITKILL;
	int go[2];
	char byte = 0;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0) {
		fail("pipe");
	}
	pid = fork();
	if (pid < 0) {
		fail("fork");
	}
	if (pid == 0) {
		(void)close(go[1]);
		(void)!read(go[0], &byte, 1);
		(void)execv(argv[0], argv);
		fail(argv[0]);
	}
	k->pids[FRONT] = pid;
	k->alive[FRONT] = true;
	if (k->clock != TIME && ptrace(PTRACE_SEIZE, pid, NULL, options) < 0) {
		fail("seize");
	}
	if (k->clock == FRONT) {
		/* The first stop of a seized process is one that it is asked for. */
		(void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
		(void)waitpid(pid, NULL, __WALL);
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	}
	if (write(go[1], &byte, 1) != 1) {
		fail("write");
	}
	(void)close(go[0]);
	(void)close(go[1]);
}

static void report(const struct killer *k, const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f) {
		fail(path);
	}
	fprintf(f, "{\"steps\": %ld, \"killed\": %s, \"ended\": %s, \"survivors\": [", k->steps,
		k->killed ? "true" : "false", k->ended ? "true" : "false");
	for (int i = 0; i < k->n_survivors; i++) {
		fprintf(f, "%s\"%s\"", i ? ", " : "", k->survivors[i]);
	}
	fprintf(f, "]}\n");
	if (fclose(f) != 0) {
		fail(path);
	}
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	struct killer k = {};

	if (argc > 2 && strcmp(argv[1], "--keeper") == 0) {
		k.pids[KEEPER] = (pid_t)strtol(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc < 6) {
		fprintf(stderr,
			"usage: killer [--keeper PID] REPORT CLOCK VICTIM STEP COMMAND...\n");
		return 2;
	}
	k.clock = role_of(argv[2]);
	k.victim = role_of(argv[3]);
	k.step = strtol(argv[4], NULL, 10);
	(void)sigaction(SIGALRM, &action, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		fail("subreaper");
	}
	(void)alarm(RUN_SECONDS);
	if (k.pids[KEEPER]) {
		attach(&k);
	}
	start(&k, argv + 5);
	if (k.clock == TIME) {
		kill_in_time(&k);
	}
	follow(&k);
	(void)alarm(0);
	collect_survivors(&k);
	report(&k, argv[1]);
	return k.n_survivors ? 1 : 0;
}
