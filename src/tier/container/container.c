/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's side of the container tier.
 *
 * Theory of operation. start() clones the builder into its namespaces and writes its id maps; the
 * builder works on the view while the keeper arms limits. confine() sends what only the keeper can
 * make (control groups; mounts with translated owners, when root is the caller), and waits for the
 * report that every wall stands. hold() learns the payload's pid from the credentials of
 * its one byte (the kernel translates them, nothing inside can forge them), seizes it and lets it
 * exec: the kernel stops it before the first instruction of the program. From that point until
 * release() the payload dies with the keeper by PTRACE_O_EXITKILL, before and after it by init's
 * parent-death signal and the end of file on init's socket.
 */
#include "tier/container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "guest/image.h"
#include "guest/protocol.h"
#include "linux/cpu.h"
#include "linux/fdpass.h"
#include "linux/mount.h"
#include "linux/refusal.h"
#include "linux/userns.h"
#include "tier/container/container-internal.h"
#include "tier/tier.h"

/* A private, sealed copy of init: what runs as pid 1 can be changed by nobody (CVE-2019-5736). */
static int make_image(struct err *e)
{
	size_t len = (size_t)(atoll_init_image_end - atoll_init_image);
	_cleanup_fd_ int fd = memfd_create("atoll-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, atoll_init_image, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		return err_sys(e, errno, "cannot prepare atoll-init");
	}
	return TAKE_FD(fd);
}

static int clone_builder(struct builder *b, struct tier_sandbox *sb, struct err *e)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			 CLONE_NEWUTS | CLONE_PIDFD,
		.pidfd = (uintptr_t)&sb->init_pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid;

	if (MUTANT(ATOLL_MUTATE_NETNS)) {
		args.flags &= ~(uint64_t)CLONE_NEWNET;
	}
	if (MUTANT(ATOLL_MUTATE_PIDNS)) {
		args.flags &= ~(uint64_t)CLONE_NEWPID;
	}
	if (MUTANT(ATOLL_MUTATE_IPCNS)) {
		args.flags &= ~(uint64_t)CLONE_NEWIPC;
	}
	if (b->spec->cgroup >= 0 && !MUTANT(ATOLL_MUTATE_CGROUP)) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)b->spec->cgroup;
	}
	b->pushed = cpu_affinity(0, &b->cpus);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0) {
		(void)err_sys(e, errno, "cannot create namespaces");
		return refusal_advise(e);
	}
	if (pid == 0) {
		/* With the keeper's ends open here, the builder would never see it die. */
		(void)fd_close(sb->control);
		(void)fd_close(sb->start);
		builder_run(b);
	}
	sb->init = (pid_t)pid;
	if (b->pushed) {
		cpu_push(sb->init, &b->cpus); /* before BUILD_MAPPED */
	}
	return 0;
}

/* A copy of the mount tree at a path of the plan; *st is what was copied, whatever the path leads
 * to by now. */
static int clone_path(const struct plan_path *p, uint64_t attrs, struct stat *st, struct err *e)
{
	_cleanup_fd_ int fd = mount_clone(AT_FDCWD, p->path, attrs, e);

	if (fd == -ENOENT) {
		return err_set(e, ERR_SYSTEM, ENOENT, "'%s' does not exist any more", p->path);
	}
	if (fd >= 0 && fstat(fd, st) < 0) {
		return err_sys(e, errno, "cannot look at '%s'", p->path);
	}
	return TAKE_FD(fd);
}

/* Files of the tree's owner become the payload's. */
static int translate(const struct tier_spec *spec, const struct plan_path *p, int mount,
		     const struct stat *st, struct err *e)
{
	_cleanup_fd_ int userns =
		userns_for_idmap(st->st_uid, spec->host_uid, st->st_gid, spec->host_gid, e);

	return userns < 0 ? userns : mount_idmap(mount, p->path, userns, e);
}

static int make_workspace(const struct tier_spec *spec, uint64_t attrs, struct err *e)
{
	const struct plan_path *p = &spec->plan->workspace;
	struct stat st;
	_cleanup_fd_ int fd = clone_path(p, attrs, &st, e);
	int r = fd < 0 ? fd : translate(spec, p, fd, &st, e);

	return r < 0 ? r : TAKE_FD(fd);
}

