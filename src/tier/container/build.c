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
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "linux/landlock.h"
#include "tier/builder.h"
#include "tier/container/network.h"
#include "tier/tier.h"
#include "tier/walls.h"

/* After joining, so that the namespace's root is the sandbox's own group. */
static int join_groups(const struct builder *b, struct err *e)
{
	int r = builder_join_groups(b, e);

	if (r >= 0 && unshare(CLONE_NEWCGROUP) < 0) {
		r = err_sys(e, errno, "cannot create a cgroup namespace");
	}
	return r;
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
static int limit_namespaces(const struct view *v, struct err *e)
{
	int r = 0;

	if (v->spec->plan->syscalls != SYSCALLS_NESTED) {
		r = write_text(v->proc, "sys/user/max_user_namespaces", "0", e);
	}
	if (r >= 0) {
		r = write_text(v->proc, "sys/user/max_inotify_instances", "64", e);
	}
	return r;
}

/* pivot_root(2) onto itself: the old root lies beneath the new one and is then detached. */
static int enter_view(const struct view *v, struct err *e)
{
	if (fchdir(v->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
		return err_sys(e, errno, "cannot change the root directory");
	}
	return 0;
}

/* What the payload may do with the files of its view: so many rows whatever the plan says. */
#define FIXED_ROWS 5

static int raise_landlock(const struct plan *plan, int abi, struct err *e)
{
	/* Nothing in /proc: writing there sets id maps, memory, attributes and limits. */
	struct wall_path rows[FIXED_ROWS + 1 + PLAN_MORE_MAX] = {
		{"/", LANDLOCK_READ | LANDLOCK_EXECUTE, true, NULL},
		{"/tmp", LANDLOCK_WRITE_TREE, true, NULL},
		{"/dev/shm", LANDLOCK_WRITE_TREE, true, NULL},
		{plan->identity.home, LANDLOCK_WRITE_TREE, true, NULL},
		{"/dev", LANDLOCK_WRITE_FILE, true, NULL},
	};
	size_t n = FIXED_ROWS, i;

	for (i = 0; i < plan_n_works(plan); i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(plan, i, &mode);

		if (mode >= WORKSPACE_COPY) {
			rows[n++] = (struct wall_path){work->path, LANDLOCK_WRITE_TREE, true, NULL};
		}
	}
	return plan_uses_landlock(plan) ? walls_landlock(plan, abi, rows, n, "/tmp", e) : 0;
}

/* What depends on the kernel and on what is around this process, and on nothing of the plan. */
static int surround(struct builder *b, struct view *v, struct err *e)
{
	int r = builder_take_identity(b, e);

	if (r >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		r = err_sys(e, errno, "cannot make mounts private");
	}
	if (r >= 0) {
		r = view_build(v, e);
	}
	if (r >= 0) {
		r = limit_namespaces(v, e);
	}
	if (r >= 0) {
		r = network_build(b, v->proc, e);
	}
	if (r >= 0 && sethostname("atoll", 5) < 0) {
		r = err_sys(e, errno, "cannot set the host name");
	}
	b->refused = r < 0;
	return r;
}

static int prepare(struct builder *b, struct view *v, struct err *e)
{
	int r = surround(b, v, e);

	if (r >= 0) {
		r = builder_take_parts(b, e);
	}
	if (r >= 0) {
		r = view_show_paths(v, e);
	}
	if (r >= 0) {
		r = view_seal(v, e);
	}
	if (r >= 0) {
		r = join_groups(b, e);
	}
	if (r >= 0) {
		r = enter_view(v, e);
		b->refused = r < 0;
	}
	return r;
}

/* Where the sandbox's terminals are made; the keeper opens it when it needs one. */
static int open_ptmx(struct builder *b, struct err *e)
{
	b->ptmx = open("/dev/pts/ptmx", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return b->ptmx < 0 ? err_sys(e, errno, "cannot open the sandbox's terminals") : 0;
}

_Noreturn void container_build(struct builder *b)
{
	const struct tier_spec *spec = b->spec;
	struct view v = {.spec = spec,
			 .mounts = b->mounts,
			 .root = FD_NONE,
			 .scratch = FD_NONE,
			 .proc = FD_NONE,
			 .denials = FD_NONE,
			 .upper = FD_NONE};
	int abi = landlock_abi(), listener = FD_NONE, r;
	struct err e = {};
	struct walls_raised raised = {};

	builder_begin(b);
	r = prepare(b, &v, &e);
	b->upper = v.upper;
	b->denials = v.denials;
	if (r >= 0) {
		r = open_ptmx(b, &e);
	}
	if (r >= 0) {
		r = builder_arrange(b, &e);
	}
	if (r >= 0) {
		r = walls_limits(spec, WALLS_CONTAINER, &e);
	}
	if (r >= 0) {
		r = raise_landlock(spec->plan, abi, &e);
	}
	if (r >= 0) {
		r = listener = walls_seccomp(spec, WALLS_CONTAINER, b->control, &raised, &e);
	}
	if (r < 0) {
		builder_fail(b, &e);
	}
	if (builder_ready(b, abi, &raised, listener, v.proc) < 0) {
		_exit(125);
	}
	builder_become_init(b, (char *[]){(char *)"atoll-init", NULL});
}
