/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receipt of the container tier.
 *
 * Theory of operation. A command is stopped after its exec and before its first instruction.
 * Everything here is read from the outside, by the keeper, through /proc/PID of that process, or of
 * pid 1 for what there is before the first command; each
 * wall of the plan has a check that compares what is in force with what was planned, and adds a
 * member to the document that says what was found and how ("read" from the kernel, or "probed" by
 * our own code where the kernel shows nothing). The first difference ends the start: EBADMSG.
 */
#include "tier/container/container-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "linux/mountinfo.h"
#include "tier/container/network.h"
#include "tier/reading.h"
#include "tier/tier.h"
#include "tier/walls.h"

static unsigned parse_attrs(const char *words)
{
	static const struct {
		const char *word;
		unsigned attr;
	} known[] = {
		{"ro", MOUNT_ATTR_RDONLY},
		{"nosuid", MOUNT_ATTR_NOSUID},
		{"nodev", MOUNT_ATTR_NODEV},
		{"noexec", MOUNT_ATTR_NOEXEC},
	};
	unsigned attrs = 0;

	while (*words) {
		size_t len = strcspn(words, ",");

		for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
			attrs |= len == strlen(known[i].word) &&
						 strncmp(words, known[i].word, len) == 0
					 ? known[i].attr
					 : 0U;
		}
		words += len;
		words += *words == ',';
	}
	return attrs;
}

/* The rule for a mount point: an exact one first, else the deepest tree it lies in. */
static struct view_rule *find_rule(struct view_rule *rules, size_t n, const char *path)
{
	struct view_rule *best = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		size_t len = strlen(rules[i].path);

		if (strcmp(path, rules[i].path) == 0 && !(best && strcmp(best->path, path) == 0)) {
			best = &rules[i];
		} else if (rules[i].tree && strncmp(path, rules[i].path, len) == 0 &&
			   path[len] == '/' && (!best || strlen(best->path) < len)) {
			best = &rules[i];
		}
	}
	return best;
}

