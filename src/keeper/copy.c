/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of workspaces: made, kept, thrown away. */
#include "keeper/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mutant.h"
#include "keeper/denied.h"
#include "keeper/image.h"
#include "linux/tree.h"
#include "policy/plan.h"
#include "workspace/carry.h"
#include "workspace/change.h"

#define NOTE        "sandbox.json"
#define KEPT        "kept.json"
#define NAME        "name" /* keeper/name.h */
#define COPY        "copy"
#define WHOLE       "whole"
#define KEEP_UNSAID (365 * 86400 * 1000000000LL)
#define PENDING     "apply.json" /* workspace/apply.h */
/* Until the sandbox has ended: room on disk for KEPT, which a payload that fills it leaves none. */
#define RESERVED      "." KEPT
#define RESERVED_SIZE 8192
#define PAGE          4096

/* File systems that overlayfs takes as no upper layer (linux/magic.h, and the kernel's sources). */
static bool is_unfit(const struct statfs *fs)
{
	static const unsigned unfit[] = {
		OVERLAYFS_SUPER_MAGIC, NFS_SUPER_MAGIC, FUSE_SUPER_MAGIC,
		MSDOS_SUPER_MAGIC,     SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC,
		CIFS_SUPER_MAGIC,      V9FS_MAGIC,      CEPH_SUPER_MAGIC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++) {
		if ((unsigned)fs->f_type == unfit[i]) {
			return true;
		}
	}
	return false;
}

const char *copy_impossible(void)
{
	_cleanup_buf_ struct buf path = {};
	struct err unused = {};
	struct statfs fs;

	buf_init(&path, 65536);
	if (state_path(&path, &unused) < 0) {
		return NULL; /* said by who needs it */
	}
	while (statfs(buf_str(&path), &fs) < 0) {
		char *slash = strrchr(path.data, '/');

		if (errno != ENOENT || !slash || slash == path.data) {
			return NULL;
		}
		*slash = '\0';
	}
	if (is_unfit(&fs)) {
		return "the state directory lies on a file system that overlayfs cannot write to "
		       "(ATOLL_HOME can name another place)";
	}
	return getxattr(path.data, "user.atoll", NULL, 0) < 0 && errno == EOPNOTSUPP
		       ? "the state directory lies on a file system without extended attributes "
			 "(ATOLL_HOME can name another place)"
		       : NULL;
}

static int64_t ctime_of(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * 1000000000LL + st->st_ctim.tv_nsec;
}

/* Of a user's, which no tmpfs that can be seen without a namespace says of those in one. */
static const char *no_tmpfs(void)
{
	struct statfs fs;

	return statfs("/dev/shm", &fs) == 0 && (unsigned)fs.f_type == TMPFS_MAGIC &&
			       getxattr("/dev/shm", "user.atoll", NULL, 0) < 0 &&
			       errno == EOPNOTSUPP
		       ? "limits are to be armed by groups alone, and a tmpfs without extended "
			 "attributes (before Linux 6.6) holds no copy"
		       : NULL;
}

const char *copy_unbounded(void)
{
	if (geteuid() != 0) {
		return no_tmpfs();
	}
	return access("/dev/loop-control", F_OK) < 0
		       ? "limits are to be armed by groups alone, and there are no loop devices to "
			 "hold a copy (modprobe loop)"
	       : !image_program() ? "limits are to be armed by groups alone, and there is no "
				    "mkfs.ext4 to make a file system for a copy (package e2fsprogs)"
				  : NULL;
}

void copy_init(struct copy *c)
{
	*c = (struct copy){.layers.mount = FD_NONE, .mount = FD_NONE, .upper = FD_NONE};
}

/* The image is let go with the last of these. */
static void copy_close(struct copy *c)
{
	c->upper = fd_close(c->upper);
	c->mount = fd_close(c->mount);
	c->layers.mount = FD_NONE;
}

