/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper does in the payload's stead.
 *
 * Theory of operation. At this tier the payload has its caller's user id and the host's mounts, and
 * Landlock decides by what is opened. It does not know the calls that change a file by its name or
 * by a descriptor that was opened for reading: mode, owner, times, below ABI 3 the length; nor
 * watches. The filter hands them to the keeper. That copies the arguments once, resolves the name
 * once, to a descriptor (O_PATH), from the caller's directory and with the caller's rights, asks
 * whether a place of the plan grants the access to what the descriptor names, and does the call on
 * that descriptor. What the payload's other threads do meanwhile, to its memory or to the names,
 * changes nothing about what was judged.
 *
 * TRUST: names, times and modes are the payload's. A name is only ever used in openat2(2), and
 * never through /proc/PID: there it would lead to the keeper's own descriptors.
 */
#include "tier/process/process-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utime.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "linux/landlock.h"
#include "linux/proctree.h"
#include "linux/seccomp.h"
#include "tier/tier.h"

#define NR_FCHMODAT2 452 /* newer than Debian 12's headers */
#define SET_ID       (S_ISUID | S_ISGID)

enum operation { OP_MODE, OP_OWNER, OP_UTIME, OP_UTIMES, OP_TIMES, OP_LENGTH, OP_WATCH };

/* Where a call has its arguments; -1: it has none of that kind. */
struct shape {
	int number;
	enum operation op;
	signed char dir;   /* a directory, or without a path the file itself */
	signed char path;  /* a name */
	signed char value; /* the first of the new values */
	signed char flags; /* AT_* */
	bool nofollow;     /* as if AT_SYMLINK_NOFOLLOW were among them */
};

static const struct shape shapes[] = {
#ifdef SYS_chmod
	{SYS_chmod, OP_MODE, -1, 0, 1, -1, false},
	{SYS_chown, OP_OWNER, -1, 0, 1, -1, false},
	{SYS_lchown, OP_OWNER, -1, 0, 1, -1, true},
	{SYS_utime, OP_UTIME, -1, 0, 1, -1, false},
	{SYS_utimes, OP_UTIMES, -1, 0, 1, -1, false},
	{SYS_futimesat, OP_UTIMES, 0, 1, 2, -1, false},
#endif
	{SYS_fchmod, OP_MODE, 0, -1, 1, -1, false},
	{SYS_fchmodat, OP_MODE, 0, 1, 2, -1, false},
	{NR_FCHMODAT2, OP_MODE, 0, 1, 2, 3, false},
	{SYS_fchown, OP_OWNER, 0, -1, 1, -1, false},
	{SYS_fchownat, OP_OWNER, 0, 1, 2, 4, false},
	{SYS_utimensat, OP_TIMES, 0, 1, 2, 3, false},
	{SYS_truncate, OP_LENGTH, -1, 0, 1, -1, false},
	{SYS_inotify_add_watch, OP_WATCH, -1, 1, 2, -1, false},
};

bool broker_read(const struct seccomp_denial *d, uint64_t address, void *out, size_t size)
{
	struct iovec here = {out, size}, there = {(void *)(uintptr_t)address, size};

	return process_vm_readv(d->tid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

int broker_int(const struct seccomp_denial *d, int i)
{
	return (int)(uint32_t)d->args[i];
}

/* A string, page by page: what lies behind its end need not be mapped. */
static int read_string(const struct seccomp_denial *d, uint64_t address, char *out, size_t size)
{
	const size_t page = 4096;
	size_t n = 0;

	while (n < size) {
		size_t chunk = page - (address + n) % page;

		chunk = chunk > size - n ? size - n : chunk;
		if (!broker_read(d, address + n, out + n, chunk)) {
			return -EFAULT;
		}
		if (memchr(out + n, '\0', chunk)) {
			return 0;
		}
		n += chunk;
	}
	return -ENAMETOOLONG;
}

/* "/proc/self/fd/N", by which libraries name a descriptor: N, or -1 for any other name. */
static int own_descriptor(const char *path)
{
	static const char *const prefixes[] = {"/proc/self/fd/", "/dev/fd/"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);
		char *end;
		long n;

		if (strncmp(path, prefixes[i], len) != 0 || path[len] < '0' || path[len] > '9') {
			continue;
		}
		n = strtol(path + len, &end, 10);
		return *end == '\0' && n <= INT_MAX ? (int)n : -1;
	}
	return -1;
}

/* The file that a descriptor of the caller is open on, as O_PATH; AT_FDCWD: its directory. */
static int open_descriptor(const struct seccomp_denial *d, int fd)
{
	char path[64];

	if (fd == AT_FDCWD) {
		(void)snprintf(path, sizeof(path), "/proc/%d/cwd", d->tid);
	} else {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", d->tid, fd);
	}
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -EBADF : -errno;
}

/* What a name leads to. No link of /proc is followed: here it would be one of ours. */
static int open_name(const struct seccomp_denial *d, int dir, const char *path, bool nofollow)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0),
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	int own = nofollow ? -1 : own_descriptor(path);
	_cleanup_fd_ int base = FD_NONE;
	long fd;

	if (own >= 0) {
		return open_descriptor(d, own);
	}
	if (path[0] != '/') {
		base = open_descriptor(d, dir);
		if (base < 0) {
			return base;
		}
	}
	fd = syscall(SYS_openat2, base, path, &how, sizeof(how));
	return fd >= 0 ? (int)fd : errno == ELOOP ? -EACCES : -errno;
}

