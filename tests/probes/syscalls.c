/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for each system call that no payload needs, with arguments that cannot have an effect. */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "probe.h"

#define BAD_FD  (-1L)
#define BAD_PTR 8L /* in the page that is never mapped */

/* Newer than the C library's table; the numbers are common to all architectures. */
#define NR_futex_requeue 456
#define NR_statmount     457
#define NR_listmount     458

/*
 * With these arguments a call that reaches the kernel fails on the arguments (EBADF, EFAULT,
 * EINVAL, ESRCH, ENOENT); EPERM and ENOSYS mean that it was filtered, or that the kernel itself
 * wants a privilege or lacks the call: the control arm tells which.
 */
static const struct {
	const char *name;
	long number;
	long args[6];
} calls[] = {
#define CALL(name, ...)             \
	{                           \
#name, SYS_##name,  \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
	CALL(acct, BAD_PTR),
	CALL(add_key, BAD_PTR, BAD_PTR, 0, 0, 0),
	CALL(bpf, 0, BAD_PTR, 8),
	CALL(chroot, BAD_PTR),
	CALL(clock_settime, 0, BAD_PTR),
	CALL(delete_module, BAD_PTR, 0),
	CALL(fanotify_init, -1, -1),
	CALL(fanotify_mark, BAD_FD, 0, 0, 0, 0),
	CALL(finit_module, BAD_FD, BAD_PTR, 0),
	CALL(fsconfig, BAD_FD, 0, 0, 0, 0),
	CALL(fsmount, BAD_FD, 0, 0),
	CALL(fsopen, BAD_PTR, 0),
	CALL(fspick, BAD_FD, BAD_PTR, 0),
	CALL(init_module, BAD_PTR, 0, BAD_PTR),
	CALL(io_uring_enter, BAD_FD, 0, 0, 0, 0, 0),
	CALL(io_uring_register, BAD_FD, 0, 0, 0),
	CALL(io_uring_setup, 1, BAD_PTR),
	CALL(ioperm, -1, 1, 1),
	CALL(iopl, 99),
	CALL(kcmp, -1, -1, 0, 0, 0),
	CALL(kexec_file_load, BAD_FD, BAD_FD, 0, 0, 0),
	CALL(kexec_load, 0, 99, BAD_PTR, 0),
	CALL(keyctl, 6, 0x7fffffff, BAD_PTR, 8),
	CALL(lookup_dcookie, 0, BAD_PTR, 8),
	CALL(memfd_secret, -1),
	CALL(migrate_pages, -1, 0, 0, 0),
	CALL(modify_ldt, 99, 0, 0),
	CALL(mount, BAD_PTR, BAD_PTR, BAD_PTR, 0, 0),
	CALL(mount_setattr, BAD_FD, BAD_PTR, 0, BAD_PTR, 0),
	CALL(move_mount, BAD_FD, BAD_PTR, BAD_FD, BAD_PTR, 0),
	CALL(move_pages, -1, 0, 0, 0, 0, 0),
	CALL(name_to_handle_at, BAD_FD, BAD_PTR, BAD_PTR, BAD_PTR, 0),
	CALL(open_by_handle_at, BAD_FD, BAD_PTR, 0),
	CALL(open_tree, BAD_FD, BAD_PTR, 0),
	CALL(perf_event_open, BAD_PTR, 0, -1, -1, 0),
	CALL(pidfd_getfd, BAD_FD, 0, 0),
	CALL(pivot_root, BAD_PTR, BAD_PTR),
	CALL(process_madvise, BAD_FD, 0, 0, 0, 0),
	CALL(process_mrelease, BAD_FD, 0),
	CALL(process_vm_readv, -1, 0, 0, 0, 0, 0),
	CALL(process_vm_writev, -1, 0, 0, 0, 0, 0),
	CALL(quotactl, -1, BAD_PTR, 0, 0),
	CALL(quotactl_fd, BAD_FD, 0, 0, 0),
	CALL(reboot, 0, 0, 0, 0),
	CALL(request_key, BAD_PTR, BAD_PTR, 0, 0),
	CALL(set_mempolicy_home_node, 0, 0, 99, 99),
	CALL(setdomainname, BAD_PTR, 1),
	CALL(sethostname, BAD_PTR, 1),
	CALL(setns, BAD_FD, 0),
	CALL(settimeofday, BAD_PTR, 0),
	CALL(swapoff, BAD_PTR),
	CALL(swapon, BAD_PTR, 0),
	CALL(syslog, 99, 0, 0),
	CALL(umount2, BAD_PTR, 0),
	CALL(unshare, 0x02000000), /* CLONE_NEWCGROUP */
	CALL(userfaultfd, 0x7fffffff),
#ifdef SYS_uselib
	CALL(uselib, BAD_PTR),
	CALL(ustat, -1, BAD_PTR),
	CALL(sysfs, 99, 0, 0),
	CALL(_sysctl, BAD_PTR),
	CALL(create_module, BAD_PTR, 0),
	CALL(get_kernel_syms, BAD_PTR),
	CALL(query_module, BAD_PTR, 0, 0, 0, 0),
	CALL(nfsservctl, 0, 0, 0),
	CALL(vserver, 0, 0, 0, 0, 0),
#endif
	{"statmount", NR_statmount, {BAD_PTR, BAD_PTR, 0, 0}},
	{"listmount", NR_listmount, {BAD_PTR, BAD_PTR, 0, 0}},
	CALL(clone3, BAD_PTR, 64),
#undef CALL
};

/* In a child of its own, so that a call that ends the process is a result too. */
static void one(size_t i)
{
	const long *a = calls[i].args;
	pid_t child = fork();
	int status;

	if (child == 0) {
		long r = syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);

		probe_call(calls[i].name, r);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		probe_callf(-1, "%s: no child", calls[i].name);
	} else if (WIFSIGNALED(status)) {
		probe_callf(-1, "%s: signal %d", calls[i].name, WTERMSIG(status));
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		one(i);
	}
	return 0;
}
