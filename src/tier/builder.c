/* SPDX-License-Identifier: Apache-2.0 */
/* What the builders of the tiers share. */
#include "tier/builder.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
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
#include "policy/plan.h"
#include "tier/tier.h"
#include "tier/walls.h"

_Noreturn void builder_fail(const struct builder *b, const struct err *e)
{
	struct build_report report = {.op = BUILD_FAILED, .refused = b->refused, .error = *e};

	(void)fdpass_send(b->control, &report, sizeof(report), NULL, 0);
	_exit(125);
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

void builder_begin(struct builder *b)
{
	if (!MUTANT(ATOLL_MUTATE_PDEATHSIG)) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	reset_signals();
	b->umask = umask(022); /* modes are ours to choose until the payload's exec */
}

int builder_take_identity(struct builder *b, struct err *e)
{
	const struct tier_spec *spec = b->spec;
	const struct plan_identity *id = &spec->plan->identity;
	uid_t uid = b->mapped ? id->uid : spec->host_uid;
	gid_t gid = b->mapped ? id->gid : spec->host_gid;
	uint32_t op = 0;

	if (recv(b->control, &op, sizeof(op), 0) != (ssize_t)sizeof(op) || op != BUILD_MAPPED) {
		return err_set(e, ERR_SYSTEM, EPIPE, "the keeper went away");
	}
	if (b->pushed && cpu_restore(&b->cpus, e) < 0) {
		return -e->code;
	}
	/* Outside of a user namespace nothing is left to do it with afterwards. */
	if (id->from_root && !b->mapped && !MUTANT(ATOLL_MUTATE_CAPABILITIES) && !walls_bound()) {
		return err_sys(e, errno, "cannot empty the capability bounding set");
	}
	if (id->from_root && setgroups(0, NULL) < 0) {
		return err_sys(e, errno, "cannot drop supplementary groups");
	}
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
		return err_sys(e, errno, "cannot become the sandbox's own user");
	}
	/* Changing ids clears both; the first makes /proc/self ours to write. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0 ||
	    (!MUTANT(ATOLL_MUTATE_PDEATHSIG) && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)) {
		return err_sys(e, errno, "cannot tie the sandbox to its keeper");
	}
	return 0;
}

int builder_take_parts(struct builder *b, struct err *e)
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

/* By writing 0: moving oneself needs no lock in the kernel. */
int builder_join_groups(const struct builder *b, struct err *e)
{
	size_t i;

	for (i = 0; !MUTANT(ATOLL_MUTATE_CGROUP) && i < b->n_groups; i++) {
		if (write(b->groups[i], "0", 1) != 1) {
			return err_sys(e, errno, "cannot join a control group");
		}
	}
	return 0;
}

/* Out of the way of the numbers that things are given here. */
static int move_up(int fd)
{
	return fd < 0 ? FD_NONE : fcntl(fd, F_DUPFD_CLOEXEC, 20);
}

int builder_arrange(struct builder *b, struct err *e)
{
	const struct tier_program *p = b->start >= 0 ? b->spec->first : NULL;
	int control = move_up(b->control), channel = move_up(b->channel), i;

	b->image = move_up(b->image);
	b->start = move_up(b->start);
	b->ptmx = move_up(b->ptmx);
	b->upper = move_up(b->upper);
	for (i = 0; p && i < 3; i++) {
		if (dup2(p->stdio[i], i) < 0) {
			return err_sys(e, errno, "cannot hand over descriptor %d", i);
		}
	}
	if (control < 0 || b->image < 0 || dup2(control, INIT_FD_CONTROL) < 0 ||
	    (p && (b->start < 0 || channel < 0 || dup2(channel, INIT_FD_CHANNEL) < 0))) {
		return err_sys(e, errno, "cannot arrange descriptors");
	}
	b->control = INIT_FD_CONTROL;
	b->channel = p ? INIT_FD_CHANNEL : FD_NONE;
	return 0;
}

int builder_ready(const struct builder *b, int landlock_abi, const struct walls_raised *raised,
		  int listener, int proc)
{
	struct build_report report = {.op = BUILD_READY,
				      .landlock_abi = (uint32_t)landlock_abi,
				      .bounded = raised->bounded,
				      .killable = raised->killable};
	int fds[BUILD_FDS] = {listener, proc, b->ptmx, b->denials, b->upper};

	return fdpass_send(b->control, &report, sizeof(report), fds,
			   b->upper >= 0  ? BUILD_FDS
			   : b->ptmx >= 0 ? BUILD_FD_UPPER
					  : BUILD_FD_PTMX);
}

_Noreturn void builder_become_init(const struct builder *b, char *const *argv)
{
	char *const env[] = {NULL};
	struct err e = {};

	/* Close on exec for all but 0 to 2, and then those that init keeps across this one exec. */
	if (!MUTANT(ATOLL_MUTATE_CLOSE_FDS) &&
	    syscall(SYS_close_range, 3, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0) {
		err_sys(&e, errno, "cannot mark descriptors close-on-exec");
		builder_fail(b, &e);
	}
	(void)fcntl(INIT_FD_CONTROL, F_SETFD, 0);
	if (b->channel >= 0) {
		(void)fcntl(INIT_FD_CHANNEL, F_SETFD, 0);
	}
	(void)umask(b->umask);
	(void)syscall(SYS_execveat, b->image, "", argv, env, AT_EMPTY_PATH);
	err_sys(&e, errno, "cannot start atoll-init");
	builder_fail(b, &e);
}
