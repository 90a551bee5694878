/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a plan: the settled policy, resolved against this host. */
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/utf8.h"
#include "linux/mountinfo.h"
#include "policy/address.h"
#include "policy/canonical.h"
#include "policy/credential.h"
#include "policy/document.h"
#include "policy/hostname.h"
#include "policy/identity.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/program.h"
#include "policy/settle.h"
#include "policy/toolchain.h"

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static int say_no_copy(struct plan *p, const char *why, struct err *e)
{
	p->workspace_mode = WORKSPACE_READ_ONLY;
	return plan_note(p, "The workspace is read-only, no copy: %s.", why) < 0 ? no_memory(e) : 0;
}

/*
 * An overlay does not see what is mounted below its layers: a copy would show what such a mount
 * covers (and without root it could not be made, for the same reason). NULL: there is none.
 */
static int find_mount_below(const char *path, char **ret_place, struct err *e)
{
	_cleanup_(mount_table_done) struct mount_table mounts = {};
	const struct mount_entry *below;
	int r = mount_table_read(&mounts, e);

	below = r < 0 ? NULL : mount_table_below(&mounts, path);
	*ret_place = below ? strdup(below->point) : NULL;
	return below && !*ret_place ? no_memory(e) : r;
}

static int check_mounts_below(const struct value *mode, struct plan *p, struct err *e)
{
	_cleanup_free_ char *place = NULL;
	_cleanup_buf_ struct buf why = {};
	int r = find_mount_below(p->workspace.path, &place, e);

	if (r < 0 || !place) {
		return r;
	}
	buf_init(&why, 2L * PATH_MAX);
	if (buf_addf(&why, "something is mounted below it, at '%s'", shown(place).s) < 0) {
		return no_memory(e);
	}
	return mode->at.layer == LAYER_PROFILE
		       ? say_no_copy(p, buf_str(&why), e)
		       : origin_fail(&mode->at, e,
				     "filesystem.workspace.mode: %s, which a copy would uncover; "
				     "use read-only or direct, or unmount it",
				     buf_str(&why));
}

/* A note for each place of credentials that a readable path holds or lies in. */
static int note_credentials(const struct plan_path *found, const char *home, struct plan *p)
{
	const char *place;
	size_t n = 0;
	int r = 0;

	while (r >= 0 &&
	       (place = credential_place_next(found->path, found->is_dir, home, &n)) != NULL) {
		r = plan_note(p, "'%s' is readable, where credentials are kept (~/%s).",
			      found->path, place);
	}
	return r;
}

static int fill_workspace(const struct settled *s, struct plan *p, struct err *e)
{
	const struct value *path = &s->policy.v[KEY_WORKSPACE_PATH];
	int r;

	p->workspace_mode = (enum workspace_mode)s->policy.v[KEY_WORKSPACE_MODE].num;
	p->copy_by = (enum copy_by)s->policy.v[KEY_COPY_BY].num;
	if (s->tier == TIER_NONE) {
		p->workspace_mode = WORKSPACE_NONE; /* no place is other than the rest */
	}
	if (p->workspace_mode == WORKSPACE_NONE) {
		return 0;
	}
	if (s->copied_for &&
	    plan_note(p, "Every file of the workspace is copied before the start, no overlay: %s.",
		      s->copied_for) < 0) {
		return no_memory(e);
	}
	/* At the process tier that was said with it. */
	if (s->no_copy && !(s->accepted && s->tier == TIER_PROCESS) &&
	    say_no_copy(p, s->no_copy, e) < 0) {
		return -e->code;
	}
	r = path_resolve(
		schema_keys[KEY_WORKSPACE_PATH].path, &path->at, path->text, p->identity.home,
		p->workspace_mode == WORKSPACE_DIRECT ? PATH_WORKSPACE_WRITABLE : PATH_WORKSPACE,
		&p->workspace, e);
	if (r >= 0 && p->workspace_mode == WORKSPACE_COPY) {
		return check_mounts_below(&s->policy.v[KEY_WORKSPACE_MODE], p, e);
	}
	if (r < 0 || p->workspace_mode != WORKSPACE_DIRECT) {
		return r;
	}
	if (plan_note(p, "The workspace '%s' is changed directly: there is no copy to review.",
		      p->workspace.path) < 0) {
		return no_memory(e);
	}
	return 0;
}