void copy_done(struct copy *c)
{
	free(c->path);
	json_decref(c->note);
	copy_close(c);
	copy_init(c);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* By CLOCK_REALTIME; 0: it does not expire. */
static int64_t expiry_of(const struct plan *plan)
{
	return plan->expires > 0 ? clock_real_ns() + (int64_t)plan->expires : 0;
}

int copy_name(struct copy *c, const char *id, const struct plan *plan,
	      const struct deny_layers *denied, struct err *e)
{
	const struct plan_path *w = &plan->workspace;
	_cleanup_buf_ struct buf b = {};
	struct stat st;
	int r;

	buf_init(&b, 4096);
	r = state_path(&b, e);
	if (r < 0) {
		return r;
	}
	if (stat(w->path, &st) < 0) {
		return err_sys(e, errno, "cannot look at '%s'", w->path);
	}
	if (buf_addf(&b, "/sandboxes/%s/" COPY, id) < 0) {
		return err_set(e, ERR_USER, ENAMETOOLONG,
			       "the path of the state directory is too long");
	}
	if (plan->copy_by == COPY_BY_FILES && buf_adds(&b, "/upper") < 0) {
		return err_set(e, ERR_USER, ENAMETOOLONG,
			       "the path of the state directory is too long");
	}
	c->path = strdup(b.data);
	c->layers = (struct tier_copy){
		.kind = plan->copy_by == COPY_BY_FILES ? TIER_COPY_FILES
			: !plan_bounds_copy(plan)      ? TIER_COPY_DIRECTORY
			: geteuid() == 0               ? TIER_COPY_MOUNT
						       : TIER_COPY_TMPFS,
		.directory = c->path,
		.mount = FD_NONE,
		.size = plan->limits.copy * (MUTANT(ATOLL_MUTATE_COPY_SIZE) ? 4 : 1),
		.mode = st.st_mode & 0777,
	};
	c->note = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o?}", "workspace", w->path, "device",
			    (json_int_t)w->dev, "inode", (json_int_t)w->ino, "begun_ns",
			    (json_int_t)clock_stamp_ns(), "keep_ns", (json_int_t)plan->limits.keep,
			    "expires_ns", (json_int_t)expiry_of(plan), "deny",
			    denied_to_json(plan, denied));
	return c->path && json_is_array(json_object_get(c->note, "deny")) ? 0 : no_memory(e);
}

/* The note, and a little more. */
static int reserve(const struct state_sandbox *home, const json_t *note)
{
	size_t size = json_dumpb(note, NULL, 0, JSON_COMPACT) + RESERVED_SIZE;
	_cleanup_fd_ int fd = openat(home->dir, RESERVED,
				     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	static const char room[RESERVED_SIZE];

	if (fd < 0) {
		return -errno;
	}
	while (size > 0) {
		size_t part = size < sizeof(room) ? size : sizeof(room);

		errno = ENOSPC; /* where less is written */
		if (write(fd, room, part) != (ssize_t)part) {
			return -errno;
		}
		size -= part;
	}
	return 0;
}

/* The layers in `dir`. The payload sees the mode of the upper one as that of its workspace. */
static int make_layers(struct copy *c, int dir, struct err *e)
{
	if (mkdirat(dir, "upper", 0700) < 0 || mkdirat(dir, "work", 0700) < 0) {
		return err_sys(e, errno, "cannot make its layers");
	}
	c->upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return c->upper < 0 || fchmod(c->upper, c->layers.mode) < 0
		       ? err_sys(e, errno, "cannot make its layers")
		       : 0;
}

static int make_image(struct copy *c, int dir, struct err *e)
{
	int r = c->mount = image_make(dir, c->layers.size, e);

	if (r < 0) {
		return err_advise(e, "or accept a limit that the keeper looks after, with "
				     "'execution: {limits: {mechanism: any}}'");
	}
	c->layers.mount = c->mount;
	return make_layers(c, c->mount, e);
}

/* After this, what is changed has a later ctime than what was there. */
static int wait_for_tick(int64_t stamp, struct err *e)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	while (clock_stamp_ns() <= stamp) {
		if (nanosleep(&moment, NULL) < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for the clock");
		}
	}
	return 0;
}

/* Says that the copy is whole, and since when. */
static int mark_whole(int dir, struct err *e)
{
	_cleanup_fd_ int fd = openat(dir, WHOLE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot mark it");
	}
	return wait_for_tick(ctime_of(&st), e);
}

