/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view: what the payload sees as its filesystem.
 *
 * Theory of operation. The root is a small tmpfs of ours, read-only in the end. Into it go, by
 * table: the host's /usr and its like, read-only; a synthesised /etc (etc.c); a fresh /proc of the
 * sandbox's own pid namespace with masks; a minimal /dev of bound nodes; a devpts of its own; one
 * scratch tmpfs, the single place where all that is writable and not the workspace counts against
 * one size, bound at /tmp, /dev/shm and the home directory; the read-only paths of the policy; and
 * the workspace at its own path. Every mount is nosuid and nodev (but for the device nodes), and
 * gets its attributes before it is attached.
 *
 * view_rules() states the same as rules for the receipt: the keeper reads the mount table back
 * from the kernel and refuses any mount that no rule describes.
 */
#include "tier/container/container-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "linux/mount.h"
#include "linux/refusal.h"
#include "tier/builder.h"
#include "tier/hostview.h"
#include "tier/tier.h"

#define RO_TREE (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define RW_TREE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define NODE    (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

/* The only device nodes; everything else in the host's /dev stays outside. */
static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};

static const struct {
	const char *path, *target;
} links[] = {
	{"dev/fd", "/proc/self/fd"},       {"dev/stdin", "/proc/self/fd/0"},
	{"dev/stdout", "/proc/self/fd/1"}, {"dev/stderr", "/proc/self/fd/2"},
	{"dev/ptmx", "pts/ptmx"},          {"var/tmp", "../tmp"},
};

/*
 * Parts of /proc that say more than a payload should know. What only root may open (kpagecount,
 * vmallocinfo, slabinfo, ...) stays closed by its mode: nobody inside is root.
 */
static const char *const proc_masks[] = {
	"kcore",   "keys",       "key-users",     "timer_list",    "sched_debug",
	"kmsg",    "kallsyms",   "latency_stats", "sysrq-trigger", "iomem",
	"ioports", "interrupts", "mtrr",
};
/* The same for directories: hardware, and what file systems of the host are in use. */
static const char *const proc_masked_dirs[] = {
	"acpi", "asound", "bus", "driver", "fs", "irq", "scsi",
};
static const char *const proc_read_only[] = {"sys"};

/*
 * mkdir -p below the new root. The tree is ours alone, so no component can be a link. Most parents
 * exist, so the whole path is tried first.
 */
static int make_dirs(int root, const char *path, struct err *e)
{
	char copy[PATH_MAX];
	size_t len = strlen(path), i;

	if (len == 0 || mkdirat(root, path, 0755) == 0 || errno == EEXIST) {
		return 0;
	}
	if (errno != ENOENT || len >= sizeof(copy)) {
		return err_sys(e, errno, "cannot make '/%s' in the view", path);
	}
	memcpy(copy, path, len + 1);
	for (i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0') {
			continue;
		}
		copy[i] = '\0';
		if (mkdirat(root, copy, 0755) < 0 && errno != EEXIST) {
			return err_sys(e, errno, "cannot make '/%s' in the view", copy);
		}
		copy[i] = path[i];
	}
	return 0;
}

static int make_file(int root, const char *path, mode_t mode, struct err *e)
{
	/* mknod makes a regular file in one call and leaves nothing to close. */
	return mknodat(root, path, S_IFREG | mode, 0) < 0 && errno != EEXIST
		       ? err_sys(e, errno, "cannot make '/%s' in the view", path)
		       : 0;
}

/* The directory above a file, which most often is there already. */
static int make_mount_file(int root, const char *path, struct err *e)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int r;

	if (mknodat(root, path, S_IFREG | 0444, 0) == 0 || errno == EEXIST) {
		return 0;
	}
	if (errno != ENOENT || !slash || (size_t)(slash - path) >= sizeof(parent)) {
		return err_sys(e, errno, "cannot make '/%s' in the view", path);
	}
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	r = make_dirs(root, parent, e);
	return r >= 0 ? make_file(root, path, 0444, e) : r;
}

/* Makes the mount point (directories above it included) and attaches `mount` there. */
static int place(const struct view *v, int mount, const char *path, bool is_dir, struct err *e)
{
	int r = is_dir ? make_dirs(v->root, path, e) : make_mount_file(v->root, path, e);

	return r >= 0 ? mount_attach(mount, v->root, path, e) : r;
}

