/* SPDX-License-Identifier: Apache-2.0 */
/* The guard, and the payload until its exec; and what the keeper does with them. */
#include "tier/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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
#include "linux/proctree.h"
#include "linux/seccomp.h"
#include "policy/plan.h"
#include "tier/builder.h"
#include "tier/launch.h"
#include "tier/tier.h"
#include "tier/walls.h"

/* ---- the keeper's side ---- */

int guard_start(struct tier_sandbox *sb, void (*run)(struct builder *), struct err *e)
{
	struct proctree t = {};
	int refused, r = proctree_list(&t, getpid());

	proctree_done(&t);
	if (r == -ENOSYS) {
		return err_set(e, ERR_SYSTEM, ENOSYS,
			       "this kernel does not list the children of a process "
			       "(CONFIG_PROC_CHILDREN), so nothing can hold a sandbox together "
			       "without namespaces");
	}
	if (r >= 0 && !proctree_sees_all()) {
		return err_set(e, ERR_SYSTEM, EPERM,
			       "/proc hides processes (hidepid), so nothing can hold a sandbox "
			       "together without namespaces; mount it without hidepid, or with a "
			       "gid= that you are a member of");
	}
	/* Whatever becomes of the guard, what it leaves comes to us. */
	if (r < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		return err_sys(e, r < 0 ? -r : errno,
			       "cannot keep the sandbox's processes together");
	}
	sb->starts = 0;
	sb->tasks = 1;
	return launch_clone(sb, 0, true, run, &refused, e);
}

int guard_supply(struct tier_sandbox *sb, const int *groups, size_t n_groups, struct err *e)
{
	return launch_parts(sb, 0, n_groups, groups, n_groups, e);
}

int guard_confine(struct tier_sandbox *sb, struct err *e)
{
	int r = launch_await(sb, e);

	if (r >= 0) {
		seccomp_stay_near(sb->listener);
	}
	return r;
}

/* Its only command has begun with it: who is outside of the walls, as the guard is, starts nothing
 * behind them. */
int guard_exec(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e)
{
	if (sb->start < 0) {
		return err_set(e, ERR_USER, EOPNOTSUPP,
			       "at tier %s a sandbox has one command; use tier container",
			       sb->ops->name);
	}
	cmd->start = TAKE_FD(sb->start);
	cmd->channel = TAKE_FD(sb->channel);
	return 0;
}

/* Where the keeper lets each process begin, it has counted them. */
void guard_count(struct tier_sandbox *sb)
{
	if (sb->walls == WALLS_PROCESS) {
		launch_count(sb);
	}
}

void guard_stop(struct tier_sandbox *sb)
{
	if (sb->init <= 0) {
		return;
	}
	if (sb->walls != WALLS_PROCESS) {
		/* The guard collects what dies, and goes last. */
		sb->survivors = proctree_end(getpid(), sb->init) < 0;
	}
	(void)kill(sb->init, SIGKILL);
	launch_reap(sb);
}

/* How many threads there are in the tree, the guard's own left out. */
static uint64_t count_tasks(const struct tier_sandbox *sb)
{
	struct proctree t = {};
	uint64_t total = 0;
	size_t i;

	if (proctree_list(&t, sb->init) < 0) {
		total = UINT64_MAX; /* what cannot be counted does not grow */
	}
	for (i = 0; i < t.n; i++) {
		long threads = proctree_status(t.members[i].pid, "\nThreads:");

		total += threads > 0 ? (uint64_t)threads : 0;
	}
	proctree_done(&t);
	return total;
}

/*
 * New processes and threads are counted, and where no control group holds them, limited: by an
 * upper bound that every start raises and a look at the tree lowers again.
 */
int guard_let_begin(struct tier_sandbox *sb)
{
	const struct tier_spec *spec = sb->spec;

	if (spec->limit_nproc && ++sb->tasks > spec->plan->limits.processes) {
		sb->tasks = count_tasks(sb);
		if (sb->tasks >= spec->plan->limits.processes) {
			sb->refused_starts++;
			return -EAGAIN;
		}
		sb->tasks++;
	}
	sb->starts++;
	return 0;
}

/* ---- the builder's ---- */

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

static int prepare(struct builder *b, const struct guard_walls *walls, struct err *e)
{
	int r = builder_take_identity(b, e);

	if (r >= 0 && walls->prepare) {
		r = walls->prepare(b, walls->arg, e);
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
	return r < 0 ? r : take_terminal(b, e);
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

static _Noreturn void run_payload(struct builder *b, pid_t guard, const struct guard_walls *walls)
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
	r = listener = r < 0 ? r : walls->raise(b, walls->arg, &raised, &e);
	if (r < 0) {
		fail(b, &e);
	}
	if (builder_ready(b, walls->landlock_abi, &raised, listener, proc) < 0 || !await_word(b)) {
		_exit(125);
	}
	(void)umask(b->umask);
	for (i = 0; p->env[i] && strncmp(p->env[i], "PATH=", 5) != 0; i++) {
	}
	failure.error = exec_search(p->env[i] ? p->env[i] + 5 : NULL, p->argv, env);
	(void)send(b->start, &failure, sizeof(failure), MSG_NOSIGNAL);
	_exit(failure.error == ENOENT ? 127 : 126);
}

_Noreturn void guard_build(struct builder *b, const struct guard_walls *walls)
{
	struct err e = {};
	int r;
	pid_t self, payload;
	char number[16];

	builder_begin(b);
	r = prepare(b, walls, &e);
	if (r < 0) {
		fail(b, &e);
	}
	self = getpid();
	payload = fork();
	if (payload == 0) {
		run_payload(b, self, walls);
	}
	if (payload < 0) {
		err_sys(&e, errno, "cannot start the payload's process");
		builder_fail(b, &e);
	}
	(void)snprintf(number, sizeof(number), "%d", payload);
	builder_become_init(b,
			    (char *[]){(char *)INIT_GUARD, (char *)terminal_word(b), number, NULL});
}
