/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policy denies, in the view.
 *
 * Theory of operation. Each place of the view in which something is denied is an overlay: over what
 * is shown lies a layer of ours, a tmpfs in which each name that is denied is a whiteout (a
 * character device 0:0, which the kernel lets anybody make) and the directories above it have the
 * mode and the time of those below. Where the workspace is a copy, that layer lies between the
 * original and the upper one. It is a lower layer and is attached nowhere in the view, so nothing
 * inside can change it: what the payload makes under such a name is in its upper layer, and when it
 * removes that again, moves what is above it, or makes it anew, the whiteout is still what lies
 * below. Nor does it matter what becomes of the name outside, whether it exists or comes to exist.
 *
 * The whole of it is made of names and modes that the keeper has found: no file of anybody is
 * opened here.
 */
#include "policy/deny.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/mutant.h"
#include "linux/mount.h"
#include "tier/container/container-internal.h"
#include "tier/reading.h"
#include "tier/tier.h"

#define RO_TREE (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define RW_TREE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

const struct deny_layer *view_denied(const struct view *v, const char *place)
{
	return MUTANT(ATOLL_MUTATE_DENY) ? NULL : deny_layer_of(v->spec->denied, place);
}

int view_attach_layer(const struct view *v, int mount, const char *name, struct err *e)
{
	if (mkdirat(v->scratch, name, 0700) < 0) {
		return err_sys(e, errno, "cannot make a place for a layer of the view");
	}
	return mount_attach(mount, v->scratch, name, e);
}

/* A whiteout, or a directory that can be filled whatever its mode will be. */
static int make_one(int layer, const struct deny_hide *h, struct err *e)
{
	int r = h->mode == 0 ? mknodat(layer, h->path, S_IFCHR, makedev(0, 0))
			     : mkdirat(layer, h->path, 0700);

	return r < 0 ? err_sys(e, errno, "cannot hide '%s'", h->path) : 0;
}

static int set_dir(int layer, const char *path, mode_t mode, struct timespec time, struct err *e)
{
	const struct timespec times[2] = {time, time};

	return fchmodat(layer, path, mode & 07777, 0) < 0 || utimensat(layer, path, times, 0) < 0
		       ? err_sys(e, errno, "cannot make the directory above what is denied")
		       : 0;
}

int view_make_denied(const struct view *v, const struct deny_layer *l, const char *name,
		     struct err *e)
{
	char inodes[32];
	const char *const options[] = {"size", "1m", "nr_inodes", inodes, "mode", "0700", NULL};
	_cleanup_fd_ int layer = FD_NONE;
	size_t i;
	int r;

	(void)snprintf(inodes, sizeof(inodes), "%zu", l->n + 16);
	layer = mount_new("tmpfs", options, RW_TREE, e);
	r = layer < 0 ? layer : view_attach_layer(v, layer, name, e);
	for (i = 0; r >= 0 && i < l->n; i++) {
		r = make_one(layer, &l->list[i], e);
	}
	/* From the inside out: some modes forbid to go on, and what is made later moves times. */
	for (i = l->n; r >= 0 && i > 0; i--) {
		const struct deny_hide *h = &l->list[i - 1];

		r = h->mode ? set_dir(layer, h->path, h->mode, h->time, e) : 0;
	}
	return r < 0 ? r : set_dir(layer, ".", l->mode, l->time, e);
}

int view_deny(const struct view *v, const char *place, int *mount, struct err *e)
{
	const struct deny_layer *l = view_denied(v, place);
	char denied[32], shown[32], lower[72];
	const char *const options[] = {"lowerdir", lower,      "userxattr", NULL, "index",
				       "off",      "metacopy", "off",       NULL};
	int overlay, r;

	if (!l) {
		return 0;
	}
	(void)snprintf(denied, sizeof(denied), "denied%zu", (size_t)(l - v->spec->denied->list));
	(void)snprintf(shown, sizeof(shown), "shown%zu", (size_t)(l - v->spec->denied->list));
	(void)snprintf(lower, sizeof(lower), "%s:%s", denied, shown);
	r = view_attach_layer(v, *mount, shown, e);
	r = r < 0 ? r : view_make_denied(v, l, denied, e);
	if (r < 0) {
		return r;
	}
	if (fchdir(v->scratch) < 0) {
		return err_sys(e, errno, "cannot enter the scratch space");
	}
	overlay = mount_new("overlay", options, RO_TREE, e);
	if (overlay < 0) {
		return err_wrap(e, "cannot hide what filesystem.deny names in '%s'", place);
	}
	(void)fd_close(*mount);
	*mount = overlay;
	return 0;
}

/* ---- the read-back ---- */

/* Nobody who may look there, as the payload may, sees anything. */
static bool is_gone(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	       (errno == ENOENT || errno == EACCES);
}

static int open_inside(int root, const char *path)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
				     .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
						RESOLVE_NO_SYMLINKS};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int check_layer(const struct reading *r, int root, const struct deny_layer *l,
		       size_t *ret_names)
{
	_cleanup_fd_ int place = open_inside(root, l->place);

	if (l->all) {
		(*ret_names)++;
		return place == -ENOENT ? 0 : reading_differs(r, l->place, "there", "denied");
	}
	if (place < 0) {
		return err_sys(r->e, -place, "cannot read back what is hidden in '%s'", l->place);
	}
	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i].mode == 0 && !is_gone(place, l->list[i].path)) {
			return reading_differs(r, l->list[i].path, "there", "denied");
		}
		*ret_names += l->list[i].mode == 0;
	}
	return 0;
}

int view_check_denied(const struct reading *r)
{
	const struct deny_layers *all = r->spec->denied;
	_cleanup_fd_ int root = openat(r->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	json_t *rules = json_array();
	size_t names = 0, i;
	int err = 0;

	for (i = 0; rules && i < r->spec->plan->n_deny; i++) {
		(void)json_array_append_new(rules, json_text(r->spec->plan->deny[i]));
	}
	for (i = 0; all && i < all->n && err >= 0; i++) {
		err = root < 0 ? err_sys(r->e, errno, "cannot look into the view")
			       : check_layer(r, root, &all->list[i], &names);
	}
	if (err < 0) {
		json_decref(rules);
		return err;
	}
	return reading_add(r, "denied", "read",
			   json_pack("{s:o, s:I}", "rules", rules, "hidden", (json_int_t)names));
}