/* A read-only path for a payload that root started: translated only where its unused host id could
 * not read it. */
static int make_readable(const struct tier_spec *spec, const struct plan_path *p, struct err *e)
{
	struct stat st;
	_cleanup_fd_ int fd =
		clone_path(p, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &st, e);
	mode_t need = fd >= 0 && S_ISDIR(st.st_mode) ? 05 : 04;
	int r = fd < 0 ? fd : 0;

	if (r >= 0 && (st.st_mode & need) != need) {
		r = translate(spec, p, fd, &st, e);
	}
	return r < 0 ? r : TAKE_FD(fd);
}

/*
 * Started by root, the payload is an id that owns nothing and may not even walk to the paths of the
 * plan (/root is closed to it). The keeper therefore makes these mounts: the workspace with its
 * owner translated, and the read-only paths.
 */
static int make_mounts(const struct tier_spec *spec, struct build_parts *parts, int *fds, size_t *n,
		       struct err *e)
{
	const struct plan *plan = spec->plan;
	uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	size_t i;
	int r = 0;

	if (plan->workspace_mode != WORKSPACE_DIRECT) {
		attrs |= MOUNT_ATTR_RDONLY;
	}
	if (plan->workspace_mode != WORKSPACE_NONE) {
		r = fds[*n] = make_workspace(spec, attrs, e);
		*n += r >= 0;
		parts->mounts |= 1;
	}
	for (i = 0; r >= 0 && i < plan->n_read; i++) {
		r = fds[*n] = make_readable(spec, &plan->read[i], e);
		*n += r >= 0;
		parts->mounts |= 2U << i;
	}
	return r;
}

static int send_parts(const struct tier_sandbox *sb, const int *groups, size_t n_groups,
		      struct err *e)
{
	struct build_parts parts = {.op = BUILD_PARTS, .groups = (uint32_t)n_groups};
	int fds[FDPASS_MAX] = {};
	size_t n = 0, made, i;
	int r = 0;

	if (sb->spec->plan->identity.from_root) {
		r = make_mounts(sb->spec, &parts, fds, &n, e);
	}
	made = n;
	for (i = 0; r >= 0 && i < n_groups; i++) {
		fds[n++] = groups[i];
	}
	if (r >= 0) {
		r = fdpass_send(sb->control, &parts, sizeof(parts), fds, n);
		/* A builder that failed has left its report before it closed the socket. */
		r = r == -EPIPE || r == -ECONNRESET ? 0 : r;
		r = r < 0 ? err_sys(e, -r, "cannot reach the builder") : 0;
	}
	for (i = 0; i < made; i++) {
		(void)fd_close(fds[i]);
	}
	return r;
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

/* Waits for the builder's report; its own words are passed on. */
static int await_walls(struct tier_sandbox *sb, struct err *e)
{
	struct build_report report;
	int fds[BUILD_FDS] = {FD_NONE, FD_NONE, FD_NONE};
	size_t n = BUILD_FDS;
	ssize_t r = fdpass_recv(sb->control, &report, sizeof(report), fds, &n);

	if (r != (ssize_t)sizeof(report)) {
		return err_set(e, ERR_SYSTEM, r < 0 ? (int)-r : EPIPE,
			       "the builder of the sandbox ended without a word");
	}
	if (report.op != BUILD_READY || n < BUILD_FD_TERMINAL + (sb->spec->tty != 0)) {
		return pass_on(&report, e);
	}
	sb->landlock_abi = (int)report.landlock_abi;
	sb->proc = fds[BUILD_FD_PROC];
	sb->listener = fds[BUILD_FD_LISTENER];
	sb->terminal = n > BUILD_FD_TERMINAL ? fds[BUILD_FD_TERMINAL] : FD_NONE;
	return 0;
}

static void container_stop(struct tier_sandbox *sb)
{
	int status;

	if (sb->init > 0) {
		/* The kernel kills the whole namespace with its pid 1, and wait returns after that.
		 */
		(void)kill(sb->init, SIGKILL);
		/* A traced process stays until its tracer has waited, and holds pid 1 up until
		 * then. */
		while (sb->held && waitpid(sb->payload, &status, __WALL) != sb->payload &&
		       errno == EINTR) {
		}
		while (waitpid(sb->init, NULL, __WALL) < 0 && errno == EINTR) {
		}
		/* The helpers of userns_for_idmap(), long dead. */
		while (waitpid(-1, NULL, __WALL | WNOHANG) > 0) {
		}
		sb->init = 0;
	}
	sb->held = false;
}

static void container_done(struct tier_sandbox *sb)
{
	container_stop(sb);
	sb->init_pidfd = fd_close(sb->init_pidfd);
	sb->control = fd_close(sb->control);
	sb->start = fd_close(sb->start);
	sb->listener = fd_close(sb->listener);
	sb->proc = fd_close(sb->proc);
	sb->terminal = fd_close(sb->terminal);
	json_decref(sb->survey);
	sb->survey = NULL;
}

static int check_spec(const struct tier_spec *spec, struct err *e)
{
	if (!spec->argv[0]) {
		return err_set(e, ERR_USER, EINVAL, "a command is missing");
	}
	if (spec->plan->n_read > BUILD_MAX_READS) {
		return err_set(e, ERR_POLICY, E2BIG, "at most %d read-only paths can be shown",
			       BUILD_MAX_READS);
	}
	if (!spec->plan->exec_any && !plan_uses_landlock(spec->plan)) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "execution.allow is kept by Landlock, which 'syscalls: nested' "
			       "switches off; leave out one of the two");
	}
	return 0;
}

