/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups version 2. */
#include "linux/cgroup2.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "linux/cgroup-file.h"
#include "linux/mountinfo.h"

#define LEAF         "leaf"
#define ALL_ON       "+memory +pids +cpu"
#define IO_TOO       "+memory +pids +cpu +io"
#define REMOVE_STEP  1000000 /* ns */
#define REMOVE_STEPS 1000

/* The last one only where the policy asks for it. */
static const char *const controllers[] = {"memory", "pids", "cpu", "io"};

/* Which of the controllers a list in a group's file names: bit n for controllers[n]. */
static unsigned listed(const char *group, const char *file)
{
	_cleanup_buf_ struct buf path = {}, text = {};
	unsigned mask = 0;
	size_t i;

	buf_init(&path, 8192);
	buf_init(&text, 65536);
	if (buf_addf(&path, "%s/%s", group, file) < 0 ||
	    cgroup_read_text(AT_FDCWD, buf_str(&path), &text) < 0) {
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(controllers); i++) {
		mask |= cgroup_has_word(buf_str(&text), controllers[i]) ? 1U << i : 0;
	}
	return mask;
}

#define ALL_LISTED 7U
#define IO_LISTED  8U

static int write_file(const char *group, const char *file, const char *text)
{
	_cleanup_buf_ struct buf path = {};
	_cleanup_fd_ int fd = FD_NONE;

	buf_init(&path, 8192);
	if (buf_addf(&path, "%s/%s", group, file) < 0) {
		return -ENAMETOOLONG;
	}
	fd = open(buf_str(&path), O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -errno : 0;
}

/*
 * systemd alone may change the groups of its units but those that it has marked as delegated
 * (systemd's CGROUP_DELEGATION document). False for one that it has not.
 */
static bool delegated(const char *group)
{
	char mark[8];

	return !strstr(group, "/user@") || getxattr(group, "user.delegate", mark, sizeof(mark)) > 0;
}

/* True if the caller may make groups with every needed controller below `group`. */
static bool usable(const char *group, struct err *why)
{
	_cleanup_buf_ struct buf procs = {};
	int r;

	buf_init(&procs, 8192);
	if (buf_addf(&procs, "%s/cgroup.procs", group) < 0) {
		return false;
	}
	if (access(group, W_OK) < 0 || access(buf_str(&procs), W_OK) < 0 || !delegated(group)) {
		(void)err_set(why, ERR_SYSTEM, EACCES,
			      "the control group '%s' is not delegated to this user", group);
		return false;
	}
	if ((listed(group, "cgroup.subtree_control") & ALL_LISTED) == ALL_LISTED) {
		return true;
	}
	if ((listed(group, "cgroup.controllers") & ALL_LISTED) != ALL_LISTED) {
		(void)err_set(
			why, ERR_SYSTEM, EOPNOTSUPP,
			"the control group '%s' does not have the controllers memory, pids and cpu",
			group);
		return false;
	}
	r = write_file(group, "cgroup.subtree_control", ALL_ON);
	if (r < 0) {
		(void)err_set(
			why, ERR_SYSTEM, -r,
			r == -EBUSY
				? "the control group '%s' holds processes, so it cannot pass its "
				  "controllers on; move them into a group of their own below it"
				: "the control group '%s' cannot pass its controllers on",
			group);
	}
	return r >= 0;
}

/* The mount, and the caller's own group below it in *ret_own ("" for the top). */
static int locate(struct cgroup2 *c, char **ret_own, struct err *e)
{
	_cleanup_(mount_table_done) struct mount_table mounts = {};
	_cleanup_buf_ struct buf self = {};
	int r = mount_table_read(&mounts, e);

	if (r < 0) {
		return r;
	}
	buf_init(&self, 65536);
	r = cgroup_read_text(AT_FDCWD, "/proc/self/cgroup", &self);
	if (r < 0) {
		return err_sys(e, -r, "cannot read this process's control groups");
	}
	free(c->mount);
	c->mount = cgroup_find_mount(&mounts, "cgroup2", "");
	*ret_own = cgroup_find_path(buf_str(&self), "");
	/* "/../.." is a group outside the cgroup namespace that the mount does not show. */
	if (!c->mount || !*ret_own || strstr(*ret_own, "/..")) {
		free(*ret_own);
		*ret_own = NULL;
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "no control groups version 2 are mounted here");
	}
	return 0;
}

