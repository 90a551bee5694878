/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of namespaces and mounts. */
#include "front/cli/doctor-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/mount.h"
#include "linux/userns.h"

#define NOSUID_NODEV (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define PROFILE      ATOLL_DATADIR "/atoll/apparmor.d/atoll"

/* Settings that refuse; the first one that fits what was answered is the cause. */
static const struct cause {
	const char *file; /* below /proc/sys */
	const char *value;
	bool limit; /* a number that is used up; else a right, which root has */
	const char *remedy;
} causes[] = {
	{"kernel/unprivileged_userns_clone", "0", false,
	 "sysctl kernel.unprivileged_userns_clone=1 (for good: a file in /etc/sysctl.d)"},
	{"kernel/apparmor_restrict_unprivileged_userns", "1", false,
	 "install the AppArmor profile that lets atoll make user namespaces: cp " PROFILE
	 " /etc/apparmor.d/atoll && apparmor_parser -r /etc/apparmor.d/atoll"},
	{"user/max_user_namespaces", "0", true,
	 "sysctl user.max_user_namespaces=10000 (for good: a file in /etc/sysctl.d)"},
	{"user/max_mnt_namespaces", "0", true, "sysctl user.max_mnt_namespaces=10000"},
	{"user/max_pid_namespaces", "0", true, "sysctl user.max_pid_namespaces=10000"},
	{"user/max_net_namespaces", "0", true, "sysctl user.max_net_namespaces=10000"},
	{"user/max_ipc_namespaces", "0", true, "sysctl user.max_ipc_namespaces=10000"},
	{"user/max_uts_namespaces", "0", true, "sysctl user.max_uts_namespaces=10000"},
	{"user/max_cgroup_namespaces", "0", true, "sysctl user.max_cgroup_namespaces=10000"},
};

static bool fits(const struct cause *c, int code)
{
	char path[128], value[32];
	bool answered = c->limit ? code == ENOSPC || code == EUSERS
				 : (code == EPERM || code == EACCES) && geteuid() != 0;

	(void)snprintf(path, sizeof(path), "/proc/sys/%s", c->file);
	return answered && doctor_line(path, value, sizeof(value)) && strcmp(value, c->value) == 0;
}

void doctor_remedy_namespaces(struct finding *f, int code)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(causes); i++) {
		if (fits(&causes[i], code)) {
			doctor_remedy(f, "%s", causes[i].remedy);
			return;
		}
	}
	if (code == ENOSPC || code == EUSERS) {
		doctor_remedy(f, "a limit of namespaces is reached: raise the sysctls "
				 "user.max_*_namespaces here, and in the namespaces around");
	} else if (doctor_is_filtered()) {
		doctor_remedy(f, "a seccomp filter is around this process already: start atoll "
				 "outside of that container or sandbox, or allow clone3, unshare, "
				 "mount, fsopen and pivot_root in its filter (docker: "
				 "--security-opt seccomp=PROFILE)");
	} else if (code == EINVAL || code == ENOSYS) {
		doctor_remedy(f, "use a kernel 5.12 or newer with CONFIG_USER_NS, CONFIG_PID_NS, "
				 "CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_CGROUPS");
	} else {
		doctor_remedy(f, "a container or a chroot around this process refuses it: start "
				 "atoll outside (docker: --security-opt seccomp=unconfined "
				 "--security-opt apparmor=unconfined --security-opt "
				 "systempaths=unconfined)");
	}
}

/* One trial that either works or is missing. */
static void try(struct finding *f, uint64_t namespaces, int (*fn)(struct err *e), const char *good)
{
	struct err e = {};

	if (doctor_try(namespaces, fn, &e) >= 0) {
		doctor_set(f, DOCTOR_OK, "%s", good);
		return;
	}
	doctor_set(f, DOCTOR_MISSING, "%s", e.msg);
	doctor_remedy_namespaces(f, e.code);
}

/* ---- the trials, each in a process of its own ---- */