/* What the keeper measures later is what came to this. */
static int measure_born(struct copy *c, struct err *e)
{
	const struct tree_usage most = {UINT64_MAX, UINT64_MAX};

	return tree_measure(c->upper, &most, &c->born)
		       ? 0
		       : err_set(e, ERR_POLICY, ELOOP,
				 "it is deeper than %d directories, which nobody can measure",
				 TREE_DEPTH_MAX);
}

static int make_files(struct copy *c, int dir, const struct plan *plan, uid_t uid, gid_t gid,
		      struct err *e)
{
	const struct plan_path *w = &plan->workspace;
	_cleanup_fd_ int from = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct deny_rules denied = {};
	struct stat st;
	int r;

	if (from < 0 || fstat(from, &st) < 0) {
		return err_sys(e, errno, "cannot open it");
	}
	if (st.st_dev != w->dev || st.st_ino != w->ino) {
		return err_set(e, ERR_SYSTEM, ESTALE,
			       "it is not what it was when the policy was resolved");
	}
	r = denied_from_json(json_object_get(c->note, "deny"), &denied, e);
	if (r >= 0) {
		const struct carry_original original = {
			.place = w->path,
			.denied = &denied,
			.room = plan->limits.copy,
			.owner = st.st_uid,
			.as_owner = uid,
			.group = st.st_gid,
			.as_group = gid,
		};

		r = carry_original(from, &original, dir, "upper", e);
	}
	deny_done(&denied);
	if (r < 0) {
		return r == -EFBIG ? err_advise(e, "raise execution.limits.copy (--copy), or keep "
						   "the state (ATOLL_HOME) where an overlay can be "
						   "made")
				   : r;
	}
	c->upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->upper < 0) {
		return err_sys(e, errno, "cannot open what was copied");
	}
	r = measure_born(c, e);
	return r < 0 ? r : mark_whole(dir, e);
}

int copy_make(struct copy *c, const struct state_sandbox *home, const struct plan *plan, uid_t uid,
	      gid_t gid, struct err *e)
{
	_cleanup_fd_ int dir = FD_NONE;
	int r = reserve(home, c->note);

	if (r >= 0 && mkdirat(home->dir, COPY, 0700) < 0) {
		r = -errno;
	}
	if (r >= 0) {
		r = dir = openat(home->dir, COPY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = dir < 0 ? -errno : 0;
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot make the copy of '%s'", plan->workspace.path);
	}
	if (c->layers.kind == TIER_COPY_MOUNT) {
		r = make_image(c, dir, e);
	} else if (c->layers.kind == TIER_COPY_DIRECTORY) {
		r = make_layers(c, dir, e);
	} else if (c->layers.kind == TIER_COPY_FILES) {
		r = make_files(c, dir, plan, uid, gid, e);
	}
	return r < 0 ? err_wrap(e, "cannot make the copy of '%s'", plan->workspace.path) : 0;
}

int copy_check_size(int upper, uint64_t size, struct err *e)
{
	struct statvfs fs;

	if (upper < 0 || fstatvfs(upper, &fs) < 0) {
		return err_sys(e, upper < 0 ? EBADF : errno, "cannot look at the copy's layers");
	}
	/* A tmpfs has whole pages. */
	return (uint64_t)fs.f_blocks * fs.f_frsize <= size + PAGE - 1 ||
			       MUTANT(ATOLL_MUTATE_RECEIPT_COMPARE)
		       ? 0
		       : err_set(e, ERR_SYSTEM, EBADMSG,
				 "the file system of the copy is larger than its limit");
}

/* Everything of the directory but the copy, what says whose it is, and its name. */
static int empty_but_kept(int home)
{
	int copy = openat(home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	int r = 0;

	if (!d) {
		(void)fd_close(copy);
		return -errno;
	}
	while ((entry = readdir(d))) {
		if (strcmp(entry->d_name, COPY) != 0 && strcmp(entry->d_name, KEPT) != 0 &&
		    strcmp(entry->d_name, NOTE) != 0 && strcmp(entry->d_name, NAME) != 0 &&
		    entry->d_name[0] != '.' && unlinkat(home, entry->d_name, 0) < 0) {
			r = -errno;
		}
	}
	(void)closedir(d);
	return r < 0 ? r : unlinkat(home, NOTE, 0) < 0 ? -errno : 0;
}

/* In the room that was reserved; somebody may have begun this before, and died or found none. */
static int write_kept(const struct state_sandbox *home, const char *text, size_t len, int64_t until)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
					  {until / 1000000000LL, until % 1000000000LL}};
	_cleanup_fd_ int fd =
		openat(home->dir, RESERVED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		return -errno;
	}
	errno = ENOSPC;
	return pwrite(fd, text, len, 0) != (ssize_t)len || ftruncate(fd, (off_t)len) < 0 ||
			       futimens(fd, times) < 0 ||
			       renameat(home->dir, RESERVED, home->dir, KEPT) < 0
		       ? -errno
		       : 0;
}

