/* SPDX-License-Identifier: Apache-2.0 */
/* Making terminals. */
#include "linux/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static int open_pair(const char *path, int *ret_master, int *ret_slave, struct err *e)
{
	_cleanup_fd_ int master = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int unlock = 0, slave;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0) {
		return err_sys(e, errno, "cannot open a terminal for the sandbox");
	}
	/* By the master, not by a name: there may be another devpts where we are. */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		return err_sys(e, errno, "cannot open the sandbox's side of its terminal");
	}
	*ret_master = TAKE_FD(master);
	*ret_slave = slave;
	return 0;
}

int pty_open(int ptmx, uid_t uid, gid_t gid, int *ret_master, int *ret_slave, struct err *e)
{
	char path[48] = "/dev/ptmx";
	int r;

	if (ptmx >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ptmx);
	}
	/* devpts gives the device to the file system ids of who opens the master. */
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	r = open_pair(path, ret_master, ret_slave, e);
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	return r;
}
