/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups version 1. */
#include "linux/cgroup1.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "linux/cgroup-file.h"
#include "linux/mountinfo.h"

static const char *const names[CGROUP1_COUNT] = {
	[CGROUP1_MEMORY] = "memory",   [CGROUP1_PIDS] = "pids",       [CGROUP1_CPU] = "cpu",
	[CGROUP1_CPUACCT] = "cpuacct", [CGROUP1_FREEZER] = "freezer",
};

/* The caller's own group in hierarchy i. */
static int find_parent(struct cgroup1 *c, size_t i, const struct mount_table *mounts,
		       const char *self, struct err *e)
{
	_cleanup_free_ char *mount = cgroup_find_mount(mounts, "cgroup", names[i]);
	_cleanup_free_ char *path = cgroup_find_path(self, names[i]);

	if (!mount || !path || asprintf(&c->parent[i], "%s%s", mount, path) < 0) {
		c->parent[i] = NULL;
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "the '%s' control group controller is not available as version 1",
			       names[i]);
	}
	return 0;
}

/* Hierarchies from c->n up to `n`. */
static int find_more(struct cgroup1 *c, size_t n, struct err *e)
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
	for (; r >= 0 && c->n < n; c->n += r >= 0) {
		r = find_parent(c, c->n, &mounts, buf_str(&self), e);
	}
	return r;
}

int cgroup1_find(struct cgroup1 *c, struct err *e)
{
	size_t i;
	int r;

	*c = (struct cgroup1){};
	for (i = 0; i < CGROUP1_COUNT; i++) {
		c->dir[i] = FD_NONE;
	}
	r = find_more(c, CGROUP1_FREEZER, e);
	if (r < 0) {
		cgroup1_done(c);
	}
	return r;
}

int cgroup1_want_freezer(struct cgroup1 *c, struct err *e)
{
	return find_more(c, CGROUP1_FREEZER + 1, e);
}

int cgroup1_make(struct cgroup1 *c, const char *name, struct err *e)
{
	size_t i;

	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	for (i = 0; i < c->n; i++) {
		_cleanup_fd_ int parent = open(c->parent[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		/* Hierarchies may hold several controllers: then the group is there already. */
		if (parent < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)) {
			return err_sys(e, errno, "cannot make a control group below '%s'",
				       c->parent[i]);
		}
		c->dir[i] = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (c->dir[i] < 0) {
			return err_sys(e, errno, "cannot open the control group '%s/%s'",
				       c->parent[i], name);
		}
	}
	return 0;
}

int cgroup1_write(const struct cgroup1 *c, enum cgroup1_controller k, const char *file,
		  uint64_t value, struct err *e)
{
	_cleanup_fd_ int fd = openat(c->dir[k], file, O_WRONLY | O_CLOEXEC);
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64, value);

	if (fd < 0 || write(fd, text, (size_t)n) != n) {
		return err_sys(e, errno, "cannot write %s to %s", text, file);
	}
	return 0;
}

int cgroup1_read(const struct cgroup1 *c, enum cgroup1_controller k, const char *file,
		 uint64_t *ret, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	int r;

	buf_init(&b, 4096);
	r = cgroup_read_text(c->dir[k], file, &b);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", file);
	}
	*ret = strtoull(buf_str(&b), NULL, 10);
	return 0;
}

bool cgroup1_has(const struct cgroup1 *c, enum cgroup1_controller k, const char *file)
{
	return faccessat(c->dir[k], file, F_OK, 0) == 0;
}

uint64_t cgroup1_stat(const struct cgroup1 *c, enum cgroup1_controller k, const char *file,
		      const char *key)
{
	return cgroup_stat(c->dir[k], file, key);
}

