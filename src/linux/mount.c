/* SPDX-License-Identifier: Apache-2.0 */
/* Detached mounts. */
#include "linux/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"

int mount_clone(int dirfd, const char *path, uint64_t attrs, struct err *e)
{
	struct mount_attr attr = {
		.attr_set = attrs,
		.propagation = MUTANT(ATOLL_MUTATE_PROPAGATION) ? 0 : MS_PRIVATE,
	};
	_cleanup_fd_ int fd = FD_NONE;

	/* Recursive: a copy must not uncover what a mount below hides; the kernel insists too. */
	fd = open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0) {
		return errno == ENOENT ? -ENOENT
				       : err_sys(e, errno, "cannot copy the mount of '%s'", path);
	}
	if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0) {
		return err_sys(e, errno, "cannot set mount attributes of '%s'", path);
	}
	return TAKE_FD(fd);
}

int mount_idmap(int mount, const char *name, int userns, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};

	if (mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0) {
		return err_sys(
			e, errno,
			"cannot translate owners on the filesystem of '%s' (idmapped mounts); "
			"use a directory on ext4, xfs or btrfs (tmpfs from Linux 6.3), or start "
			"atoll as the owner of the directory instead of root",
			name);
	}
	return 0;
}

int mount_new(const char *type, const char *const *options, uint64_t attrs, struct err *e)
{
	_cleanup_fd_ int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0) {
		return err_sys(e, errno, "cannot open a new %s filesystem", type);
	}
	for (; options && options[0]; options += 2) {
		unsigned cmd = options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

		if (fsconfig(fs, cmd, options[0], options[1], 0) < 0) {
			return err_sys(e, errno, "cannot set %s=%s on a new %s", options[0],
				       options[1] ? options[1] : "", type);
		}
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		return err_sys(e, errno, "cannot create a new %s", type);
	}
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attrs);
	return fd >= 0 ? fd : err_sys(e, errno, "cannot mount a new %s", type);
}

int mount_attach(int mount, int dirfd, const char *path, struct err *e)
{
	if (move_mount(mount, "", dirfd, path, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		return err_sys(e, errno, "cannot attach a mount at '%s'", path);
	}
	return 0;
}

int mount_set(int dirfd, const char *path, uint64_t set, struct err *e)
{
	struct mount_attr attr = {.attr_set = set};

	if (mount_setattr(dirfd, path, *path ? 0 : AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		return err_sys(e, errno, "cannot set mount attributes of '%s'", path);
	}
	return 0;
}
