/* SPDX-License-Identifier: Apache-2.0 */
/* State directories: making, locking, removing, and reaping after a crash. */
#include "keeper/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "keeper/name.h"
#include "linux/mountinfo.h"
#include "linux/refusal.h"
#include "linux/tree.h"
#include "policy/plan.h"

#define HOST_ID_BASE 0x70000000U
#define HOST_ID_MASK 0x0fffffffU

/* Everything above it may be anybody's, HOME itself must be ours. */
int state_path(struct buf *b, struct err *e)
{
	const char *home = getenv("ATOLL_HOME");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *user = getenv("HOME");
	int r;

	if (home && *home && *home != '/') {
		return err_set(e, ERR_USER, EINVAL,
			       "ATOLL_HOME is '%s'; it must be an absolute path", home);
	}
	if (home && *home == '/') {
		r = buf_adds(b, home);
	} else if (geteuid() == 0) {
		r = buf_adds(b, "/var/lib/atoll");
	} else if (xdg && *xdg == '/') {
		r = buf_addf(b, "%s/atoll", xdg);
	} else if (user && *user == '/') {
		r = buf_addf(b, "%s/.local/state/atoll", user);
	} else {
		return err_set(e, ERR_USER, ENOENT,
			       "no place for state: set ATOLL_HOME or HOME to an absolute path");
	}
	return r < 0 ? err_set(e, ERR_USER, -r, "the path of the state directory is too long") : 0;
}

static int make_home(struct buf *path, struct err *e)
{
	char *slash = path->data;

	for (;;) {
		slash = strchr(slash + 1, '/');
		if (slash) {
			*slash = '\0';
		}
		if (mkdir(path->data, 0700) < 0 && errno != EEXIST) {
			return err_sys(e, errno, "cannot make the state directory '%s'",
				       path->data);
		}
		if (!slash) {
			return 0;
		}
		*slash = '/';
	}
}

static int open_dir(int at, const char *name, struct err *e)
{
	int fd;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make the state directory '%s'", name);
	}
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(e, errno, "cannot open the state directory '%s'", name) : fd;
}

int state_open(struct state *s, struct err *e)
{
	_cleanup_buf_ struct buf path = {};
	struct stat st;
	int r;

	*s = (struct state){FD_NONE, FD_NONE, FD_NONE};
	buf_init(&path, 4096);
	r = state_path(&path, e);
	if (r < 0) {
		return r;
	}
	s->home = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->home < 0 && errno == ENOENT) {
		r = make_home(&path, e);
		s->home = r < 0 ? FD_NONE : open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (r < 0) {
		return r;
	}
	if (s->home < 0 || fstat(s->home, &st) < 0) {
		return err_sys(e, errno, "cannot open the state directory '%s'", path.data);
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022)) {
		return err_set(
			e, ERR_USER, EPERM,
			"the state directory '%s' must belong to you and be writable by nobody "
			"else; fix it, or set ATOLL_HOME to another directory",
			path.data);
	}
	r = s->sandboxes = open_dir(s->home, "sandboxes", e);
	if (r >= 0) {
		r = s->trail = open_dir(s->home, "trail", e);
	}
	return r < 0 ? r : 0;
}

static const char *shown_as(const struct plan *plan, const struct stat *st)
{
	const struct plan_path *p;
	enum workspace_mode mode;
	size_t i;

	for (i = 0; i < plan_n_works(plan); i++) {
		p = plan_work(plan, i, &mode);
		if (st->st_dev == p->dev && st->st_ino == p->ino) {
			return p->path;
		}
	}
	for (i = 0; i < plan->n_read; i++) {
		p = &plan->read[i];
		if (st->st_dev == p->dev && st->st_ino == p->ino) {
			return p->path;
		}
	}
	return NULL;
}

