/* SPDX-License-Identifier: Apache-2.0 */
/* Loading filters and answering their listener. */
#include "linux/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#include "linux/seccomp-filters.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define X32_BIT     0x40000000
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define X32_BIT     0
#else
#error "no seccomp support for this architecture"
#endif

static const struct sock_fprog programs[SECCOMP_FILTER_COUNT] = {
	[SECCOMP_FILTER_FILE] = {ARRAY_SIZE(filter_file), (struct sock_filter *)filter_file},
	[SECCOMP_FILTER_STRICT] = {ARRAY_SIZE(filter_strict), (struct sock_filter *)filter_strict},
	[SECCOMP_FILTER_DEFAULT] = {ARRAY_SIZE(filter_default),
				    (struct sock_filter *)filter_default},
	[SECCOMP_FILTER_NESTED] = {ARRAY_SIZE(filter_nested), (struct sock_filter *)filter_nested},
	[SECCOMP_FILTER_PROCESS_STRICT] = {ARRAY_SIZE(filter_process_strict),
					   (struct sock_filter *)filter_process_strict},
	[SECCOMP_FILTER_PROCESS_DEFAULT] = {ARRAY_SIZE(filter_process_default),
					    (struct sock_filter *)filter_process_default},
	[SECCOMP_FILTER_GUARDED_STRICT] = {ARRAY_SIZE(filter_guarded_strict),
					   (struct sock_filter *)filter_guarded_strict},
	[SECCOMP_FILTER_GUARDED_DEFAULT] = {ARRAY_SIZE(filter_guarded_default),
					    (struct sock_filter *)filter_guarded_default},
	[SECCOMP_FILTER_OPEN] = {ARRAY_SIZE(filter_open), (struct sock_filter *)filter_open},
	[SECCOMP_FILTER_TOOL] = {ARRAY_SIZE(filter_tool), (struct sock_filter *)filter_tool},
	[SECCOMP_FILTER_GATEWAY] = {ARRAY_SIZE(filter_gateway),
				    (struct sock_filter *)filter_gateway},
	[SECCOMP_FILTER_LEDGER] = {ARRAY_SIZE(filter_ledger), (struct sock_filter *)filter_ledger},
	[SECCOMP_FILTER_AFFINITY] = {ARRAY_SIZE(filter_affinity),
				     (struct sock_filter *)filter_affinity},
};

void seccomp_digest(enum seccomp_filter f, char out[DIGEST_HEX_SIZE])
{
	digest_hex(programs[f].filter, programs[f].len * sizeof(struct sock_filter), out);
}

int seccomp_load(enum seccomp_filter f, struct err *e)
{
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &programs[f]) < 0) {
		return err_sys(e, errno, "cannot load the seccomp filter");
	}
	return 0;
}

int seccomp_load_listener(enum seccomp_filter f, bool *ret_killable, struct err *e)
{
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	/* From 5.19: once received, only a fatal signal interrupts the waiting call. */
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		     flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &programs[f]);
	*ret_killable = fd >= 0;
	if (fd < 0 && errno == EINVAL) {
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &programs[f]);
	}
	if (fd < 0) {
		return err_sys(e, errno,
			       "cannot load the seccomp filter with a listener (kernel 5.0 or "
			       "newer with CONFIG_SECCOMP_FILTER is needed)");
	}
	return (int)fd;
}

/* Newer than Debian 12's headers. */
#define SET_FLAGS    _IOW(SECCOMP_IOC_MAGIC, 4, uint64_t) /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */
#define SYNC_WAKE_UP 1UL                                  /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */

void seccomp_stay_near(int listener)
{
	(void)ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
}

int seccomp_receive(int listener, struct seccomp_denial *ret)
{
	struct seccomp_notif n;
	bool known;
	int nr;

	memset(&n, 0, sizeof(n));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
		return -errno;
	}
	nr = n.data.nr & ~X32_BIT;
	known = n.data.arch == NATIVE_ARCH && nr >= 0 && (size_t)nr < ARRAY_SIZE(calls) &&
		calls[nr].name;
	*ret = (struct seccomp_denial){
		.cookie = n.id,
		.tid = (pid_t)n.pid,
		.number = n.data.nr,
		.foreign_abi = n.data.arch != NATIVE_ARCH || nr != n.data.nr,
		.name = known ? calls[nr].name : "unknown",
	};
	memcpy(ret->args, n.data.args, sizeof(ret->args));
	ret->record = ret->foreign_abi || (known && calls[nr].refused);
	return 0;
}

bool seccomp_is_start(const struct seccomp_denial *d)
{
	return !d->foreign_abi && (d->number == SYS_execve || d->number == SYS_execveat);
}

bool seccomp_is_fork(const struct seccomp_denial *d)
{
#ifdef SYS_fork
	if (!d->foreign_abi && (d->number == SYS_fork || d->number == SYS_vfork)) {
		return true;
	}
#endif
	return !d->foreign_abi && d->number == SYS_clone;
}

void seccomp_refuse(int listener, const struct seccomp_denial *d)
{
	struct seccomp_notif_resp r = {
		.id = d->cookie,
		.error = d->record && !d->foreign_abi ? -EPERM : -ENOSYS,
	};

	/* ENOENT: the process died; the refusal has nobody to reach. */
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

void seccomp_answer(int listener, const struct seccomp_denial *d, int64_t result)
{
	struct seccomp_notif_resp r = {
		.id = d->cookie,
		.val = result < 0 ? 0 : result,
		.error = result < 0 ? (int)result : 0,
	};

	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

void seccomp_continue(int listener, const struct seccomp_denial *d)
{
	struct seccomp_notif_resp r = {
		.id = d->cookie,
		.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE,
	};

	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

bool seccomp_pending(int listener, const struct seccomp_denial *d)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &d->cookie) == 0;
}
