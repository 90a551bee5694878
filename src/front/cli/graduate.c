/* SPDX-License-Identifier: Apache-2.0 */
/* atoll graduate: what proved useful, exported; and its sandbox, ended. */
#include "front/cli/graduate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/copies.h"
#include "front/cli/sandboxes.h"
#include "keeper/seal.h"
#include "linux/tree.h"
#include "policy/plan.h"
#include "workspace/apply.h"

/* Beside its place, until it is whole. */
#define BUILDING      ".atoll-graduate-"
#define BUILDING_SIZE (sizeof(BUILDING) + STATE_ID_SIZE)

/* A line that a keeper is writing can be seen in part. */
#define READ_TRIES 3

struct graduate_options {
	bool json;
};

static void building_name(const struct graduate *g, char name[BUILDING_SIZE])
{
	(void)snprintf(name, BUILDING_SIZE, BUILDING "%s", g->id);
}

/* ---- the place ---- */

/* Only the last part of a path is made; what leads there is the caller's, links included. */
static int find_place(struct graduate *g, const char *path, struct err *e)
{
	_cleanup_free_ char *copy = strdup(path);
	size_t len = copy ? strlen(copy) : 0;
	char *slash;

	if (!copy) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	while (len > 1 && copy[len - 1] == '/') {
		copy[--len] = '\0';
	}
	slash = strrchr(copy, '/');
	g->name = strdup(slash ? slash + 1 : copy);
	if (!g->name) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (!*g->name || strcmp(g->name, ".") == 0 || strcmp(g->name, "..") == 0) {
		return err_set(e, ERR_USER, EINVAL, "'%s' is no name of a new directory", path);
	}
	if (slash) {
		slash[slash == copy] = '\0';
	}
	g->parent = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return g->parent < 0 ? err_sys(e, errno, "cannot open the directory of '%s'", path) : 0;
}