static int check_above(const struct state *s, const struct plan *plan, struct err *e)
{
	_cleanup_fd_ int dir = fcntl(s->home, F_DUPFD_CLOEXEC, 0);
	struct stat st, below = {};

	for (;;) {
		const char *path;
		int up;

		if (dir < 0 || fstat(dir, &st) < 0) {
			return err_sys(e, errno, "cannot look above the state directory");
		}
		if (st.st_dev == below.st_dev && st.st_ino == below.st_ino) {
			return 0; /* above the root there is the root */
		}
		path = shown_as(plan, &st);
		if (path) {
			return err_set(e, ERR_USER, EPERM,
				       "the state directory lies in '%s', which the payload sees; "
				       "set ATOLL_HOME to a directory outside",
				       path);
		}
		below = st;
		up = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		(void)fd_close(dir);
		dir = up;
	}
}

/* HOME without links. */
static int find_home(const struct state *s, char home[PATH_MAX], struct err *e)
{
	char link[sizeof("/proc/self/fd/2147483647")];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", s->home);
	n = readlink(link, home, PATH_MAX - 1);
	if (n < 0) {
		return err_sys(e, errno, "cannot find out where the state directory is");
	}
	home[n] = '\0';
	return 0;
}

/* A place of the plan where HOME, or something of it, is mounted a second time. */
static int check_twice(const struct mount_table *t, const struct plan_path *shown, const char *home,
		       struct err *e)
{
	const char *point;
	int r = mount_table_shares(t, shown->path, home, &point, e);

	return r <= 0 ? r
		      : err_set(e, ERR_USER, EPERM,
				"the payload sees something of the state directory in '%s': '%s' "
				"is a second mount of it; set ATOLL_HOME to a directory outside",
				shown->path, point);
}

int state_check_hidden(const struct state *s, const struct plan *plan,
		       const struct mount_table *mounts, struct err *e)
{
	char home[PATH_MAX];
	enum workspace_mode mode;
	int r = check_above(s, plan, e);

	if (r >= 0 && plan_n_works(plan) + plan->n_read > 0) {
		r = find_home(s, home, e);
	}
	for (size_t i = 0; i < plan_n_works(plan) && r >= 0; i++) {
		r = check_twice(mounts, plan_work(plan, i, &mode), home, e);
	}
	for (size_t i = 0; i < plan->n_read && r >= 0; i++) {
		r = check_twice(mounts, &plan->read[i], home, e);
	}
	return r;
}

void state_done(struct state *s)
{
	s->home = fd_close(s->home);
	s->sandboxes = fd_close(s->sandboxes);
	s->trail = fd_close(s->trail);
}

static int make_id(char id[STATE_ID_SIZE], struct err *e)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t raw[10];
	size_t i;

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		return err_sys(e, errno, "cannot get random bytes");
	}
	id[0] = 's';
	id[1] = '-';
	for (i = 0; i < sizeof(raw); i++) {
		id[2 + i] = letters[raw[i] % 32];
	}
	id[2 + i] = '\0';
	return 0;
}

int state_name(struct state_sandbox *ret, struct err *e)
{
	*ret = (struct state_sandbox){.dir = FD_NONE};
	return make_id(ret->id, e);
}

void state_name_more(const char *id, size_t n, char ret[STATE_ID_SIZE])
{
	size_t len = strlen(id);

	len = len + 3 > STATE_ID_SIZE ? STATE_ID_SIZE - 3 : len;
	memcpy(ret, id, len);
	ret[len] = '.';
	ret[len + 1] = (char)('1' + n % 9);
	ret[len + 2] = '\0';
}

void state_name_of(const char *id, char ret[STATE_ID_SIZE])
{
	size_t len = strcspn(id, ".");

	len = len < STATE_ID_SIZE ? len : STATE_ID_SIZE - 1;
	memcpy(ret, id, len);
	ret[len] = '\0';
}