static int become_root(struct err *e)
{
	return setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0
		       ? err_sys(e, errno, "cannot take an id of the namespace")
		       : 0;
}

static int leave_mounts(struct err *e)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0
		       ? err_sys(e, errno, "a new mount namespace cannot be changed")
		       : 0;
}

/* A tmpfs on /proc, as the view of a sandbox begins; its descriptor. */
static int attach_tmpfs(struct err *e)
{
	const char *const options[] = {"mode", "0755", NULL, NULL};
	_cleanup_fd_ int fd = FD_NONE;
	int r = leave_mounts(e);

	if (r >= 0) {
		r = fd = mount_new("tmpfs", options, NOSUID_NODEV, e);
	}
	if (r >= 0) {
		r = mount_attach(fd, AT_FDCWD, "/proc", e);
	}
	return r < 0 ? r : TAKE_FD(fd);
}

static int try_tmpfs(struct err *e)
{
	_cleanup_fd_ int fd = attach_tmpfs(e);

	if (fd < 0) {
		return fd;
	}
	return mkdirat(fd, "made", 0700) < 0 || access("/proc/made", F_OK) < 0
		       ? err_sys(e, errno, "a new tmpfs cannot be used")
		       : mount_set(fd, "", MOUNT_ATTR_RDONLY, e);
}

static int try_proc(struct err *e)
{
	_cleanup_fd_ int fd = FD_NONE;
	int r = leave_mounts(e);

	if (r >= 0) {
		r = fd = mount_new("proc", NULL, NOSUID_NODEV | MOUNT_ATTR_NOEXEC, e);
	}
	return r < 0 ? r
	       : faccessat(fd, "1/status", F_OK, 0) < 0
		       ? err_sys(e, errno, "a new proc does not show the namespace")
		       : 0;
}