/* Nothing that is worked on is a part of another one: it would be there twice, in two modes. */
static int check_apart(const struct item *it, const char *key, const struct plan_path *found,
		       const struct plan *p, struct err *e)
{
	for (size_t i = 0; i < plan_n_works(p); i++) {
		enum workspace_mode mode;
		const struct plan_path *other = plan_work(p, i, &mode);

		/* The same by two names is there where it is mounted twice. */
		if (path_within(found->path, other->path) ||
		    path_within(other->path, found->path) ||
		    (found->dev == other->dev && found->ino == other->ino)) {
			return origin_fail(&it->at, e,
					   "%s: '%s' and '%s' lie in one another; name the outer "
					   "one alone, or neither of them",
					   key, shown(found->path).s, shown(other->path).s);
		}
	}
	return 0;
}

/* What holds for a further directory in each of the two modes. */
static int check_more(const struct item *it, const struct plan_more *m, struct plan *p,
		      struct err *e)
{
	_cleanup_free_ char *below = NULL;
	int r;

	if (m->mode == WORKSPACE_COPY) {
		r = find_mount_below(m->place.path, &below, e);
		return below ? origin_fail(
				       &it->at, e,
				       "%s: something is mounted below it, at '%s', which a copy "
				       "would uncover; unmount it, or use filesystem.write",
				       schema_keys[KEY_COPIES].path, shown(below).s)
			     : r;
	}
	if (plan_note(p, "The files below '%s' are changed directly: there is no copy to review.",
		      m->place.path) < 0) {
		return no_memory(e);
	}
	return 0;
}

static int add_more(const struct item *it, enum workspace_mode mode, const struct settled *s,
		    struct plan *p, struct err *e)
{
	const char *key = schema_keys[mode == WORKSPACE_COPY ? KEY_COPIES : KEY_WRITE].path;
	struct plan_more *m = &p->more[p->n_more];
	int r;

	if (p->n_more == PLAN_MORE_MAX) {
		return origin_fail(&it->at, e,
				   "%s: at most %d directories beside the workspace can be changed",
				   key, PLAN_MORE_MAX);
	}
	r = path_resolve(key, &it->at, it->text, s->home,
			 mode == WORKSPACE_COPY ? PATH_WORKSPACE : PATH_WORKSPACE_WRITABLE,
			 &m->place, e);
	m->mode = mode;
	r = r < 0 ? r : check_apart(it, key, &m->place, p, e);
	r = r < 0 ? r : check_more(it, m, p, e);
	if (r >= 0 && note_credentials(&m->place, s->home, p) < 0) {
		r = no_memory(e);
	}
	if (r < 0) {
		plan_path_done(&m->place);
		return r;
	}
	p->n_more++;
	return 0;
}

static int fill_more(const struct settled *s, struct plan *p, struct err *e)
{
	const struct value *copies = &s->policy.v[KEY_COPIES], *write = &s->policy.v[KEY_WRITE];
	int r = 0;

	for (size_t i = 0; i < copies->n_items && r >= 0; i++) {
		r = add_more(&copies->items[i], WORKSPACE_COPY, s, p, e);
	}
	for (size_t i = 0; i < write->n_items && r >= 0; i++) {
		r = add_more(&write->items[i], WORKSPACE_DIRECT, s, p, e);
	}
	return r;
}

/*
 * A path that leads through a workspace which the payload may change would mean next time what the
 * payload made of it; one inside it would promise a wall that is not there.
 */
static int check_read_place(const struct item *it, const struct plan_path *found,
			    const struct plan *p, struct err *e)
{
	char path[PATH_MAX];
	int r = path_expand(&it->at, it->text, p->identity.home, path);

	if (plan_work_around(p, found->path, WORKSPACE_COPY)) {
		return origin_fail(&it->at, e,
				   "filesystem.read: '%s' lies in the workspace, which the payload "
				   "may change; leave it out",
				   shown(it->text).s);
	}
	for (size_t i = 0; i < plan_n_works(p) && r >= 0; i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(p, i, &mode);

		/* The original of a copy does not change. */
		r = mode == WORKSPACE_DIRECT ? path_passes(path, work->path) : 0;
		if (r > 0) {
			return origin_fail(
				&it->at, e,
				"filesystem.read: '%s' leads through the workspace, where the "
				"payload may change what it means; name '%s' itself",
				shown(it->text).s, shown(found->path).s);
		}
	}
	return r < 0 ? err_sys(e, -r, "cannot examine '%s'", it->text) : 0;
}