static int container_start(const struct tier_spec *spec, struct tier_sandbox *sb, struct err *e)
{
	const struct plan_identity *id = &spec->plan->identity;
	struct builder b = {.spec = spec,
			    .root = FD_NONE,
			    .scratch = FD_NONE,
			    .proc = FD_NONE,
			    .terminal = FD_NONE};
	_cleanup_fd_ int image = FD_NONE, control = FD_NONE, start = FD_NONE;
	const uint32_t mapped = BUILD_MAPPED;
	int pair[2], on = 1, r;

	*sb = (struct tier_sandbox){.ops = &tier_container,
				    .spec = spec,
				    .init_pidfd = FD_NONE,
				    .control = FD_NONE,
				    .start = FD_NONE,
				    .listener = FD_NONE,
				    .proc = FD_NONE,
				    .terminal = FD_NONE};
	r = check_spec(spec, e);
	if (r < 0) {
		return r;
	}
	image = make_image(e);
	if (image < 0) {
		return image;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_sys(e, errno, "cannot create a socket pair");
	}
	sb->control = pair[0];
	b.control = control = pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_sys(e, errno, "cannot create a socket pair");
	}
	sb->start = pair[0];
	b.start = start = pair[1];
	b.image = image;
	if (setsockopt(sb->start, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		return err_sys(e, errno, "cannot ask for credentials");
	}
	r = clone_builder(&b, sb, e);
	if (r >= 0) {
		r = userns_map(sb->init, id->uid, spec->host_uid, id->gid, spec->host_gid, e);
		r = r < 0 ? refusal_advise(e) : r;
	}
	/* The builder alone holds the other ends now: if it dies, we see the end of file. */
	control = fd_close(control);
	start = fd_close(start);
	if (r >= 0 && send(sb->control, &mapped, sizeof(mapped), MSG_NOSIGNAL) < 0) {
		r = err_sys(e, errno, "cannot reach the builder");
	}
	return r;
}

static int container_confine(struct tier_sandbox *sb, const int *groups, size_t n_groups,
			     struct err *e)
{
	int r = send_parts(sb, groups, n_groups, e);

	if (r >= 0) {
		r = await_walls(sb, e);
	}
	/* While pid 1 execs and forks the payload. */
	return r >= 0 ? container_survey(sb, e) : r;
}

/* The payload ended instead of exec'ing: its errno waits on the start socket. */
static int exec_failed(struct tier_sandbox *sb, int status, struct err *e)
{
	struct init_exec_failure failure;
	ssize_t n = recv(sb->start, &failure, sizeof(failure), MSG_DONTWAIT);

	if (n != (ssize_t)sizeof(failure) || failure.error <= 0) {
		return err_set(e, ERR_SYSTEM, ECHILD,
			       "the payload ended before its start (wait status 0x%x)", status);
	}
	return err_set(e, ERR_GUEST, failure.error, "%s", strerror(failure.error));
}

