/* SPDX-License-Identifier: Apache-2.0 */
/* State directories: making, locking, removing, and reaping after a crash. */
#include "keeper/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include "base/err.h"
#include "base/json.h"
#include "keeper/copy.h"
#include "keeper/kept.h"
#include "keeper/group.h"
#include "keeper/log.h"
#include "keeper/name.h"
#include "keeper/scratch.h"
#include "linux/refusal.h"
#include "linux/tree.h"
#include "policy/plan.h"
#include "record/trail.h"

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
	const struct plan_path *p = &plan->workspace;
	size_t i;

	if (plan->workspace_mode != WORKSPACE_NONE && st->st_dev == p->dev &&
	    st->st_ino == p->ino) {
		return p->path;
	}
	for (i = 0; i < plan->n_read; i++) {
		p = &plan->read[i];
		if (st->st_dev == p->dev && st->st_ino == p->ino) {
			return p->path;
		}
	}
	return NULL;
}

int state_check_hidden(const struct state *s, const struct plan *plan, struct err *e)
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

/* Undoes what sandbox.json says was made outside. Without one, nothing had been made yet. */
static int undo(const struct state_sandbox *sb, json_t *note, struct err *e)
{
	_cleanup_fd_ int fd = openat(sb->dir, "sandbox.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	json_t *path;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(doc, "groups"), i, path)
	{
		int n = json_is_string(path) ? group_remove_path(json_string_value(path), e) : 0;

		r = r < 0 ? r : n;
	}
	if (json_is_true(json_object_get(doc, "scratch"))) {
		int n = scratch_remove(sb->id, e);

		r = r < 0 ? r : n;
	}
	(void)json_put(note, "groups",
		       json_integer((json_int_t)json_array_size(json_object_get(doc, "groups"))));
	return r;
}

/* What its payload changed is kept as by a keeper that ended well. 1: it is. */
static int settle(const struct state_sandbox *sb, struct err *e)
{
	_cleanup_fd_ int fd = openat(sb->dir, "sandbox.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	const json_t *note = json_object_get(doc, "copy");

	if (!json_is_object(note)) {
		/* Damaged when the machine died, after the other one had been written. */
		return faccessat(sb->dir, "kept.json", F_OK, 0) == 0;
	}
	return copy_settle(sb, note, e);
}

static int reap_one(const struct state *s, struct state_sandbox *sb, struct err *e)
{
	json_t *note = json_pack("{s:s}", "why", "the keeper ended without tearing down");
	struct trail trail;
	int r;

	if (!note) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = undo(sb, note, e);
	if (r < 0) {
		json_decref(note);
		return r;
	}
	r = trail_resume(&trail, s->trail, sb->id, e);
	if (r == 0) {
		r = trail_add(&trail, "reaped", note, e);
		trail_done(&trail);
	} else {
		json_decref(note);
		r = r == -ENOENT ? 0 : r; /* it died before the first record */
	}
	if (r >= 0) {
		r = settle(sb, e);
	}
	return r < 0 ? r : r > 0 ? copy_release(sb, e) : state_remove(s, sb, e);
}

/* Ended, with a copy that waits for somebody: nobody's orphan. */
static bool is_kept(int dir)
{
	return faccessat(dir, "sandbox.json", F_OK, 0) < 0 &&
	       faccessat(dir, "kept.json", F_OK, 0) == 0;
}

/* A copy whose time is up; or the one that waits since then, where there are too many (0: there are
 * not). */
static bool may_go(int dir, int64_t since)
{
	return kept_expired(dir) || (since > 0 && kept_since(dir) == since);
}

/* Nobody keeps it any more: it has no keeper, or what it left has waited long enough. */
static bool is_over(const struct state *s, const char *name, int64_t since, int *ret_dir,
		    bool *ret_expired)
{
	_cleanup_fd_ int dir =
		openat(s->sandboxes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool kept = dir >= 0 && is_kept(dir);
	struct stat opened, now;

	/* First whether it is kept: the lock of such a one would be in the way of who opens it now.
	 * And again with it: its keeper may have kept it meanwhile. */
	if (dir < 0 || (kept && !may_go(dir, since)) || flock(dir, LOCK_EX | LOCK_NB) < 0 ||
	    (is_kept(dir) && !may_go(dir, since))) {
		return false;
	}
	*ret_expired = is_kept(dir);
	/* Removed by its keeper, or by another command, since it was opened: nobody's orphan. */
	if (fstat(dir, &opened) < 0 || fstatat(s->sandboxes, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
	    opened.st_dev != now.st_dev || opened.st_ino != now.st_ino) {
		return false;
	}
	*ret_dir = TAKE_FD(dir);
	return true;
}

/* What waited for longer than its policy says. */
static int expire_one(const struct state *s, struct state_sandbox *sb, bool surplus, struct err *e)
{
	struct trail trail;
	int r = trail_resume(&trail, s->trail, sb->id, e);

	if (r == 0) {
		r = trail_add(
			&trail, "copy_expired",
			json_pack("{s:s}", "why", surplus ? "too many wait" : "its time was up"),
			e);
		trail_done(&trail);
	}
	return r < 0 && r != -ENOENT ? r : kept_expire(s, sb, e);
}

/* With the exclusive lock on HOME/sandboxes nobody is between making and locking a directory. */
static int reap_candidate(const struct state *s, const char *name, int64_t since,
			  struct state_reaped *ret, struct err *e)
{
	struct state_sandbox sb = {.dir = FD_NONE};
	bool expired = false;
	int r = 0;

	if (strlen(name) >= sizeof(sb.id)) {
		return 0;
	}
	memcpy(sb.id, name, strlen(name) + 1);
	if (flock(s->sandboxes, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock the state directory");
	}
	if (is_over(s, name, since, &sb.dir, &expired)) {
		r = expired ? expire_one(s, &sb, since > 0, e) : reap_one(s, &sb, e);
		ret->orphans += r >= 0 && !expired;
		ret->expired += r >= 0 && expired;
	}
	(void)flock(s->sandboxes, LOCK_UN);
	state_sandbox_done(&sb);
	return r;
}

/* One that is over, as far as can be seen without removing it. */
static int consider(const struct state *s, const char *name, int64_t since, bool look,
		    struct state_reaped *ret, struct err *e)
{
	bool expired = false;
	int probe = FD_NONE;

	if (name[0] == '.' || !is_over(s, name, since, &probe, &expired)) {
		return 0;
	}
	(void)fd_close(probe);
	if (!look) {
		return reap_candidate(s, name, since, ret, e);
	}
	ret->orphans += !expired;
	ret->expired += expired;
	return 0;
}

struct waiting {
	char id[STATE_ID_SIZE];
	int64_t since;
};

static int by_age(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return (x->since > y->since) - (x->since < y->since);
}

/* Adds it if it is a copy that waits. -ENOMEM. */
static int note_waiting(const struct state *s, const char *name, struct waiting **list, size_t *n)
{
	_cleanup_fd_ int dir =
		openat(s->sandboxes, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int64_t since = dir < 0 || strlen(name) >= STATE_ID_SIZE ? 0 : kept_since(dir);

	if (since == 0) {
		return 0;
	}
	if (*n % 64 == 0) {
		struct waiting *more = realloc(*list, (*n + 64) * sizeof(**list));

		if (!more) {
			return -ENOMEM;
		}
		*list = more;
	}
	(*list)[*n].since = since;
	memcpy((*list)[(*n)++].id, name, strlen(name) + 1);
	return 0;
}

/* Of more than KEPT_MAX copies the first. */
static int reap_surplus(const struct state *s, struct waiting *list, size_t n, bool look,
			struct state_reaped *ret, struct err *e)
{
	int failed = 0;

	if (n > KEPT_MAX) {
		qsort(list, n, sizeof(*list), by_age);
	}
	for (size_t i = 0; i + KEPT_MAX < n; i++) {
		int r = consider(s, list[i].id, list[i].since, look, ret, failed < 0 ? NULL : e);

		failed = failed < 0 ? failed : r;
	}
	return failed;
}

int state_reap(const struct state *s, bool now, bool look, struct state_reaped *ret, struct err *e)
{
	int copy = openat(s->sandboxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	_cleanup_free_ struct waiting *waiting = NULL;
	struct dirent *entry;
	size_t n = 0;
	int r, failed = 0;

	*ret = (struct state_reaped){};
	if (!dir) {
		(void)fd_close(copy);
		return err_sys(e, errno, "cannot list the state directory");
	}
	while ((entry = readdir(dir))) {
		int before = ret->expired + ret->orphans;

		/* One that cannot be removed must not keep those behind it; the first is said. */
		r = consider(s, entry->d_name, 0, look, ret, failed < 0 ? NULL : e);
		failed = failed < 0 ? failed : r;
		if (entry->d_name[0] != '.' && ret->expired + ret->orphans == before &&
		    note_waiting(s, entry->d_name, &waiting, &n) < 0 && failed >= 0) {
			failed = err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	(void)closedir(dir);
	r = reap_surplus(s, waiting, n, look, ret, failed < 0 ? NULL : e);
	failed = failed < 0 ? failed : r;
	ret->logs = log_reap(s, now, look);
	return failed;
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
