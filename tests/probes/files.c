/* SPDX-License-Identifier: Apache-2.0 */
/* Every way to open, make or change a file that must not be reached: files ACTION PATH... */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "probe.h"

/* What could be read goes to standard error, where the test looks for its canaries. */
static void spill(int fd)
{
	char block[4096];
	ssize_t n;

	for (int i = 0; i < 64 && (n = read(fd, block, sizeof(block))) > 0; i++) {
		(void)!write(STDERR_FILENO, block, (size_t)n);
	}
	(void)close(fd);
}

static void opened(int fd, const char *how, const char *path)
{
	probe_callf(fd, "%s:%s", how, path);
	if (fd >= 0) {
		spill(fd);
	}
}

static void read_through(const char *prefix, const char *path)
{
	char longer[PATH_MAX];

	(void)snprintf(longer, sizeof(longer), "%s%s", prefix, path);
	opened(open(longer, O_RDONLY | O_CLOEXEC | O_NONBLOCK), "open", longer);
}

/* A bare O_PATH descriptor, reopened through /proc. */
static void read_by_reopening(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	char link[64];

	probe_callf(fd, "O_PATH:%s", path);
	if (fd >= 0) {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		opened(open(link, O_RDONLY | O_CLOEXEC), "reopen", path);
		(void)close(fd);
	}
}

static void read_file(const char *path)
{
	static const char *const prefixes[] = {
		"",
		"/proc/self/root",
		"/proc/1/root",
		"/proc/self/cwd/../../../../../../../..",
		"/proc/1/cwd/../../../../../../../..",
		"/proc/thread-self/root",
		"/../../../..",
		"/dev/fd/0/../../../..",
		"/oldroot",
		"/.oldroot",
		"/mnt",
	};
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		read_through(prefixes[i], path);
	}
	opened(openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), "openat", path);
	opened((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)), "openat2", path);
	read_by_reopening(path);
}

/* Links and renames into a place that can be read. */
static void move_file(const char *path)
{
	char here[64];

	(void)snprintf(here, sizeof(here), "taken-%d", (int)getpid());
	probe_callf(link(path, here), "link:%s", path);
	opened(open(here, O_RDONLY | O_CLOEXEC), "linked", path);
	(void)unlink(here);
	probe_callf(rename(path, here), "rename:%s", path);
	(void)rename(here, path);
	probe_callf(symlink(path, here), "symlink:%s", path);
	opened(open(here, O_RDONLY | O_CLOEXEC), "symlinked", path);
	(void)unlink(here);
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);

	probe_callf(fd, "write-open:%s", path);
	if (fd >= 0) {
		probe_callf(write(fd, "1\n", 2), "write:%s", path);
		(void)close(fd);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	probe_callf(fd, "create:%s", path);
	if (fd >= 0) {
		(void)close(fd);
	}
	probe_callf(truncate(path, 0), "truncate:%s", path);
	probe_callf(chmod(path, 0777), "chmod:%s", path);
	probe_callf(unlink(path), "unlink:%s", path);
}

/* What renameat2(2) may leave behind is a device node, too. */
static void leave_whiteout(const char *directory)
{
	char path[PATH_MAX], moved[PATH_MAX];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/node-whiteout", directory);
	(void)snprintf(moved, sizeof(moved), "%s/moved", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)close(fd);
	}
	r = renameat2(AT_FDCWD, path, AT_FDCWD, moved, RENAME_WHITEOUT);
	probe_callf(r, "mknod:whiteout:%s", directory);
	(void)unlink(r == 0 ? moved : path);
}

static void make_node(const char *directory)
{
	static const struct {
		const char *name;
		mode_t type;
		unsigned major, minor;
	} nodes[] = {
		{"mem", S_IFCHR, 1, 1},     {"kmsg", S_IFCHR, 1, 11}, {"disk", S_IFBLK, 254, 0},
		{"loop", S_IFBLK, 7, 0},    {"null", S_IFCHR, 1, 3},  {"white", S_IFCHR, 0, 0},
		{"fuse", S_IFCHR, 10, 229},
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/node-%s", directory, nodes[i].name);
		probe_callf(
			mknod(path, nodes[i].type | 0666, makedev(nodes[i].major, nodes[i].minor)),
			"mknod:%s:%s", nodes[i].name, directory);
		opened(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), "node", path);
	}
	leave_whiteout(directory);
}

/* Opening a device is the question; reading it is not. */
static void open_device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EISDIR)) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	probe_callf(fd, "%s", path);
	if (fd >= 0) {
		(void)close(fd);
	}
}

/* Whether there is anything to read; the bytes themselves go where the canaries are looked for. */
static void peek(const char *path)
{
	char block[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, block, sizeof(block));

	if (n == 0) {
		errno = ENODATA;
	} else if (n > 0) {
		(void)!write(STDERR_FILENO, block, (size_t)n);
	}
	probe_callf(n > 0 ? 0 : -1, "peek:%s", path);
	if (fd >= 0) {
		(void)close(fd);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*act)(const char *path);
	} actions[] = {
		{"read", read_file}, {"move", move_file},     {"write", write_file},
		{"node", make_node}, {"device", open_device}, {"peek", peek},
	};

	if (argc < 3) {
		return 2;
	}
	for (size_t a = 0; a < sizeof(actions) / sizeof(actions[0]); a++) {
		for (int i = 2; strcmp(argv[1], actions[a].name) == 0 && i < argc; i++) {
			actions[a].act(argv[i]);
		}
	}
	return 0;
}
