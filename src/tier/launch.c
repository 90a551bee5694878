/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's side of a start, as the tiers share it.
 *
 * Theory of operation. launch_clone() clones the builder, which works on its walls while the keeper
 * arms limits, and reports through the control socket (builder.h). What is then started inside is
 * command.c's. All of it dies with the keeper: by init's parent-death signal and by the end of file
 * on init's socket.
 */
#include "tier/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "guest/image.h"
#include "guest/protocol.h"
#include "linux/clone.h"
#include "linux/cpu.h"
#include "linux/fdpass.h"
#include "linux/refusal.h"
#include "linux/seccomp.h"
#include "policy/plan.h"
#include "tier/builder.h"
#include "tier/command.h"
#include "tier/tier.h"

int tier_image(struct err *e)
{
	size_t len = (size_t)(atoll_init_image_end - atoll_init_image);
	_cleanup_fd_ int fd = memfd_create("atoll-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, atoll_init_image, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		return err_sys(e, errno, "cannot prepare atoll-init");
	}
	return TAKE_FD(fd);
}

void launch_init(struct tier_sandbox *sb, const struct tier_ops *ops, const struct tier_spec *spec)
{
	*sb = (struct tier_sandbox){.ops = ops,
				    .spec = spec,
				    .init_pidfd = FD_NONE,
				    .control = FD_NONE,
				    .start = FD_NONE,
				    .channel = FD_NONE,
				    .listener = FD_NONE,
				    .proc = FD_NONE,
				    .starts = -1,
				    .ptmx = FD_NONE,
				    .denials = FD_NONE,
				    .upper = FD_NONE};
}

/* The sockets between us and the builder, with those of the command that it starts itself; its
 * ends go to it alone. */
static int make_sockets(struct tier_sandbox *sb, struct builder *b, bool starts, struct err *e)
{
	int r = tier_command_channel(&sb->control, &b->control, e);

	if (r >= 0 && starts) {
		r = tier_command_start(&sb->start, &b->start, e);
	}
	if (r >= 0 && starts) {
		r = tier_command_channel(&sb->channel, &b->channel, e);
	}
	return r;
}

/* Into the group that it was not born in, before it is told to begin. */
static int join_group(int group, pid_t pid, struct err *e)
{
	_cleanup_fd_ int fd = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid);

	return fd < 0 || write(fd, text, (size_t)n) != n
		       ? err_sys(e, errno, "cannot join a control group")
		       : 0;
}

static int clone_builder(struct tier_sandbox *sb, struct builder *b, uint64_t flags,
			 void (*run)(struct builder *), int *ret_refused, struct err *e)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uintptr_t)&sb->init_pidfd,
		.exit_signal = SIGCHLD,
	};
	bool late = false;
	long pid;

	if (b->spec->cgroup >= 0 && !MUTANT(ATOLL_MUTATE_CGROUP)) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)b->spec->cgroup;
	}
	b->pushed = cpu_affinity(0, &b->cpus);
	pid = clone_process(&args, &sb->init_pidfd);
	/* Where a filter knows only clone(2), which knows no groups. */
	if (pid < 0 && errno == ENOSYS && (args.flags & CLONE_INTO_CGROUP)) {
		args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		late = true;
		pid = clone_process(&args, &sb->init_pidfd);
	}
	if (pid < 0) {
		*ret_refused = errno;
		(void)err_sys(e, errno, "cannot create namespaces");
		return refusal_advise(e);
	}
	if (pid == 0) {
		/* With the keeper's ends open here, the builder would never see it die. */
		(void)fd_close(sb->control);
		(void)fd_close(sb->start);
		(void)fd_close(sb->channel);
		run(b);
		_exit(125);
	}
	sb->init = (pid_t)pid;
	if (b->pushed) {
		cpu_push(sb->init, &b->cpus); /* before BUILD_MAPPED */
	}
	return late ? join_group(b->spec->cgroup, sb->init, e) : 0;
}

