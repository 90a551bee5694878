/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths. A path is opened once (O_PATH); what the descriptor is called according to the kernel is
 * the canonical path, and what it is (type, device, inode, file system) decides. Nothing is checked
 * by name and opened later.
 */
#include "policy/path.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "policy/plan.h"
#include "policy/value.h"

#ifndef BINFMTFS_MAGIC
#define BINFMTFS_MAGIC 0x42494e4d
#endif
#define CONFIGFS_MAGIC 0x62656570
#define FUSECTL_MAGIC  0x65735543
#define MQUEUE_MAGIC   0x19800202

/* File systems that are an interface of the kernel. */
static const long kernel_fs[] = {
	PROC_SUPER_MAGIC, SYSFS_MAGIC,    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
	DEBUGFS_MAGIC,    TRACEFS_MAGIC,  SECURITYFS_MAGIC,   SELINUX_MAGIC,
	BPF_FS_MAGIC,     EFIVARFS_MAGIC, PSTOREFS_MAGIC,     DEVPTS_SUPER_MAGIC,
	NSFS_MAGIC,       BINFMTFS_MAGIC, CONFIGFS_MAGIC,     FUSECTL_MAGIC,
	MQUEUE_MAGIC,
};

#define WORKSPACE 1U
#define READABLE  2U

/* Places that are never given away, as a whole (exact) or with all below. */
static const struct {
	const char *path;
	bool below;
	unsigned uses;
	const char *what;
} refused_places[] = {
	{"/proc", true, WORKSPACE | READABLE, "it belongs to the kernel"},
	{"/sys", true, WORKSPACE | READABLE, "it belongs to the kernel"},
	{"/dev", true, WORKSPACE | READABLE, "it holds devices"},
	{"/run", true, WORKSPACE | READABLE, "it holds sockets of the host"},
	{"/var/run", true, WORKSPACE | READABLE, "it holds sockets of the host"},
	{"/boot", true, WORKSPACE, "it is a system directory"},
	{"/usr", true, WORKSPACE, "it is a system directory"},
	{"/bin", true, WORKSPACE, "it is a system directory"},
	{"/sbin", true, WORKSPACE, "it is a system directory"},
	{"/lib", true, WORKSPACE, "it is a system directory"},
	{"/lib32", true, WORKSPACE, "it is a system directory"},
	{"/lib64", true, WORKSPACE, "it is a system directory"},
	{"/libx32", true, WORKSPACE, "it is a system directory"},
	{"/etc", true, WORKSPACE, "it is a system directory"},
	{"/etc", false, READABLE, "it holds the host's configuration; name the files"},
	{"/var/lib/atoll", true, WORKSPACE | READABLE, "it holds the state of the sandboxes"},
	{"/var", false, WORKSPACE | READABLE, "it is a system directory"},
	{"/var/lib", false, WORKSPACE | READABLE, "it is a system directory"},
	{"/var/log", false, WORKSPACE | READABLE, "it is a system directory"},
	{"/var/cache", false, WORKSPACE, "it is a system directory"},
	{"/var/spool", false, WORKSPACE | READABLE, "it is a system directory"},
	{"/var/tmp", false, WORKSPACE | READABLE, "other users share it"},
	{"/tmp", false, WORKSPACE | READABLE, "other users share it"},
	{"/home", false, WORKSPACE | READABLE, "it holds everybody's files"},
	{"/opt", false, WORKSPACE, "it is a system directory"},
	{"/srv", false, WORKSPACE, "it is a system directory"},
	{"/mnt", false, WORKSPACE, "it is a system directory"},
	{"/media", false, WORKSPACE, "it is a system directory"},
	{"/", false, WORKSPACE | READABLE, "it is the whole host"},
};

bool path_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1) {
		return true; /* "/" */
	}
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool path_is_clean(const char *path)
{
	const char *p = path;

	if (path[0] != '/' || strlen(path) >= PATH_MAX) {
		return false;
	}
	if (path[1] == '\0') {
		return true;
	}
	while (*p == '/') {
		size_t len = strcspn(++p, "/");

		if (len == 0 || (len == 1 && p[0] == '.') ||
		    (len == 2 && p[0] == '.' && p[1] == '.')) {
			return false;
		}
		p += len;
	}
	return true;
}

const char *path_system(size_t n)
{
	static const char *const dirs[] = {"/usr",   "/bin",   "/sbin",  "/lib",
					   "/lib32", "/lib64", "/libx32"};

	return n < ARRAY_SIZE(dirs) ? dirs[n] : NULL;
}

bool path_is_system(const char *path)
{
	const char *dir;

	for (size_t i = 0; (dir = path_system(i)); i++) {
		if (path_within(path, dir)) {
			return true;
		}
	}
	return false;
}

void plan_path_done(struct plan_path *p)
{
	free(p->path);
	*p = (struct plan_path){};
}

