/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls around the gateway.
 *
 * It starts as pid 1 of a pid namespace, in mount, IPC and UTS namespaces of its own; and where an
 * ordinary user started it, in a user namespace as its root, which is nobody's root outside. Only
 * the network is the host's: dialling is what it is for. Here its root directory becomes an empty
 * one, it gives up every capability, Landlock takes the files and all ports but those of the rules
 * and of name servers, and a system call that it does not need ends it.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "gateway/gateway.h"
#include "linux/landlock.h"
#include "linux/seccomp.h"

#define MEMORY_MAX (256UL * 1024 * 1024)

/* The root directory is an empty one that nobody can write to. */
static int leave_files(struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		  "size=4k,nr_inodes=2,mode=0555") < 0 ||
	    chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
		return err_sys(e, errno, "cannot leave the host's files");
	}
	return 0;
}

/* Files never, connections only to where the rules and the name servers are. */
static int raise_landlock(const struct gateway *g, struct err *e)
{
	int abi = landlock_abi();
	_cleanup_fd_ int rules = FD_NONE;
	int r;

	if (abi == 0) {
		return 0; /* the empty root directory stands without it */
	}
	r = rules = landlock_new_dialler(abi, e);
	r = r < 0 ? r : landlock_allow_connect(rules, abi, 53, e);
	for (size_t i = 0; i < g->n_rules && r >= 0; i++) {
		r = landlock_allow_connect(rules, abi, g->rules[i].port, e);
	}
	return r < 0 ? r : landlock_enforce(rules, e);
}

static int drop_rights(int64_t uid, struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {};

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap) < 0) {
			return err_sys(e, errno, "cannot give capabilities up");
		}
	}
	if (uid >= 0 &&
	    (setgroups(0, NULL) < 0 || setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) < 0 ||
	     setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0)) {
		return err_sys(e, errno, "cannot become the gateway's own user");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		return err_sys(e, errno, "cannot give rights up");
	}
	return 0;
}

/* Descriptors as many as it may have; memory as much as its connections can need. */
static int set_limits(struct err *e)
{
	struct rlimit files, memory = {MEMORY_MAX, MEMORY_MAX}, none = {};

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return err_sys(e, errno, "cannot read limits");
	}
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_DATA, &memory) < 0 ||
			       setrlimit(RLIMIT_CORE, &none) < 0 ||
			       setrlimit(RLIMIT_NPROC, &(struct rlimit){}) < 0
		       ? err_sys(e, errno, "cannot set limits")
		       : 0;
}

int confine(const struct gateway *g, int64_t uid, struct err *e)
{
	int r;

	if (MUTANT(ATOLL_MUTATE_EGRESS_CONFINE)) {
		return set_limits(e);
	}
	r = leave_files(e);
	r = r < 0 ? r : set_limits(e);
	r = r < 0 ? r : drop_rights(uid, e);
	r = r < 0 ? r : raise_landlock(g, e);
	return r < 0 ? r : seccomp_load(SECCOMP_FILTER_GATEWAY, e);
}
