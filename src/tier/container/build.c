/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder: the process that becomes pid 1 of a container.
 *
 * Theory of operation. The keeper clones it into new user, mount, pid, network, IPC and UTS
 * namespaces. It takes the mapped id, builds the view while the keeper arms the limits, takes from
 * the keeper what only that can make (mounts with translated owners, control groups), joins the
 * groups, unshares the cgroup namespace (after joining, so that the namespace's root is the
 * sandbox's own group), pivots, raises the walls and execs atoll-init from a sealed memfd. Until
 * that exec it is our own code with all capabilities in its own user namespace and none outside;
 * nothing that a payload wrote is read. Every failure is reported to the keeper and ends the
 * process: there is no path to the exec that skips a step.
 */
#include "tier/container/container-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "guest/protocol.h"
#include "linux/cpu.h"
#include "linux/fdpass.h"
#include "linux/landlock.h"
#include "tier/tier.h"

static _Noreturn void builder_fail(struct builder *b, const struct err *e)
{
	struct build_report report = {.op = BUILD_FAILED, .refused = b->refused, .error = *e};

	(void)fdpass_send(b->control, &report, sizeof(report), NULL, 0);
	_exit(125);
}

/* Joins by writing 0: moving oneself needs no lock in the kernel. */
static int join_groups(const struct builder *b, struct err *e)
{
	size_t i;

	for (i = 0; !MUTANT(ATOLL_MUTATE_CGROUP) && i < b->n_groups; i++) {
		if (write(b->groups[i], "0", 1) != 1) {
			return err_sys(e, errno, "cannot join a control group");
		}
	}
	if (unshare(CLONE_NEWCGROUP) < 0) {
		return err_sys(e, errno, "cannot create a cgroup namespace");
	}
	return 0;
}

/* Collects what only the keeper can make: its mounts and the control groups. */
static int take_parts(struct builder *b, struct err *e)
{
	struct build_parts parts;
	int fds[FDPASS_MAX];
	size_t n = FDPASS_MAX, i, used = 0;
	ssize_t r = fdpass_recv(b->control, &parts, sizeof(parts), fds, &n);

	if (r != (ssize_t)sizeof(parts) || parts.op != BUILD_PARTS ||
	    parts.groups > ARRAY_SIZE(b->groups)) {
		return err_set(e, ERR_SYSTEM, EPIPE, "the keeper went away");
	}
	for (i = 0; i < ARRAY_SIZE(b->mounts); i++) {
		b->mounts[i] = (parts.mounts & 1U << i) && used < n ? fds[used++] : FD_NONE;
	}
	for (i = 0; i < parts.groups && used < n; i++) {
		b->groups[b->n_groups++] = fds[used++];
	}
	return used == n && b->n_groups == parts.groups
		       ? 0
		       : err_set(e, ERR_BUG, EPROTO, "the keeper's parts do not add up");
}

/* Waits for the id maps, and becomes the mapped id. */
static int take_identity(struct builder *b, struct err *e)
{
	const struct plan_identity *id = &b->spec->plan->identity;
	uint32_t op = 0;

	if (recv(b->control, &op, sizeof(op), 0) != (ssize_t)sizeof(op) || op != BUILD_MAPPED) {
		return err_set(e, ERR_SYSTEM, EPIPE, "the keeper went away");
	}
	if (b->pushed && cpu_restore(&b->cpus, e) < 0) {
		return -e->code;
	}
	if (id->from_root && setgroups(0, NULL) < 0) {
		return err_sys(e, errno, "cannot drop supplementary groups");
	}
	if (setresgid(id->gid, id->gid, id->gid) < 0 || setresuid(id->uid, id->uid, id->uid) < 0) {
		return err_sys(e, errno, "cannot become the sandbox's own user");
	}
	/* Changing ids clears both; the first makes /proc/self ours to write. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0 ||
	    (!MUTANT(ATOLL_MUTATE_PDEATHSIG) && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)) {
		return err_sys(e, errno, "cannot tie the sandbox to its keeper");
	}
	return 0;
}

static int raise_loopback(struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0) {
		return err_sys(e, errno, "cannot bring up the sandbox's loopback interface");
	}
	return 0;
}

/* What the keeper ignores or blocks must not be ignored or blocked by the payload. */
static void reset_signals(void)
{
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++) {
		(void)signal(i, SIG_DFL);
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int write_text(int dirfd, const char *path, const char *text, struct err *e)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		return err_sys(e, errno, "cannot write '/proc/%s'", path);
	}
	return 0;
}

/* Limits of the namespaces themselves: no further user namespaces, few inotify instances. */
static int limit_namespaces(const struct builder *b, struct err *e)
{
	int r = 0;

	if (b->spec->plan->syscalls != SYSCALLS_NESTED) {
		r = write_text(b->proc, "sys/user/max_user_namespaces", "0", e);
	}
	if (r >= 0) {
		r = write_text(b->proc, "sys/user/max_inotify_instances", "64", e);
	}
	return r;
}

/* pivot_root(2) onto itself: the old root lies beneath the new one and is then detached. */
static int enter_view(const struct builder *b, struct err *e)
{
	if (fchdir(b->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
		return err_sys(e, errno, "cannot change the root directory");
	}
	return 0;
}

/*
 * The sandbox's terminal lives in its own devpts, so that its name resolves inside. The slave
 * takes the place of each descriptor that is a terminal of the caller.
 */
static int open_terminal(struct builder *b, struct err *e)
{
	_cleanup_fd_ int slave = FD_NONE;
	int i, unlock = 0;

	if (b->spec->tty == 0) {
		return 0;
	}
	b->terminal = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (b->terminal < 0 || ioctl(b->terminal, TIOCSPTLCK, &unlock) < 0) {
		return err_sys(e, errno, "cannot open a terminal for the sandbox");
	}
	slave = ioctl(b->terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		return err_sys(e, errno, "cannot open the sandbox's side of its terminal");
	}
	for (i = 0; i < 3; i++) {
		if ((b->spec->tty & 1U << i) && dup2(slave, i) < 0) {
			return err_sys(e, errno, "cannot hand over the terminal");
		}
	}
	return 0;
}

/*
 * Lays out the descriptors that init is born with. Everything else, whatever it is and wherever it
 * came from, is closed on exec.
 */
static int arrange_descriptors(struct builder *b, int *image, struct err *e)
{
	int control = fcntl(b->control, F_DUPFD_CLOEXEC, 20);
	int start = fcntl(b->start, F_DUPFD_CLOEXEC, 20);
	int i;

	*image = fcntl(b->image, F_DUPFD_CLOEXEC, 20);
	for (i = 0; i < 3; i++) {
		if (!(b->spec->tty & 1U << i) && dup2(b->spec->stdio[i], i) < 0) {
			return err_sys(e, errno, "cannot hand over descriptor %d", i);
		}
	}
	if (control < 0 || start < 0 || *image < 0 || dup2(control, INIT_FD_CONTROL) < 0 ||
	    dup2(start, INIT_FD_START) < 0) {
		return err_sys(e, errno, "cannot arrange descriptors");
	}
	b->control = INIT_FD_CONTROL;
	b->start = INIT_FD_START;
	return 0;
}

/* Sends what the keeper needs, then becomes init. */
static _Noreturn void become_init(struct builder *b, int landlock_abi, int listener, int image)
{
	struct build_report report = {.op = BUILD_READY, .landlock_abi = (uint32_t)landlock_abi};
	int fds[BUILD_FDS] = {b->proc, listener, b->terminal};
	const struct tier_spec *spec = b->spec;
	char *const *env = MUTANT(ATOLL_MUTATE_ENVIRON) ? environ : spec->plan->env;
	char tty[] = "-";
	char **argv;
	struct err e = {};
	size_t i, n = 0;

	for (i = 0; i < 3 && tty[0] == '-'; i++) {
		if (spec->tty & 1U << i) {
			tty[0] = (char)('0' + i);
		}
	}
	while (spec->argv[n]) {
		n++;
	}
	argv = calloc(n + 4, sizeof(*argv)); /* three words of init's own, and the end */
	if (!argv) {
		err_set(&e, ERR_SYSTEM, ENOMEM, "out of memory");
		builder_fail(b, &e);
	}
	argv[0] = "atoll-init";
	argv[1] = tty;
	argv[2] = (char *)spec->cwd;
	memcpy(argv + 3, spec->argv, n * sizeof(*argv));
	if (fdpass_send(b->control, &report, sizeof(report), fds, spec->tty ? 3 : 2) < 0) {
		_exit(125);
	}
	/* Close on exec for all but 0 to 2, and then the two that init keeps across this one exec.
	 */
	if (!MUTANT(ATOLL_MUTATE_CLOSE_FDS) &&
	    syscall(SYS_close_range, 3, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0) {
		err_sys(&e, errno, "cannot mark descriptors close-on-exec");
		builder_fail(b, &e);
	}
	(void)fcntl(INIT_FD_CONTROL, F_SETFD, 0);
	(void)fcntl(INIT_FD_START, F_SETFD, 0);
	(void)umask(b->umask);
	(void)syscall(SYS_execveat, image, "", argv, env, AT_EMPTY_PATH);
	err_sys(&e, errno, "cannot start atoll-init");
	builder_fail(b, &e);
}

/* What depends on the kernel and on what is around this process, and on nothing of the plan. */
static int builder_surround(struct builder *b, struct err *e)
{
	int r = take_identity(b, e);

	if (r >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		r = err_sys(e, errno, "cannot make mounts private");
	}
	if (r >= 0) {
		r = view_build(b, e);
	}
	if (r >= 0) {
		r = limit_namespaces(b, e);
	}
	if (r >= 0 && !MUTANT(ATOLL_MUTATE_NETNS)) {
		r = raise_loopback(e);
	}
	if (r >= 0 && sethostname("atoll", 5) < 0) {
		r = err_sys(e, errno, "cannot set the host name");
	}
	b->refused = r < 0;
	return r;
}

static int builder_prepare(struct builder *b, struct err *e)
{
	int r = builder_surround(b, e);

	if (r >= 0) {
		r = take_parts(b, e);
	}
	if (r >= 0) {
		r = view_show_paths(b, e);
	}
	if (r >= 0) {
		r = view_seal(b, e);
	}
	if (r >= 0) {
		r = join_groups(b, e);
	}
	if (r >= 0) {
		r = enter_view(b, e);
		b->refused = r < 0;
	}
	return r;
}

_Noreturn void builder_run(struct builder *b)
{
	int abi = landlock_abi(), image = FD_NONE, listener = FD_NONE, r;
	struct err e = {};

	if (!MUTANT(ATOLL_MUTATE_PDEATHSIG)) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	reset_signals();
	b->umask = umask(022); /* the view's modes are ours to choose */
	r = builder_prepare(b, &e);
	if (r >= 0) {
		r = open_terminal(b, &e);
	}
	if (r >= 0) {
		r = arrange_descriptors(b, &image, &e);
	}
	if (r >= 0) {
		r = walls_raise(b, abi, &e);
	}
	if (r >= 0) {
		r = listener = walls_seccomp(b, &e);
	}
	if (r < 0) {
		builder_fail(b, &e);
	}
	become_init(b, abi, listener, image);
}