static int add_read(const struct item *it, const char *home, struct plan *p, struct err *e)
{
	_cleanup_(plan_path_done) struct plan_path found = {};
	int r = path_resolve(schema_keys[KEY_READ].path, &it->at, it->text, home, PATH_READ, &found,
			     e);

	if (r < 0 || (r = check_read_place(it, &found, p, e)) < 0) {
		return r;
	}
	if (path_is_system(found.path)) {
		return 0; /* always visible */
	}
	if (note_credentials(&found, home, p) < 0 ||
	    plan_paths_add(&p->read, &p->n_read, &found) < 0) {
		return no_memory(e);
	}
	return 0;
}

static int fill_read(const struct settled *s, struct plan *p, struct err *e)
{
	const struct value *v = &s->policy.v[KEY_READ];
	int r = 0;

	for (size_t i = 0; i < v->n_items && r >= 0; i++) {
		r = add_read(&v->items[i], s->home, p, e);
	}
	return r;
}

/* Search path, environment, programs: each needs the one before. */
static int fill_programs(const struct policy_request *req, const struct settled *s, struct plan *p,
			 struct err *e)
{
	const struct value *env = &s->policy.v[KEY_ENV];
	const char *declared = environment_declared_path(env);
	/* Root's payload owns nothing, and where no mount helps it cannot enter root's home. */
	bool chains = s->chains && !(p->identity.from_root && p->tier == TIER_PROCESS);
	_cleanup_(search_path_done) struct search_path search = {};
	_cleanup_free_ char *path = NULL;
	const char *callers = declared ? declared : environ_get(req->environ, "PATH");
	int r = 0;

	/* Without a wall there is no directory of it that is not there inside. */
	if (s->tier == TIER_NONE && callers && utf8_valid(callers, strlen(callers))) {
		path = text_dup(callers);
	} else {
		r = search_path_init(callers, chains ? s->home : NULL, p, &search, e);
		path = r < 0 ? NULL : search_path_text(&search);
	}
	if (r < 0) {
		return r;
	}
	if (!path) {
		return no_memory(e);
	}
	r = environment_fill(req->environ, env, path, p, e);
	return r < 0 ? r : programs_fill(&s->policy.v[KEY_EXEC_ALLOW], &search, p, e);
}

/* Where nobody has named any, each of them counts. */
static uint32_t fill_signals(const struct value *v)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < v->n_items; i++) {
		bits |= 1U << schema_word(&schema_keys[KEY_IDLE_SIGNALS], v->items[i].text);
	}
	return v->n_items == 0 ? IDLE_ALL : bits;
}

static void fill_limits(const struct value *v, struct plan_limits *ret)
{
	*ret = (struct plan_limits){
		.mechanism = (enum limit_mechanism)v[KEY_MECHANISM].num,
		.memory = v[KEY_MEMORY].num,
		.cpus_milli = (uint32_t)v[KEY_CPUS].num,
		.processes = (uint32_t)v[KEY_PROCESSES].num,
		.open_files = (uint32_t)v[KEY_OPEN_FILES].num,
		.file_size = v[KEY_FILE_SIZE].num,
		.scratch = v[KEY_SCRATCH].num,
		.copy = v[KEY_COPY].num,
		.output = v[KEY_OUTPUT].num,
		.starts = (uint32_t)v[KEY_STARTS].num,
		.io = v[KEY_IO].num,
		.wall = (int64_t)v[KEY_WALL].num,
		.cpu_time = (int64_t)v[KEY_CPU].num,
		.idle = (int64_t)v[KEY_IDLE].num,
		.idle_signals = fill_signals(&v[KEY_IDLE_SIGNALS]),
		.session = (int64_t)v[KEY_SESSION].num,
		.pauses = (uint32_t)v[KEY_PAUSES].num,
		.paused = (int64_t)v[KEY_PAUSED].num,
		.keep = (int64_t)v[KEY_KEEP].num,
	};
}

static int copy_text(const struct value *v, char **ret)
{
	*ret = v->text ? text_dup(v->text) : NULL;
	return v->text && !*ret ? -ENOMEM : 0;
}

static int copy_review(const struct value *v, char **ret)
{
	const struct value *review = &v[KEY_REVIEW];

	*ret = review->set ? text_dup(schema_keys[KEY_REVIEW].words[review->num].word) : NULL;
	return review->set && !*ret ? -ENOMEM : 0;
}