/* The name that the kernel has for a descriptor. */
static int path_of_fd(int fd, char out[PATH_MAX])
{
	char link[32];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = fault_hit() ? -1 : readlink(link, out, PATH_MAX);
	if (n < 0) {
		return errno > 0 ? -errno : -EIO;
	}
	if (n == PATH_MAX) {
		return -ENAMETOOLONG;
	}
	out[n] = '\0';
	return out[0] == '/' ? 0 : -ENOENT; /* "(unreachable)/..." */
}

/* Opens without access to the contents. The descriptor, or a negative errno. */
static int open_place(const char *path)
{
	int fd = fault_hit() ? -1 : open(path, O_PATH | O_CLOEXEC);

	if (fd >= 0) {
		return fd;
	}
	return errno > 0 ? -errno : -EIO;
}

/* What an open descriptor stands for. */
static int describe(int fd, struct plan_path *ret, struct stat *st)
{
	char name[PATH_MAX];
	char *copy;
	int r;

	if (fstat(fd, st) < 0) {
		return -errno;
	}
	if (st->st_nlink == 0) {
		return -ENOENT; /* deleted: the name would lie */
	}
	r = path_of_fd(fd, name);
	if (r < 0) {
		return r;
	}
	copy = text_dup(name);
	if (!copy) {
		return -ENOMEM;
	}
	*ret = (struct plan_path){
		.path = copy, .dev = st->st_dev, .ino = st->st_ino, .is_dir = S_ISDIR(st->st_mode)};
	return 0;
}

static bool shows_plainly(const char *path)
{
	_cleanup_buf_ struct buf b = {};
	size_t len = strlen(path);

	buf_init(&b, len * 10 + 1);
	return utf8_neutralise(&b, path, len) >= 0 && b.len == len;
}

static int refuse_place(const char *key, const struct origin *at, const char *path,
			const char *home, unsigned use, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused_places); i++) {
		const char *place = refused_places[i].path;

		if ((refused_places[i].uses & use) != 0 &&
		    (refused_places[i].below ? path_within(path, place)
					     : strcmp(path, place) == 0)) {
			return origin_fail(at, e, "%s: '%s' is refused: %s", key, shown(path).s,
					   refused_places[i].what);
		}
	}
	if (home && path_within(home, path)) {
		return origin_fail(at, e,
				   "%s: '%s' is refused: it holds all of HOME, credentials "
				   "included; name a directory below it",
				   key, shown(path).s);
	}
	return 0;
}

static int judge(const char *key, const struct origin *at, int fd, const struct plan_path *p,
		 const struct stat *st, const char *home, enum path_use use, struct err *e)
{
	unsigned bit = use == PATH_READ ? READABLE : use == PATH_EXEC ? 0 : WORKSPACE;
	struct statfs fs;

	if (!shows_plainly(p->path)) {
		return origin_fail(at, e,
				   "%s: '%s' is refused: the path is not UTF-8 or contains control "
				   "characters",
				   key, shown(p->path).s);
	}
	if (!S_ISDIR(st->st_mode) && (!S_ISREG(st->st_mode) || bit == WORKSPACE)) {
		return origin_fail(at, e, "%s: '%s' is refused: it is %s", key, shown(p->path).s,
				   bit == WORKSPACE ? "no directory" : "no file and no directory");
	}
	if (fstatfs(fd, &fs) < 0) {
		return err_sys(e, errno, "cannot examine '%s'", p->path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kernel_fs); i++) {
		if ((unsigned long)fs.f_type == (unsigned long)kernel_fs[i]) {
			return origin_fail(at, e, "%s: '%s' is refused: it belongs to the kernel",
					   key, shown(p->path).s);
		}
	}
	if (bit == 0) {
		return 0;
	}
	return refuse_place(key, at, p->path, home, bit, e);
}

