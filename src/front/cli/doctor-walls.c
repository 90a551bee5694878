/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of the walls that a process raises around itself: seccomp, Landlock, and the trace. */
#include "front/cli/doctor-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "linux/refusal.h"
#include "linux/seccomp.h"

#define OUTSIDE                                                                                   \
	"a seccomp filter is around this process already: start atoll outside of that container " \
	"or sandbox, or allow the calls in its filter"

/* A filter's refusal and a missing kernel option look alike; the kernel says which it can be. */
static void remedy_kernel(struct finding *f, const char *option)
{
	doctor_remedy(f, "%s%s", refusal_is_filtered() ? OUTSIDE "; or " : "", option);
}

/* ---- seccomp ---- */

/* A call that the filter refuses, in a child; the listener is told, and answers. */
static int refuse_one(int listener, struct err *e)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};
	struct seccomp_denial denial;
	int status = 0;
	pid_t child = fork();

	if (child < 0) {
		return err_sys(e, errno, "cannot create a process");
	}
	if (child == 0) {
		_exit(unshare(CLONE_NEWUTS) < 0 && errno == EPERM ? 0 : 1);
	}
	if (poll(&wait, 1, -1) != 1 || seccomp_receive(listener, &denial) < 0) {
		return err_sys(e, errno, "the listener hears nothing");
	}
	seccomp_refuse(listener, &denial);
	if (waitpid(child, &status, 0) != child || status != 0 || !denial.record) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "a refused call was not refused");
	}
	return 0;
}

void doctor_seccomp(struct finding *f, const char *scratch)
{
	struct err e = {};
	bool killable = false;
	int listener;

	(void)scratch;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		doctor_set(f, DOCTOR_MISSING, "cannot set no_new_privs: %s", strerror(errno));
		remedy_kernel(f, "use a kernel 3.5 or newer");
		return;
	}
	listener = seccomp_load_listener(SECCOMP_FILTER_DEFAULT, &killable, &e);
	if (listener < 0) {
		doctor_set(f, DOCTOR_MISSING, "%s", e.msg);
		if (e.code == EBUSY) {
			doctor_remedy(f, "a filter with a listener is around this process already, "
					 "and the kernel admits one: start atoll outside of it");
		} else if (refusal_is_filtered()) {
			doctor_remedy(f, OUTSIDE);
		} else {
			doctor_remedy(f, "use a kernel 5.0 or newer with CONFIG_SECCOMP=y and "
					 "CONFIG_SECCOMP_FILTER=y");
		}
		return;
	}
	if (refuse_one(listener, &e) < 0) {
		doctor_set(f, DOCTOR_MISSING, "%s", e.msg);
		remedy_kernel(f, "use a kernel 5.0 or newer");
		return;
	}
	doctor_set(f, DOCTOR_OK, "a filter was loaded; it refused a call and its listener heard%s",
		   killable
			   ? ""
			   : "; a signal can interrupt a call that waits for it, a program's start "
			     "too, which is then recorded twice (before Linux 5.19)");
}

/* ---- Landlock ---- */

static void remedy_landlock(struct finding *f, int code)
{
	char list[512];

	if (doctor_line("/sys/kernel/security/lsm", list, sizeof(list)) &&
	    !strstr(list, "landlock")) {
		doctor_remedy(f,
			      "boot with lsm=landlock,%s on the kernel command line "
			      "(GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)",
			      list);
	} else if (code == EOPNOTSUPP) {
		doctor_remedy(f, "boot with landlock at the head of the lsm= list on the kernel "
				 "command line");
	} else {
		remedy_kernel(f, "use a kernel 5.13 or newer with CONFIG_SECURITY_LANDLOCK=y");
	}
}

