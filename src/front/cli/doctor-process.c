/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of what the process tier stands on besides the walls that it shares with the container. */
#include "front/cli/doctor-internal.h"

#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "linux/proctree.h"
#include "linux/refusal.h"

/* What Landlock of this kernel does not know; the tier keeps all of it by other means. */
void doctor_newer_landlock(struct finding *f, const char *scratch)
{
	static const struct {
		int from;
		const char *what;
	} rows[] = {{3, "truncating"}, {5, "devices"}, {6, "abstract sockets and signals"}};
	int abi = landlock_abi();
	size_t i;

	(void)scratch;
	if (abi < 1) {
		doctor_set(f, DOCTOR_MISSING, "there is none");
		doctor_remedy(
			f,
			"boot with 'landlock' in the lsm= list, or use a kernel 5.13 or newer with "
			"CONFIG_SECURITY_LANDLOCK");
		return;
	}
	doctor_set(f, DOCTOR_OK, "ABI %d", abi);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (abi < rows[i].from) {
			doctor_add(f, "; %s: kept by seccomp and the keeper", rows[i].what);
		}
	}
}

static int nothing(struct err *e)
{
	(void)e;
	return 0;
}

/* A pid namespace, or the kernel's list of a process's children. */
void doctor_processes(struct finding *f, const char *scratch)
{
	struct proctree t = {};
	struct err e = {};
	int tree = proctree_list(&t, getpid());

	(void)scratch;
	proctree_done(&t);
	if (doctor_try(CLONE_NEWUSER | CLONE_NEWPID, nothing, &e) >= 0) {
		doctor_set(f, DOCTOR_OK, "a pid namespace holds them together");
	} else if (tree >= 0) {
		doctor_set(f, DOCTOR_OK,
			   "no user namespace: the keeper answers for signals and starts, and ends "
			   "them "
			   "one by one");
	} else {
		doctor_set(f, DOCTOR_MISSING,
			   "neither a user namespace nor the kernel's lists of children "
			   "(CONFIG_PROC_CHILDREN)");
		doctor_remedy(f, "%s", refusal_remedy(e.code));
	}
}
