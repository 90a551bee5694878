/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder of the process tier, and the payload until its exec.
 *
 * Theory of operation. The builder takes the payload's id, makes the Landlock rules while the
 * keeper makes what outlives it, joins the control groups, leads a session of its own, and forks.
 * The child becomes the payload: it raises every wall around itself, reports to the keeper with the
 * listener of its filter, waits for the keeper's word, and execs. The builder becomes the guard
 * (guest/init.c), outside of the walls and with no more than the payload's user id. Every failure
 * before the exec is reported and ends both.
 */
#include "tier/process/process-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "guest/protocol.h"
#include "linux/exec.h"
#include "linux/landlock.h"
#include "tier/builder.h"
#include "tier/tier.h"

/* What the walls are made of, between the builder and the payload that raises them. */
struct material {
	enum wall_kind kind;
	int abi;
	int ruleset;
	struct places places;
	char terminal[64];
};

/* All rules but that of the scratch directory, which the keeper makes meanwhile. */
static int make_rules(const struct builder *b, struct material *m, struct err *e)
{
	int terminal = b->spec->first->terminal;
	_cleanup_fd_ int ruleset = FD_NONE;
	int r;

	if (terminal >= 0 && ptsname_r(terminal, m->terminal, sizeof(m->terminal)) != 0) {
		return err_sys(e, errno, "cannot name the sandbox's terminal");
	}
	r = places_fill(b->spec, terminal >= 0 ? m->terminal : NULL, &m->places, e);
	if (r >= 0) {
		r = ruleset = walls_ruleset(b->spec->plan, m->abi, m->places.rows + 1,
					    m->places.n - 1, e);
	}
	if (r < 0) {
		return r;
	}
	/* Out of the way of the numbers that init is born with. */
	m->ruleset = fcntl(ruleset, F_DUPFD_CLOEXEC, 20);
	return m->ruleset < 0 ? err_sys(e, errno, "cannot keep the Landlock ruleset") : 0;
}

static int prepare(struct builder *b, struct material *m, struct err *e)
{
	int r = builder_take_identity(b, e);

	if (r >= 0) {
		r = make_rules(b, m, e);
	}
	if (r >= 0) {
		r = builder_take_parts(b, e);
	}
	if (r >= 0) {
		r = builder_join_groups(b, e);
	}
	if (r >= 0) {
		r = builder_arrange(b, e);
	}
	if (r >= 0 && setsid() < 0) {
		r = err_sys(e, errno, "cannot begin a session");
	}
	return r;
}

/* The descriptor that is the sandbox's terminal, as the guard wants it: "0", "1", "2" or "-". */
static const char *terminal_word(const struct builder *b)
{
	static const char *const words[] = {"0", "1", "2"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (b->spec->first->tty & 1U << i) {
			return words[i];
		}
	}
	return "-";
}

/* The terminal becomes the session's own. */
static int take_terminal(const struct builder *b, struct err *e)
{
	const char *word = terminal_word(b);

	if (word[0] != '-' && ioctl(word[0] - '0', TIOCSCTTY, 0) < 0) {
		return err_sys(e, errno, "cannot take the sandbox's terminal");
	}
	return 0;
}

/* Into a group of its own, in front where there is a terminal; SIGTTOU would stop us there. */
static void take_foreground(const struct builder *b)
{
	const char *word = terminal_word(b);

	(void)setpgid(0, 0);
	if (word[0] != '-') {
		(void)signal(SIGTTOU, SIG_IGN);
		(void)tcsetpgrp(word[0] - '0', getpid());
		(void)signal(SIGTTOU, SIG_DFL);
	}
}

static int raise_walls(const struct builder *b, const struct material *m, struct walls_raised *ret,
		       struct err *e)
{
	const struct tier_spec *spec = b->spec;
	char scratch[512];
	int r = walls_limits(spec, m->kind, e);

	(void)snprintf(scratch, sizeof(scratch), "%s/tmp", spec->scratch);
	if (r >= 0) {
		r = walls_allow(spec->plan, m->ruleset, m->abi, &m->places.rows[0], e);
	}
	if (r >= 0) {
		r = walls_enforce(spec->plan, m->ruleset, scratch, e);
	}
	return r >= 0 ? walls_seccomp(spec, m->kind, b->control, ret, e) : r;
}

/* A refusal, with what can be done about it where root's payload may not go somewhere. */
static _Noreturn void fail(const struct builder *b, struct err *e)
{
	if (e->code == EACCES && b->spec->plan->identity.from_root) {
		err_wrap(e, "root's payload runs as a user id that owns nothing, so use tier "
			    "container, or start atoll as the user whose files these are");
	}
	builder_fail(b, e);
}

/* Closes everything but 0, 1 and 2 on exec, tells the keeper who we are, and waits for its word. */
static bool await_word(const struct builder *b)
{
	char byte = 'r';

	if (!MUTANT(ATOLL_MUTATE_CLOSE_FDS) &&
	    syscall(SYS_close_range, 3, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0) {
		return false;
	}
	return send(b->start, &byte, 1, MSG_NOSIGNAL) == 1 && recv(b->start, &byte, 1, 0) == 1;
}

static _Noreturn void run_payload(struct builder *b, pid_t guard, const struct material *m)
{
	const struct tier_program *p = b->spec->first;
	char *const *env = MUTANT(ATOLL_MUTATE_ENVIRON) ? environ : p->env;
	_cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct init_exec_failure failure = {.early = INIT_EARLY_NO};
	struct err e = {};
	struct walls_raised raised = {};
	int listener, r = 0;
	size_t i;

	/* The guard's death is ours, unless it came before we asked. */
	if (!MUTANT(ATOLL_MUTATE_PDEATHSIG) &&
	    (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != guard)) {
		_exit(125);
	}
	take_foreground(b);
	if (proc < 0) {
		r = err_sys(&e, errno, "cannot open '/proc'");
	}
	if (r >= 0 && chdir(p->cwd) < 0) {
		r = err_sys(&e, errno, "cannot enter '%s'", p->cwd);
	}
	r = listener = r < 0 ? r : raise_walls(b, m, &raised, &e);
	if (r < 0) {
		fail(b, &e);
	}
	if (builder_ready(b, m->abi, &raised, listener, proc) < 0 || !await_word(b)) {
		_exit(125);
	}
	(void)umask(b->umask);
	for (i = 0; p->env[i] && strncmp(p->env[i], "PATH=", 5) != 0; i++) {
	}
	failure.error = exec_search(p->env[i] ? p->env[i] + 5 : NULL, p->argv, env);
	(void)send(b->start, &failure, sizeof(failure), MSG_NOSIGNAL);
	_exit(failure.error == ENOENT ? 127 : 126);
}

_Noreturn void process_build(struct builder *b)
{
	struct material m = {.kind = b->mapped ? WALLS_PROCESS : WALLS_GUARDED,
			     .abi = landlock_abi(),
			     .ruleset = FD_NONE};
	struct err e = {};
	int r;
	pid_t self, payload;
	char number[16];

	builder_begin(b);
	r = prepare(b, &m, &e);
	if (r >= 0) {
		r = take_terminal(b, &e);
	}
	if (r < 0) {
		fail(b, &e);
	}
	self = getpid();
	payload = fork();
	if (payload == 0) {
		run_payload(b, self, &m);
	}
	if (payload < 0) {
		err_sys(&e, errno, "cannot start the payload's process");
		builder_fail(b, &e);
	}
	(void)snprintf(number, sizeof(number), "%d", payload);
	builder_become_init(b,
			    (char *[]){(char *)INIT_GUARD, (char *)terminal_word(b), number, NULL});
}