static int take_parent(struct cgroup2 *c, const char *path, struct err *e)
{
	c->parent = strdup(path);
	return c->parent ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

int cgroup2_find(struct cgroup2 *c, struct err *e)
{
	_cleanup_free_ char *own = NULL;
	_cleanup_buf_ struct buf path = {};
	size_t top;
	int r;

	*c = (struct cgroup2)CGROUP2_NONE;
	buf_init(&path, 8192);
	r = locate(c, &own, e);
	if (r < 0 || buf_adds(&path, c->mount) < 0) {
		return r < 0 ? r : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	top = path.len;
	if (geteuid() == 0 && usable(buf_str(&path), e)) {
		return take_parent(c, buf_str(&path), e);
	}
	r = buf_adds(&path, own);
	for (; r >= 0 && path.len > top;
	     *strrchr(path.data, '/') = '\0', path.len = strlen(path.data)) {
		*e = (struct err){};
		if (usable(path.data, e)) {
			return take_parent(c, path.data, e);
		}
	}
	if (!e->code) {
		(void)err_set(e, ERR_SYSTEM, EACCES, "no control group is delegated to this user");
	}
	return -EOPNOTSUPP;
}

int cgroup2_want_io(struct cgroup2 *c, struct err *e)
{
	int r = 0;

	if (!(listed(c->parent, "cgroup.subtree_control") & IO_LISTED)) {
		r = write_file(c->parent, "cgroup.subtree_control", "+io");
	}
	if (r < 0) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "the control group '%s' has no io controller to pass on", c->parent);
	}
	c->io = true;
	return 0;
}

bool cgroup2_offers_io(const char *group)
{
	return listed(group, "cgroup.controllers") & IO_LISTED;
}

int cgroup2_find_manager(struct cgroup2 *c, char **ret, bool *ret_cpu, struct err *e)
{
	_cleanup_free_ char *own = NULL, *path = NULL;
	unsigned mask;
	int r;

	*c = (struct cgroup2)CGROUP2_NONE;
	r = locate(c, &own, e);
	if (r < 0) {
		return r;
	}
	if (asprintf(&path, "%s/user.slice/user-%u.slice/user@%u.service", c->mount, geteuid(),
		     geteuid()) < 0) {
		path = NULL;
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	mask = listed(path, "cgroup.controllers");
	if ((mask & 3) != 3) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       access("/run/systemd/system", F_OK) < 0
				       ? "no systemd that could be asked for a control group is to "
					 "be seen here, as in a container; start atoll outside for "
					 "limits by the kernel"
			       : access(path, F_OK) < 0
				       ? "this user has no service manager; log in with a session "
					 "(pam_systemd), or as root: loginctl enable-linger %s"
				       : "memory and pids are not delegated to this user's service "
					 "manager; as "
					 "root: systemctl edit user@.service, and there [Service] "
					 "Delegate=cpu memory pids",
			       getenv("USER") ? getenv("USER") : "USER");
	}
	*ret_cpu = (mask & 4) != 0;
	*ret = TAKE_PTR(path);
	return 0;
}

static int open_dir(const char *path, struct err *e)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_sys(e, errno, "cannot open the control group '%s'", path) : fd;
}

static int make_leaf(struct cgroup2 *c, struct err *e)
{
	/* A leaf is opened for reading: clone3(2) takes no O_PATH descriptor. */
	if (mkdirat(c->dir, LEAF, 0755) < 0 ||
	    (c->leaf = openat(c->dir, LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0) {
		return err_sys(e, errno, "cannot make the control group '%s/%s'", c->path, LEAF);
	}
	return 0;
}

int cgroup2_make(struct cgroup2 *c, const char *name, struct err *e)
{
	int r;

	if (asprintf(&c->path, "%s/%s", c->parent, name) < 0) {
		c->path = NULL;
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (mkdir(c->path, 0755) < 0) {
		return err_sys(e, errno, "cannot make the control group '%s'", c->path);
	}
	r = c->dir = open_dir(c->path, e);
	if (r < 0) {
		return r;
	}
	r = write_file(c->path, "cgroup.subtree_control", c->io ? IO_TOO : ALL_ON);
	if (r < 0) {
		return err_sys(e, -r, "cannot pass controllers on in '%s'", c->path);
	}
	return make_leaf(c, e);
}

int cgroup2_adopt(struct cgroup2 *c, const char *path, struct err *e)
{
	c->single = true;
	c->path = strdup(path);
	if (!c->path) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	c->dir = open_dir(path, e);
	return c->dir < 0 ? c->dir : 0;
}

int cgroup2_settle(struct cgroup2 *c, pid_t pid, struct err *e)
{
	char text[16];
	int r = make_leaf(c, e);

	if (r < 0) {
		return r;
	}
	(void)snprintf(text, sizeof(text), "%d", pid);
	c->single = false;
	return cgroup2_write(c, LEAF "/cgroup.procs", text, e);
}

int cgroup2_write(const struct cgroup2 *c, const char *file, const char *text, struct err *e)
{
	_cleanup_fd_ int fd = openat(c->dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		return err_sys(e, errno, "cannot write %s to %s", text, file);
	}
	return 0;
}

int cgroup2_read_line(const struct cgroup2 *c, const char *file, const char *key, char *out,
		      size_t size, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	size_t len = strlen(key);
	const char *line;
	int r;

	buf_init(&b, 1024 * 1024);
	r = cgroup_read_text(c->dir, file, &b);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", file);
	}
	for (line = buf_str(&b); *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, key, len) == 0 && line[len] == ' ') {
			(void)snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
			return 0;
		}
	}
	out[0] = '\0';
	return 0;
}