int launch_clone(struct tier_sandbox *sb, uint64_t flags, bool starts,
		 void (*run)(struct builder *), int *ret_refused, struct err *e)
{
	struct builder b = {.spec = sb->spec,
			    .image = sb->spec->image,
			    .control = FD_NONE,
			    .start = FD_NONE,
			    .channel = FD_NONE,
			    .ptmx = FD_NONE,
			    .denials = FD_NONE,
			    .upper = FD_NONE,
			    .mapped = (flags & CLONE_NEWUSER) != 0};
	int r = make_sockets(sb, &b, starts, e);

	*ret_refused = 0;
	if (r >= 0) {
		r = clone_builder(sb, &b, flags, run, ret_refused, e);
	}
	/* The builder alone holds the other ends now: if it dies, we see the end of file. */
	(void)fd_close(b.control);
	(void)fd_close(b.start);
	(void)fd_close(b.channel);
	if (r < 0) {
		sb->control = fd_close(sb->control);
		sb->start = fd_close(sb->start);
		sb->channel = fd_close(sb->channel);
	}
	return r;
}

int launch_begin(struct tier_sandbox *sb, struct err *e)
{
	const uint32_t mapped = BUILD_MAPPED;

	return send(sb->control, &mapped, sizeof(mapped), MSG_NOSIGNAL) < 0
		       ? err_sys(e, errno, "cannot reach the builder")
		       : 0;
}

int launch_parts(const struct tier_sandbox *sb, uint32_t mounts, size_t n_groups, const int *fds,
		 size_t n, struct err *e)
{
	struct build_parts parts = {
		.op = BUILD_PARTS, .mounts = mounts, .groups = (uint32_t)n_groups};
	int r = fdpass_send(sb->control, &parts, sizeof(parts), fds, n);

	/* A builder that failed has left its report before it closed the socket. */
	return r < 0 && r != -EPIPE && r != -ECONNRESET ? err_sys(e, -r, "cannot reach the builder")
							: 0;
}

/* The builder's words, with what can be done where the kernel refused a namespace or a mount. */
static int pass_on(struct build_report *report, struct err *e)
{
	report->error.msg[sizeof(report->error.msg) - 1] = '\0';
	(void)err_set(e, report->error.kind, report->error.code, "%s", report->error.msg);
	/* A mount that finds no room has met no limit of namespaces. */
	return report->refused && report->error.kind == ERR_SYSTEM && e->code != ENOSPC
		       ? refusal_advise(e)
		       : -e->code;
}

/* The builder is our own code, and has met nothing foreign; its numbers are checked all the same.
 */
static int take_net(struct tier_sandbox *sb, const struct build_report *report, const int *fds,
		    size_t n, struct err *e)
{
	struct tier_net *net = &sb->net;

	for (size_t i = 0; i < n; i++) {
		if (net->n == TIER_NET_MAX) {
			(void)fd_close(fds[i]);
		} else {
			net->fds[net->n++] = fds[i];
		}
	}
	net->n_held = report->held;
	return report->held <= EGRESS_PORTS_MAX && n > 0
		       ? 0
		       : err_set(e, ERR_BUG, EPROTO, "the builder's sockets do not add up");
}

/* Waits for the builder's report; its own words are passed on. */
int launch_await(struct tier_sandbox *sb, struct err *e)
{
	struct build_report report = {.op = BUILD_NET};
	int fds[FDPASS_MAX];
	size_t n = 0;

	while (report.op == BUILD_NET) {
		ssize_t r;

		n = FDPASS_MAX;
		r = fdpass_recv(sb->control, &report, sizeof(report), fds, &n);
		if (r != (ssize_t)sizeof(report)) {
			return err_set(e, ERR_SYSTEM, r < 0 ? (int)-r : EPIPE,
				       "the builder of the sandbox ended without a word");
		}
		if (report.op == BUILD_NET && take_net(sb, &report, fds, n, e) < 0) {
			return -e->code;
		}
	}
	if (report.op != BUILD_READY || n < BUILD_FD_PTMX) {
		return pass_on(&report, e);
	}
	sb->landlock_abi = (int)report.landlock_abi;
	sb->bounded = report.bounded != 0;
	sb->killable = report.killable != 0;
	sb->proc = fds[BUILD_FD_PROC];
	sb->listener = fds[BUILD_FD_LISTENER];
	sb->ptmx = n > BUILD_FD_PTMX ? fds[BUILD_FD_PTMX] : FD_NONE;
	sb->denials = n > BUILD_FD_DENIALS ? fds[BUILD_FD_DENIALS] : FD_NONE;
	sb->upper = n > BUILD_FD_UPPER ? fds[BUILD_FD_UPPER] : FD_NONE;
	return 0;
}

