/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of workspaces: whether they can be had, and making them. */
#include "keeper/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
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
#include "keeper/copy-internal.h"
#include "keeper/denied.h"
#include "keeper/image.h"
#include "linux/tree.h"
#include "policy/plan.h"
#include "workspace/carry.h"
#include "workspace/dirs.h"

/* What is reserved beyond the note. */
#define RESERVED_SIZE 8192
#define PAGE          4096
#define TICK_TRIES    1000 /* milliseconds */

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

int64_t copy_ctime_of(const struct stat *st)
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
void copy_close(struct copy *c)
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

int copy_name(struct copy *c, const char *id, const struct plan *plan, const struct plan_path *w,
	      const struct deny_layers *denied, struct err *e)
{
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
	if (buf_addf(&b, "/sandboxes/%s/" COPY_DIR, id) < 0) {
		return err_set(e, ERR_USER, ENAMETOOLONG,
			       "the path of the state directory is too long");
	}
	if (plan->copy_by == COPY_BY_FILES && buf_adds(&b, "/upper") < 0) {
		return err_set(e, ERR_USER, ENAMETOOLONG,
			       "the path of the state directory is too long");
	}
	c->of = w;
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
	_cleanup_fd_ int fd = openat(home->dir, COPY_RESERVED,
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
	int tries;

	for (tries = 0; clock_stamp_ns() <= stamp; tries++) {
		if (tries == TICK_TRIES) {
			return err_set(e, ERR_SYSTEM, ETIME,
				       "the clock of the state directory's file system is ahead of "
				       "this host's; keep the state (ATOLL_HOME) on a disk of its "
				       "own");
		}
		if (nanosleep(&moment, NULL) < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for the clock");
		}
	}
	return 0;
}

/* Says that the copy is whole, and since when. */
static int mark_whole(int dir, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(dir, COPY_WHOLE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot mark it");
	}
	return wait_for_tick(copy_ctime_of(&st), e);
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

/* The copy itself, and beside it which directories the original had. */
static int carry_files(const struct copy *c, int from, int dir, struct carry_original *original,
		       struct err *e)
{
	struct deny_rules denied = {};
	struct dirs dirs = {};
	int r = denied_from_json(json_object_get(c->note, "deny"), &denied, e);

	if (r >= 0) {
		original->denied = &denied;
		original->dirs = &dirs;
		original->tell = c->tell;
		original->arg = c->tell_arg;
		r = carry_original(from, original, dir, "upper", e);
	}
	if (r == -EFBIG) {
		(void)err_advise(e, "raise execution.limits.copy (--copy), or keep the state "
				    "(ATOLL_HOME) where an overlay can be made");
	} else if (r >= 0) {
		r = dirs_write(&dirs, dir, COPY_DIRS);
		r = r < 0 ? err_sys(e, -r, "cannot note its directories") : 0;
	}
	dirs_done(&dirs);
	deny_done(&denied);
	return r;
}

static int make_files(struct copy *c, int dir, const struct plan *plan, uid_t uid, gid_t gid,
		      struct err *e)
{
	const struct plan_path *w = c->of;
	_cleanup_fd_ int from = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct carry_original original = {
		.place = w->path,
		.room = plan->limits.copy,
		.as_owner = uid,
		.as_group = gid,
	};
	struct stat st;
	int r;

	if (from < 0 || fstat(from, &st) < 0) {
		return err_sys(e, errno, "cannot open it");
	}
	if (mknodat(dir, COPY_FILES, S_IFREG | 0600, 0) < 0) {
		return err_sys(e, errno, "cannot say what it is to be");
	}
	if (st.st_dev != w->dev || st.st_ino != w->ino) {
		return err_set(e, ERR_SYSTEM, ESTALE,
			       "it is not what it was when the policy was resolved");
	}
	original.owner = st.st_uid;
	original.group = st.st_gid;
	r = carry_files(c, from, dir, &original, e);
	if (r < 0) {
		return r;
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

	if (r >= 0 && mkdirat(home->dir, COPY_DIR, 0700) < 0) {
		r = -errno;
	}
	if (r >= 0) {
		r = dir = openat(home->dir, COPY_DIR,
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = dir < 0 ? -errno : 0;
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot make the copy of '%s'", c->of->path);
	}
	if (c->layers.kind == TIER_COPY_MOUNT) {
		r = make_image(c, dir, e);
	} else if (c->layers.kind == TIER_COPY_DIRECTORY) {
		r = make_layers(c, dir, e);
	} else if (c->layers.kind == TIER_COPY_FILES) {
		r = make_files(c, dir, plan, uid, gid, e);
	}
	return r < 0 ? err_wrap(e, "cannot make the copy of '%s'", c->of->path) : 0;
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
