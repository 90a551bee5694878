/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's side of the container tier.
 *
 * Theory of operation. start() clones the builder into its namespaces and writes its id maps; the
 * builder works on the view while the keeper arms limits. supply() sends what only the keeper can
 * make (control groups; mounts with translated owners, when root is the caller), confine() waits
 * for the report that every wall stands. Commands are pid 1's to fork (command.c). While the first
 * is on its way, what belongs to the namespaces is surveyed. The rest is launch.c.
 */
#include "tier/container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "linux/fdpass.h"
#include "linux/mount.h"
#include "linux/refusal.h"
#include "linux/userns.h"
#include "tier/builder.h"
#include "tier/command.h"
#include "tier/container/container-internal.h"
#include "tier/launch.h"
#include "tier/tier.h"
#include "tier/walls.h"

/* A copy of the mount tree at a path of the plan; *st is what was copied, whatever the path leads
 * to by now. */
static int clone_path(const struct plan_path *p, uint64_t attrs, struct stat *st, struct err *e)
{
	_cleanup_fd_ int fd = mount_clone(AT_FDCWD, p->path, attrs, e);

	if (fd == -ENOENT) {
		return err_set(e, ERR_SYSTEM, ENOENT, "'%s' does not exist any more", p->path);
	}
	if (fd >= 0 && fstat(fd, st) < 0) {
		return err_sys(e, errno, "cannot look at '%s'", p->path);
	}
	return TAKE_FD(fd);
}

/* Files of the tree's owner become the payload's. */
static int translate(const struct tier_spec *spec, const struct plan_path *p, int mount,
		     const struct stat *st, struct err *e)
{
	_cleanup_fd_ int userns =
		userns_for_idmap(st->st_uid, spec->host_uid, st->st_gid, spec->host_gid, e);

	return userns < 0 ? userns : mount_idmap(mount, p->path, userns, e);
}

/* The original of something that is worked on. */
static int make_original(const struct tier_spec *spec, const struct plan_path *p, bool direct,
			 struct err *e)
{
	uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (direct ? 0 : MOUNT_ATTR_RDONLY);
	struct stat st;
	_cleanup_fd_ int fd = clone_path(p, attrs, &st, e);
	int r = fd < 0 ? fd : translate(spec, p, fd, &st, e);

	return r < 0 ? r : TAKE_FD(fd);
}

/* A read-only path for a payload that root started: translated only where its unused host id could
 * not read it. */
static int make_readable(const struct tier_spec *spec, const struct plan_path *p, struct err *e)
{
	struct stat st;
	_cleanup_fd_ int fd =
		clone_path(p, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &st, e);
	mode_t need = fd >= 0 && S_ISDIR(st.st_mode) ? 05 : 04;
	int r = fd < 0 ? fd : 0;

	if (r >= 0 && (st.st_mode & need) != need) {
		r = translate(spec, p, fd, &st, e);
	}
	return r < 0 ? r : TAKE_FD(fd);
}

/* Where root's payload writes what it changes in its copy: on disk, root's files. */
static int make_layer(const struct tier_spec *spec, const struct tier_copy *c, struct err *e)
{
	bool mounted = c->kind == TIER_COPY_MOUNT;
	const struct plan_path p = {.path = mounted ? (char *)"the copy's image"
						    : (char *)c->directory};
	struct stat st;
	_cleanup_fd_ int fd = FD_NONE;
	int r;

	if (mounted) {
		fd = fcntl(c->mount, F_DUPFD_CLOEXEC, 0);
		r = fd < 0 || fstat(fd, &st) < 0
			    ? err_sys(e, errno, "cannot look at the image of the copy")
			    : 0;
	} else {
		r = fd = clone_path(&p, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &st, e);
	}
	/* A copy of every file was given to the payload when it was made. */
	if (r >= 0 && c->kind != TIER_COPY_FILES) {
		r = translate(spec, &p, fd, &st, e);
	}
	return r < 0 ? err_wrap(e, VIEW_NO_COPY) : TAKE_FD(fd);
}

/* A directory to work on, at `place` of the list: its original, if that is shown, and the layers of
 * its copy behind it. */
static int make_work(const struct tier_spec *spec, const struct plan_path *p,
		     enum workspace_mode mode, const struct tier_copy *c, unsigned place,
		     uint32_t *mounts, int *fds, size_t *n, struct err *e)
{
	bool direct = view_is_direct(mode);
	int r = 0;

	if (c->kind != TIER_COPY_FILES || direct) {
		r = fds[*n] = make_original(spec, p, direct, e);
		*n += r >= 0;
		*mounts |= 1U << place;
	}
	if (r >= 0 && c->kind != TIER_COPY_NONE) {
		r = fds[*n] = make_layer(spec, c, e);
		*n += r >= 0;
		*mounts |= 1U << (place + 1);
	}
	return r;
}