/* What stopped the builder after its report, if it could say so, waits on the control socket. */
static int init_failed(const struct tier_sandbox *sb, struct err *e)
{
	struct build_report report;
	ssize_t n = recv(sb->control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && errno == ECONNRESET) { /* told once, before what waits (fdpass_recv()) */
		n = recv(sb->control, &report, sizeof(report), MSG_DONTWAIT);
	}
	if (n != (ssize_t)sizeof(report) || report.op != BUILD_FAILED) {
		return err_set(e, ERR_SYSTEM, EPIPE,
			       "atoll-init ended before the payload could start");
	}
	return pass_on(&report, e);
}

static int container_hold(struct tier_sandbox *sb, struct err *e)
{
	const long options = PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	struct ucred cred;
	char byte;
	int status;
	ssize_t n = fdpass_recv_cred(sb->start, &byte, 1, &cred);

	if (n != 1) {
		return init_failed(sb, e);
	}
	sb->payload = cred.pid;
	if (ptrace(PTRACE_SEIZE, sb->payload, NULL, options) < 0) {
		return err_sys(e, errno,
			       "cannot seize the payload for its read-back (the sysctl "
			       "kernel.yama.ptrace_scope must not be 3)");
	}
	sb->held = true;
	if (send(sb->start, &byte, 1, MSG_NOSIGNAL) != 1) {
		return err_sys(e, errno, "cannot let the payload start");
	}
	for (;;) {
		if (waitpid(sb->payload, &status, __WALL) < 0) {
			if (errno == EINTR) {
				continue;
			}
			return err_sys(e, errno, "cannot wait for the payload");
		}
		if (!WIFSTOPPED(status)) {
			sb->held = false;
			return exec_failed(sb, status, e);
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			return 0;
		}
		/* A signal or group stop on the way to exec: let it through. */
		if (ptrace(PTRACE_CONT, sb->payload, NULL, (long)WSTOPSIG(status)) < 0) {
			return err_sys(e, errno, "cannot continue the payload");
		}
	}
}

static int container_release(struct tier_sandbox *sb, struct err *e)
{
	if (ptrace(PTRACE_DETACH, sb->payload, NULL, NULL) < 0) {
		return err_sys(e, errno, "cannot release the payload");
	}
	sb->held = false;
	sb->start = fd_close(sb->start);
	return 0;
}

static int container_hear(struct tier_sandbox *sb, struct tier_event *ret, struct err *e)
{
	static const enum tier_event_kind kinds[] = {
		[INIT_STOPPED] = TIER_STOPPED,
		[INIT_CONTINUED] = TIER_CONTINUED,
		[INIT_EXITED] = TIER_EXITED,
		[INIT_COUNTED] = TIER_COUNTED,
	};
	struct init_message m;
	ssize_t n = recv(sb->control, &m, sizeof(m), MSG_DONTWAIT);

	*ret = (struct tier_event){.kind = TIER_NOTHING};
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (n != (ssize_t)sizeof(m)) {
		ret->kind = TIER_GONE;
		return 0;
	}
	if (m.op >= ARRAY_SIZE(kinds) || kinds[m.op] == TIER_NOTHING) {
		return err_set(e, ERR_GUEST, EPROTO, "atoll-init sent an unknown message");
	}
	*ret = (struct tier_event){kinds[m.op], m.a, m.b};
	return 0;
}

static void container_count(struct tier_sandbox *sb)
{
	struct init_message m = {.op = INIT_COUNT};

	(void)send(sb->control, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int container_signal(struct tier_sandbox *sb, int signal)
{
	struct init_message m = {.op = INIT_SIGNAL, .a = signal};

	return send(sb->control, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

const struct tier_ops tier_container = {
	.name = "container",
	.start = container_start,
	.confine = container_confine,
	.hold = container_hold,
	.receipt = container_receipt,
	.release = container_release,
	.hear = container_hear,
	.count = container_count,
	.signal = container_signal,
	.stop = container_stop,
	.done = container_done,
};