int cgroup2_read(const struct cgroup2 *c, const char *file, uint64_t *ret, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	int r;

	buf_init(&b, 4096);
	r = cgroup_read_text(c->dir, file, &b);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", file);
	}
	*ret = strncmp(buf_str(&b), "max", 3) == 0 ? UINT64_MAX : strtoull(buf_str(&b), NULL, 10);
	return 0;
}

bool cgroup2_has(const struct cgroup2 *c, const char *file)
{
	return faccessat(c->dir, file, F_OK, 0) == 0;
}

uint64_t cgroup2_stat(const struct cgroup2 *c, const char *file, const char *key)
{
	return cgroup_stat(c->dir, file, key);
}

uint64_t cgroup2_leaf_stat(const struct cgroup2 *c, const char *file, const char *key)
{
	return c->leaf < 0 ? 0 : cgroup_stat(c->leaf, file, key);
}

int cgroup2_has_member(const struct cgroup2 *c, pid_t pid, struct err *e)
{
	_cleanup_free_ char *path = NULL, *want = NULL;
	_cleanup_buf_ struct buf b = {};
	char file[64];
	int r;

	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	buf_init(&b, 65536);
	r = cgroup_read_text(AT_FDCWD, file, &b);
	if (r < 0) {
		return err_sys(e, -r, "cannot read '%s'", file);
	}
	path = cgroup_find_path(buf_str(&b), "");
	if (asprintf(&want, "%s%s", c->path + strlen(c->mount), c->single ? "" : "/" LEAF) < 0) {
		want = NULL;
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (!path || strcmp(path, want) != 0) {
		return err_set(
			e, ERR_SYSTEM, EBADMSG,
			"the read-back does not match the plan: the control group of the payload "
			"is '%s', planned is '%s'",
			path ? path : "none", want);
	}
	return 0;
}

int cgroup2_freeze(const struct cgroup2 *c, bool on, struct err *e)
{
	return cgroup2_write(c, "cgroup.freeze", on ? "1" : "0", e);
}

bool cgroup2_is(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int kill_below(const char *path, const struct stat *st, int type, struct FTW *level)
{
	(void)st;
	(void)level;
	if (type == FTW_DP) {
		cgroup_kill_members(path);
		(void)rmdir(path);
	}
	return 0;
}

/*
 * A manager that made the group removes it when it is empty, and keeps the unit for ever when
 * somebody else did.
 */
static bool await_manager(const char *path)
{
	const struct timespec step = {.tv_nsec = REMOVE_STEP};
	int tries;

	(void)write_file(path, "cgroup.kill", "1");
	for (tries = 0; tries < REMOVE_STEPS; tries++) {
		if (access(path, F_OK) < 0) {
			return true;
		}
		if (tries == 100) {
			(void)nftw(path, kill_below, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		}
		(void)nanosleep(&step, NULL);
	}
	return false;
}

/* Itself, not somewhere below one. */
static bool is_scope(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && strcmp(dot, ".scope") == 0;
}

int cgroup2_remove(const char *path, struct err *e)
{
	const struct timespec step = {.tv_nsec = REMOVE_STEP};
	_cleanup_free_ char *leaf = NULL;
	int tries;

	if (asprintf(&leaf, "%s/" LEAF, path) < 0) {
		leaf = NULL;
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (is_scope(path) && await_manager(path)) {
		return 0;
	}
	for (tries = 0; tries < REMOVE_STEPS; tries++) {
		(void)rmdir(leaf);
		if (rmdir(path) == 0 || errno == ENOENT) {
			return 0;
		}
		if (errno != EBUSY && errno != ENOTEMPTY) {
			break;
		}
		/* Whatever lives, and whatever groups a nested sandbox has made. */
		if (write_file(path, "cgroup.kill", "1") < 0 || tries > 0) {
			(void)nftw(path, kill_below, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		}
		(void)nanosleep(&step, NULL);
	}
	return err_sys(e, errno, "cannot remove the control group '%s'", path);
}

int cgroup2_destroy(struct cgroup2 *c, struct err *e)
{
	int r = 0;

	c->leaf = fd_close(c->leaf);
	c->dir = fd_close(c->dir);
	if (c->path) {
		r = cgroup2_remove(c->path, e);
	}
	free(c->path);
	c->path = NULL;
	return r;
}

void cgroup2_done(struct cgroup2 *c)
{
	c->leaf = fd_close(c->leaf);
	c->dir = fd_close(c->dir);
	free(c->path);
	free(c->parent);
	free(c->mount);
	*c = (struct cgroup2)CGROUP2_NONE;
}