/* Nothing is there, or an empty directory. */
static int check_place(const struct graduate *g, struct err *e)
{
	int fd = openat(g->parent, g->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool empty = true;

	if (!d) {
		bool absent = fd < 0 && errno == ENOENT;

		(void)fd_close(fd);
		return absent ? 0
			      : err_set(e, ERR_USER, EEXIST,
					"'%s' is there, and is no directory that can be looked "
					"into; name a new one",
					g->name);
	}
	while (empty && (entry = readdir(d))) {
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	}
	(void)closedir(d);
	return empty ? 0
		     : err_set(e, ERR_USER, ENOTEMPTY, "'%s' is not empty; name a new directory",
			       g->name);
}

/* A directory of ours alone. One of that name is what a graduate has left that was killed. */
static int make_place(struct graduate *g, struct err *e)
{
	char name[BUILDING_SIZE];
	int r = 0;

	building_name(g, name);
	if (mkdirat(g->parent, name, 0700) < 0) {
		r = errno == EEXIST ? tree_remove(g->parent, name, e)
				    : err_sys(e, errno, "cannot make '%s'", name);
		if (r < 0) {
			return r;
		}
		/* Whoever is there before us is somebody else. */
		if (mkdirat(g->parent, name, 0700) < 0) {
			return err_sys(e, errno, "cannot make '%s'", name);
		}
	}
	return r;
}

static int open_place(struct graduate *g, struct err *e)
{
	char name[BUILDING_SIZE];
	int r = make_place(g, e);

	if (r < 0) {
		return r;
	}
	building_name(g, name);
	g->made = true;
	g->dir = openat(g->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return g->dir < 0 || fchmod(g->dir, 0700) < 0 ? err_sys(e, errno, "cannot open '%s'", name)
						      : 0;
}

/* On the disk before it has its name, and the name before the copy goes. */
static int put_in_place(struct graduate *g, struct err *e)
{
	char name[BUILDING_SIZE];

	building_name(g, name);
	if (syncfs(g->dir) < 0) {
		return err_sys(e, errno, "cannot write '%s' to the disk", g->name);
	}
	if (renameat(g->parent, name, g->parent, g->name) < 0) {
		return err_sys(e, errno, "cannot make '%s'", g->name);
	}
	g->made = false;
	return fsync(g->parent) < 0 ? err_sys(e, errno, "cannot write '%s' to the disk", g->name)
				    : 0;
}

static void graduate_done(struct graduate *g)
{
	char name[BUILDING_SIZE];
	struct err unused = {};

	g->dir = fd_close(g->dir);
	if (g->made) {
		building_name(g, name);
		(void)tree_remove(g->parent, name, &unused);
	}
	g->parent = fd_close(g->parent);
	free(g->name);
	json_decref(g->created);
	json_decref(g->receipt);
	json_decref(g->names);
}

/* ---- the sandbox ---- */

/* What could not be exported is not ended for it. */
static int check_record(struct graduate *g, const struct state *s, struct err *e)
{
	int r = -EBADMSG, tries;

	for (tries = 0; r == -EBADMSG && tries < READ_TRIES; tries++) {
		*e = (struct err){};
		r = graduate_read(g, s, FD_NONE, e);
	}
	if (r >= 0 && g->graduated) {
		r = err_set(e, ERR_USER, EEXIST,
			    "sandbox %s was graduated before; 'atoll events %s' says where to",
			    g->id, g->id);
	}
	return r;
}

static int end_running(const struct graduate *g, const struct state *s, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = sandbox_ask(s, g->id, CONTROL_STOP, &reply, e);

	return r == -ENOENT ? 0 : r;
}

/* One in which nothing is different goes with its sandbox; what cannot be looked at may be. */
static bool is_changed(const char *id)
{
	_cleanup_(review_done) struct review r = REVIEW_NONE;
	struct err why = {};
	int n = review_open_any(&r, id, &why);

	n = n < 0 ? n : review_find(&r, false, &why);
	return n != -ENOENT && (n < 0 || r.changes.n > 0);
}

/* Copies of further directories are other trees: a person decides about them first. */
static int check_more(const struct graduate *g, const struct state *s, struct err *e)
{
	char more[STATE_ID_SIZE];
	struct stat st;
	size_t i;

	for (i = 0; i < PLAN_MORE_MAX; i++) {
		state_name_more(g->id, i, more);
		if (fstatat(s->sandboxes, more, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    is_changed(more)) {
			return err_set(e, ERR_USER, EBUSY,
				       "something is changed in its copy of another directory, "
				       "too; 'atoll stop %s', then take that over with 'atoll "
				       "apply %s' or throw it away with 'atoll discard %s'",
				       g->id, more, more);
		}
	}
	return 0;
}

/* Its copy, which is ours alone then; a sandbox may have left none. */
static int open_copy(struct graduate *g, struct review *r, struct err *e)
{
	struct err why = {};
	int n = review_open(r, g->id, &why);

	if (n == -ENOENT && r->kept.home.dir < 0) {
		return 0;
	}
	if (n < 0) {
		*e = why;
		return n;
	}
	g->review = r;
	n = review_refuse_pending(r, e);
	n = n < 0 ? n : review_find(r, true, e);
	return n < 0 ? n : review_select(r, NULL, 0, e);
}

/* Where a copy was kept that is not there any more, what would be exported is not all there was. */
static int check_copy(const struct graduate *g, struct err *e)
{
	return g->review || !g->copy_kept
		       ? 0
		       : err_set(e, ERR_USER, ENOENT,
				 "what sandbox %s had changed in its copy is not there any more: "
				 "it was applied, discarded, or its time was up",
				 g->id);
}

/* The absolute path, as far as anybody can say it. */
static json_t *path_of(const struct graduate *g)
{
	_cleanup_buf_ struct buf whole = {};
	char link[64], path[PATH_MAX];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", g->parent);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	buf_init(&whole, sizeof(path) + NAME_MAX + 2);
	(void)buf_addf(&whole, "%s/%s", strcmp(path, "/") == 0 ? "" : path, g->name);
	return whole.failed ? NULL : json_text(buf_str(&whole));
}

/* The host's own record says where everything has gone; then its copy goes. */
static int let_go(const struct graduate *g, struct review *r, const struct state *s, struct err *e)
{
	json_t *data = json_pack("{s:o, s:s}", "directory", path_of(g), "manifest", g->manifest);
	int n = seal_event(s, g->id, "graduated", data, SEAL_AGAIN, e);

	if (n == -ENOENT) {
		return err_set(e, ERR_SYSTEM, ENOENT, "the record of sandbox %s is gone", g->id);
	}
	if (n >= 0 && g->review) {
		struct apply a = review_apply(r);

		n = apply_clean(&a, e);
		n = n < 0 ? n : kept_discard(&r->state, &r->kept, e);
	}
	return n;
}

/* 1: its changes are among it. */
static int graduate_one(struct graduate *g, const struct state *s, const char *path, struct err *e)
{
	_cleanup_(review_done) struct review review = REVIEW_NONE;
	int r = check_record(g, s, e);
	bool copy;

	r = r < 0 ? r : find_place(g, path, e);
	r = r < 0 ? r : check_place(g, e);
	r = r < 0 ? r : open_place(g, e);
	r = r < 0 ? r : check_more(g, s, e);
	r = r < 0 ? r : end_running(g, s, e);
	r = r < 0 ? r : check_more(g, s, e); /* what came meanwhile */
	r = r < 0 ? r : open_copy(g, &review, e);
	r = r < 0 ? r : graduate_write(g, s, e);
	r = r < 0 ? r : check_copy(g, e);
	r = r < 0 ? r : put_in_place(g, e);
	r = r < 0 ? r : let_go(g, &review, s, e);
	copy = g->review != NULL;
	g->review = NULL;
	return r < 0 ? r : copy;
}

/* ---- the command ---- */

static int report(const struct graduate *g, bool copy, const struct graduate_options *o)
{
	if (g->n_hazards > 0) {
		cli_say("%zu hazard%s: files that the host would run or obey; README.md lists them",
			g->n_hazards, g->n_hazards == 1 ? "" : "s");
	}
	if (o->json) {
		return cli_print_json(json_pack(
			"{s:s, s:o, s:O, s:s, s:o, s:I, s:I}", "sandbox", g->id, "directory",
			path_of(g), "files", g->names, "manifest", g->manifest, "changes",
			copy ? json_integer((json_int_t)g->n_changes) : json_null(), "hazards",
			(json_int_t)g->n_hazards, "binaries", (json_int_t)g->n_binaries));
	}
	cli_say("sandbox %s is graduated, and gone; '%s' has its policy, its record%s", g->id,
		g->name, copy ? " and its changes" : "");
	return CLI_OK;
}

static int graduate(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_(graduate_done) struct graduate g = {
		.parent = FD_NONE, .dir = FD_NONE, .names = json_array()};
	struct graduate_options o = {};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (words.n != 2) {
		state_done(&s);
		return cli_complain(c->name, "a directory is missing, into which it is exported");
	}
	cli_reap(&s, REAP_SANDBOXES);
	r = sandbox_find_record(&s, words.words[0], g.id, &e);
	r = r < 0 ? r : graduate_one(&g, &s, words.words[1], &e);
	state_done(&s);
	return r < 0 ? cli_fail(&e) : report(&g, r > 0, &o);
}

static const struct cli_option graduate_options[] = {
	CLI_FLAG("--json", "as JSON: where it is, and what it holds",
		 .offset = offsetof(struct graduate_options, json)),
	{},
};

static const struct cli_example graduate_examples[] = {
	CLI_EXAMPLE("atoll graduate work refactoring"),
	CLI_EXAMPLE("atoll graduate --json work ../refactored >graduated.json"),
	{},
};

const struct cli_command cli_graduate_command = {
	.name = "graduate",
	.summary = "export what proved useful, and end it",
	.operands = "SANDBOX DIR",
	.operand.kind = CLI_EITHER,
	.further.kind = CLI_FILE,
	.max_operands = 2,
	.about = "Write the policy, the plan, the receipt, the record and the changes of a sandbox "
		 "into a\n"
		 "new directory, to be reviewed and kept; then the sandbox is gone, with its copy. "
		 "One that\n"
		 "runs is stopped first. Where the export fails the copy stays.\n",
	.options = graduate_options,
	.examples = graduate_examples,
	.run = graduate,
};