/* Says what the copy is of, for the time when sandbox.json is gone. */
static int keep(const struct state_sandbox *home, const json_t *note, struct err *e)
{
	_cleanup_json_ json_t *doc = json_deep_copy(note);
	int64_t now = clock_real_ns(), keep = json_integer_value(json_object_get(note, "keep_ns"));
	/* A note that does not say is no reason to throw away what somebody may want. */
	int64_t until = now + (keep > 0 ? keep : KEEP_UNSAID);
	int64_t expires = json_integer_value(json_object_get(note, "expires_ns"));
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	until = expires > 0 && expires < until ? expires : until;
	if (!doc || json_put(doc, "ended_ns", json_integer((json_int_t)now)) < 0 ||
	    json_put(doc, "until_ns", json_integer((json_int_t)until)) < 0 ||
	    !(text = json_canonical(doc, &len))) {
		return no_memory(e);
	}
	r = faccessat(home->dir, KEPT, F_OK, 0) == 0 ? 0 : write_kept(home, text, len, until);
	return r < 0 ? err_sys(e, -r, "cannot keep the copy of sandbox %s", home->id) : 1;
}

int copy_release(const struct state_sandbox *home, struct err *e)
{
	int r = empty_but_kept(home->dir);

	return r < 0 ? err_sys(e, -r, "cannot keep the copy of sandbox %s", home->id) : 0;
}

/* The upper layer of an image. Without a word: -ENOENT, there is no image; -ENODATA, nobody has
 * come to make layers in it. */