/* The file that a call is about, as O_PATH. */
static int open_target(const struct seccomp_denial *d, const struct shape *s)
{
	int dir = s->dir >= 0 ? broker_int(d, s->dir) : AT_FDCWD;
	unsigned flags = s->flags >= 0 ? (unsigned)broker_int(d, s->flags) : 0;
	bool nofollow = s->nofollow || (flags & AT_SYMLINK_NOFOLLOW);
	char path[PATH_MAX];
	int r;

	if (flags & ~(unsigned)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) {
		return -EINVAL;
	}
	if (s->op == OP_WATCH) {
		nofollow = broker_int(d, s->value) & IN_DONT_FOLLOW;
	}
	if (s->path < 0) {
		return open_descriptor(d, dir);
	}
	/* utimensat(2) without a name is about the descriptor. */
	if (d->args[s->path] == 0 && s->op == OP_TIMES && dir != AT_FDCWD) {
		return open_descriptor(d, dir);
	}
	r = read_string(d, d->args[s->path], path, sizeof(path));
	if (r < 0) {
		return r;
	}
	if (path[0] == '\0') {
		return flags & AT_EMPTY_PATH ? open_descriptor(d, dir) : -ENOENT;
	}
	return open_name(d, dir, path, nofollow);
}

/* The canonical path of an open file decides, whatever name it was asked for by. */
static bool is_allowed(const struct tier_sandbox *sb, int target, unsigned access)
{
	char link[48], path[PATH_MAX];
	struct places places;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", target);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/' || places_fill(sb->spec, NULL, &places, NULL) < 0) {
		return false;
	}
	path[n] = '\0';
	return MUTANT(ATOLL_MUTATE_BROKER_PLACES) || places_allow(&places, path, access);
}

static int change_mode(int target, mode_t mode)
{
	char link[48];
	struct stat st;

	if (fstat(target, &st) < 0) {
		return -errno;
	}
	if (S_ISLNK(st.st_mode)) {
		return -EOPNOTSUPP; /* chmod(2) of a link */
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", target);
	return chmod(link, mode & 07777) < 0 ? -errno : 0;
}

/* -1 or the one id that is mapped; no other exists inside. */
static int map_id(const struct tier_sandbox *sb, uint32_t inside, uint32_t known, uint32_t outside,
		  uint32_t *ret)
{
	if (sb->walls == WALLS_PROCESS && inside != UINT32_MAX && inside != known) {
		return -EINVAL;
	}
	*ret = sb->walls == WALLS_PROCESS && inside != UINT32_MAX ? outside : inside;
	return 0;
}

static int change_owner(const struct tier_sandbox *sb, int target, uint32_t uid, uint32_t gid)
{
	const struct plan_identity *id = &sb->spec->plan->identity;
	int r = map_id(sb, uid, id->uid, sb->spec->host_uid, &uid);

	if (r >= 0) {
		r = map_id(sb, gid, id->gid, sb->spec->host_gid, &gid);
	}
	if (r >= 0 && fchownat(target, "", uid, gid, AT_EMPTY_PATH) < 0) {
		r = -errno;
	}
	return r;
}

/* The times in the caller's memory, which three calls keep in three forms. NULL: now. */
static int read_times(const struct seccomp_denial *d, const struct shape *s, struct timespec out[2])
{
	uint64_t address = d->args[s->value];
	struct utimbuf seconds;
	struct timeval tv[2];
	int i;

	if (address == 0) {
		out[0] = out[1] = (struct timespec){.tv_nsec = UTIME_NOW};
		return 0;
	}
	if (s->op == OP_TIMES) {
		return broker_read(d, address, out, 2 * sizeof(*out)) ? 0 : -EFAULT;
	}
	if (s->op == OP_UTIME) {
		if (!broker_read(d, address, &seconds, sizeof(seconds))) {
			return -EFAULT;
		}
		out[0] = (struct timespec){.tv_sec = seconds.actime};
		out[1] = (struct timespec){.tv_sec = seconds.modtime};
		return 0;
	}
	if (!broker_read(d, address, tv, sizeof(tv))) {
		return -EFAULT;
	}
	for (i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000) {
			return -EINVAL;
		}
		out[i] = (struct timespec){tv[i].tv_sec, tv[i].tv_usec * 1000};
	}
	return 0;
}