int cgroup1_oom_event(const struct cgroup1 *c, struct err *e)
{
	_cleanup_fd_ int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	_cleanup_fd_ int oom =
		openat(c->dir[CGROUP1_MEMORY], "memory.oom_control", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int control =
		openat(c->dir[CGROUP1_MEMORY], "cgroup.event_control", O_WRONLY | O_CLOEXEC);
	char text[32];
	int n = snprintf(text, sizeof(text), "%d %d", event, oom);

	if (event < 0 || oom < 0 || control < 0 || write(control, text, (size_t)n) != n) {
		return err_sys(e, errno, "cannot watch the group for running out of memory");
	}
	return TAKE_FD(event);
}

int cgroup1_open_tasks(const struct cgroup1 *c, int fds[CGROUP1_COUNT], struct err *e)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		fds[i] = openat(c->dir[i], "tasks", O_WRONLY | O_CLOEXEC);
		if (fds[i] < 0) {
			return err_sys(e, errno, "cannot open a group's task list");
		}
	}
	return 0;
}

int cgroup1_has_member(const struct cgroup1 *c, pid_t pid, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	char file[64];
	size_t i;
	int r;

	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	buf_init(&b, 65536);
	r = cgroup_read_text(AT_FDCWD, file, &b);
	if (r < 0) {
		return err_sys(e, -r, "cannot read '%s'", file);
	}
	for (i = 0; i < c->n; i++) {
		_cleanup_free_ char *path = cgroup_find_path(buf_str(&b), names[i]);
		const char *last = path ? strrchr(path, '/') : NULL;

		if (!last || strcmp(last + 1, c->name) != 0) {
			return err_set(e, ERR_SYSTEM, EBADMSG,
				       "the read-back does not match the plan: the %s control "
				       "group of the "
				       "payload is '%s', planned is '%s'",
				       names[i], path ? path : "none", c->name);
		}
	}
	return 0;
}

static int set_frozen(int dir, bool on)
{
	_cleanup_fd_ int fd = openat(dir, "freezer.state", O_WRONLY | O_CLOEXEC);
	const char *word = on ? "FROZEN" : "THAWED";

	return fd < 0 || write(fd, word, strlen(word)) != (ssize_t)strlen(word) ? -errno : 0;
}

int cgroup1_freeze(const struct cgroup1 *c, bool on, struct err *e)
{
	int dir = c->n > CGROUP1_FREEZER ? c->dir[CGROUP1_FREEZER] : FD_NONE;
	int r = dir < 0 ? -EOPNOTSUPP : set_frozen(dir, on);

	return r < 0 ? err_sys(e, -r, "cannot %s the sandbox", on ? "pause" : "resume") : 0;
}

/* Who is frozen is not killed. */
static void thaw(const char *path)
{
	_cleanup_fd_ int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 && faccessat(dir, "freezer.state", F_OK, 0) == 0) {
		(void)set_frozen(dir, false);
	}
}

/* Version 1 has no cgroup.kill: kill what is listed until the list is empty. */
int cgroup1_remove(const char *path, struct err *e)
{
	const struct timespec step = {.tv_nsec = 1000000};
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (rmdir(path) == 0 || errno == ENOENT) {
			return 0;
		}
		if (errno != EBUSY) {
			break;
		}
		thaw(path);
		cgroup_kill_members(path);
		(void)nanosleep(&step, NULL);
	}
	return err_sys(e, errno, "cannot remove the control group '%s'", path);
}

int cgroup1_destroy(struct cgroup1 *c, struct err *e)
{
	int r = 0, n;
	size_t i;

	for (i = CGROUP1_COUNT; i-- > 0;) { /* the freezer first */
		char path[4096];

		c->dir[i] = fd_close(c->dir[i]);
		/* Without a descriptor too: cgroup1_make() may have failed right behind mkdir(2).
		 */
		if (!c->parent[i] || !c->name[0]) {
			continue;
		}
		(void)snprintf(path, sizeof(path), "%s/%s", c->parent[i], c->name);
		n = cgroup1_remove(path, e);
		r = r < 0 ? r : n;
	}
	c->name[0] = '\0';
	return r;
}

void cgroup1_done(struct cgroup1 *c)
{
	size_t i;

	for (i = 0; i < CGROUP1_COUNT; i++) {
		c->dir[i] = fd_close(c->dir[i]);
		free(c->parent[i]);
		c->parent[i] = NULL;
	}
}