/*
 * The builder is behind the filter when it execs atoll-init, so that exec waits for an answer as
 * every later one does. Where it ended on the way it has left a report.
 */
int launch_pass_init(const struct tier_sandbox *sb, struct err *e)
{
	struct pollfd w[] = {{.fd = sb->listener, .events = POLLIN},
			     {.fd = sb->init_pidfd, .events = POLLIN}};
	struct seccomp_denial d;

	if (MUTANT(ATOLL_MUTATE_SECCOMP)) {
		return 0; /* there is no filter */
	}
	while (poll(w, ARRAY_SIZE(w), -1) < 0) {
		if (errno != EINTR) {
			return err_sys(e, errno, "cannot wait for atoll-init");
		}
	}
	if (!(w[0].revents & POLLIN) || seccomp_receive(sb->listener, &d) < 0) {
		return launch_failed(sb, e) < 0
			       ? -e->code
			       : err_set(e, ERR_SYSTEM, EPIPE,
					 "the builder of the sandbox ended without a word");
	}
	if (d.tid != sb->init || !seccomp_is_start(&d)) {
		seccomp_refuse(sb->listener, &d);
		return err_set(e, ERR_BUG, EPROTO, "the builder asks for '%s'", d.name);
	}
	seccomp_continue(sb->listener, &d);
	seccomp_stay_near(sb->listener);
	return 0;
}

/* Where it has left nothing, what the caller has seen stands. */
int launch_failed(const struct tier_sandbox *sb, struct err *e)
{
	struct build_report report;
	ssize_t n = recv(sb->control, &report, sizeof(report), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == ECONNRESET) { /* told once, before what waits (fdpass_recv()) */
		n = recv(sb->control, &report, sizeof(report), MSG_PEEK | MSG_DONTWAIT);
	}
	return n == (ssize_t)sizeof(report) && report.op == BUILD_FAILED ? pass_on(&report, e) : 0;
}

int launch_hear(struct tier_sandbox *sb, struct tier_event *ret, struct err *e)
{
	return tier_hear(sb->control, ret, e);
}

void launch_count(struct tier_sandbox *sb)
{
	struct init_message m = {.op = INIT_COUNT};

	(void)send(sb->control, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void launch_forget(struct tier_sandbox *sb)
{
	json_decref(sb->survey);
	sb->survey = NULL;
}

void launch_reap(struct tier_sandbox *sb)
{
	pid_t pid = 0;

	/* A traced process stays until its tracer has waited, and holds pid 1 up until then. */
	while (pid != sb->init && (pid >= 0 || errno == EINTR)) {
		pid = waitpid(-1, NULL, __WALL);
	}
	/* Whatever else is ours and dead: helpers of the start, orphans that came to us. */
	while (waitpid(-1, NULL, __WALL | WNOHANG) > 0) {
	}
	sb->init = 0;
}

void launch_done(struct tier_sandbox *sb)
{
	sb->ops->stop(sb);
	sb->init_pidfd = fd_close(sb->init_pidfd);
	sb->control = fd_close(sb->control);
	sb->start = fd_close(sb->start);
	sb->channel = fd_close(sb->channel);
	sb->listener = fd_close(sb->listener);
	sb->proc = fd_close(sb->proc);
	sb->ptmx = fd_close(sb->ptmx);
	sb->upper = fd_close(sb->upper);
	while (sb->net.n > 0) {
		(void)fd_close(sb->net.fds[--sb->net.n]);
	}
	launch_forget(sb);
}
