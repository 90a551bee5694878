/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload can change directly, with no copy between, may be nothing that the rest of the
 * plan, or the next one, rests on: neither under its own name nor where it is mounted again.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/mountinfo.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/policy.h"
#include "policy/settle.h"

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* A payload that could rewrite its policy would choose the walls of its next run. */
static int check_policy_place(const char *what, const char *file, const char *place, struct err *e)
{
	int r = path_passes(file, place);

	if (r < 0) {
		return err_sys(e, -r, "cannot examine '%s'", file);
	}
	if (r > 0) {
		return err_set(
			e, ERR_POLICY, EPERM,
			"the %s '%s' lies in the workspace '%s', which the payload can change; "
			"keep the %s outside, or use mode read-only",
			what, file, place, what);
	}
	return 0;
}

/*
 * What the payload put where no template is now would be found before the one that was meant. The
 * last of the places is where it is.
 */
static int check_template_places(char *const *places, const char *work, struct err *e)
{
	for (; places && places[1]; places++) {
		int r = path_passes(places[0], work);

		if (r > 0) {
			return err_set(e, ERR_POLICY, EPERM,
				       "the payload could put a template at '%s', which lies in "
				       "the workspace '%s' and is looked for before '%s'; name the "
				       "template by its path, or use mode read-only",
				       places[0], work, places[1]);
		}
		if (r < 0 && r != -ENOENT) {
			return err_sys(e, -r, "cannot examine '%s'", places[0]);
		}
	}
	return places ? check_policy_place("template", places[0], work, e) : 0;
}

/* What the payload is held by may not be where it can change it. */
static int check_documents(const struct policy_request *req, const struct settled *s,
			   const char *work, struct err *e)
{
	int r = check_template_places(s->template_places, work, e);

	return r >= 0 && req->file ? check_policy_place("policy", req->file, work, e) : r;
}

/* ---- what is mounted twice ---- */

/* A relative path is one of the current directory, and its last part a name of something there. */
static int make_real(const char *path, char real[PATH_MAX])
{
	char absolute[PATH_MAX], here[PATH_MAX] = "";
	int n;

	if (path[0] != '/' && !getcwd(here, sizeof(here))) {
		return -errno;
	}
	n = snprintf(absolute, sizeof(absolute), "%s%s%s", here, here[0] ? "/" : "", path);
	return n < 0 || (size_t)n >= sizeof(absolute) ? -ENAMETOOLONG : path_real(absolute, real);
}

/* 1 with the place if something of `other` is also in `work`. */
static int find_twice(const struct mount_table *t, const char *work, const char *other,
		      const char **ret_point, struct err *e)
{
	char real[PATH_MAX];
	int r = make_real(other, real);

	return r < 0 ? err_sys(e, -r, "cannot examine where '%s' is mounted", shown(other).s)
		     : mount_table_shares(t, work, real, ret_point, e);
}

static int refuse_twice(const struct mount_table *t, const char *work, const char *other,
			struct err *e)
{
	const char *point;
	int r = find_twice(t, work, other, &point, e);

	return r > 0 ? err_set(e, ERR_POLICY, EPERM,
			       "what the payload can change below '%s' shows something of '%s' as "
			       "well: '%s' is a second mount of it; unmount that, or leave one of "
			       "the two out",
			       shown(work).s, shown(other).s, shown(point).s)
		     : r;
}

static int check_documents_twice(const struct mount_table *t, const struct policy_request *req,
				 const struct settled *s, const char *work, struct err *e)
{
	int r = 0;

	for (char *const *place = s->template_places; place && *place && r >= 0; place++) {
		r = refuse_twice(t, work, *place, e);
	}
	return r >= 0 && req->file ? refuse_twice(t, work, req->file, e) : r;
}

/* An allowed program that the payload may overwrite is a note, wherever it lies. */
static int note_program(const struct mount_table *t, const char *work, const char *program,
			struct plan *p, struct err *e)
{
	const char *point;
	int r = find_twice(t, work, program, &point, e);

	return r > 0 && plan_note(p,
				  "'%s' of execution.allow is mounted again, at '%s': the payload "
				  "may replace it by any program.",
				  shown(program).s, shown(point).s) < 0
		       ? no_memory(e)
		       : r;
}

/* Directory i of those that are worked on is changed directly. */
static int check_twice(const struct mount_table *t, const struct policy_request *req,
		       const struct settled *s, size_t i, struct plan *p, struct err *e)
{
	enum workspace_mode mode;
	const char *work = plan_work(p, i, &mode)->path;
	int r = check_documents_twice(t, req, s, work, e);

	for (size_t j = 0; j < plan_n_works(p) && r >= 0; j++) {
		r = j == i ? 0 : refuse_twice(t, work, plan_work(p, j, &mode)->path, e);
	}
	for (size_t j = 0; j < p->n_read && r >= 0; j++) {
		r = refuse_twice(t, work, p->read[j].path, e);
	}
	for (size_t j = 0; j < p->n_exec && r >= 0; j++) {
		r = note_program(t, work, p->exec[j].path, p, e);
	}
	return r;
}

int plan_apart(const struct policy_request *req, const struct settled *s, struct plan *p,
	       struct err *e)
{
	_cleanup_(mount_table_done) struct mount_table mounts = {};
	int r = 0;

	for (size_t i = 0; i < plan_n_works(p) && r >= 0; i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(p, i, &mode);

		if (mode != WORKSPACE_DIRECT) {
			continue;
		}
		r = check_documents(req, s, work->path, e);
		r = r >= 0 && mounts.n == 0 ? mount_table_read(&mounts, e) : r;
		r = r < 0 ? r : check_twice(&mounts, req, s, i, p, e);
	}
	return r;
}
