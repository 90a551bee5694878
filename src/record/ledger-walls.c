/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls around who serves the ledger.
 *
 * It starts as its own user, with the ledger and the socket open. Here it gives up what is left:
 * no program that it starts gains anything, and it can start none; no capability; of files only
 * those of the ledger (Landlock), of the network nothing; a system call that it does not need ends
 * it. Whoever takes it over by what it parses has the ledger, which is what it holds, and nothing
 * else of the host.
 */
#include "record/ledger-server.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "linux/seccomp.h"

/* Requests and answers of as many users as there can be connections of; SQLite takes 1 MiB. */
#define MEMORY_MAX (512UL * 1024 * 1024)
#define FILES_MAX  2048

static int set_limits(struct err *e)
{
	struct rlimit files = {FILES_MAX, FILES_MAX}, memory = {MEMORY_MAX, MEMORY_MAX}, have;

	if (getrlimit(RLIMIT_NOFILE, &have) < 0) {
		return err_sys(e, errno, "cannot read limits");
	}
	if (have.rlim_max < FILES_MAX) {
		files = (struct rlimit){have.rlim_max, have.rlim_max};
	}
	return setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_DATA, &memory) < 0 ||
			       setrlimit(RLIMIT_CORE, &(struct rlimit){}) < 0 ||
			       setrlimit(RLIMIT_NPROC, &(struct rlimit){}) < 0
		       ? err_sys(e, errno, "cannot set limits")
		       : 0;
}

static int drop_rights(struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, none) < 0 ||
			       prctl(PR_SET_DUMPABLE, 0) < 0
		       ? err_sys(e, errno, "cannot give rights up")
		       : 0;
}

static int raise_landlock(int directory, struct err *e)
{
	int abi = landlock_abi(), r;
	_cleanup_fd_ int rules = FD_NONE;

	if (abi == 0) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "this kernel has no Landlock, without which the ledger is not "
			       "served; boot with it (lsm=landlock,...), Linux 5.13 or later");
	}
	r = rules = landlock_new_dialler(abi, e);
	r = r < 0 ? r
		  : landlock_allow(rules, abi, directory, true, LANDLOCK_READ | LANDLOCK_WRITE_TREE,
				   e);
	return r < 0 ? r : landlock_enforce(rules, e);
}

int ledger_server_confine(int directory, struct err *e)
{
	int r = set_limits(e);

	r = r < 0 ? r : drop_rights(e);
	r = r < 0 ? r : raise_landlock(directory, e);
	return r < 0 ? r : seccomp_load(SECCOMP_FILTER_LEDGER, e);
}