/* One of every file is the directory that was made, and not the original. */
static int check_files(const struct reading *r, const struct tier_copy *c, const char *path)
{
	_cleanup_fd_ int root = openat(r->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat inside, made;

	if (root < 0 || fstatat(root, path + 1, &inside, AT_SYMLINK_NOFOLLOW) < 0 ||
	    stat(c->directory, &made) < 0) {
		return err_sys(r->e, errno, "cannot read the copy of the workspace back");
	}
	return inside.st_dev == made.st_dev && inside.st_ino == made.st_ino
		       ? 0
		       : reading_differs(r, path, "another directory", "the copy of it");
}

/* What is to be a copy at this path, or NULL. */
static const struct tier_copy *copy_at(const struct tier_spec *spec, const char *path)
{
	const struct plan *plan = spec->plan;
	size_t i;

	if (plan->workspace_mode == WORKSPACE_COPY && strcmp(path, plan->workspace.path) == 0) {
		return &spec->copy;
	}
	for (i = 0; i < plan->n_more; i++) {
		if (plan->more[i].mode == WORKSPACE_COPY &&
		    strcmp(path, plan->more[i].place.path) == 0) {
			return &spec->more[i];
		}
	}
	return NULL;
}

/* A copy is an overlay, whatever else could be written to. */
static int check_copy(const struct reading *r, const struct mount_entry *m)
{
	const struct tier_copy *c = copy_at(r->spec, m->point);

	if (!c) {
		return 0;
	}
	if (c->kind == TIER_COPY_FILES) {
		return check_files(r, c, m->point);
	}
	return strcmp(m->type, "overlay") == 0 ? 0
					       : reading_differs(r, m->point, m->type, "overlay");
}

static int check_mount(const struct reading *r, const struct mount_entry *m,
		       struct view_rule *rules, size_t n, json_t *list)
{
	struct view_rule *rule = find_rule(rules, n, m->point);
	unsigned attrs = parse_attrs(m->attrs);
	json_t *entry = json_pack("{s:o, s:s}", "path", json_text(m->point), "attrs", m->attrs);
	char text[64];

	if (!entry || json_array_append_new(list, entry) < 0) {
		return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (!rule) {
		return reading_differs(r, "a mount", m->point, "no such mount");
	}
	rule->required = false;
	if (!m->is_private) {
		return reading_differs(r, m->point, "tied to mounts outside", "private");
	}
	if ((attrs & rule->attrs) != rule->attrs) {
		(void)snprintf(text, sizeof(text), "%s%s%s%s",
			       rule->attrs & MOUNT_ATTR_RDONLY ? "ro " : "",
			       rule->attrs & MOUNT_ATTR_NOSUID ? "nosuid " : "",
			       rule->attrs & MOUNT_ATTR_NODEV ? "nodev " : "",
			       rule->attrs & MOUNT_ATTR_NOEXEC ? "noexec" : "");
		return reading_differs(r, m->point, "less restricted", text);
	}
	return check_copy(r, m);
}

static int check_mounts(const struct reading *r)
{
	struct view_rule rules[VIEW_MAX_RULES];
	size_t n = view_rules(r->spec->plan, rules), i;
	_cleanup_json_ json_t *list = json_array();
	_cleanup_(mount_table_done) struct mount_table mounts = {};
	_cleanup_buf_ struct buf b = {};
	int err;

	if (n > VIEW_MAX_RULES) {
		return err_set(r->e, ERR_POLICY, E2BIG, "the plan has too many paths");
	}
	buf_init(&b, READING_MAX_TEXT);
	err = reading_file(r, r->dir, "mountinfo", &b);
	if (err >= 0 && (err = mount_table_parse(buf_take(&b), &mounts)) < 0) {
		return err_sys(r->e, -err, "cannot read the mount table back");
	}
	for (i = 0; err >= 0 && i < mounts.n; i++) {
		err = check_mount(r, &mounts.list[i], rules, n, list);
	}
	for (i = 0; err >= 0 && i < n; i++) {
		if (rules[i].required) {
			err = reading_differs(r, rules[i].path, "not mounted", "a mount");
		}
	}
	return err >= 0 ? reading_add(r, "mounts", "read", TAKE_PTR(list)) : err;
}

/* The scratch tmpfs is as large as planned, in whole pages; its directories are of one instance. */
static int check_scratch(const struct reading *r)
{
	_cleanup_fd_ int tmp = openat(r->dir, "root/tmp", O_PATH | O_CLOEXEC);
	struct statfs fs;
	char found[32], want[32];
	uint64_t size;
	int err = 0;

	if (tmp < 0 || fstatfs(tmp, &fs) < 0) {
		return err_sys(r->e, errno, "cannot read the size of the scratch space back");
	}
	size = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	(void)snprintf(found, sizeof(found), "%llu", (unsigned long long)size);
	(void)snprintf(want, sizeof(want), "%llu",
		       (unsigned long long)r->spec->plan->limits.scratch);
	if (fs.f_type != TMPFS_MAGIC || size == 0 ||
	    size >= r->spec->plan->limits.scratch + (uint64_t)fs.f_bsize) {
		err = reading_differs(r, "the scratch size", found, want);
	}
	return err >= 0 ? reading_add(r, "scratch", "read", json_integer((json_int_t)size)) : err;
}

static int check_landlock(const struct reading *r)
{
	if (!plan_uses_landlock(r->spec->plan)) {
		return reading_add(r, "landlock", "read",
				   json_string("off: the plan allows nested sandboxes"));
	}
	/* The builder's probe came back refused, or there would be no BUILD_READY. */
	return reading_add(r, "landlock", "probed",
			   json_pack("{s:i, s:s}", "abi", r->sb->landlock_abi, "writes",
				     "refused outside the writable trees"));
}

int container_survey(struct tier_sandbox *sb, struct err *e)
{
	static reading_check *const checks[] = {
		reading_namespaces,
		check_mounts,
		view_check_denied,
		network_check,
	};

	sb->survey = json_object();
	return reading_run(sb, NULL, sb->survey, checks, ARRAY_SIZE(checks), e);
}

/* What the two have in common: what is around pid 1 is around everything that it forks. */
static reading_check *const around[] = {
	reading_same_namespaces, reading_status, reading_rlimits,   reading_affinity,
	check_scratch,           check_landlock, reading_execution, reading_starts,
};

static reading_check *const of_command[] = {
	reading_directory,
	reading_descriptors,
	reading_environment,
};

/* A copy of the survey for each: more than one is read in a sandbox that lives. */
int container_receipt(struct tier_sandbox *sb, const struct tier_command *cmd, json_t **ret,
		      struct err *e)
{
	_cleanup_json_ json_t *out = json_copy(sb->survey);
	int err = reading_run(sb, cmd, out, around, ARRAY_SIZE(around), e);

	if (err >= 0 && cmd) {
		err = reading_run(sb, cmd, out, of_command, ARRAY_SIZE(of_command), e);
	}
	if (err >= 0) {
		*ret = TAKE_PTR(out);
	}
	return err;
}
