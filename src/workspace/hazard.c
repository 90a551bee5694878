/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classification of changes.
 *
 * TRUST: names, targets of links and content are the payload's. A name counts by the first row of
 * the table that matches and applies. Content is read for two questions that names leave open, and
 * what cannot be read, or is larger than such a file ever is, counts as a hazard:
 *
 *   is a file HEAD one that git accepts? git takes a directory for a repository by HEAD, objects
 *   and refs, or HEAD and commondir, found anywhere at or above the current directory (git's
 *   setup.c, is_git_directory(); safe.bareRepository). What else it needs may have been in the
 *   original already, so HEAD alone decides. A HEAD of the original does harm by a configuration or
 *   hooks only, and those are found by content and by name.
 *
 *   is a file `config` one of git? A bare repository of the original can have any name, and one
 *   can be made where git keeps its branches.
 *
 * A link is judged by itself: one that leads to another link in the workspace is no hazard, the
 * other one is judged for itself. `..` after a name cannot be judged that way, because the name may
 * be a link that leads upwards.
 */
#include "workspace/hazard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutant.h"
#include "base/fault.h"
#include "workspace/change.h"
#include "workspace/hazard-internal.h"

#define CONTENT_MAX ((size_t)1024 * 1024)
#define EXEC_BITS   (S_IXUSR | S_IXGRP | S_IXOTH)
#define HEX_DIGITS  "0123456789abcdefABCDEF"
#define OID_LEN     40 /* of SHA-1; those of SHA-256 are longer */

struct finder {
	const struct changes *changes;
	int upper;
	bool *hides; /* of hazard_programs() */
	struct hazard_name name;
	const struct hazard_row *row; /* that is about the name, NULL: none */
	struct hazards found;
};

/* What happened at one name: the modes, 0 where nothing was or is. */
struct event {
	mode_t before, after;
	bool mode_only;
};

/* Sections of git's configuration that can name programs, other files or other places. */
static const char *const git_sections[] = {
	"alias",       "core",     "credential", "diff",       "difftool", "extensions",
	"filter",      "gpg",      "hook",       "http",       "include",  "includeif",
	"interactive", "merge",    "mergetool",  "pager",      "receive",  "remote",
	"sendemail",   "sequence", "submodule",  "uploadpack", "url",
};

void hazards_done(struct hazards *h)
{
	free(h->list);
	*h = (struct hazards){};
}

