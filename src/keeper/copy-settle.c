/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a copy when its sandbox has ended. */
#include "keeper/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "keeper/copy-internal.h"
#include "keeper/denied.h"
#include "keeper/image.h"
#include "linux/tree.h"
#include "workspace/carry.h"
#include "workspace/change.h"
#include "workspace/dirs.h"

#define NAME_FILE   "name" /* keeper/name.h */
#define KEEP_UNSAID (365 * 86400 * 1000000000LL)

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
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
		if (strcmp(entry->d_name, COPY_DIR) != 0 && strcmp(entry->d_name, COPY_KEPT) != 0 &&
		    strcmp(entry->d_name, COPY_NOTE) != 0 &&
		    strcmp(entry->d_name, NAME_FILE) != 0 && entry->d_name[0] != '.' &&
		    unlinkat(home, entry->d_name, 0) < 0) {
			r = -errno;
		}
	}
	(void)closedir(d);
	return r < 0 ? r : unlinkat(home, COPY_NOTE, 0) < 0 ? -errno : 0;
}

/* In the room that was reserved; somebody may have begun this before, and died or found none. */
static int write_kept(const struct state_sandbox *home, const char *text, size_t len, int64_t until)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
					  {until / 1000000000LL, until % 1000000000LL}};
	_cleanup_fd_ int fd =
		openat(home->dir, COPY_RESERVED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		return -errno;
	}
	errno = ENOSPC;
	return pwrite(fd, text, len, 0) != (ssize_t)len || ftruncate(fd, (off_t)len) < 0 ||
			       futimens(fd, times) < 0 ||
			       renameat(home->dir, COPY_RESERVED, home->dir, COPY_KEPT) < 0
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
	r = faccessat(home->dir, COPY_KEPT, F_OK, 0) == 0 ? 0 : write_kept(home, text, len, until);
	return r < 0 ? err_sys(e, -r, "cannot keep the copy of sandbox %s", home->id) : 1;
}

int copy_release(const struct state_sandbox *home, struct err *e)
{
	int r = empty_but_kept(home->dir);

	return r < 0 ? err_sys(e, -r, "cannot keep the copy of sandbox %s", home->id) : 0;
}

/* The upper layer of an image. Without a word: -ENOENT, there is no image; -ENODATA, nobody has
 * come to make layers in it. */
int copy_open_image(int dir, struct err *e)
{
	_cleanup_fd_ int mount = image_open(dir, e);
	int fd;

	if (mount < 0) {
		return mount == -ENODATA ? -EIO : mount; /* a disk's own word for a bad block */
	}
	fd = openat(mount, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0           ? fd
	       : errno == ENOENT ? -ENODATA
				 : err_sys(e, errno == ENODATA ? EIO : errno,
					   "cannot open what is in its image");
}

/* A descriptor of copy/; -ENOENT without a word. */
int copy_open(const struct state_sandbox *home, struct err *e)
{
	int dir = openat(home->dir, COPY_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir >= 0 || errno == ENOENT ? dir < 0 ? -ENOENT : dir
					   : err_sys(e, errno, "cannot open the sandbox's copy");
}

/* From the tmpfs, which is gone when its last descriptor is closed. */
static int bring(struct copy *c, const struct state_sandbox *home, struct err *e)
{
	_cleanup_fd_ int dir =
		c->upper >= 0 && !changes_none(c->upper) ? copy_open(home, e) : -ENOENT;

	return dir == -ENOENT ? 0
	       : dir < 0      ? dir
			      : carry_layer(c->upper, dir, "upper", &c->loss, e);
}

json_t *copy_loss_to_json(const struct copy *c)
{
	const struct carry_loss *l = &c->loss;

	return *l->first ? json_pack("{s:I, s:I, s:I, s:o}", "files", (json_int_t)l->files,
				     "attributes", (json_int_t)l->attributes, "names",
				     (json_int_t)l->names, "first", json_text(l->first))
			 : json_null();
}

int copy_end(struct copy *c, const struct state_sandbox *home, struct err *e)
{
	bool mounted = c->layers.kind == TIER_COPY_MOUNT;
	int r = 0;

	if (c->layers.kind == TIER_COPY_TMPFS) {
		r = bring(c, home, e);
	} else if (mounted && c->upper >= 0 && !changes_none(c->upper)) {
		/* The image has holes: a full disk shows only when all is written. */
		r = syncfs(c->upper) < 0
			    ? err_sys(e, errno, "cannot write what was changed to the disk")
			    : keep(home, c->note, e);
	}
	copy_close(c);
	return r < 0 || mounted ? r : copy_settle(home, c->note, e);
}

/* Since when copy/ holds every file; 0: it does not, or is not whole. */
int64_t copy_whole_since(int dir)
{
	struct stat st;

	return fstatat(dir, COPY_WHOLE, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : copy_ctime_of(&st);
}

void copy_read_dirs(int dir, struct dirs *ret)
{
	(void)dirs_read(dir, COPY_DIRS, ret);
}

/* Nothing is different in a copy of every file. What cannot be told is. */
static bool is_same(int dir, int upper, int64_t made_ns, const json_t *note)
{
	const char *path = json_string_value(json_object_get(note, "workspace"));
	_cleanup_fd_ int original = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : FD_NONE;
	struct deny_rules denied = {};
	struct changes found = {};
	struct dirs dirs = {};
	struct change_view view = {
		.rules = &denied,
		.workspace = path,
		.begun_ns = json_integer_value(json_object_get(note, "begun_ns")),
		.made_ns = made_ns,
		.dirs = &dirs,
	};
	bool same;

	copy_read_dirs(dir, &dirs);
	same = original >= 0 &&
	       denied_from_json(json_object_get(note, "deny"), &denied, NULL) >= 0 &&
	       changes_find(original, upper, &view, false, &found, NULL) >= 0 && found.n == 0;
	dirs_done(&dirs);
	changes_done(&found);
	deny_done(&denied);
	return same;
}

static bool is_unchanged(int dir, int upper, const json_t *note)
{
	int64_t made_ns = copy_whole_since(dir);

	return made_ns > 0 ? is_same(dir, upper, made_ns, note) : changes_none(upper);
}

/* What is in an image cannot be told if it cannot be mounted: then it waits, and who looks at it
 * hears why. But while it is still written, the whole sandbox is to wait. */
static int settle_image(const struct state_sandbox *home, int dir, const json_t *note,
			struct err *e)
{
	struct err why = {};
	_cleanup_fd_ int upper = copy_open_image(dir, &why);

	if (upper == -EBUSY) {
		return err_set(e, why.kind, EBUSY, "%s", why.msg);
	}
	return upper == -ENOENT || upper == -ENODATA ? upper
	       : upper >= 0 && changes_none(upper)   ? 0
						     : keep(home, note, e);
}

int copy_settle(const struct state_sandbox *home, const json_t *note, struct err *e)
{
	_cleanup_fd_ int dir = copy_open(home, e), upper = FD_NONE;
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
	if (faccessat(dir, COPY_FILES, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    copy_whole_since(dir) == 0) {
		return 0; /* nothing of the payload's has run */
	}
	return is_unchanged(dir, upper, note) ? 0 : keep(home, note, e);
}