int state_create(const struct state *s, struct state_sandbox *sb, struct err *e)
{
	int r = 0;

	if (flock(s->sandboxes, LOCK_SH) < 0) {
		return err_sys(e, errno, "cannot lock the state directory");
	}
	if (mkdirat(s->sandboxes, sb->id, 0700) < 0) {
		r = err_sys(e, errno, "cannot make the directory of sandbox %s", sb->id);
	} else {
		sb->dir = openat(s->sandboxes, sb->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* Somebody who looks for the dead may hold it for a moment: wait. */
		if (sb->dir < 0 || flock(sb->dir, LOCK_EX) < 0) {
			r = err_sys(e, errno, "cannot lock the directory of sandbox %s", sb->id);
			(void)unlinkat(s->sandboxes, sb->id, AT_REMOVEDIR);
			state_sandbox_done(sb);
		}
	}
	(void)flock(s->sandboxes, LOCK_UN);
	return r;
}

int state_write(const struct state_sandbox *sb, const char *name, const char *text, size_t len,
		struct err *e)
{
	char temporary[64];
	_cleanup_fd_ int fd = FD_NONE;

	(void)snprintf(temporary, sizeof(temporary), ".%s", name);
	(void)unlinkat(sb->dir, temporary, 0); /* of who died over it, or found no room */
	fd = openat(sb->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len ||
	    renameat(sb->dir, temporary, sb->dir, name) < 0) {
		return err_sys(e, errno, "cannot write '%s' of sandbox %s", name, sb->id);
	}
	return 0;
}

/* Every name in it but that of a copy is a file of ours. */
static void empty_dir(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;

	if (!d) {
		(void)fd_close(copy);
		return;
	}
	while ((entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			(void)unlinkat(dir, entry->d_name, 0);
		}
	}
	(void)closedir(d);
}

int state_remove(const struct state *s, struct state_sandbox *sb, struct err *e)
{
	int r = tree_remove(sb->dir, "copy", e);

	if (r < 0) {
		return r;
	}
	name_release(s, sb);
	empty_dir(sb->dir);
	if (unlinkat(s->sandboxes, sb->id, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		return err_sys(e, errno, "cannot remove the directory of sandbox %s", sb->id);
	}
	return 0;
}

void state_sandbox_done(struct state_sandbox *sb)
{
	sb->dir = fd_close(sb->dir);
}

bool state_is_due(int dir, const char *mark, int seconds)
{
	const int64_t now = clock_real_ns() / 1000000000;
	struct stat st;
	int fd;

	if (fstatat(dir, mark, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now - st.st_mtim.tv_sec < seconds && now >= st.st_mtim.tv_sec) {
		return false;
	}
	fd = openat(dir, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		(void)futimens(fd, NULL);
	}
	(void)fd_close(fd);
	return true;
}

/* True if any line "inside outside count" of an id map covers all of our range. */
static bool map_has_range(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {};
	const char *line;

	buf_init(&b, 65536);
	if (fd < 0 || buf_read_fd(&b, fd) < 0) {
		return false;
	}
	for (line = buf_str(&b); *line;) {
		char *end;
		uint64_t inside = strtoull(line, &end, 10);
		uint64_t count;

		(void)strtoull(end, &end, 10);
		count = strtoull(end, &end, 10);
		if (inside <= HOST_ID_BASE &&
		    inside + count > (uint64_t)HOST_ID_BASE + HOST_ID_MASK) {
			return true;
		}
		line = *end ? end + 1 : end;
	}
	return false;
}

int state_host_id(bool owners, uid_t *ret, struct err *e)
{
	uint32_t raw;

	if (!map_has_range("/proc/self/uid_map") || !map_has_range("/proc/self/gid_map")) {
		return err_set(
			e, ERR_SYSTEM, EADDRNOTAVAIL,
			"root here is confined to a range of ids without %u to %u, so there is no "
			"unused id for the payload; start atoll as an ordinary user (podman: "
			"--userns keep-id, unshare: --map-current-user)",
			HOST_ID_BASE, HOST_ID_BASE + HOST_ID_MASK);
	}
	if (owners && refusal_of_root()) {
		return err_set(e, ERR_SYSTEM, EPERM,
			       "root here has no CAP_SYS_ADMIN, so files cannot be given to the "
			       "payload's id; " REFUSAL_ROOT_REMEDY);
	}
	if (getrandom(&raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		return err_sys(e, errno, "cannot get random bytes");
	}
	*ret = HOST_ID_BASE | (raw & HOST_ID_MASK);
	return 0;
}
