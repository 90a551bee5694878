/* SPDX-License-Identifier: Apache-2.0 */
/* Making and mounting the image of a copy. */
#include "keeper/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/loop.h"
#include "linux/mount.h"

#define ATTRS   (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define PART    "image.part" /* until it is a file system */
#define FILE_FD 3            /* where mkfs finds the image */

/* The host's own, by its path: nothing of the caller's environment decides what runs. */
static const char *const programs[] = {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4",
				       "/usr/bin/mkfs.ext4"};

const char *image_program(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (access(programs[i], X_OK) == 0) {
			return programs[i];
		}
	}
	return NULL;
}

static _Noreturn void become_mkfs(const char *program, int fd)
{
	/* No journal: nothing is promised over power loss, and it would be a part of the size. An
	 * inode for each 8 KiB; what is reserved for root is reserved for nobody. */
	static char *const argv[] = {(char *)"mkfs.ext4",
				     (char *)"-q",
				     (char *)"-F",
				     (char *)"-O",
				     (char *)"^has_journal,^resize_inode",
				     (char *)"-E",
				     (char *)"lazy_itable_init=1,nodiscard,root_owner=0:0",
				     (char *)"-m",
				     (char *)"0",
				     (char *)"-i",
				     (char *)"8192",
				     (char *)"/proc/self/fd/3",
				     NULL};
	static char *const env[] = {NULL};
	int none = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (none < 0 || dup2(none, 0) < 0 || dup2(none, 1) < 0 || dup2(none, 2) < 0 ||
	    (fd != FILE_FD ? dup2(fd, FILE_FD) : fcntl(fd, F_SETFD, 0)) < 0) {
		_exit(1);
	}
	(void)execve(program, argv, env);
	_exit(1);
}

static int make_filesystem(int fd, struct err *e)
{
	const char *program = image_program();
	int status;
	pid_t pid;

	if (!program) {
		return err_set(e, ERR_SYSTEM, ENOENT,
			       "there is no mkfs.ext4 in /usr/sbin or /sbin (package e2fsprogs)");
	}
	pid = fork();
	if (pid == 0) {
		become_mkfs(program, fd);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return err_sys(e, errno, "cannot wait for mkfs.ext4");
		}
	}
	if (pid < 0) {
		return err_sys(e, errno, "cannot start mkfs.ext4");
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : err_set(e, ERR_SYSTEM, EINVAL,
				 "mkfs.ext4 made no file system of that size");
}

static int mount_image(int fd, bool read_only, struct err *e)
{
	char path[LOOP_PATH_SIZE];
	const char *const options[] = {"source", path, read_only ? "ro" : NULL, NULL, NULL};
	_cleanup_fd_ int device = loop_attach(fd, read_only, path, e);

	return device < 0
		       ? device
		       : mount_new("ext4", options, ATTRS | (read_only ? MOUNT_ATTR_RDONLY : 0), e);
}

int image_make(int dir, uint64_t size, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(dir, PART, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		return err_sys(e, errno, "cannot make the image of a copy");
	}
	r = make_filesystem(fd, e);
	if (r >= 0 && renameat(dir, PART, dir, IMAGE_NAME) < 0) {
		r = err_sys(e, errno, "cannot make the image of a copy");
	}
	return r < 0 ? r : mount_image(fd, false, e);
}

int image_open(int dir, struct err *e)
{
	_cleanup_fd_ int fd = openat(dir, IMAGE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0) {
		return errno == ENOENT ? -ENOENT
				       : err_sys(e, errno, "cannot open the image of a copy");
	}
	r = mount_image(fd, true, e);
	/* That there is no loop device must not be taken for there being no image. */
	return r == -ENOENT ? -ENODEV : r;
}