static int add(struct finder *f, size_t change, enum hazard_reason reason)
{
	struct hazards *h = &f->found;

	if (h->n == h->room) {
		size_t room = h->room ? h->room * 2 : 16;
		struct hazard *list =
			fault_hit() ? NULL : reallocarray(h->list, room, sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		h->list = list;
		h->room = room;
	}
	h->list[h->n++] = (struct hazard){.change = change,
					  .code = hazard_reasons[reason].code,
					  .why = hazard_reasons[reason].why};
	return 0;
}

static bool applies(const struct hazard_row *row, const struct event *e)
{
	mode_t thing = e->after ? e->after : e->before;
	mode_t gains = e->after & ~e->before & EXEC_BITS;

	if (S_ISDIR(thing) && !(row->when & ROW_DIR)) {
		return false;
	}
	if (row->reason == ORDINARY) {
		return e->after == 0 || (S_ISREG(e->after) && (row->when & ROW_EXEC || !gains));
	}
	if (e->after == 0) {
		return row->when & (ROW_LOSS | ROW_GONE);
	}
	if (row->when & ROW_GONE) {
		return false;
	}
	if ((row->when & ROW_EXEC) && !(e->after & EXEC_BITS)) {
		return false;
	}
	return !e->mode_only || (row->when & ROW_LOSS) || gains;
}

static const struct hazard_row *find_row(const struct hazard_name *name, const struct event *e)
{
	for (size_t i = 0; i < hazard_rows_count; i++) {
		const struct hazard_row *row = &hazard_rows[i];

		if (hazard_name_matches(name, row->dir, row->base) && applies(row, e)) {
			return row;
		}
	}
	return NULL;
}

/* True for a name under which the table knows files. */
static bool is_known_dir(const struct hazard_name *name)
{
	for (size_t i = 0; i < hazard_rows_count; i++) {
		if (hazard_name_leads(name, hazard_rows[i].dir)) {
			return true;
		}
	}
	return false;
}

static int open_part(int dir, const char *path, size_t len, int flags)
{
	char name[NAME_MAX + 1];
	int fd;

	if (len >= sizeof(name)) {
		return -ENAMETOOLONG;
	}
	memcpy(name, path, len);
	name[len] = '\0';
	fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Opens a regular file below `dir`, a component at a time: no link, and any depth. */
static int open_below(int dir, const char *path)
{
	_cleanup_fd_ int at = FD_NONE;
	int fd;

	for (size_t len = strcspn(path, "/"); path[len]; len = strcspn(path, "/")) {
		fd = open_part(at >= 0 ? at : dir, path, len, O_PATH | O_DIRECTORY);
		if (fd < 0) {
			return fd;
		}
		(void)fd_close(at);
		at = fd;
		path += len + 1;
	}
	return open_part(at >= 0 ? at : dir, path, strlen(path), O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

/* The content as text without NUL, or a negative errno. */
static int read_text(int upper, const char *path, struct buf *b)
{
	_cleanup_fd_ int fd = open_below(upper, path);
	int r = fd < 0 ? fd : buf_read_fd(b, fd);

	for (size_t i = 0; r >= 0 && i < b->len; i++) {
		b->data[i] = (char)(b->data[i] == '\0' ? '\n' : b->data[i]);
	}
	return r;
}

/* git's validate_headref(). */
static bool is_head(const char *text)
{
	if (strncmp(text, "ref:", 4) == 0) {
		text += 4 + strspn(text + 4, " \t\n\v\f\r");
		return strncmp(text, "refs/", 5) == 0;
	}
	return strspn(text, HEX_DIGITS) >= OID_LEN;
}

static bool is_git_config(const char *text)
{
	for (text = strchr(text, '['); text; text = strchr(text + 1, '[')) {
		size_t len = strcspn(text + 1, " \t\n].\"");

		for (size_t i = 0; i < ARRAY_SIZE(git_sections); i++) {
			if (len == strlen(git_sections[i]) &&
			    strncasecmp(text + 1, git_sections[i], len) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* 1 if the content is as asked, or cannot be told; 0 or -ENOMEM. */
static int content_is(const struct finder *f, const struct change *c,
		      bool (*question)(const char *text))
{
	_cleanup_buf_ struct buf b = {};
	int r;

	if (!S_ISREG(c->after.mode)) {
		return 1;
	}
	buf_init(&b, CONTENT_MAX);
	r = read_text(f->upper, c->path, &b);
	if (r == -ENOMEM) {
		return r;
	}
	return r < 0 || question(buf_str(&b));
}

static bool is_config(const struct hazard_name *name)
{
	return hazard_name_matches(name, "", "config") ||
	       hazard_name_matches(name, "", "config.worktree");
}

static int look_inside(struct finder *f, size_t i)
{
	const struct change *c = &f->changes->list[i];
	enum hazard_reason reason = ORDINARY;
	int r = 0;

	if (c->kind == CHANGE_MODE || (!S_ISREG(c->after.mode) && !S_ISLNK(c->after.mode))) {
		return 0;
	}
	if (hazard_name_matches(&f->name, "", "HEAD") && !hazard_name_in_git(&f->name)) {
		reason = GIT_BARE;
		r = content_is(f, c, is_head);
	} else if ((!f->row || f->row->reason == ORDINARY) && is_config(&f->name)) {
		reason = GIT_SETTINGS;
		r = content_is(f, c, is_git_config);
	}
	return r > 0 ? add(f, i, reason) : r;
}

/* True unless the target can be seen to be in the tree. */
static bool leads_outside(const char *path, const char *target)
{
	size_t depth = 0;
	bool named = false;

	for (; *path; path++) {
		depth += *path == '/';
	}
	if (target[0] == '/') {
		return true;
	}
	while (*target) {
		size_t len = strcspn(target, "/");

		if (len == 2 && memcmp(target, "..", 2) == 0) {
			if (named || depth == 0) {
				return true;
			}
			depth--;
		} else if (len > 0 && !(len == 1 && target[0] == '.')) {
			named = true;
		}
		target += len + (target[len] == '/');
	}
	return false;
}

/* Uses f->name for the target. */
static int judge_link(struct finder *f, size_t i)
{
	const struct change *c = &f->changes->list[i];
	const char *target = c->after.target ? c->after.target : "/";
	int r = leads_outside(c->path, target) ? add(f, i, LINK_OUTSIDE) : 0;

	if (r >= 0) {
		r = hazard_name_set(&f->name, target);
	}
	if (r >= 0 && hazard_name_in_git(&f->name)) {
		r = add(f, i, LINK_INTO_GIT);
	}
	return r;
}

/* Leaves the name in f->name, and in f->row which row is about it. */
static int judge_name(struct finder *f, size_t i, const char *path, const struct event *e)
{
	int r = hazard_name_set(&f->name, path);

	if (r < 0) {
		return r;
	}
	f->row = find_row(&f->name, e);
	if (!f->row) {
		return S_ISLNK(e->after) && is_known_dir(&f->name) ? add(f, i, LINK_IN_PLACE) : 0;
	}
	if (f->row->reason == ORDINARY) {
		return 0;
	}
	return add(f, i, e->after == 0 ? GUARD_REMOVED : f->row->reason);
}

/* What is gone from its name: moved away, or a directory is there now. */
static int judge_loss(struct finder *f, size_t i)
{
	const struct change *c = &f->changes->list[i];
	const struct event gone = {.before = c->before.mode};

	if (c->kind == CHANGE_RENAMED && c->from) {
		return judge_name(f, i, c->from, &gone);
	}
	if (S_ISDIR(c->after.mode) && c->before.mode && !S_ISDIR(c->before.mode)) {
		return judge_name(f, i, c->path, &gone);
	}
	return 0;
}

static int judge_mode(struct finder *f, size_t i)
{
	mode_t mode = f->changes->list[i].after.mode;

	if (S_ISREG(mode) && (mode & (S_ISUID | S_ISGID))) {
		return add(f, i, SETID);
	}
	if (S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode)) {
		return add(f, i, SPECIAL_FILE);
	}
	return 0;
}

static int judge(struct finder *f, size_t i)
{
	const struct change *c = &f->changes->list[i];
	const struct event e = {.before = c->kind == CHANGE_RENAMED ? 0 : c->before.mode,
				.after = c->after.mode,
				.mode_only = c->kind == CHANGE_MODE};
	int r = c->denied ? add(f, i, DENIED_PATH) : 0;

	r = r < 0 ? r : judge_name(f, i, c->path, &e);
	if (r >= 0) {
		r = look_inside(f, i);
	}
	if (r >= 0) {
		r = judge_loss(f, i);
	}
	if (r >= 0) {
		r = judge_mode(f, i);
	}
	if (r >= 0 && S_ISLNK(c->after.mode)) {
		r = judge_link(f, i);
	}
	if (r >= 0 && f->hides && f->hides[i]) {
		r = add(f, i, HIDES_PROGRAM);
	}
	return r;
}

int hazards_find(const struct changes *c, int upper, const char *path, struct hazards *ret,
		 struct err *e)
{
	struct finder f = {.changes = c, .upper = upper};
	int r = path ? hazard_programs(c, path, &f.hides) : 0;

	for (size_t i = 0; i < c->n && r >= 0 && !MUTANT(ATOLL_MUTATE_HAZARDS); i++) {
		r = judge(&f, i);
	}
	hazard_name_done(&f.name);
	free(f.hides);
	if (r < 0) {
		hazards_done(&f.found);
		return err_set(e, ERR_SYSTEM, -r, "out of memory");
	}
	*ret = f.found;
	return 0;
}
