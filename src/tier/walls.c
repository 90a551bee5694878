/* SPDX-License-Identifier: Apache-2.0 */
/* Raising walls around oneself. */
#include "tier/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
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

static int set_rlimits(const struct tier_spec *spec, enum wall_kind kind, struct err *e)
{
	const struct plan_limits *l = &spec->plan->limits;
	int r = limit(RLIMIT_FSIZE, "file_size", l->file_size, e);

	if (r >= 0) {
		r = limit(RLIMIT_CORE, "core", 0, e);
	}
	if (r >= 0 && walls_limit_nproc(spec, kind)) {
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

static int allow_path(int ruleset, int abi, const struct wall_path *p, struct err *e)
{
	_cleanup_fd_ int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && !p->required) {
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot open '%s' for its Landlock rule", p->path);
	}
	if (p->same && (st.st_dev != p->same->dev || st.st_ino != p->same->ino)) {
		return err_set(e, ERR_SYSTEM, ESTALE,
			       "'%s' is not what it was when the policy was resolved", p->path);
	}
	return landlock_allow(ruleset, abi, fd, S_ISDIR(st.st_mode), p->access, e);
}

/* The listed programs and the program loaders. */
static int allow_programs(const struct plan *plan, int ruleset, int abi, struct err *e)
{
	/* Loaders by their ABI names; those that the host lacks are skipped. */
	static const struct wall_path loaders[] = {
		{"/lib64/ld-linux-x86-64.so.2", LANDLOCK_EXECUTE, false, NULL},
		{"/lib/ld-linux-aarch64.so.1", LANDLOCK_EXECUTE, false, NULL},
		{"/lib/ld-musl-x86_64.so.1", LANDLOCK_EXECUTE, false, NULL},
		{"/lib/ld-musl-aarch64.so.1", LANDLOCK_EXECUTE, false, NULL},
	};
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < plan->n_exec; i++) {
		struct wall_path row = {plan->exec[i].path, LANDLOCK_EXECUTE, true, NULL};

		r = allow_path(ruleset, abi, &row, e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(loaders); i++) {
		r = allow_path(ruleset, abi, &loaders[i], e);
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
static int probe_execution(const char *scratch, struct err *e)
{
	char path[PATH_MAX];
	char *const argv[] = {path, NULL}, *const envp[] = {NULL};
	_cleanup_fd_ int fd = FD_NONE;
	int why;

	(void)snprintf(path, sizeof(path), "%s/.execution-probe", scratch);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
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

int walls_allow(const struct plan *plan, int ruleset, int abi, const struct wall_path *path,
		struct err *e)
{
	struct wall_path row = *path;

	row.access &= plan->exec_any ? ~0U : ~(unsigned)LANDLOCK_EXECUTE;
	return row.access == 0 ? 0 : allow_path(ruleset, abi, &row, e);
}

int walls_ruleset(const struct plan *plan, int abi, const struct wall_path *paths, size_t n,
		  struct err *e)
{
	_cleanup_fd_ int ruleset = FD_NONE;
	size_t i;
	int r;

	if (abi < 1) {
		return err_set(
			e, ERR_SYSTEM, ENOSYS,
			"Landlock is not available; boot with 'landlock' in the lsm= list, or use "
			"a kernel 5.13 or newer with CONFIG_SECURITY_LANDLOCK");
	}
	r = ruleset = landlock_new(abi, e);
	for (i = 0; r >= 0 && i < n; i++) {
		r = walls_allow(plan, ruleset, abi, &paths[i], e);
	}
	if (r >= 0 && !plan->exec_any) {
		r = allow_programs(plan, ruleset, abi, e);
	}
	return r < 0 ? r : TAKE_FD(ruleset);
}

int walls_enforce(const struct plan *plan, int ruleset, const char *scratch, struct err *e)
{
	int r = MUTANT(ATOLL_MUTATE_LANDLOCK) ? 0 : landlock_enforce(ruleset, e);

	if (r >= 0 && !MUTANT(ATOLL_MUTATE_RECEIPT_COMPARE)) {
		r = probe_landlock(e);
		r = r >= 0 && !plan->exec_any ? probe_execution(scratch, e) : r;
	}
	return r;
}

int walls_landlock(const struct plan *plan, int abi, const struct wall_path *paths, size_t n,
		   const char *scratch, struct err *e)
{
	_cleanup_fd_ int ruleset = walls_ruleset(plan, abi, paths, n, e);

	return ruleset < 0 ? ruleset : walls_enforce(plan, ruleset, scratch, e);
}

/* EINVAL marks the first number above the kernel's last capability. */
bool walls_bound(void)
{
	int cap, now;

	for (cap = 0; prctl(PR_CAPBSET_DROP, cap) == 0; cap++) {
	}
	if (errno == EPERM) {
		/* Who may drop nothing has nothing to drop where there is nothing. */
		for (cap = 0; (now = prctl(PR_CAPBSET_READ, cap)) == 0; cap++) {
		}
		errno = now == 1 ? EPERM : errno;
	}
	return errno == EINVAL && cap > CAP_AUDIT_READ;
}

/* Bounding and ambient first, which need what capset removes. */
static int drop_capabilities(enum wall_kind kind, bool *ret_bounded, struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {};

	*ret_bounded = kind != WALLS_NONE;
	if (kind == WALLS_NONE) {
		return 0;
	}
	if (MUTANT(ATOLL_MUTATE_CAPABILITIES)) {
		return 0;
	}
	*ret_bounded = walls_bound();
	if (!*ret_bounded && (kind == WALLS_CONTAINER || errno != EPERM)) {
		return err_sys(e, errno, "cannot empty the capability bounding set");
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0) {
		return err_sys(e, errno, "cannot drop capabilities");
	}
	return 0;
}

int walls_limits(const struct tier_spec *spec, enum wall_kind kind, struct err *e)
{
	int r = set_rlimits(spec, kind, e);

	if (r >= 0 && spec->affinity > 0) {
		r = pin(spec->affinity, e);
	}
	if (r >= 0 && !MUTANT(ATOLL_MUTATE_NO_NEW_PRIVS) &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		r = err_sys(e, errno, "cannot set no_new_privs");
	}
	return r;
}

enum seccomp_filter walls_filter(enum wall_kind kind, enum syscall_profile profile)
{
	static const enum seccomp_filter filters[][SYSCALLS_NESTED + 1] = {
		[WALLS_CONTAINER] =
			{
				[SYSCALLS_FILE] = SECCOMP_FILTER_FILE,
				[SYSCALLS_STRICT] = SECCOMP_FILTER_STRICT,
				[SYSCALLS_DEFAULT] = SECCOMP_FILTER_DEFAULT,
				[SYSCALLS_NESTED] = SECCOMP_FILTER_NESTED,
			},
		[WALLS_PROCESS] =
			{
				[SYSCALLS_FILE] = SECCOMP_FILTER_PROCESS_STRICT,
				[SYSCALLS_STRICT] = SECCOMP_FILTER_PROCESS_STRICT,
				[SYSCALLS_DEFAULT] = SECCOMP_FILTER_PROCESS_DEFAULT,
				[SYSCALLS_NESTED] = SECCOMP_FILTER_COUNT,
			},
		[WALLS_GUARDED] =
			{
				[SYSCALLS_FILE] = SECCOMP_FILTER_GUARDED_STRICT,
				[SYSCALLS_STRICT] = SECCOMP_FILTER_GUARDED_STRICT,
				[SYSCALLS_DEFAULT] = SECCOMP_FILTER_GUARDED_DEFAULT,
				[SYSCALLS_NESTED] = SECCOMP_FILTER_COUNT,
			},
		[WALLS_NONE] =
			{
				[SYSCALLS_FILE] = SECCOMP_FILTER_COUNT,
				[SYSCALLS_STRICT] = SECCOMP_FILTER_COUNT,
				[SYSCALLS_DEFAULT] = SECCOMP_FILTER_COUNT,
				[SYSCALLS_NESTED] = SECCOMP_FILTER_OPEN,
			},
	};

	return filters[kind][profile];
}

int walls_seccomp(const struct tier_spec *spec, enum wall_kind kind, int spare,
		  struct walls_raised *ret, struct err *e)
{
	enum seccomp_filter filter = walls_filter(kind, spec->plan->syscalls);
	uint64_t open_files = spec->plan->limits.open_files;
	int listener, r;

	if (MUTANT(ATOLL_MUTATE_NO_NEW_PRIVS)) {
		/* Without no_new_privs only CAP_SYS_ADMIN may load a filter. */
		r = listener = seccomp_load_listener(filter, &ret->killable, e);
		if (r >= 0) {
			r = drop_capabilities(kind, &ret->bounded, e);
		}
		return r < 0 ? r : listener;
	}
	r = drop_capabilities(kind, &ret->bounded, e);
	if (r >= 0 && spec->affinity > 0) {
		r = seccomp_load(SECCOMP_FILTER_AFFINITY, e);
	}
	if (r < 0) {
		return r;
	}
	if (MUTANT(ATOLL_MUTATE_SECCOMP)) {
		return limit(RLIMIT_NOFILE, "open_files", open_files, e) < 0 ? -EINVAL : dup(spare);
	}
	r = listener = seccomp_load_listener(filter, &ret->killable, e);
	/* The last descriptor of ours is open: from here on the payload's limit holds. */
	if (r >= 0) {
		r = limit(RLIMIT_NOFILE, "open_files", open_files, e);
	}
	return r < 0 ? r : listener;
}