static int bind(const struct view *v, const char *source, uint64_t attrs, bool is_dir,
		struct err *e)
{
	_cleanup_fd_ int fd = mount_clone(AT_FDCWD, source, attrs, e);

	if (fd == -ENOENT) {
		return err_set(e, ERR_SYSTEM, ENOENT, "'%s' does not exist any more", source);
	}
	if (fd >= 0 && is_dir && view_deny(v, source, &fd, e) < 0) {
		return -e->code;
	}
	return fd < 0 ? fd : place(v, fd, source + 1, is_dir, e);
}

/*
 * The file of denials: the payload reads it, the keeper appends. The root is made read-only, which
 * a file that is open for writing would prevent, so the keeper's is opened through a copy of the
 * mount. That is attached below the old root and goes with it: a copy that is attached nowhere
 * would be waited for at its end, until all CPUs have passed by (namespace_unlock() of the kernel).
 */
static int make_denials(struct view *v, struct err *e)
{
	_cleanup_fd_ int copy = FD_NONE;
	int r = make_file(v->root, TIER_DENIALS, 0644, e);

	r = r < 0 ? r : mount_clone(AT_FDCWD, "/proc", RW_TREE | MOUNT_ATTR_NOEXEC, e);
	if (r < 0) {
		return r;
	}
	copy = r;
	if (mkdirat(v->scratch, "denials", 0700) < 0) {
		return err_sys(e, errno, "cannot make the scratch directory of the denials");
	}
	r = mount_attach(copy, v->scratch, "denials", e);
	if (r < 0) {
		return r;
	}
	v->denials = openat(copy, TIER_DENIALS,
			    O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return v->denials < 0 ? err_sys(e, errno, "cannot open the file of denials") : 0;
}

static int make_root(struct view *v, struct err *e)
{
	static const char *const options[] = {"size", "4m",   "nr_inodes", "4096",
					      "mode", "0755", NULL};
	static const char *const dirs[] = {"etc", "proc", "dev",      "dev/pts",
					   "var", "run",  "run/atoll"};
	uint64_t attrs = RW_TREE;
	size_t i;
	int r;

	v->root = mount_new("tmpfs", options, attrs, e);
	if (v->root < 0) {
		return v->root;
	}
	/* /proc exists on any host that gets here, and this namespace is ours. */
	r = mount_attach(v->root, AT_FDCWD, "/proc", e);
	for (i = 0; r >= 0 && i < ARRAY_SIZE(dirs); i++) {
		if (mkdirat(v->root, dirs[i], 0755) < 0) {
			r = err_sys(e, errno, "cannot make '/%s' in the view", dirs[i]);
		}
	}
	if (r >= 0) {
		r = make_denials(v, e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(links); i++) {
		if (symlinkat(links[i].target, v->root, links[i].path) < 0) {
			r = err_sys(e, errno, "cannot link '/%s' in the view", links[i].path);
		}
	}
	return r;
}

static int show_host_trees(const struct view *v, struct err *e)
{
	uint64_t attrs = MUTANT(ATOLL_MUTATE_RO_USR) ? RW_TREE : RO_TREE;
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && hostview_trees[i]; i++) {
		const char *path = hostview_trees[i];
		char target[64];
		ssize_t n;

		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			if (symlinkat(target, v->root, path + 1) < 0) {
				r = err_sys(e, errno, "cannot link '%s' in the view", path);
			}
		} else if (errno == EINVAL) { /* a directory */
			r = bind(v, path, attrs, true, e);
		}
	}
	return r;
}

