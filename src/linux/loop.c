/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching files to loop devices. */
#include "linux/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Others take the device that was free a moment ago; so often nobody does. */
#define TRIES 64

/* True if that device writes to the file that `st` is. */
static bool writes_to(const char *name, const struct stat *st)
{
	struct loop_info64 info = {};
	char path[300];
	_cleanup_fd_ int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0 &&
	       !(info.lo_flags & LO_FLAGS_READ_ONLY) && info.lo_device == st->st_dev &&
	       info.lo_inode == st->st_ino;
}

/* 1 if some device writes to the file, 0, or negative errno. */
static int is_written(int fd)
{
	DIR *list = opendir("/sys/block");
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!list || fstat(fd, &st) < 0) {
		r = -errno;
	}
	while (r == 0 && (entry = readdir(list))) {
		r = strncmp(entry->d_name, "loop", 4) == 0 && writes_to(entry->d_name, &st);
	}
	if (list) {
		(void)closedir(list);
	}
	return r;
}

/* One free device, or -EBUSY where somebody else was faster. */
static int attach_one(int control, int fd, bool read_only, char path[LOOP_PATH_SIZE])
{
	struct loop_config config = {
		.fd = (unsigned)fd,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0),
	};
	int number = ioctl(control, LOOP_CTL_GET_FREE);
	_cleanup_fd_ int device = FD_NONE;

	if (number < 0) {
		return -errno;
	}
	(void)snprintf(path, LOOP_PATH_SIZE, "/dev/loop%d", number);
	device = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	if (device < 0 || ioctl(device, LOOP_CONFIGURE, &config) < 0) {
		return -errno;
	}
	return TAKE_FD(device);
}

int loop_attach(int fd, bool read_only, char path[LOOP_PATH_SIZE], struct err *e)
{
	_cleanup_fd_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int r, tries;

	if (control < 0) {
		(void)err_sys(e, errno, "cannot open '/dev/loop-control'");
		return err_advise(e, "loop devices need root and the kernel's loop module "
				     "(modprobe loop)");
	}
	r = is_written(fd);
	if (r != 0) {
		return r < 0 ? err_sys(e, -r, "cannot look at the loop devices")
			     : err_set(e, ERR_SYSTEM, EBUSY,
				       "it is still mounted; try again in a moment");
	}
	r = -EBUSY;
	for (tries = 0; r == -EBUSY && tries < TRIES; tries++) {
		r = attach_one(control, fd, read_only, path);
	}
	return r < 0 ? err_sys(e, -r, "cannot attach a loop device") : r;
}
