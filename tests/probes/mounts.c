/* SPDX-License-Identifier: Apache-2.0 */
/* Tries to change what is mounted, by the old calls and the new ones: mounts DIRECTORY
 * HOST-NAMESPACE. */
#include <fcntl.h>
#include <linux/mount.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "probe.h"

/* Declared here because <sys/mount.h> and <linux/mount.h> of Debian 12 exclude each other. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *data);
int umount2(const char *target, int flags);

static void old_calls(const char *directory)
{
	static const char *const types[] = {"tmpfs",  "proc",    "sysfs", "cgroup",  "cgroup2",
					    "devpts", "overlay", "fuse",  "debugfs", "binfmt_misc"};
	static const char *const places[] = {"/", "/usr", "/proc", "/dev", "/sys", "/etc"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		probe_callf(mount("none", directory, types[i], 0, NULL), "mount:%s", types[i]);
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		probe_callf(mount(NULL, places[i], NULL, MS_REMOUNT | MS_BIND, NULL),
			    "remount-rw:%s", places[i]);
		probe_callf(mount(NULL, places[i], NULL, MS_REC | MS_SHARED, NULL), "shared:%s",
			    places[i]);
		probe_callf(mount(places[i], directory, NULL, MS_BIND | MS_REC, NULL), "bind:%s",
			    places[i]);
		probe_callf(umount2(places[i], 2 /* MNT_DETACH */), "umount:%s", places[i]);
	}
	probe_call("pivot_root", syscall(SYS_pivot_root, directory, directory));
	probe_call("chroot", chroot(directory));
}

static void new_calls(const char *directory)
{
	struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
	int tree =
		(int)syscall(SYS_open_tree, AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int fs = (int)syscall(SYS_fsopen, "tmpfs", 0);

	probe_call("open_tree", tree);
	probe_call("fsopen", fs);
	probe_call("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0));
	probe_call("fsconfig", syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0));
	probe_call("fsmount", syscall(SYS_fsmount, fs, 0, 0));
	probe_call("move_mount",
		   syscall(SYS_move_mount, tree, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH));
	probe_call("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/usr", AT_RECURSIVE,
					    &writable, sizeof(writable)));
}

int main(int argc, char **argv)
{
	char here[64];
	ssize_t len;

	if (argc != 3) {
		return 2;
	}
	/* On the host itself this would do what it asks for. */
	len = readlink("/proc/self/ns/mnt", here, sizeof(here));
	if (len > 0 && (size_t)len == strlen(argv[2]) && memcmp(here, argv[2], (size_t)len) == 0) {
		probe_say("refused: this is the host's own mount namespace", -1, EXDEV);
		return 3;
	}
	old_calls(argv[1]);
	new_calls(argv[1]);
	return 0;
}