static int make_devices(const struct view *v, struct err *e)
{
	static const char *const options[] = {"newinstance", NULL,   "ptmxmode", "0666",
					      "mode",        "0620", NULL};
	_cleanup_fd_ int pts = FD_NONE;
	size_t i;
	int r = 0;

	if (MUTANT(ATOLL_MUTATE_DEV_MINIMAL)) {
		_cleanup_fd_ int all = mount_clone(AT_FDCWD, "/dev", NODE, e);

		return all < 0 ? all : mount_attach(all, v->root, "dev", e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(nodes); i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/dev/%s", nodes[i]);
		r = bind(v, path, NODE, false, e);
	}
	if (r >= 0) {
		r = pts = mount_new("devpts", options, NODE, e);
	}
	return r >= 0 ? mount_attach(pts, v->root, "dev/pts", e) : r;
}

/*
 * Covers entries of the new /proc with what is at `cover` in the new root. What this kernel does
 * not have is left out first: a copy that is closed without being attached waits for all CPUs.
 */
static int cover_all(const struct view *v, const char *cover, const char *const *names, size_t n,
		     struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < n; i++) {
		_cleanup_fd_ int fd = FD_NONE;

		if (faccessat(v->proc, names[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			r = errno == ENOENT
				    ? 0
				    : err_sys(e, errno, "cannot look at '/proc/%s'", names[i]);
			continue;
		}
		r = fd = mount_clone(v->root, cover, RO_TREE | MOUNT_ATTR_NOEXEC, e);
		r = r < 0 ? r : mount_attach(fd, v->proc, names[i], e);
	}
	return r;
}

/* An empty file and an empty directory of mode 0 that nobody can chmod. */
static int mask_proc(const struct view *v, struct err *e)
{
	int r = make_file(v->root, "etc/.masked", 0, e);

	if (r >= 0 && mkdirat(v->root, "etc/.masked.d", 0) < 0) {
		r = err_sys(e, errno, "cannot make '/etc/.masked.d' in the view");
	}
	r = r < 0 ? r : cover_all(v, "etc/.masked", proc_masks, ARRAY_SIZE(proc_masks), e);
	return r < 0 ? r
		     : cover_all(v, "etc/.masked.d", proc_masked_dirs, ARRAY_SIZE(proc_masked_dirs),
				 e);
}

static int make_proc(struct view *v, struct err *e)
{
	int r;

	v->proc = mount_new("proc", NULL, RW_TREE | MOUNT_ATTR_NOEXEC, e);
	if (v->proc < 0) {
		return strstr(e->msg, "mount a new proc") ? err_advise(e, REFUSAL_PROC_REMEDY)
							  : v->proc;
	}
	r = mount_attach(v->proc, v->root, "proc", e);
	return r >= 0 && !MUTANT(ATOLL_MUTATE_MASK_PROC) ? mask_proc(v, e) : r;
}

/* After the sysctls of the namespaces have been set. */
static int freeze_proc(const struct view *v, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && !MUTANT(ATOLL_MUTATE_MASK_PROC) && i < ARRAY_SIZE(proc_read_only);
	     i++) {
		_cleanup_fd_ int fd =
			mount_clone(v->proc, proc_read_only[i], RO_TREE | MOUNT_ATTR_NOEXEC, e);

		if (fd == -ENOENT) {
			continue;
		}
		r = fd < 0 ? fd : mount_attach(fd, v->proc, proc_read_only[i], e);
	}
	return r;
}

/* With a size, and so many inodes that what they cost beside it (about a kilobyte each: tmpfs(5))
 * stays within a quarter of that. */
static int new_tmpfs(uint64_t bytes, struct err *e)
{
	char size[32], inodes[32];
	uint64_t n = bytes / 4096;
	const char *const options[] = {"size", size, "nr_inodes", inodes, "mode", "0700", NULL};

	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	(void)snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)(n < 1024 ? 1024 : n));
	return mount_new("tmpfs", options, RW_TREE, e);
}

/*
 * A mount can be copied only from where it is attached. The scratch sits on the old /proc, with the
 * new root on top of it, and goes with the old root; its directories are bound into the new one.
 */
static int make_scratch(struct view *v, struct err *e)
{
	v->scratch = new_tmpfs(v->spec->plan->limits.scratch, e);
	return v->scratch < 0 ? v->scratch : mount_attach(v->scratch, AT_FDCWD, "/proc", e);
}

static int bind_scratch(const struct view *v, const char *name, const char *path, mode_t mode,
			struct err *e)
{
	_cleanup_fd_ int fd = FD_NONE;

