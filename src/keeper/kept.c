/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that wait for somebody to look at them. */
#include "keeper/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "keeper/control.h"
#include "keeper/copy-internal.h"
#include "keeper/denied.h"

#define PENDING "apply.json" /* workspace/apply.h */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* What kept.json says, or sandbox.json of a copy; the files are ours, and nobody else's to write.
 */
static int take_note(struct kept *k, const json_t *doc, dev_t *dev, ino_t *ino, struct err *e)
{
	const char *path = NULL;
	int64_t device = 0, inode = 0;
	int r = json_get_str(doc, "workspace", &path, e);

	r = r < 0 ? r : json_get_int(doc, "device", &device, e);
	r = r < 0 ? r : json_get_int(doc, "inode", &inode, e);
	r = r < 0 ? r : json_get_int(doc, "begun_ns", &k->begun_ns, e);
	r = r < 0 ? r : denied_from_json(json_object_get(doc, "deny"), &k->denied, e);
	if (r < 0) {
		return r;
	}
	*dev = (dev_t)device;
	*ino = (ino_t)inode;
	k->workspace = strdup(path);
	return k->workspace ? 0 : no_memory(e);
}

static int read_kept(struct kept *k, dev_t *dev, ino_t *ino, struct err *e)
{
	_cleanup_fd_ int fd = openat(k->home.dir, COPY_KEPT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	int r;

	if (!doc) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "'%s' of sandbox %s cannot be read",
			       COPY_KEPT, k->home.id);
	}
	r = json_get_int(doc, "ended_ns", &k->ended_ns, e);
	r = r < 0 ? r : json_get_int(doc, "until_ns", &k->until_ns, e);
	return r < 0 ? r : take_note(k, doc, dev, ino, e);
}

/* An id is one name: no slashes, nothing hidden. */
static int open_dir(const struct state *s, const char *id, struct kept *k)
{
	size_t len = strlen(id);

	*k = (struct kept){.home = {.dir = FD_NONE}, .original = FD_NONE, .upper = FD_NONE};
	if (len == 0 || len >= sizeof(k->home.id) || id[0] == '.' || strchr(id, '/')) {
		return -ENOENT;
	}
	memcpy(k->home.id, id, len + 1);
	k->home.dir = openat(s->sandboxes, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return k->home.dir < 0 ? -ENOENT : 0;
}

static int open_home(const struct state *s, const char *id, bool lock, struct kept *k)
{
	int r = open_dir(s, id, k);

	if (r < 0) {
		return r;
	}
	if ((lock && flock(k->home.dir, LOCK_EX | LOCK_NB) < 0) ||
	    faccessat(k->home.dir, COPY_NOTE, F_OK, 0) == 0) {
		return -EBUSY;
	}
	return faccessat(k->home.dir, COPY_KEPT, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -ENOENT;
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
	_cleanup_fd_ int dir = copy_open(&k->home, e);
	int r = dir == -ENOENT ? err_sys(e, ENOENT, "nothing is left of it") : dir;

	if (r >= 0) {
		r = k->upper = copy_open_image(dir, e);
	}
	if (r == -ENODATA) {
		r = err_sys(e, ENODATA, "nothing is in it");
	} else if (r == -ENOENT && dir >= 0) {
		k->upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		k->made_ns = copy_whole_since(dir);
		copy_read_dirs(dir, &k->dirs);
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

	if (fstatat(dir, COPY_KEPT, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec > now ||
	    faccessat(dir, PENDING, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		return false;
	}
	_cleanup_fd_ int fd = openat(dir, COPY_KEPT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;

	return doc && json_get_int(doc, "until_ns", &until, NULL) >= 0 && until <= now;
}

int64_t kept_since(int dir)
{
	struct stat st;

	return fstatat(dir, COPY_KEPT, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
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

/* That of a further directory, ID.N, is asked about where its sandbox is. */
static int ask_keeper(const struct state *s, const char *id, struct err *e)
{
	const char *dot = strchr(id, '.');
	char of[STATE_ID_SIZE];
	_cleanup_fd_ int dir = FD_NONE;

	state_name_of(id, of);
	dir = openat(s->sandboxes, of, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return dir < 0 ? -ENOENT
		       : control_ask_copy(dir, dot ? (int32_t)strtol(dot + 1, NULL, 10) : 0, e);
}

/* What its keeper wrote at the start, and what it has open. */
int kept_watch(const struct state *s, const char *id, struct kept *ret, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_fd_ int dir = FD_NONE, fd = FD_NONE;
	dev_t dev = 0;
	ino_t ino = 0;
	int r = open_dir(s, id, ret);

	ret->running = true;
	r = r < 0 ? r : ask_keeper(s, id, e);
	if (r < 0) {
		return r;
	}
	ret->upper = r;
	fd = openat(ret->home.dir, COPY_NOTE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	if (!doc) {
		return -ENOENT; /* it has ended */
	}
	r = take_note(ret, json_object_get(doc, "copy"), &dev, &ino, e);
	dir = r < 0 ? FD_NONE : copy_open(&ret->home, e);
	if (dir >= 0) {
		ret->made_ns = copy_whole_since(dir);
		copy_read_dirs(dir, &ret->dirs);
	}
	return r < 0 ? r : open_original(ret, dev, ino, e);
}

void kept_done(struct kept *k)
{
	state_sandbox_done(&k->home);
	free(k->workspace);
	deny_done(&k->denied);
	dirs_done(&k->dirs);
	k->workspace = NULL;
	k->original = fd_close(k->original);
	k->upper = fd_close(k->upper);
}

int kept_discard(const struct state *s, struct kept *k, struct err *e)
{
	k->upper = fd_close(k->upper);
	/* First what makes it a kept one: half of a copy is nobody's, and removed as such. */
	if (unlinkat(k->home.dir, COPY_KEPT, 0) < 0) {
		return err_sys(e, errno, "cannot throw away the copy of sandbox %s", k->home.id);
	}
	return state_remove(s, &k->home, e);
}
