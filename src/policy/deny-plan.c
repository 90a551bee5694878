/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filesystem.deny in a plan: each rule absolute, and once more below what the links on its way lead
 * to. A rule that cannot be held where it would hide something is refused here, never left out.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "policy/deny.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/settle.h"

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* Why a rule cannot be held at a place that is shown; NULL: it can. */
static const char *why_not(const struct plan *p, enum deny_verdict v, const char *place)
{
	const struct plan_path *work = plan_work_around(p, place, WORKSPACE_DIRECT);
	bool direct = work && strcmp(place, work->path) == 0;

	if (v == DENY_HIT) {
		return "the policy shows that, and this rule hides all of it; leave one of the two "
		       "out";
	}
	if (v == DENY_BELOW && p->tier == TIER_PROCESS) {
		return "the process tier shows the host's own files and cannot take any out; use "
		       "tier container, or show less";
	}
	if (v == DENY_BELOW && direct) {
		return "in mode direct the payload could make it, or move what is above it, and "
		       "the host would use what it made; use mode copy or read-only";
	}
	return NULL;
}

/* One rule against one place. */
static int check_place(const struct item *it, char *text, const char *place, const struct plan *p,
		       struct err *e)
{
	int v = deny_judge(&text, 1, place, NULL);
	const char *why = v > 0 ? why_not(p, (enum deny_verdict)v, place) : NULL;

	if (v == -ENOMEM) {
		return no_memory(e);
	}
	if (v < 0) {
		return origin_fail(&it->at, e, "filesystem.deny: '%s' has too many parts",
				   shown(it->text).s);
	}
	return why ? origin_fail(&it->at, e, "filesystem.deny: '%s' is refused for '%s': %s",
				 shown(it->text).s, shown(place).s, why)
		   : 0;
}

static int check_places(const struct item *it, char *text, const struct plan *p, struct err *e)
{
	const char *dir;
	enum workspace_mode mode;
	int r = 0;

	for (size_t i = 0; i < plan_n_works(p) && r >= 0; i++) {
		r = check_place(it, text, plan_work(p, i, &mode)->path, p, e);
	}
	for (size_t i = 0; i < p->n_read && r >= 0; i++) {
		r = check_place(it, text, p->read[i].path, p, e);
	}
	for (size_t i = 0; i < p->n_exec && r >= 0; i++) {
		if (deny_judge(&text, 1, p->exec[i].path, NULL) == DENY_HIT) {
			r = check_place(it, text, p->exec[i].path, p, e);
		}
	}
	for (size_t i = 0; r >= 0 && (dir = path_system(i)); i++) {
		r = check_place(it, text, dir, p, e);
	}
	return r;
}

/* Takes the buffer's text, unless it is there already. */
static int add_text(struct plan *p, struct buf *b)
{
	for (size_t i = 0; i < p->n_deny; i++) {
		if (strcmp(p->deny[i], b->data) == 0) {
			return 0;
		}
	}
	return strings_add(&p->deny, &p->n_deny, text_dup(b->data));
}

/* The rule below what its way leads to; what cannot be looked at leads nowhere. 1: another one. */
static int real_rule(const char *text, struct buf *out)
{
	char prefix[PATH_MAX], real[PATH_MAX];
	const char *rest;

	if (deny_prefix(text, prefix, &rest) < 0 || prefix[0] != '/' ||
	    path_real(prefix, real) < 0) {
		return 0;
	}
	if (deny_quote(strcmp(real, "/") == 0 ? "" : real, out) < 0 || buf_adds(out, rest) < 0) {
		return -ENOMEM;
	}
	return strcmp(out->data, text) != 0;
}

/* What a path without a pattern leads to, its last name included: that is what somebody wanted to
 * keep. 1: something else than what the rule says. */
static int real_path(const char *text, struct buf *out)
{
	char real[PATH_MAX];
	int r = strpbrk(text, "*?[") ? -ENOENT : path_real(text, real);

	if (r < 0) {
		return 0;
	}
	return deny_quote(real, out) < 0 ? -ENOMEM : strcmp(out->data, text) != 0;
}

/* One of the forms of a rule, if it is one. */
static int add_form(const struct item *it, struct buf *text, int is_one, struct plan *p,
		    struct err *e)
{
	if (is_one < 0 || (is_one > 0 && add_text(p, text) < 0)) {
		return no_memory(e);
	}
	return is_one > 0 ? check_places(it, text->data, p, e) : 0;
}

static int add_rule(const struct item *it, const struct settled *s, struct plan *p, struct err *e)
{
	_cleanup_buf_ struct buf text = {}, way = {}, end = {};
	int r;

	buf_init(&text, 4L * PATH_MAX);
	buf_init(&way, 4L * PATH_MAX);
	buf_init(&end, 8L * PATH_MAX);
	r = deny_absolute(it->text, p->workspace.path, s->home, &text);
	if (r == -ENOENT) {
		return plan_note(p, "Without a workspace '%s' of filesystem.deny hides nothing.",
				 shown(it->text).s) < 0
			       ? no_memory(e)
			       : 0;
	}
	if (r < 0) {
		return no_memory(e);
	}
	if (strpbrk(it->text, "*?[") &&
	    plan_note(p, "'%s' of filesystem.deny costs one walk at the start.",
		      shown(it->text).s) < 0) {
		return no_memory(e);
	}
	r = add_form(it, &text, 1, p, e);
	r = r < 0 ? r : add_form(it, &way, real_rule(text.data, &way), p, e);
	return r < 0 ? r : add_form(it, &end, real_path(text.data, &end), p, e);
}

int plan_deny(const struct settled *s, struct plan *p, struct err *e)
{
	const struct value *v = &s->policy.v[KEY_DENY];
	int r = 0;

	if (v->n_items > DENY_MAX) {
		return origin_fail(&v->items[DENY_MAX].at, e,
				   "filesystem.deny: more than %d rules in all; join some by a "
				   "pattern",
				   DENY_MAX);
	}
	for (size_t i = 0; i < v->n_items && r >= 0; i++) {
		r = add_rule(&v->items[i], s, p, e);
	}
	return r;
}