int path_expand(const struct origin *at, const char *text, const char *home, char *out)
{
	const char *slash = at->file ? strrchr(at->file, '/') : NULL;
	int n;

	if (text[0] == '~' && (text[1] == '\0' || text[1] == '/')) {
		n = snprintf(out, PATH_MAX, "%s%s", home, text + 1);
	} else if (text[0] == '~') {
		return -EINVAL;
	} else if (text[0] == '/' || !slash || at->layer == LAYER_PROFILE) {
		n = snprintf(out, PATH_MAX, "%s", text);
	} else {
		n = snprintf(out, PATH_MAX, "%.*s%s", (int)(slash - at->file + 1), at->file, text);
	}
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int path_resolve(const char *key, const struct origin *at, const char *text, const char *home,
		 enum path_use use, struct plan_path *ret, struct err *e)
{
	_cleanup_(plan_path_done) struct plan_path found = {};
	_cleanup_fd_ int fd = FD_NONE;
	char path[PATH_MAX];
	struct stat st;
	int r = path_expand(at, text, home, path);

	if (r == -EINVAL) {
		return origin_fail(at, e, "%s: '%s': only ~ alone and ~/ stand for HOME", key,
				   shown(text).s);
	}
	if (r >= 0) {
		r = fd = open_place(path);
	}
	if (r >= 0) {
		r = describe(fd, &found, &st);
	}
	if (r < 0 || !found.path) {
		return origin_fail(at, e, "%s: cannot open '%s': %s", key, shown(text).s,
				   strerror(-r));
	}
	r = judge(key, at, fd, &found, &st, home, use, e);
	if (r < 0) {
		return r;
	}
	*ret = found;
	found = (struct plan_path){};
	return 0;
}

int path_probe(const char *path, struct plan_path *ret)
{
	_cleanup_fd_ int fd = open_place(path);
	struct stat st;

	return fd < 0 ? fd : describe(fd, ret, &st);
}

/* State of a walk: `real` is free of links; `rest` is still to be walked. */
struct walk {
	char real[PATH_MAX];
	char rest[PATH_MAX];
	unsigned links;
};

/* Puts the target of a link before the rest. */
static int follow(struct walk *w, const char *target)
{
	char rest[PATH_MAX];
	int n;

	if (++w->links > 40) {
		return -ELOOP;
	}
	n = snprintf(rest, sizeof(rest), "%s/%s", target, w->rest);
	if (n < 0 || (size_t)n >= sizeof(rest)) {
		return -ENAMETOOLONG;
	}
	if (target[0] == '/') {
		w->real[0] = '\0';
	}
	memcpy(w->rest, rest, (size_t)n + 1);
	return 0;
}

/* Takes one component off the rest. */
static int step(struct walk *w)
{
	char entry[PATH_MAX * 2], target[PATH_MAX], name[NAME_MAX + 1];
	size_t skip = strspn(w->rest, "/"), len = strcspn(w->rest + skip, "/");
	ssize_t n;

	if (len > NAME_MAX) {
		return -ENAMETOOLONG;
	}
	memcpy(name, w->rest + skip, len);
	name[len] = '\0';
	memmove(w->rest, w->rest + skip + len, strlen(w->rest + skip + len) + 1);
	if (len == 0 || strcmp(name, ".") == 0) {
		return 0;
	}
	if (strcmp(name, "..") == 0) {
		char *slash = strrchr(w->real, '/');

		*(slash ? slash : w->real) = '\0';
		return 0;
	}
	(void)snprintf(entry, sizeof(entry), "%s/%s", w->real, name);
	n = readlink(entry, target, sizeof(target) - 1);
	if (n >= 0) {
		target[n] = '\0';
		return follow(w, target);
	}
	if (errno != EINVAL) {
		return -errno;
	}
	if (strlen(entry) >= sizeof(w->real)) {
		return -ENAMETOOLONG;
	}
	memcpy(w->real, entry, strlen(entry) + 1);
	return 0;
}

/* What is left of a path behind what could be looked at, as it is written. */
static int join_rest(const char *real, const char *rest, char *out)
{
	size_t len = strlen(real);

	memcpy(out, real, len);
	while (*(rest += strspn(rest, "/"))) {
		size_t part = strcspn(rest, "/");

		if (part == 1 && rest[0] == '.') {
			rest += part;
			continue;
		}
		if (part == 2 && strncmp(rest, "..", 2) == 0) {
			while (len > 0 && out[--len] != '/') {
			}
			rest += part;
			continue;
		}
		if (len + 1 + part >= PATH_MAX) {
			return -ENAMETOOLONG;
		}
		out[len++] = '/';
		memcpy(out + len, rest, part);
		len += part;
		rest += part;
	}
	if (len == 0) {
		out[len++] = '/';
	}
	out[len] = '\0';
	return 0;
}

int path_real(const char *path, char *out)
{
	struct walk w = {};
	int n = snprintf(w.rest, sizeof(w.rest), "%s", path), r = 0;

	if (n < 0 || (size_t)n >= sizeof(w.rest) || path[0] != '/') {
		return -ENAMETOOLONG;
	}
	while (w.rest[strspn(w.rest, "/")] != '\0' && r >= 0) {
		struct walk before = w;

		r = step(&w);
		if (r == -ENOENT || r == -EACCES) {
			return join_rest(before.real, before.rest, out);
		}
	}
	(void)snprintf(out, PATH_MAX, "%s", w.real[0] ? w.real : "/");
	return r;
}

int path_passes(const char *path, const char *dir)
{
	struct walk w = {};
	int n;

	if (path[0] != '/') {
		if (!getcwd(w.real, sizeof(w.real))) {
			return -errno;
		}
	}
	n = snprintf(w.rest, sizeof(w.rest), "%s", path);
	if (n < 0 || (size_t)n >= sizeof(w.rest)) {
		return -ENAMETOOLONG;
	}
	while (w.rest[0] != '\0') {
		/* The next name is looked up in w.real: whoever writes there decides what it is. */
		int r;

		if (w.rest[strspn(w.rest, "/")] != '\0' &&
		    path_within(w.real[0] ? w.real : "/", dir)) {
			return 1;
		}
		r = step(&w);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}