/* Reading is granted everywhere, writing nowhere: then a file that is ours cannot be written. */
static int enforce_reading(int abi, const char *scratch, struct err *e)
{
	char path[4096];
	_cleanup_fd_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int ruleset = FD_NONE, before = FD_NONE, after = FD_NONE;
	int r;

	(void)snprintf(path, sizeof(path), "%s/landlock", scratch);
	before = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (before < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return err_sys(e, errno, "cannot prepare");
	}
	r = ruleset = landlock_new(abi, e);
	if (r >= 0) {
		r = landlock_allow(ruleset, abi, root, true, LANDLOCK_READ, e);
	}
	if (r >= 0) {
		r = landlock_enforce(ruleset, e);
	}
	if (r < 0) {
		return r;
	}
	after = open(path, O_WRONLY | O_CLOEXEC);
	if (after >= 0 || errno != EACCES) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "a rule was accepted but is not enforced");
	}
	after = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return after >= 0 ? 0 : err_sys(e, errno, "a rule refuses what it grants");
}

void doctor_landlock(struct finding *f, const char *scratch)
{
	struct err e = {};
	int abi;

	errno = ENOSYS;
	abi = landlock_abi();
	if (abi < 1) {
		int code = errno;

		doctor_set(f, DOCTOR_MISSING, "%s",
			   code == EOPNOTSUPP ? "built into the kernel, but switched off at boot"
			   : code == ENOSYS && !refusal_is_filtered()
				   ? "this kernel does not have it"
				   : strerror(code));
		remedy_landlock(f, code);
		return;
	}
	if (enforce_reading(abi, scratch, &e) < 0) {
		doctor_set(f, DOCTOR_MISSING, "ABI %d: %s", abi, e.msg);
		remedy_kernel(f, "report this kernel to the maintainers");
		return;
	}
	if (abi < 3) {
		doctor_set(f, DOCTOR_WEAK,
			   "ABI %d: rules are enforced, but not on truncation, which the "
			   "read-only mounts alone refuse",
			   abi);
		doctor_remedy(f, "use a kernel 6.2 or newer (ABI 3)");
		return;
	}
	doctor_set(f, DOCTOR_OK, "ABI %d: a rule was enforced%s", abi,
		   abi < 6 ? "; signals and abstract sockets are left to the namespaces" : "");
}

/* ---- ptrace ---- */

/* The keeper traces a process of a user namespace below its own. */
static int seize(uint64_t namespaces, struct err *e)
{
	pid_t child = fork();
	siginfo_t how;
	int r = 0;

	if (child < 0) {
		return err_sys(e, errno, "cannot create a process");
	}
	if (child == 0) {
		if (namespaces && unshare((int)namespaces) < 0) {
			_exit(1);
		}
		(void)raise(SIGSTOP);
		_exit(0);
	}
	if (waitid(P_PID, (id_t)child, &how, WEXITED | WSTOPPED | WNOWAIT) < 0 ||
	    how.si_code != CLD_STOPPED) {
		r = -EAGAIN; /* no user namespace: its own row tells */
	} else if (ptrace(PTRACE_SEIZE, child, NULL,
			  PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD) < 0) {
		r = err_sys(e, errno, "a child cannot be traced");
	}
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	return r;
}

void doctor_ptrace(struct finding *f, const char *scratch)
{
	char scope[16] = "";
	struct err e = {};
	int r = seize(CLONE_NEWUSER, &e);

	(void)scratch;
	if (r == -EAGAIN) {
		r = seize(0, &e);
	}
	if (r >= 0) {
		doctor_set(f, DOCTOR_OK, "a child was seized");
		return;
	}
	doctor_set(f, DOCTOR_MISSING, "%s", e.msg);
	(void)doctor_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
	if (strcmp(scope, "3") == 0) {
		doctor_remedy(f, "remove kernel.yama.ptrace_scope=3 from /etc/sysctl.d and boot "
				 "anew: it cannot be lowered while the system runs");
	} else if (strcmp(scope, "2") == 0) {
		doctor_remedy(f, "sysctl kernel.yama.ptrace_scope=1, or run atoll as root");
	} else {
		remedy_kernel(f, "in a container: allow ptrace (docker: --cap-add SYS_PTRACE)");
	}
}