static int copy_scopes(const struct value *v, struct plan *p)
{
	for (size_t i = 0; i < v->n_items; i++) {
		if (strings_add(&p->scopes, &p->n_scopes, text_dup(v->items[i].text)) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

/* A session ends, at the latest, when nothing of it may be there any more. */
static void fill_expiry(const struct value *v, struct plan *p)
{
	p->expires = v[KEY_EXPIRES].set ? v[KEY_EXPIRES].num : 0;
	if (p->expires > 0 && p->expires < (uint64_t)p->limits.session) {
		p->limits.session = (int64_t)p->expires;
	}
	if (p->expires > 0 && p->expires < (uint64_t)p->limits.keep) {
		p->limits.keep = (int64_t)p->expires;
	}
}

/* What needs no look at the host. Takes the identity. */
static int fill_plain(struct settled *s, struct plan *p, struct err *e)
{
	const struct value *v = s->policy.v;

	p->trust = s->trust;
	p->provenance = s->provenance;
	p->tier = s->tier;
	p->tier_accepted = s->accepted;
	p->env_fixed = s->env_fixed;
	p->log = v[KEY_LOG].num;
	p->syscalls = (enum syscall_profile)v[KEY_SYSCALLS].num;
	p->denials = (enum denials_rule)v[KEY_DENIALS].num;
	p->escape = (enum escape_rule)v[KEY_ESCAPE].num;
	p->escape_threshold = (uint32_t)v[KEY_ESCAPE_THRESHOLD].num;
	p->durability = (enum durability)v[KEY_DURABILITY].num;
	p->identity = s->identity;
	s->identity = (struct plan_identity){};
	fill_limits(v, &p->limits);
	fill_expiry(v, p);
	if (copy_text(&v[KEY_NAME], &p->name) < 0 || copy_text(&v[KEY_OWNER], &p->owner) < 0 ||
	    copy_text(&v[KEY_ACCOUNT], &p->account) < 0 ||
	    copy_text(&v[KEY_AGENT], &p->agent) < 0 ||
	    copy_text(&v[KEY_PURPOSE], &p->purpose) < 0 || copy_review(v, &p->review) < 0 ||
	    copy_scopes(&v[KEY_SCOPES], p) < 0) {
		return no_memory(e);
	}
	if (s->accepted &&
	    plan_note(
		    p,
		    "The %s tier is weaker than trust %s asks for (%s); it was accepted by name.%s",
		    tier_name(s->tier), trust_name(s->trust), tier_name(s->required),
		    s->no_copy && s->tier == TIER_PROCESS
			    ? " It makes no copy of the workspace, which is read-only."
			    : "") < 0) {
		return no_memory(e);
	}
	if (s->tier == TIER_NONE &&
	    plan_note(p, "There is no wall (trust full): it can do whatever you can, and end or "
			 "change Atoll's own record of it.") < 0) {
		return no_memory(e);
	}
	if (plan_network(s, p, e) < 0) {
		return -e->code;
	}
	return policy_canonical_digest(&s->policy, p->policy_digest) < 0 ? no_memory(e) : 0;
}

int policy_plan(const struct policy_request *req, struct plan *ret, struct err *e)
{
	_cleanup_(settled_done) struct settled s = {};
	_cleanup_(plan_done) struct plan p = {};
	int r = policy_settle(req, &s, e);

	if (r < 0 || (r = tier_available(&s, e)) < 0 || (r = network_available(&s, e)) < 0 ||
	    (r = network_learns(&s, req->learn, &p, e)) < 0) {
		return r;
	}
	r = fill_plain(&s, &p, e);
	if (r < 0 || (r = fill_workspace(&s, &p, e)) < 0 || (r = fill_more(&s, &p, e)) < 0 ||
	    (r = fill_read(&s, &p, e)) < 0 || (r = fill_programs(req, &s, &p, e)) < 0 ||
	    (r = plan_apart(req, &s, &p, e)) < 0 || (r = plan_deny(&s, &p, e)) < 0) {
		return r;
	}
	p.policy = policy_record(&s, &p);
	p.origins = policy_origins(&s);
	if (!p.policy || !p.origins) {
		return no_memory(e);
	}
	*ret = p;
	p = (struct plan){};
	return 0;
}
