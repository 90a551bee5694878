/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at one start of a program.
 *
 * TRUST: paths are the payload's. They are resolved below its own root (RESOLVE_IN_ROOT), without
 * the links of /proc, and to descriptors that open nothing (O_PATH).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/starts.h"

static ssize_t read_memory(void *arg, const struct iovec *to, const struct iovec *from, unsigned n)
{
	const pid_t *tid = arg;
	ssize_t r = process_vm_readv(*tid, to, n, from, n, 0);

	return r < 0 ? -errno : r;
}

/* A member of its directory in /proc, as text. */
static bool read_link(pid_t tid, const char *name, char *out, size_t size)
{
	char path[48];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	n = readlink(path, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static int open_below(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | flags,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/*
 * True if a name on the way to it is not there. A name that is there and leads nowhere is another
 * matter: /proc/self is us, or nobody, and something else to the payload. Cuts `path` short.
 */
static bool is_absent(int root, char *path)
{
	for (;;) {
		_cleanup_fd_ int fd = open_below(root, path, O_NOFOLLOW);
		_cleanup_fd_ int above = FD_NONE;
		char *slash = strrchr(path, '/');

		if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR)) {
			return false;
		}
		if (errno == ENOTDIR) {
			return true;
		}
		while (slash && slash > path && slash[1] == '\0') {
			*slash = '\0'; /* what ends in a slash has its last name before it */
			slash = strrchr(path, '/');
		}
		if (!slash || slash == path) {
			return true; /* its place is the root, which is there */
		}
		*slash = '\0';
		above = open_below(root, path, O_DIRECTORY);
		if (above >= 0) {
			return true;
		}
	}
}

/* Whether there is a file of that name; names that we cannot follow have one. */
static void look(const struct start_call *call, struct start_facts *f)
{
	const char *base = f->via[0] ? f->via : f->cwd;
	_cleanup_fd_ int own = FD_NONE;
	char path[2 * PATH_MAX];
	int root = call->root;

	if (f->args.path[0] == '\0') {
		f->absent = !call->empty;
		return;
	}
	if (f->args.path[0] != '/' && base[0] != '/') {
		return;
	}
	(void)snprintf(path, sizeof(path), "%s%s%s", f->args.path[0] == '/' ? "" : base,
		       f->args.path[0] == '/' ? "" : "/", f->args.path);
	if (root < 0) {
		char link[48];

		(void)snprintf(link, sizeof(link), "/proc/%d/root", call->tid);
		root = own = open(link, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	f->absent = root >= 0 && is_absent(root, path);
}

void start_read(const struct start_call *call, struct start_facts *ret)
{
	pid_t tid = call->tid;
	const struct execve_memory memory = {.read = read_memory, .arg = &tid};
	char name[32];

	ret->unread = ret->absent = false;
	ret->via[0] = '\0';
	execve_args_read(&memory, call->path, call->argv, &ret->args);
	ret->unread = ret->unread || ret->args.unread;
	if (!read_link(tid, "cwd", ret->cwd, sizeof(ret->cwd))) {
		ret->unread = true;
	}
	if (call->dir != AT_FDCWD && ret->args.path[0] != '/') {
		(void)snprintf(name, sizeof(name), "fd/%d", call->dir);
		if (!read_link(tid, name, ret->via, sizeof(ret->via))) {
			ret->unread = true;
		}
	}
	if (call->look && !ret->args.unread) {
		look(call, ret);
	}
}
