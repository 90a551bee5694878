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
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/image.h"
#include "linux/mount.h"
#include "linux/refusal.h"
#include "linux/userns.h"

#define NOSUID_NODEV (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* One trial that either works or is missing. */
static void try(struct finding *f, uint64_t namespaces, int (*fn)(struct err *e), const char *good)
{
	struct err e = {};

	if (doctor_try(namespaces, fn, &e) >= 0) {
		doctor_set(f, DOCTOR_OK, "%s", good);
		return;
	}
	doctor_set(f, DOCTOR_MISSING, "%s", e.msg);
	doctor_remedy(f, "%s", refusal_remedy(e.code));
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
		doctor_remedy(f, "%s", REFUSAL_PROC_REMEDY);
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
		doctor_remedy(f, "%s",
			      refusal_of_root() ? REFUSAL_ROOT_REMEDY : refusal_remedy(e.code));
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
		doctor_set(f, DOCTOR_INFO, "works on tmpfs%s; copies of a workspace use it",
			   geteuid() == 0 ? "" : ", without privilege (userxattr)");
		return;
	}
	doctor_set(f, DOCTOR_INFO, "%s; copies of a workspace need it", e.msg);
	if (strstr(e.msg, "namespace")) {
		doctor_remedy(f, "%s", refusal_remedy(e.code));
	} else if (geteuid() == 0) {
		doctor_remedy(f, "CONFIG_OVERLAY_FS (modprobe overlay)");
	} else {
		doctor_remedy(f, "CONFIG_OVERLAY_FS (modprobe overlay as root); without privilege "
				 "this probe on tmpfs needs a kernel 6.6 or newer, a copy in "
				 "ATOLL_HOME on ext4, xfs or btrfs does not");
	}
}

/* An image with an ext4 in the doctor's own directory, mounted and written to. */
static int try_image(const char *scratch, struct err *e)
{
	_cleanup_fd_ int dir = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC), mount = FD_NONE;
	int r;

	if (dir < 0) {
		return err_sys(e, errno, "cannot open the doctor's directory");
	}
	r = mount = image_make(dir, 4 << 20, e);
	if (r >= 0 && mkdirat(mount, "made", 0700) < 0) {
		r = err_sys(e, errno, "an image cannot be written to");
	}
	(void)unlinkat(dir, IMAGE_NAME, 0);
	return r;
}

static int try_attributes(struct err *e)
{
	_cleanup_fd_ int fd = attach_tmpfs(e);

	return fd < 0 ? fd
	       : fsetxattr(fd, "user.overlay.opaque", "n", 1, 0) < 0
		       ? err_sys(e, errno, "a tmpfs takes no extended attributes")
		       : 0;
}

void doctor_bounded_copy(struct finding *f, const char *scratch)
{
	bool root = geteuid() == 0;
	struct err e = {};
	int r = root ? try_image(scratch, &e)
		     : doctor_try(CLONE_NEWUSER | CLONE_NEWNS, try_attributes, &e);

	if (r >= 0) {
		doctor_set(f, DOCTOR_INFO,
			   "%s; copies use it where limits are armed by groups alone",
			   root ? "an image with an ext4 was mounted and written to"
				: "a tmpfs takes extended attributes");
		return;
	}
	doctor_set(f, DOCTOR_INFO, "%s; copies need it where limits are armed by groups alone",
		   e.msg);
	doctor_remedy(f, "%s",
		      root ? "package e2fsprogs, and loop devices (modprobe loop); in a "
			     "container: --device /dev/loop-control and its devices"
			   : "Linux 6.6 or newer with CONFIG_TMPFS_XATTR");
}