	if (mkdirat(v->scratch, name, 0755) < 0 || fchmodat(v->scratch, name, mode, 0) < 0) {
		return err_sys(e, errno, "cannot make the scratch directory '%s'", path);
	}
	fd = mount_clone(v->scratch, name, RW_TREE, e);
	return fd < 0 ? fd : place(v, fd, path, true, e);
}

static int show_scratch(const struct view *v, struct err *e)
{
	int r = bind_scratch(v, "tmp", "tmp", 01777, e);

	if (r >= 0) {
		r = bind_scratch(v, "shm", "dev/shm", 01777, e);
	}
	if (r >= 0) {
		r = bind_scratch(v, "home", v->spec->plan->identity.home + 1, 0700, e);
	}
	return r;
}

int view_build(struct view *v, struct err *e)
{
	int r = make_scratch(v, e);

	if (r >= 0) {
		r = make_root(v, e);
	}
	/* Order: what lies below something else comes after it; host paths before /proc is hidden.
	 */
	if (r >= 0) {
		r = show_host_trees(v, e);
	}
	if (r >= 0) {
		r = etc_build(v, e);
	}
	if (r >= 0) {
		r = make_devices(v, e);
	}
	if (r >= 0) {
		r = show_scratch(v, e);
	}
	return r >= 0 ? make_proc(v, e) : r;
}

bool view_is_direct(enum workspace_mode mode)
{
	return mode == WORKSPACE_DIRECT || (MUTANT(ATOLL_MUTATE_COPY) && mode == WORKSPACE_COPY);
}

/* A path of the plan must still be what it was when the policy was resolved. */
static int check_same(int fd, const struct plan_path *p, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot look at '%s'", p->path);
	}
	if (st.st_dev != p->dev || st.st_ino != p->ino) {
		return err_set(e, ERR_SYSTEM, ESTALE,
			       "'%s' is not what it was when the policy was resolved", p->path);
	}
	return 0;
}

/* The mount of a path of the plan, detached: the keeper's, or a copy of our own in *own. */
static int take_path(const struct plan_path *p, int idmapped, uint64_t attrs, int *own,
		     struct err *e)
{
	int fd = idmapped, r;

	if (fd < 0) {
		fd = *own = mount_clone(AT_FDCWD, p->path, attrs, e);
	}
	if (fd == -ENOENT) {
		return err_set(e, ERR_SYSTEM, ENOENT, "'%s' does not exist any more", p->path);
	}
	r = fd < 0 ? fd : check_same(fd, p, e);
	return r < 0 ? r : fd;
}

static int show_path(const struct view *v, const struct plan_path *p, int idmapped, uint64_t attrs,
		     struct err *e)
{
	_cleanup_fd_ int own = FD_NONE;
	int fd = take_path(p, idmapped, attrs, &own, e);

	if (fd >= 0 && p->is_dir && view_denied(v, p->path)) {
		/* What was handed over is not ours to close. */
		if (own < 0) {
			own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		}
		fd = view_deny(v, p->path, &own, e) < 0 ? -e->code : own;
	}
	return fd < 0 ? fd : place(v, fd, p->path + 1, p->is_dir, e);
}

/* One of the directories that are worked on. */
struct work {
	const struct plan_path *p;
	enum workspace_mode mode;
	const struct tier_copy *copy;
	unsigned place; /* of its original in the list of mounts; its copy's layers are the next */
};

/* What the layers of a copy are called on the scratch space, each copy's its own. */
struct layer_names {
	char original[16], copy[16], denied[16], upper[24], work[24], lower[40];
};

static struct layer_names names_of(const struct work *w, bool denied)
{
	struct layer_names n;

	(void)snprintf(n.original, sizeof(n.original), "original%u", w->place);
	(void)snprintf(n.copy, sizeof(n.copy), "copy%u", w->place);
	(void)snprintf(n.denied, sizeof(n.denied), "denied%u", w->place);
	(void)snprintf(n.upper, sizeof(n.upper), "%s/upper", n.copy);
	(void)snprintf(n.work, sizeof(n.work), "%s/work", n.copy);
	(void)snprintf(n.lower, sizeof(n.lower), "%s%s%s", denied ? n.denied : "",
		       denied ? ":" : "", n.original);
	return n;
}