/* The payload's limit of file sizes is not ours, so it is asked here. */
static int change_length(const struct tier_sandbox *sb, int target, int64_t length)
{
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;
	char link[48];

	if (fstat(target, &st) < 0) {
		return -errno;
	}
	if (length < 0 || !S_ISREG(st.st_mode)) {
		return length >= 0 && S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	if ((uint64_t)length > sb->spec->plan->limits.file_size) {
		return -EFBIG;
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", target);
	fd = open(link, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 || ftruncate(fd, length) < 0 ? -errno : 0;
}

/* The watch is the caller's: it is added to the very instance that it holds. */
static int add_watch(const struct tier_sandbox *sb, const struct seccomp_denial *d, int target)
{
	_cleanup_fd_ int pidfd =
		(int)syscall(SYS_pidfd_open, (pid_t)proctree_status(d->tid, "\nTgid:"), 0);
	_cleanup_fd_ int instance = FD_NONE;
	char link[48];
	int watch;

	if (pidfd < 0) {
		return -errno;
	}
	instance = (int)syscall(SYS_pidfd_getfd, pidfd, broker_int(d, 0), 0);
	if (instance < 0) {
		return -errno;
	}
	if (!seccomp_pending(sb->listener, d)) {
		return -EBADF;
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", target);
	watch = inotify_add_watch(instance, link,
				  (uint32_t)broker_int(d, 2) & ~(uint32_t)IN_DONT_FOLLOW);
	return watch < 0 ? -errno : watch;
}

static int64_t operate(const struct tier_sandbox *sb, const struct seccomp_denial *d,
		       const struct shape *s, int target)
{
	struct timespec times[2];
	int r;

	switch (s->op) {
	case OP_MODE:
		return change_mode(target, (mode_t)broker_int(d, s->value));
	case OP_OWNER:
		return change_owner(sb, target, (uint32_t)broker_int(d, s->value),
				    (uint32_t)broker_int(d, s->value + 1));
	case OP_LENGTH:
		return change_length(sb, target, (int64_t)d->args[s->value]);
	case OP_WATCH:
		return add_watch(sb, d, target);
	default:
		r = read_times(d, s, times);
		if (r >= 0 && !seccomp_pending(sb->listener, d)) {
			r = -EFAULT;
		}
		if (r >= 0 && utimensat(target, "", times, AT_EMPTY_PATH) < 0) {
			r = -errno;
		}
		return r;
	}
}

/* With the payload's rights on files, where the keeper is root. */
static int64_t do_file(const struct tier_sandbox *sb, const struct seccomp_denial *d,
		       const struct shape *s)
{
	unsigned access = s->op == OP_WATCH ? LANDLOCK_READ : LANDLOCK_WRITE_TREE;
	_cleanup_fd_ int target = open_target(d, s);

	if (target < 0) {
		return target;
	}
	/* If the caller is gone, its number may have been another's when we looked it up; so after
	 * each look. */
	if (!is_allowed(sb, target, access) || !seccomp_pending(sb->listener, d)) {
		return -EACCES;
	}
	return operate(sb, d, s, target);
}

static int64_t broker_file(const struct tier_sandbox *sb, const struct seccomp_denial *d,
			   const struct shape *s)
{
	bool root = sb->spec->plan->identity.from_root && !MUTANT(ATOLL_MUTATE_BROKER_FSUID);
	int64_t result;

	if (s->op == OP_MODE && (broker_int(d, s->value) & SET_ID)) {
		return BROKER_REFUSE;
	}
	/* setfsuid(2): as long as it is not 0, no capability over files is in effect either. The
	 * keeper has no supplementary groups (process.c). */
	if (root) {
		(void)setfsgid(sb->spec->host_gid);
		(void)setfsuid(sb->spec->host_uid);
	}
	result = do_file(sb, d, s);
	if (root) {
		(void)setfsuid(0);
		(void)setfsgid(0);
	}
	return result;
}

/* A request that the filter does not know: no file here has it, and some are attacks anywhere. */
static int64_t answer_request(const struct seccomp_denial *d)
{
	static const unsigned attacks[] = {TIOCSTI, TIOCLINUX, TIOCSETD, FIOSETOWN, SIOCSPGRP};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		if ((unsigned)broker_int(d, 1) == attacks[i]) {
			return BROKER_REFUSE;
		}
	}
	return -ENOTTY;
}

bool process_broker(struct tier_sandbox *sb, const struct seccomp_denial *d)
{
	int64_t result = BROKER_REFUSE;
	size_t i;

	if (d->foreign_abi) {
		return false;
	}
	for (i = 0; i < ARRAY_SIZE(shapes) && d->number != shapes[i].number; i++) {
	}
	if (i < ARRAY_SIZE(shapes)) {
		result = broker_file(sb, d, &shapes[i]);
	} else if (d->number == SYS_ioctl) {
		result = answer_request(d);
	} else if (sb->walls == WALLS_GUARDED) {
		result = broker_process(sb, d);
	}
	if (result == BROKER_REFUSE) {
		return false;
	}
	if (result == BROKER_CONTINUE) {
		seccomp_continue(sb->listener, d);
	} else {
		seccomp_answer(sb->listener, d, result);
	}
	return true;
}