/*
 * Started by root, the payload is an id that owns nothing and may not even walk to the paths of the
 * plan (/root is closed to it). The keeper therefore makes these mounts: what is worked on with its
 * owner translated, and the read-only paths.
 */
static int make_mounts(const struct tier_spec *spec, uint32_t *mounts, int *fds, size_t *n,
		       struct err *e)
{
	const struct plan *plan = spec->plan;
	size_t i;
	int r = 0;

	if (plan->workspace_mode != WORKSPACE_NONE) {
		r = make_work(spec, &plan->workspace, plan->workspace_mode, &spec->copy,
			      BUILD_WORKSPACE, mounts, fds, n, e);
	}
	for (i = 0; r >= 0 && i < plan->n_more; i++) {
		r = make_work(spec, &plan->more[i].place, plan->more[i].mode, &spec->more[i],
			      BUILD_MORE + 2 * (unsigned)i, mounts, fds, n, e);
	}
	for (i = 0; r >= 0 && i < plan->n_read; i++) {
		r = fds[*n] = make_readable(spec, &plan->read[i], e);
		*n += r >= 0;
		*mounts |= 1U << (BUILD_READ + i);
	}
	return r;
}

static int container_supply(struct tier_sandbox *sb, const int *groups, size_t n_groups,
			    struct err *e)
{
	int fds[FDPASS_MAX] = {};
	size_t n = 0, made, i;
	uint32_t mounts = 0;
	int r = 0;

	if (sb->spec->plan->identity.from_root) {
		r = make_mounts(sb->spec, &mounts, fds, &n, e);
	}
	made = n;
	for (i = 0; r >= 0 && i < n_groups; i++) {
		fds[n++] = groups[i];
	}
	if (r >= 0) {
		r = launch_parts(sb, mounts, n_groups, fds, n, e);
	}
	for (i = 0; i < made; i++) {
		(void)fd_close(fds[i]);
	}
	return r;
}

static void container_stop(struct tier_sandbox *sb)
{
	if (sb->init > 0) {
		/* The kernel kills the whole namespace with its pid 1, and wait returns after that.
		 */
		(void)kill(sb->init, SIGKILL);
		launch_forget(sb); /* meanwhile */
		launch_reap(sb);
	}
}

static int check_spec(const struct tier_spec *spec, struct err *e)
{
	const struct plan *plan = spec->plan;
	size_t n = plan->n_read, i;

	for (i = 0; i < plan->n_more; i++) {
		n += plan->more[i].mode == WORKSPACE_COPY ? 2 : 1;
	}
	if (n > BUILD_MAX_READS) {
		return err_set(e, ERR_POLICY, E2BIG,
			       "at most %d read-only paths and further directories can be shown, "
			       "of which copies count twice",
			       BUILD_MAX_READS);
	}
	if (!spec->plan->exec_any && !plan_uses_landlock(spec->plan)) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "execution.allow is kept by Landlock, which 'syscalls: nested' "
			       "switches off; leave out one of the two");
	}
	return 0;
}

/* The namespaces of a container, less what a mutant leaves out. */
static uint64_t namespaces(void)
{
	uint64_t flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS;

	flags |= MUTANT(ATOLL_MUTATE_NETNS) ? 0 : CLONE_NEWNET;
	flags |= MUTANT(ATOLL_MUTATE_PIDNS) ? 0 : CLONE_NEWPID;
	flags |= MUTANT(ATOLL_MUTATE_IPCNS) ? 0 : CLONE_NEWIPC;
	return flags;
}

static void run_builder(struct builder *b)
{
	container_build(b);
}

static int container_start(const struct tier_spec *spec, struct tier_sandbox *sb, struct err *e)
{
	const struct plan_identity *id = &spec->plan->identity;
	int refused, r;

	launch_init(sb, &tier_container, spec);
	r = check_spec(spec, e);
	if (r < 0) {
		return r;
	}
	r = launch_clone(sb, namespaces(), false, run_builder, &refused, e);
	if (r < 0) {
		return r;
	}
	r = userns_map(sb->init, id->uid, spec->host_uid, id->gid, spec->host_gid, e);
	return r >= 0 ? launch_begin(sb, e) : refusal_advise(e);
}

static int container_confine(struct tier_sandbox *sb, struct err *e)
{
	int r = launch_await(sb, e);

	return r < 0 ? r : launch_pass_init(sb, e);
}

const struct tier_ops tier_container = {
	.name = "container",
	.start = container_start,
	.supply = container_supply,
	.confine = container_confine,
	.exec = tier_command_ask,
	.survey = container_survey,
	.receipt = container_receipt,
	.hear = launch_hear,
	.count = launch_count,
	.stop = container_stop,
	.done = launch_done,
};