/* Where the copy's layers are, detached; empty where it is a tmpfs of our own. */
static int open_layer(const struct view *v, const struct work *w, struct err *e)
{
	const struct tier_copy *c = w->copy;
	int fd;

	if (c->kind == TIER_COPY_TMPFS) {
		return new_tmpfs(c->size, e);
	}
	if (v->mounts[w->place + 1] >= 0) {
		fd = fcntl(v->mounts[w->place + 1], F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? err_sys(e, errno, "cannot take the copy's layers") : fd;
	}
	fd = mount_clone(AT_FDCWD, c->directory, RW_TREE, e);
	return fd == -ENOENT ? err_set(e, ERR_SYSTEM, ENOENT, "the copy is gone") : fd;
}

/*
 * The layers on a tmpfs; returns a descriptor of the upper one. Without attributes of users on it
 * (tmpfs(5), Linux 6.6) an overlay could be mounted all the same, and fail when the payload removes
 * a directory of the original's.
 */
static int make_layers(const struct tier_copy *c, int tmpfs, struct err *e)
{
	_cleanup_fd_ int upper = FD_NONE;

	if (mkdirat(tmpfs, "upper", 0700) < 0 || mkdirat(tmpfs, "work", 0700) < 0 ||
	    (upper = openat(tmpfs, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    fchmod(upper, c->mode) < 0) {
		return err_sys(e, errno, "cannot make the copy's layers");
	}
	if (fsetxattr(upper, "user.overlay.opaque", "n", 1, 0) < 0 ||
	    fremovexattr(upper, "user.overlay.opaque") < 0) {
		(void)err_sys(e, errno, "a bounded copy needs a tmpfs with extended attributes");
		return err_advise(e,
				  "Linux 6.6 or newer has them (CONFIG_TMPFS_XATTR); or start as "
				  "root, or accept a limit that the keeper looks after, with "
				  "'execution: {limits: {mechanism: any}}'");
	}
	return TAKE_FD(upper);
}

/*
 * The copy: an overlay of the original, read-only, and of what the payload writes. Its layers are
 * named relative to the scratch space: the payload can read these names, and nothing else has any.
 * No redirects, no index: everything that a name means follows from the upper layer and the
 * original (workspace/change.h). Whatever is not on disk yet when the machine stops is lost with
 * the run. What the policy denies is a layer of its own between the two (deny.c).
 */
static int show_copy(struct view *v, const struct work *w, struct err *e)
{
	const struct plan_path *p = w->p;
	const struct deny_layer *denied = view_denied(v, p->path);
	const struct layer_names names = names_of(w, denied != NULL);
	const char *const options[] = {"lowerdir", names.lower, "upperdir", names.upper, "workdir",
				       names.work, "userxattr", NULL,       "index",     "off",
				       "metacopy", "off",       "volatile", NULL,        NULL};
	_cleanup_fd_ int own = FD_NONE, copy = FD_NONE, overlay = FD_NONE;
	int fd = take_path(p, v->mounts[w->place], RO_TREE, &own, e), r;

	if (fd < 0) {
		return fd;
	}
	copy = open_layer(v, w, e);
	if (copy < 0) {
		return copy;
	}
	r = view_attach_layer(v, fd, names.original, e);
	r = r < 0 ? r : view_attach_layer(v, copy, names.copy, e);
	if (r >= 0 && w->copy->kind == TIER_COPY_TMPFS) {
		r = v->upper = make_layers(w->copy, copy, e);
	}
	r = r < 0 || !denied ? r : view_make_denied(v, denied, names.denied, e);
	if (r < 0) {
		return r;
	}
	if (fchdir(v->scratch) < 0) {
		return err_sys(e, errno, "cannot enter the scratch space");
	}
	overlay = mount_new("overlay", options, RW_TREE, e);
	if (overlay < 0) {
		return err_wrap(e, VIEW_NO_COPY);
	}
	return place(v, overlay, p->path + 1, p->is_dir, e);
}

/* A copy of every file, in the original's place; the keeper has made it, less what is denied. */
static int show_files(const struct view *v, const struct work *w, struct err *e)
{
	_cleanup_fd_ int copy = open_layer(v, w, e);

	return copy < 0 ? copy : place(v, copy, w->p->path + 1, w->p->is_dir, e);
}

static int show_work(struct view *v, const struct work *w, struct err *e)
{
	bool direct = view_is_direct(w->mode);

	if (w->mode == WORKSPACE_COPY && !direct) {
		return w->copy->kind == TIER_COPY_FILES ? show_files(v, w, e) : show_copy(v, w, e);
	}
	return show_path(v, w->p, v->mounts[w->place], direct ? RW_TREE : RO_TREE, e);
}

int view_show_paths(struct view *v, struct err *e)
{
	const struct plan *plan = v->spec->plan;
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < plan->n_read; i++) {
		r = show_path(v, &plan->read[i], v->mounts[BUILD_READ + i], RO_TREE, e);
	}
	if (r >= 0 && plan->workspace_mode != WORKSPACE_NONE) {
		r = show_work(v,
			      &(struct work){&plan->workspace, plan->workspace_mode, &v->spec->copy,
					     BUILD_WORKSPACE},
			      e);
	}
	for (i = 0; r >= 0 && i < plan->n_more; i++) {
		r = show_work(v,
			      &(struct work){&plan->more[i].place, plan->more[i].mode,
					     &v->spec->more[i], BUILD_MORE + 2 * (unsigned)i},
			      e);
	}
	return r;
}

int view_seal(const struct view *v, struct err *e)
{
	int r = freeze_proc(v, e);

	return r >= 0 ? mount_set(v->root, "", MOUNT_ATTR_RDONLY, e) : r;
}

static size_t rule(struct view_rule *rules, size_t n, const char *path, bool tree, bool required,
		   unsigned attrs)
{
	if (n < VIEW_MAX_RULES) {
		rules[n] = (struct view_rule){path, tree, required, attrs};
	}
	return n + 1;
}

size_t view_rules(const struct plan *plan, struct view_rule rules[VIEW_MAX_RULES])
{
	static const struct view_rule fixed[] = {
		{"/", false, true, RO_TREE},
		{"/usr", true, true, RO_TREE},
		{"/bin", true, false, RO_TREE},
		{"/sbin", true, false, RO_TREE},
		{"/lib", true, false, RO_TREE},
		{"/lib32", true, false, RO_TREE},
		{"/lib64", true, false, RO_TREE},
		{"/libx32", true, false, RO_TREE},
		{"/dev/null", false, true, NODE},
		{"/dev/zero", false, true, NODE},
		{"/dev/full", false, true, NODE},
		{"/dev/random", false, true, NODE},
		{"/dev/urandom", false, true, NODE},
		{"/dev/tty", false, true, NODE},
		{"/dev/pts", false, true, NODE},
		{"/dev/shm", false, true, RW_TREE},
		{"/tmp", false, true, RW_TREE},
		{"/proc", false, true, RW_TREE | MOUNT_ATTR_NOEXEC},
		{"/proc/kcore", false, false, RO_TREE | MOUNT_ATTR_NOEXEC},
		{"/proc/keys", false, true, RO_TREE | MOUNT_ATTR_NOEXEC},
		{"/proc/kallsyms", false, true, RO_TREE | MOUNT_ATTR_NOEXEC},
		{"/proc/timer_list", false, false, RO_TREE | MOUNT_ATTR_NOEXEC},
		{"/proc/sys", false, true, RO_TREE | MOUNT_ATTR_NOEXEC},
		/* The remaining masks; nothing may be attached below /proc but read-only. */
		{"/proc", true, false, RO_TREE | MOUNT_ATTR_NOEXEC},
		{"/etc", true, false, RO_TREE},
	};
	size_t n, i;

	memcpy(rules, fixed, sizeof(fixed));
	n = ARRAY_SIZE(fixed);
	n = rule(rules, n, plan->identity.home, false, true, RW_TREE);
	for (i = 0; i < plan->n_read; i++) {
		n = rule(rules, n, plan->read[i].path, true, true, RO_TREE);
	}
	for (i = 0; i < plan_n_works(plan); i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(plan, i, &mode);

		n = rule(rules, n, work->path, true, true,
			 mode >= WORKSPACE_COPY ? RW_TREE : RO_TREE);
	}
	return n;
}