static int open_image(int dir, struct err *e)
{
	_cleanup_fd_ int mount = image_open(dir, e);
	int fd;

	if (mount < 0) {
		return mount;
	}
	fd = openat(mount, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : -ENODATA;
}

/* A descriptor of copy/; -ENOENT without a word. */
static int open_copy(const struct state_sandbox *home, struct err *e)
{
	int dir = openat(home->dir, COPY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir >= 0 || errno == ENOENT ? dir < 0 ? -ENOENT : dir
					   : err_sys(e, errno, "cannot open the sandbox's copy");
}

/* From the tmpfs, which is gone when its last descriptor is closed. */
static int bring(struct copy *c, const struct state_sandbox *home, struct err *e)
{
	_cleanup_fd_ int dir =
		c->upper >= 0 && !changes_none(c->upper) ? open_copy(home, e) : -ENOENT;

	return dir == -ENOENT ? 0 : dir < 0 ? dir : carry_layer(c->upper, dir, "upper", e);
}

int copy_end(struct copy *c, const struct state_sandbox *home, struct err *e)
{
	bool mounted = c->layers.kind == TIER_COPY_MOUNT;
	int r = 0;

	if (c->layers.kind == TIER_COPY_TMPFS) {
		r = bring(c, home, e);
	} else if (mounted && c->upper >= 0) {
		r = changes_none(c->upper) ? 0 : keep(home, c->note, e);
	}
	copy_close(c);
	return r < 0 || mounted ? r : copy_settle(home, c->note, e);
}

/* Since when copy/ holds every file; 0: it does not, or is not whole. */
static int64_t whole_since(int dir)
{
	struct stat st;

	return fstatat(dir, WHOLE, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : ctime_of(&st);
}

/* Nothing is different in a copy of every file. What cannot be told is. */
static bool is_same(int upper, int64_t made_ns, const json_t *note)
{
	const char *path = json_string_value(json_object_get(note, "workspace"));
	_cleanup_fd_ int original = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : FD_NONE;
	struct deny_rules denied = {};
	struct changes found = {};
	struct change_view view = {
		.rules = &denied,
		.workspace = path,
		.begun_ns = json_integer_value(json_object_get(note, "begun_ns")),
		.made_ns = made_ns,
	};
	bool same = original >= 0 &&
		    denied_from_json(json_object_get(note, "deny"), &denied, NULL) >= 0 &&
		    changes_find(original, upper, &view, false, &found, NULL) >= 0 && found.n == 0;

	changes_done(&found);
	deny_done(&denied);
	return same;
}

static bool is_unchanged(int dir, int upper, const json_t *note)
{
	int64_t made_ns = whole_since(dir);

	return made_ns > 0 ? is_same(upper, made_ns, note) : changes_none(upper);
}

/* What is in an image cannot be told if it cannot be mounted: then it waits, and who looks at it
 * hears why. But while it is still written, the whole sandbox is to wait. */
static int settle_image(const struct state_sandbox *home, int dir, const json_t *note,
			struct err *e)
{
	struct err why = {};
	_cleanup_fd_ int upper = open_image(dir, &why);

	if (upper == -EBUSY) {
		return err_set(e, why.kind, EBUSY, "%s", why.msg);
	}
	return upper == -ENOENT || upper == -ENODATA ? upper
	       : upper >= 0 && changes_none(upper)   ? 0
						     : keep(home, note, e);
}

int copy_settle(const struct state_sandbox *home, const json_t *note, struct err *e)
{
	_cleanup_fd_ int dir = open_copy(home, e), upper = FD_NONE;
	int r = dir;

	if (dir < 0) {
		return dir == -ENOENT ? 0 : dir;
	}
	r = settle_image(home, dir, note, e);
	if (r != -ENOENT) {
		return r == -ENODATA ? 0 : r;
	}
	r = tree_remove(dir, "work", e);
	if (r < 0) {
		return r;
	}
	/* The payload may have taken our rights away: this directory was its workspace. */
	if (fchmodat(dir, "upper", S_IRWXU, 0) < 0 && errno != ENOENT) {
		return err_sys(e, errno, "cannot open the sandbox's copy");
	}
	upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot open the sandbox's copy");
	}
	return is_unchanged(dir, upper, note) ? 0 : keep(home, note, e);
}

/* What kept.json says; the file is ours, and nobody else's to write. */
static int read_kept(struct kept *k, dev_t *dev, ino_t *ino, struct err *e)
{
	_cleanup_fd_ int fd = openat(k->home.dir, KEPT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	const char *path = NULL;
	int64_t device = 0, inode = 0;
	int r;

	if (!doc) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "'%s' of sandbox %s cannot be read", KEPT,
			       k->home.id);
	}
	r = json_get_str(doc, "workspace", &path, e);
	r = r < 0 ? r : json_get_int(doc, "device", &device, e);
	r = r < 0 ? r : json_get_int(doc, "inode", &inode, e);
	r = r < 0 ? r : json_get_int(doc, "begun_ns", &k->begun_ns, e);
	r = r < 0 ? r : json_get_int(doc, "ended_ns", &k->ended_ns, e);
	r = r < 0 ? r : json_get_int(doc, "until_ns", &k->until_ns, e);
	r = r < 0 ? r : denied_from_json(json_object_get(doc, "deny"), &k->denied, e);
	if (r < 0) {
		return r;
	}
	*dev = (dev_t)device;
	*ino = (ino_t)inode;
	k->workspace = strdup(path);
	return k->workspace ? 0 : no_memory(e);
}

static int open_home(const struct state *s, const char *id, bool lock, struct kept *k)
{
	size_t len = strlen(id);

	/* An id is one name: no slashes, nothing hidden. */
	if (len == 0 || len >= sizeof(k->home.id) || id[0] == '.' || strchr(id, '/')) {
		return -ENOENT;
	}
	memcpy(k->home.id, id, len + 1);
	k->home.dir = openat(s->sandboxes, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (k->home.dir < 0) {
		return -ENOENT;
	}
	if ((lock && flock(k->home.dir, LOCK_EX | LOCK_NB) < 0) ||
	    faccessat(k->home.dir, NOTE, F_OK, 0) == 0) {
		return -EBUSY;
	}
	return faccessat(k->home.dir, KEPT, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -ENOENT;
}

static int open_original(struct kept *k, dev_t dev, ino_t ino, struct err *e)
{
	_cleanup_fd_ int fd = open(k->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot open the workspace '%s'", k->workspace);
	}
	if (st.st_dev != dev || st.st_ino != ino) {
		return err_set(e, ERR_USER, ESTALE,
			       "'%s' is not the directory any more that sandbox %s had a copy of",
			       k->workspace, k->home.id);
	}
	k->original = TAKE_FD(fd);
	return 0;
}

static int open_upper(struct kept *k, struct err *e)
{
	_cleanup_fd_ int dir = open_copy(&k->home, e);
	int r = dir == -ENOENT ? err_sys(e, ENOENT, "nothing is left of it") : dir;

	if (r >= 0) {
		r = k->upper = open_image(dir, e);
	}
	if (r == -ENODATA) {
		r = err_sys(e, ENODATA, "nothing is in it");
	} else if (r == -ENOENT && dir >= 0) {
		k->upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		k->made_ns = whole_since(dir);
		r = k->upper < 0 ? err_sys(e, errno, "nothing is left of it") : 0;
	}
	return r < 0 ? err_wrap(e, "cannot open the copy of sandbox %s", k->home.id) : 0;
}

static int open_kept(const struct state *s, const char *id, bool lock, struct kept *ret,
		     struct err *e)
{
	dev_t dev = 0;
	ino_t ino = 0;
	int r;

	*ret = (struct kept){.home = {.dir = FD_NONE}, .original = FD_NONE, .upper = FD_NONE};
	r = open_home(s, id, lock, ret);
	if (r < 0) {
		state_sandbox_done(&ret->home);
		return err_set(e, ERR_USER, -r,
			       r == -ENOENT ? "there is no kept copy of a sandbox '%s'"
					    : "sandbox '%s' is running, or its copy is in use by "
					      "another command",
			       id);
	}
	r = read_kept(ret, &dev, &ino, e);
	r = r < 0 || !lock ? r : open_upper(ret, e);
	return r < 0 ? r : open_original(ret, dev, ino, e);
}

/* The time is the file's own, too, so that most are told apart by it alone. */
bool kept_expired(int dir)
{
	int64_t now = clock_real_ns(), until = 0;
	struct stat st;

	if (fstatat(dir, KEPT, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec > now ||
	    faccessat(dir, PENDING, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		return false;
	}
	_cleanup_fd_ int fd = openat(dir, KEPT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;

	return doc && json_get_int(doc, "until_ns", &until, NULL) >= 0 && until <= now;
}

int64_t kept_since(int dir)
{
	struct stat st;

	return fstatat(dir, KEPT, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			       faccessat(dir, "sandbox.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
			       faccessat(dir, PENDING, F_OK, AT_SYMLINK_NOFOLLOW) == 0
		       ? 0
		       : (int64_t)st.st_ctim.tv_sec * 1000000000LL + st.st_ctim.tv_nsec;
}

int kept_expire(const struct state *s, const struct state_sandbox *home, struct err *e)
{
	struct kept k = {.home = *home, .original = FD_NONE, .upper = FD_NONE};

	return kept_discard(s, &k, e);
}

int kept_open(const struct state *s, const char *id, struct kept *ret, struct err *e)
{
	return open_kept(s, id, true, ret, e);
}

int kept_look(const struct state *s, const char *id, struct kept *ret, struct err *e)
{
	return open_kept(s, id, false, ret, e);
}

void kept_done(struct kept *k)
{
	state_sandbox_done(&k->home);
	free(k->workspace);
	deny_done(&k->denied);
	k->workspace = NULL;
	k->original = fd_close(k->original);
	k->upper = fd_close(k->upper);
}

int kept_discard(const struct state *s, struct kept *k, struct err *e)
{
	k->upper = fd_close(k->upper);
	/* First what makes it a kept one: half of a copy is nobody's, and removed as such. */
	if (unlinkat(k->home.dir, KEPT, 0) < 0) {
		return err_sys(e, errno, "cannot throw away the copy of sandbox %s", k->home.id);
	}
	return state_remove(s, &k->home, e);
}
