/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes what is not content, in every way to name a file: metadata each PATH LINK; and in a race:
 * metadata race GOOD BAD LINK COUNT. LINK is a name that may be made into a link to PATH.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#include "probe.h"

#define FCHMODAT2 452

static const struct timespec past[2] = {{1000, 0}, {1000, 0}};
static const struct timeval before[2] = {{1000, 0}, {1000, 0}};
static const struct utimbuf old = {1000, 1000};

static void by_name(const char *how, const char *path)
{
	int watcher = inotify_init1(IN_CLOEXEC);

	probe_callf(syscall(SYS_chmod, path, 0777), "%s:chmod", how);
	probe_callf(syscall(SYS_fchmodat, AT_FDCWD, path, 0777), "%s:fchmodat", how);
	probe_callf(syscall(FCHMODAT2, AT_FDCWD, path, 0777, 0), "%s:fchmodat2", how);
	probe_callf(syscall(SYS_chown, path, getuid(), -1), "%s:chown", how);
	probe_callf(syscall(SYS_lchown, path, getuid(), -1), "%s:lchown", how);
	probe_callf(syscall(SYS_fchownat, AT_FDCWD, path, getuid(), -1, 0), "%s:fchownat", how);
	probe_callf(syscall(SYS_utime, path, &old), "%s:utime", how);
	probe_callf(syscall(SYS_utimes, path, before), "%s:utimes", how);
	probe_callf(syscall(SYS_futimesat, AT_FDCWD, path, before), "%s:futimesat", how);
	probe_callf(syscall(SYS_utimensat, AT_FDCWD, path, past, 0), "%s:utimensat", how);
	probe_callf(syscall(SYS_truncate, path, 1), "%s:truncate", how);
	probe_callf(setxattr(path, "user.atoll", "x", 1, 0), "%s:setxattr", how);
	probe_callf(removexattr(path, "user.kept"), "%s:removexattr", how);
	probe_callf(inotify_add_watch(watcher, path, IN_ALL_EVENTS), "%s:watch", how);
	(void)close(watcher);
}

static void by_descriptor(const char *how, int fd)
{
	struct fsxattr attributes = {.fsx_xflags = FS_XFLAG_NODUMP};
	int flags = FS_NODUMP_FL | FS_NOATIME_FL, version = 4242;

	if (fd < 0) {
		probe_callf(-1, "%s:open", how);
		return;
	}
	probe_callf(fchmod(fd, 0777), "%s:fchmod", how);
	probe_callf(fchown(fd, getuid(), (gid_t)-1), "%s:fchown", how);
	probe_callf(syscall(SYS_utimensat, fd, NULL, past, 0), "%s:futimens", how);
	probe_callf(syscall(SYS_utimensat, fd, "", past, AT_EMPTY_PATH), "%s:empty", how);
	probe_callf(syscall(SYS_fchownat, fd, "", getuid(), -1, AT_EMPTY_PATH), "%s:chown-empty",
		    how);
	probe_callf(fsetxattr(fd, "user.atoll", "x", 1, 0), "%s:fsetxattr", how);
	probe_callf(ioctl(fd, FS_IOC_SETFLAGS, &flags), "%s:flags", how);
	probe_callf(ioctl(fd, FS_IOC_FSSETXATTR, &attributes), "%s:fsxattr", how);
	probe_callf(ioctl(fd, FS_IOC_SETVERSION, &version), "%s:version", how);
	probe_callf(fcntl(fd, F_SETLEASE, F_RDLCK), "%s:lease", how);
}

static void each(const char *path, const char *link)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), handle = open(path, O_PATH | O_CLOEXEC);
	char through[64];

	by_name("name", path);
	if (symlink(path, link) == 0) {
		by_name("link", link);
		(void)unlink(link);
	}
	by_descriptor("read", fd);
	by_descriptor("handle", handle);
	(void)snprintf(through, sizeof(through), "/proc/self/fd/%d", handle);
	by_name("proc", through);
	(void)snprintf(through, sizeof(through), "/proc/%d/fd/%d", (int)getpid(), handle);
	by_name("pid", through);
}

static struct {
	char path[512];
	const char *good, *bad, *link;
	atomic_bool over;
} race;

/* Another thread changes the memory, and the link, while the call is judged. */
static void *flip(void *unused)
{
	bool odd = false;
	char next[600];

	(void)unused;
	(void)snprintf(next, sizeof(next), "%s.next", race.link);
	while (!race.over) {
		odd = !odd;
		(void)snprintf(race.path, sizeof(race.path), "%s", odd ? race.bad : race.good);
		if (symlink(odd ? race.bad : race.good, next) == 0) {
			(void)rename(next, race.link);
		}
	}
	return NULL;
}

static int run_race(long count)
{
	pthread_t thread;
	long done = 0, i;

	(void)snprintf(race.path, sizeof(race.path), "%s", race.good);
	if (pthread_create(&thread, NULL, flip, NULL) != 0) {
		return 2;
	}
	for (i = 0; i < count; i++) {
		done += syscall(SYS_chmod, race.path, 0777) == 0;
		done += syscall(SYS_chmod, race.link, 0777) == 0;
	}
	race.over = true;
	(void)pthread_join(thread, NULL);
	probe_callf(0, "tries:%ld", 2 * count);
	probe_callf(0, "done:%ld", done);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "each") == 0) {
		each(argv[2], argv[3]);
		return 0;
	}
	if (argc == 6 && strcmp(argv[1], "race") == 0) {
		race.good = argv[2];
		race.bad = argv[3];
		race.link = argv[4];
		return run_race(strtol(argv[5], NULL, 10));
	}
	return 2;
}
