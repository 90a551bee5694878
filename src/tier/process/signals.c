/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals and new processes, where there is no pid namespace.
 *
 * Theory of operation. Every process of the user has a number that the payload can name, and the
 * same user id. The filter hands each call that names another process, or makes one, to the keeper.
 * A signal to the caller's own process is the kernel's to deliver: the caller is alive while it
 * waits for us, so its number is nobody else's, and the call was judged by registers. Any other is
 * sent by the keeper, through a descriptor of a process that it found in the sandbox's tree after
 * it had opened it. To the payload there are no processes but the tree's: ESRCH. The guard, whose
 * children they are, is among those it cannot signal.
 *
 * A thread cannot be held by a descriptor on older kernels. A signal to one is sent by number, at
 * once after the check; in between no process of the sandbox can begin, because the keeper is busy
 * with this one, so a payload cannot make a number come round.
 */
#include "tier/process/process-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "linux/proctree.h"
#include "linux/seccomp.h"
#include "tier/guard.h"
#include "tier/tier.h"

#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

static pid_t process_of(pid_t tid)
{
	return (pid_t)proctree_status(tid, "\nTgid:");
}

/* A process that the payload may signal: one of the tree, and not the guard. */
static bool is_inside(const struct tier_sandbox *sb, pid_t pid)
{
	return MUTANT(ATOLL_MUTATE_BROKER_TREE) ||
	       (pid > 0 && pid != sb->init && proctree_has(sb->init, pid));
}

/* Sends to a process of the tree; `info` may be NULL. */
static int64_t send_to(const struct tier_sandbox *sb, int pidfd, pid_t pid, int signal,
		       siginfo_t *info)
{
	if (!is_inside(sb, pid)) {
		return -ESRCH;
	}
	return syscall(SYS_pidfd_send_signal, pidfd, signal, info, 0) < 0 ? -errno : 0;
}

static int64_t send_one(const struct tier_sandbox *sb, pid_t pid, int signal, siginfo_t *info)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	return pidfd < 0 ? -ESRCH : send_to(sb, pidfd, pid, signal, info);
}

/*
 * kill(2) with 0, a negative group, or -1: the members that are in the tree, the caller last, and
 * with -1 not at all.
 */
static int64_t send_many(const struct tier_sandbox *sb, pid_t self, pid_t group, int signal)
{
	struct proctree t = {};
	bool among = false;
	int64_t result = -ESRCH;
	size_t i;
	int r = proctree_list(&t, sb->init);

	for (i = 0; r >= 0 && i < t.n; i++) {
		const struct proctree_member *m = &t.members[i];

		if (group > 0 && getpgid(m->pid) != group) {
			continue;
		}
		if (m->pid == self) {
			among = group > 0;
			continue;
		}
		result = proctree_signal(m, signal) == 0 ? 0 : result;
	}
	proctree_done(&t);
	if (among) {
		result = send_one(sb, self, signal, NULL);
	}
	return r < 0 ? r : result;
}

static int64_t do_kill(const struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	pid_t self = process_of(d->tid), pid = broker_int(d, 0);
	int signal = broker_int(d, 1);

	if (pid > 0) {
		return pid == self ? BROKER_CONTINUE : send_one(sb, pid, signal, NULL);
	}
	if (pid == 0) {
		return send_many(sb, self, getpgid(self), signal);
	}
	return pid == INT32_MIN ? -ESRCH : send_many(sb, self, -pid > 1 ? -pid : 0, signal);
}

/* A thread of another process of the tree, or of the caller's own by its number alone. */
static int64_t send_thread(const struct tier_sandbox *sb, pid_t process, pid_t tid, int signal)
{
	if (!is_inside(sb, process)) {
		return -ESRCH;
	}
	return syscall(SYS_tgkill, process, tid, signal) < 0 ? -errno : 0;
}

static int64_t do_tgkill(const struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	pid_t process = broker_int(d, 0);

	return process == process_of(d->tid)
		       ? BROKER_CONTINUE
		       : send_thread(sb, process, broker_int(d, 1), broker_int(d, 2));
}

static int64_t do_tkill(const struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	pid_t tid = broker_int(d, 0);

	return tid == d->tid ? BROKER_CONTINUE
			     : send_thread(sb, process_of(tid), tid, broker_int(d, 1));
}

/* The caller's siginfo; the kernel refuses one that pretends to be its own (rt_sigqueueinfo(2)). */
static int64_t do_queue(const struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	pid_t pid = broker_int(d, 0);
	siginfo_t info;

	if (pid == process_of(d->tid)) {
		return BROKER_CONTINUE;
	}
	if (!broker_read(d, d->args[2], &info, sizeof(info))) {
		return -EFAULT;
	}
	info.si_signo = broker_int(d, 1);
	return seccomp_pending(sb->listener, d) ? send_one(sb, pid, info.si_signo, &info) : -ESRCH;
}

static int64_t do_queue_thread(const struct seccomp_denial *d)
{
	return broker_int(d, 0) == process_of(d->tid) ? BROKER_CONTINUE : -EPERM;
}

/* A pidfd says in /proc which process it holds; the keeper uses a copy of that very descriptor. */
static int64_t do_pidfd(const struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	_cleanup_fd_ int caller = (int)syscall(SYS_pidfd_open, process_of(d->tid), 0);
	_cleanup_fd_ int pidfd = FD_NONE, file = FD_NONE;
	char path[48], text[512], *line;
	siginfo_t info;
	ssize_t n;

	if (broker_int(d, 3) != 0) {
		return -EINVAL;
	}
	if (d->args[2] && !broker_read(d, d->args[2], &info, sizeof(info))) {
		return -EFAULT;
	}
	pidfd = caller < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, caller, broker_int(d, 0), 0);
	if (pidfd < 0 || !seccomp_pending(sb->listener, d)) {
		return -EBADF;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nPid:");
	return line ? send_to(sb, pidfd, (pid_t)strtol(line + 5, NULL, 10), broker_int(d, 1),
			      d->args[2] ? &info : NULL)
		    : -EBADF;
}

static int64_t do_start(struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	int r;

	if (d->number == SYS_clone && (d->args[0] & NEW_NAMESPACES)) {
		return BROKER_REFUSE;
	}
	r = guard_let_begin(sb);
	return r < 0 ? r : BROKER_CONTINUE;
}

int64_t broker_process(struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	switch (d->number) {
	case SYS_clone:
#ifdef SYS_fork
	case SYS_fork:
	case SYS_vfork:
#endif
		return do_start(sb, d);
	case SYS_kill:
		return do_kill(sb, d);
	case SYS_tkill:
		return do_tkill(sb, d);
	case SYS_tgkill:
		return do_tgkill(sb, d);
	case SYS_rt_sigqueueinfo:
		return do_queue(sb, d);
	case SYS_rt_tgsigqueueinfo:
		return do_queue_thread(d);
	case SYS_pidfd_send_signal:
		return do_pidfd(sb, d);
	default:
		return BROKER_REFUSE;
	}
}
