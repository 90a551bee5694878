/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls that a process raises around itself: resource limits, no_new_privs, Landlock,
 * capabilities, seccomp. Each needs what the next one takes away, hence the order: rlimits;
 * no_new_privs; Landlock with its probes (one makes a file); capabilities; seccomp.
 */
#include "tier/container/container-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "linux/landlock.h"
#include "linux/seccomp.h"
#include "tier/tier.h"

static int limit(int resource, const char *name, rlim_t value, struct err *e)
{
	struct rlimit old, new = {value, value};

	if (getrlimit((__rlimit_resource_t)resource, &old) < 0) {
		return err_sys(e, errno, "cannot read the %s limit", name);
	}
	if (value > old.rlim_max) {
		return err_set(
			e, ERR_POLICY, EPERM,
			"%s %llu is above the hard limit %llu of this session; ask for less, "
			"or raise the hard limit (ulimit -H, limits.conf, LimitNOFILE=)",
			name, (unsigned long long)value, (unsigned long long)old.rlim_max);
	}
	if (setrlimit((__rlimit_resource_t)resource, &new) < 0) {
		return err_sys(e, errno, "cannot set the %s limit", name);
	}
	return 0;
}

static int set_rlimits(const struct tier_spec *spec, struct err *e)
{
	const struct plan_limits *l = &spec->plan->limits;
	int r = limit(RLIMIT_FSIZE, "file_size", l->file_size, e);

	if (r >= 0) {
		r = limit(RLIMIT_CORE, "core", 0, e);
	}
	if (r >= 0 && spec->limit_nproc) {
		/* Counted for this id in this user namespace: atoll-init is one of them. */
		r = limit(RLIMIT_NPROC, "processes", (rlim_t)l->processes + 1, e);
	}
	return r;
}

/* Pins to the first n CPUs that the caller may use. */
static int pin(unsigned n, struct err *e)
{
	cpu_set_t have, want;
	int cpu;

	CPU_ZERO(&want);
	if (sched_getaffinity(0, sizeof(have), &have) < 0) {
		return err_sys(e, errno, "cannot read the CPU affinity");
	}
	for (cpu = 0; cpu < CPU_SETSIZE && n > 0; cpu++) {
		if (CPU_ISSET(cpu, &have)) {
			CPU_SET(cpu, &want);
			n--;
		}
	}
	return sched_setaffinity(0, sizeof(want), &want) < 0
		       ? err_sys(e, errno, "cannot set the CPU affinity")
		       : 0;
}

static int allow_path(int ruleset, int abi, const char *path, unsigned access, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot open '%s' for its Landlock rule", path);
	}
	return landlock_allow(ruleset, abi, fd, S_ISDIR(st.st_mode), access, e);
}

/* What may be executed: everything in the view, or the listed files and the program loaders. */
static int allow_execution(const struct plan *plan, int ruleset, int abi, struct err *e)
{
	/* Loaders by their ABI names; those that the host lacks are skipped. */
	static const char *const loaders[] = {
		"/lib64/ld-linux-x86-64.so.2",
		"/lib/ld-linux-aarch64.so.1",
		"/lib/ld-musl-x86_64.so.1",
		"/lib/ld-musl-aarch64.so.1",
	};
	size_t i;
	int r = 0;

	if (plan->exec_any) {
		return allow_path(ruleset, abi, "/", LANDLOCK_EXECUTE, e);
	}
	for (i = 0; r >= 0 && i < plan->n_exec; i++) {
		r = allow_path(ruleset, abi, plan->exec[i].path, LANDLOCK_EXECUTE, e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(loaders); i++) {
		if (access(loaders[i], F_OK) == 0) {
			r = allow_path(ruleset, abi, loaders[i], LANDLOCK_EXECUTE, e);
		}
	}
	return r;
}

/* Nothing in /proc: writing there sets id maps, memory, attributes and limits of processes. */
static int allow_writing(const struct plan *plan, int ruleset, int abi, struct err *e)
{
	const char *const trees[] = {"/tmp", "/dev/shm", plan->identity.home};
	size_t i;
	int r = allow_path(ruleset, abi, "/", LANDLOCK_READ, e);

	for (i = 0; r >= 0 && i < ARRAY_SIZE(trees); i++) {
		r = allow_path(ruleset, abi, trees[i], LANDLOCK_WRITE_TREE, e);
	}
	if (r >= 0) {
		r = allow_path(ruleset, abi, "/dev", LANDLOCK_WRITE_FILE, e);
	}
	if (r >= 0 && plan->workspace_mode == WORKSPACE_DIRECT) {
		r = allow_path(ruleset, abi, plan->workspace.path, LANDLOCK_WRITE_TREE, e);
	}
	return r;
}

/*
 * Landlock does not show in /proc, so it is probed: a process may write its own name (proc(5)) on a
 * /proc that is mounted for writing, and the only thing that refuses it with EACCES is that no rule
 * of ours grants writing there.
 */
static int probe_landlock(struct err *e)
{
	_cleanup_fd_ int fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "the Landlock rules were accepted but are not enforced");
	}
	return errno == EACCES ? 0 : err_sys(e, errno, "the Landlock probe failed unexpectedly");
}