static int try_pivot(struct err *e)
{
	_cleanup_fd_ int fd = attach_tmpfs(e);

	if (fd < 0) {
		return fd;
	}
	if (fchdir(fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
		return err_sys(e, errno, "cannot change the root directory");
	}
	return access("/usr", F_OK) == 0
		       ? err_set(e, ERR_SYSTEM, EBADMSG, "the old root is still there")
		       : 0;
}

static int try_network(struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0
		       ? err_sys(e, errno, "cannot bring up a loopback interface")
		       : 0;
}

static int try_others(struct err *e)
{
	return sethostname("atoll", 5) < 0 ? err_sys(e, errno, "cannot set the host name") : 0;
}

/* Upper and lower on one tmpfs. */
static int overlay_with(const char *const *options, struct err *e)
{
	_cleanup_fd_ int fd = attach_tmpfs(e), overlay = FD_NONE;

	if (fd < 0) {
		return fd;
	}
	if (mkdirat(fd, "lower", 0700) < 0 || mkdirat(fd, "upper", 0700) < 0 ||
	    mkdirat(fd, "work", 0700) < 0 || mkdirat(fd, "lower/old", 0700) < 0) {
		return err_sys(e, errno, "cannot make the layers");
	}
	overlay = mount_new("overlay", options, NOSUID_NODEV, e);
	if (overlay < 0) {
		return overlay;
	}
	/* A removed directory becomes a whiteout in the upper layer. */
	return unlinkat(overlay, "old", AT_REMOVEDIR) < 0 || mkdirat(overlay, "new", 0700) < 0 ||
			       faccessat(fd, "upper/new", F_OK, 0) < 0
		       ? err_sys(e, errno, "an overlay cannot be changed")
		       : 0;
}

#define LAYERS "lowerdir", "/proc/lower", "upperdir", "/proc/upper", "workdir", "/proc/work"

static int try_overlay(struct err *e)
{
	const char *const options[] = {LAYERS, NULL, NULL};

	return overlay_with(options, e);
}

/* Attributes user.* where there is no privilege for trusted.* ones. */
static int try_overlay_unprivileged(struct err *e)
{
	const char *const options[] = {LAYERS, "userxattr", NULL, NULL, NULL};

	return overlay_with(options, e);
}

/* ---- the probes ---- */

void doctor_user_namespace(struct finding *f, const char *scratch)
{
	(void)scratch;
	try(f, CLONE_NEWUSER, become_root, "made, with a mapped id");
}

void doctor_mount(struct finding *f, const char *scratch)
{
	(void)scratch;
	try(f, CLONE_NEWUSER | CLONE_NEWNS, try_tmpfs, "a tmpfs was mounted in a new namespace");
}

void doctor_proc(struct finding *f, const char *scratch)
{
	(void)scratch;
	try(f, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, try_proc,
	    "a fresh proc was mounted in a pid namespace");
	if (f->state == DOCTOR_MISSING && strstr(f->found, "mount a new proc")) {
		doctor_remedy(f, "parts of /proc are covered by mounts, as in a container: start "
				 "atoll outside, or uncover it (docker: --security-opt "
				 "systempaths=unconfined, podman: --security-opt unmask=ALL)");
	}
}

void doctor_pivot(struct finding *f, const char *scratch)
{
	(void)scratch;
	try(f, CLONE_NEWUSER | CLONE_NEWNS, try_pivot, "the root directory was changed");
	if (f->state == DOCTOR_MISSING && strstr(f->found, "the root directory: Invalid")) {
		doctor_remedy(f, "pivot_root does not work from the first root of the kernel "
				 "(initramfs) or a chroot: start atoll from a mounted root");
	}
}

void doctor_network(struct finding *f, const char *scratch)
{
	(void)scratch;
	try(f, CLONE_NEWUSER | CLONE_NEWNET, try_network, "made, with a loopback of its own");
}

void doctor_other_namespaces(struct finding *f, const char *scratch)
{
	(void)scratch;
	try(f, CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, try_others, "made");
}

/* The doctor's root is outside of any namespace that it makes: the mount is never attached. */
void doctor_idmap(struct finding *f, const char *scratch)
{
	_cleanup_fd_ int fd = FD_NONE, userns = FD_NONE;
	struct err e = {};
	struct stat st;

	(void)scratch;
	if (geteuid() != 0) {
		doctor_set(f, DOCTOR_INFO, "not needed: the payload keeps the caller's id");
		return;
	}
	fd = mount_clone(AT_FDCWD, ".", NOSUID_NODEV, &e);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		userns = userns_for_idmap(st.st_uid, 0x70000000, st.st_gid, 0x70000000, &e);
	}
	if (userns >= 0 && mount_idmap(fd, "the current directory", userns, &e) >= 0) {
		doctor_set(f, DOCTOR_OK, "owners of the current directory were translated");
		return;
	}
	doctor_take(f, DOCTOR_MISSING,
		    e.code ? e.msg : "the current directory cannot be looked at");
	if (!f->remedy[0]) {
		doctor_remedy_namespaces(f, e.code);
	}
}

void doctor_overlay(struct finding *f, const char *scratch)
{
	struct err e = {};
	int r = geteuid() == 0
			? doctor_try(CLONE_NEWNS, try_overlay, &e)
			: doctor_try(CLONE_NEWUSER | CLONE_NEWNS, try_overlay_unprivileged, &e);

	(void)scratch;
	if (r >= 0) {
		doctor_set(f, DOCTOR_INFO, "works on tmpfs%s; later versions use it for copies",
			   geteuid() == 0 ? "" : ", without privilege (userxattr)");
		return;
	}
	doctor_set(f, DOCTOR_INFO, "%s; later versions use it for copies", e.msg);
	if (strstr(e.msg, "namespace")) {
		doctor_remedy_namespaces(f, e.code);
	} else if (geteuid() == 0) {
		doctor_remedy(f, "CONFIG_OVERLAY_FS (modprobe overlay)");
	} else {
		doctor_remedy(f, "CONFIG_OVERLAY_FS (modprobe overlay as root); an upper layer on "
				 "tmpfs without privilege needs a kernel 6.6 or newer");
	}
}