/*
 * The same for the list of programs: an empty file that is not on it. execve(2) says ENOEXEC to who
 * may execute it, and EACCES where Landlock refuses.
 */
static int probe_execution(struct err *e)
{
	static const char path[] = "/tmp/.execution-probe";
	char *const argv[] = {(char *)path, NULL}, *const envp[] = {NULL};
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	int why;

	if (fd < 0) {
		return err_sys(e, errno, "the probe of execution.allow failed unexpectedly");
	}
	(void)execve(path, argv, envp);
	why = errno;
	(void)unlink(path);
	if (why == ENOEXEC) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "execution.allow was accepted but is not enforced");
	}
	return why == EACCES ? 0
			     : err_sys(e, why, "the probe of execution.allow failed unexpectedly");
}

static int raise_landlock(const struct plan *plan, int abi, struct err *e)
{
	_cleanup_fd_ int ruleset = FD_NONE;
	int r;

	if (!plan_uses_landlock(plan)) {
		return 0;
	}
	if (abi < 1) {
		return err_set(
			e, ERR_SYSTEM, ENOSYS,
			"Landlock is not available; boot with 'landlock' in the lsm= list, or use "
			"a kernel 5.13 or newer with CONFIG_SECURITY_LANDLOCK");
	}
	r = ruleset = landlock_new(abi, e);
	if (r >= 0) {
		r = allow_writing(plan, ruleset, abi, e);
	}
	if (r >= 0) {
		r = allow_execution(plan, ruleset, abi, e);
	}
	if (r >= 0 && !MUTANT(ATOLL_MUTATE_LANDLOCK)) {
		r = landlock_enforce(ruleset, e);
	}
	if (r >= 0 && !MUTANT(ATOLL_MUTATE_RECEIPT_COMPARE)) {
		r = probe_landlock(e);
		r = r >= 0 && !plan->exec_any ? probe_execution(e) : r;
	}
	return r;
}

/* Every set, on this only thread: bounding and ambient first, which need what capset removes. */
static int drop_capabilities(struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {};
	int cap;

	if (MUTANT(ATOLL_MUTATE_CAPABILITIES)) {
		return 0;
	}
	/* EINVAL marks the first number above the kernel's last capability. */
	for (cap = 0; prctl(PR_CAPBSET_DROP, cap) == 0; cap++) {
	}
	if (errno != EINVAL || cap <= CAP_AUDIT_READ) {
		return err_sys(e, errno, "cannot empty the capability bounding set");
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0) {
		return err_sys(e, errno, "cannot drop capabilities");
	}
	return 0;
}

int walls_raise(struct builder *b, int landlock_abi, struct err *e)
{
	const struct tier_spec *spec = b->spec;
	int r = set_rlimits(spec, e);

	if (r >= 0 && spec->affinity > 0) {
		r = pin(spec->affinity, e);
	}
	if (r >= 0 && !MUTANT(ATOLL_MUTATE_NO_NEW_PRIVS) &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		r = err_sys(e, errno, "cannot set no_new_privs");
	}
	return r >= 0 ? raise_landlock(spec->plan, landlock_abi, e) : r;
}

int walls_seccomp(struct builder *b, struct err *e)
{
	static const enum seccomp_filter filters[] = {
		[SYSCALLS_FILE] = SECCOMP_FILTER_FILE,
		[SYSCALLS_STRICT] = SECCOMP_FILTER_STRICT,
		[SYSCALLS_DEFAULT] = SECCOMP_FILTER_DEFAULT,
		[SYSCALLS_NESTED] = SECCOMP_FILTER_NESTED,
	};
	enum seccomp_filter filter = filters[b->spec->plan->syscalls];
	int listener, r;

	if (MUTANT(ATOLL_MUTATE_NO_NEW_PRIVS)) {
		/* Without no_new_privs only CAP_SYS_ADMIN may load a filter. */
		r = listener = seccomp_load_listener(filter, e);
		if (r >= 0) {
			r = drop_capabilities(e);
		}
		return r < 0 ? r : listener;
	}
	r = drop_capabilities(e);
	if (r >= 0 && b->spec->affinity > 0) {
		r = seccomp_load(SECCOMP_FILTER_AFFINITY, e);
	}
	if (r < 0) {
		return r;
	}
	if (MUTANT(ATOLL_MUTATE_SECCOMP)) {
		return limit(RLIMIT_NOFILE, "open_files", b->spec->plan->limits.open_files, e) < 0
			       ? -EINVAL
			       : dup(b->control); /* passed where the listener would be */
	}
	r = listener = seccomp_load_listener(filter, e);
	/* The last descriptor of ours is open: from here on the payload's limit holds. */
	if (r >= 0) {
		r = limit(RLIMIT_NOFILE, "open_files", b->spec->plan->limits.open_files, e);
	}
	return r < 0 ? r : listener;
}
