/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Precedence (organisation floor, template, file, command line). Each rule answers one question:
 * does the lower value stay within the higher one? Paths and programs are compared by what they
 * resolve to, so that a link cannot lead out of what a higher layer allowed; an element of the
 * higher layer that does not exist on this host holds nothing.
 */
#include "policy/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "policy/hostname.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/program.h"
#include "policy/setting.h"

/* 1 within, 0 wider, negative error. */
typedef int within_fn(const struct schema_key *k, const struct item *inner,
		      const struct value *outer, const struct merge_context *ctx, struct err *e);

static int path_item_within(const struct schema_key *k, const struct item *inner,
			    const struct value *outer, const struct merge_context *ctx,
			    struct err *e)
{
	_cleanup_(plan_path_done) struct plan_path low = {};
	int r = path_resolve(k->path, &inner->at, inner->text, ctx->home, PATH_READ, &low, e);
	int within = 0;

	for (size_t i = 0; i < outer->n_items && r >= 0 && !within; i++) {
		const struct item *it = &outer->items[i];
		struct plan_path high = {};

		if (path_resolve(k->path, &it->at, it->text, ctx->home, PATH_READ, &high, NULL) >=
		    0) {
			within = plan_paths_cover(&high, 1, low.path);
		}
		plan_path_done(&high);
	}
	return r < 0 ? r : within;
}

static int program_within(const struct schema_key *k, const struct item *inner,
			  const struct value *outer, const struct merge_context *ctx, struct err *e)
{
	struct plan_path *low = NULL, *high = NULL;
	size_t n_low = 0, n_high = 0;
	int r = program_expand(inner, ctx->search, ctx->home, &low, &n_low, e);

	(void)k;
	for (size_t i = 0; i < outer->n_items && r >= 0; i++) {
		struct err ignored = {};

		if (program_expand(&outer->items[i], ctx->search, ctx->home, &high, &n_high,
				   &ignored) == -ENOMEM) {
			r = err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	if (r >= 0) {
		r = 1;
		for (size_t i = 0; i < n_low && r == 1; i++) {
			r = plan_paths_cover(high, n_high, low[i].path);
		}
	}
	plan_paths_free(low, n_low);
	plan_paths_free(high, n_high);
	return r;
}

static int rule_within(const struct schema_key *k, const struct item *inner,
		       const struct value *outer, const struct merge_context *ctx, struct err *e)
{
	(void)k;
	(void)ctx;
	(void)e;
	for (size_t i = 0; i < outer->n_items; i++) {
		if (destination_within(inner->text, outer->items[i].text)) {
			return 1;
		}
	}
	return 0;
}

/* A variable may get any value where the caller's own was allowed, else only the same. */
static int variable_within(const struct schema_key *k, const struct item *inner,
			   const struct value *outer, const struct merge_context *ctx,
			   struct err *e)
{
	(void)k;
	(void)ctx;
	(void)e;
	for (size_t i = 0; i < outer->n_items; i++) {
		const struct item *it = &outer->items[i];

		if (strcmp(it->name, inner->name) == 0) {
			return !it->text || (inner->text && strcmp(it->text, inner->text) == 0);
		}
	}
	return 0;
}

static int name_within(const struct schema_key *k, const struct item *inner,
		       const struct value *outer, const struct merge_context *ctx, struct err *e)
{
	(void)k;
	(void)ctx;
	(void)e;
	for (size_t i = 0; i < outer->n_items; i++) {
		if (strcmp(outer->items[i].text, inner->text) == 0) {
			return 1;
		}
	}
	return 0;
}

/* The first element of `low` that is not within `high`. 1 all within, 0 wider, negative error. */
static int list_within(const struct schema_key *k, const struct value *high,
		       const struct value *low, const struct merge_context *ctx,
		       const struct item **ret_wider, struct err *e)
{
	within_fn *within = k->type == TYPE_PATHS      ? path_item_within
			    : k->type == TYPE_PROGRAMS ? program_within
			    : k->type == TYPE_RULES    ? rule_within
			    : k->type == TYPE_NAMES    ? name_within
						       : variable_within;

	for (size_t i = 0; i < low->n_items; i++) {
		int r = within(k, &low->items[i], high, ctx, e);

		if (r <= 0) {
			*ret_wider = &low->items[i];
			return r;
		}
	}
	return 1;
}

/* A workspace may move to a directory below. */
static int path_value_within(const struct schema_key *k, const struct value *high,
			     const struct value *low, const struct merge_context *ctx,
			     struct err *e)
{
	_cleanup_(plan_path_done) struct plan_path h = {}, l = {};
	int r = path_resolve(k->path, &low->at, low->text, ctx->home, PATH_WORKSPACE, &l, e);

	if (r < 0) {
		return r;
	}
	r = path_resolve(k->path, &high->at, high->text, ctx->home, PATH_WORKSPACE, &h, e);
	return r < 0 ? r : path_within(l.path, h.path);
}

static int check(const struct schema_key *k, const struct value *high, const struct value *low,
		 const struct merge_context *ctx, const struct item **ret_wider, struct err *e)
{
	switch (k->rule) {
	case MERGE_NONE:
	case MERGE_FREE:
	case MERGE_UNION:
		return 1;
	case MERGE_SAME:
		return high->text && low->text ? strcmp(high->text, low->text) == 0
					       : high->num == low->num;
	case MERGE_LOWER:
		return low->num <= high->num;
	case MERGE_RAISE:
		return low->num >= high->num;
	case MERGE_WITHIN:
		return path_value_within(k, high, low, ctx, e);
	case MERGE_SUBSET:
	case MERGE_BY_NAME:
		return list_within(k, high, low, ctx, ret_wider, e);
	}
	return 0;
}

/* Both places, what was asked for, what is fixed, and who may change it. */
static int wider(const struct schema_key *k, const struct value *high, const struct value *low,
		 const struct item *item, struct err *e)
{
	_cleanup_buf_ struct buf asked = {}, fixed = {};
	char place[ORIGIN_TEXT_SIZE];
	const char *verb = k->rule == MERGE_SAME ? "is fixed" : "is the most allowed";

	buf_init(&asked, 64 * 1024 * 1024);
	buf_init(&fixed, 64 * 1024 * 1024);
	if ((item ? buf_adds(&asked, item->name ? item->name : item->text)
		  : setting_show(k, low, &asked)) < 0 ||
	    setting_show(k, high, &fixed) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return origin_fail(item ? &item->at : &low->at, e,
			   "%s: '%s' is refused: '%s' %s by %s, which takes precedence", k->path,
			   shown(buf_str(&asked)).s, shown(buf_str(&fixed)).s, verb,
			   origin_text(&high->at, place));
}

/* Adds what is not in it yet. */
static int join(struct value *to, const struct value *from)
{
	for (size_t i = 0; i < from->n_items; i++) {
		bool there = false;

		for (size_t j = 0; j < to->n_items && !there; j++) {
			there = strcmp(to->items[j].text, from->items[i].text) == 0;
		}
		if (!there && value_add(to, &from->items[i].at, NULL, from->items[i].text) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

/* The lower list replaces the higher; variables join it by name, and what may only grow, grows. */
static int combine(const struct schema_key *k, struct value *high, struct value *low, struct err *e)
{
	if (k->rule == MERGE_UNION && high->set) {
		return join(high, low) < 0 ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : 0;
	}
	for (size_t i = 0; k->rule == MERGE_BY_NAME && i < high->n_items; i++) {
		const struct item *it = &high->items[i];
		bool there = false;

		for (size_t j = 0; j < low->n_items && !there; j++) {
			there = strcmp(low->items[j].name, it->name) == 0;
		}
		if (!there && value_add(low, &it->at, it->name, it->text) < 0) {
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	value_done(high);
	*high = *low;
	*low = (struct value){};
	return 0;
}

int merge_key(const struct schema_key *k, struct policy *layers, size_t n_layers,
	      const struct merge_context *ctx, struct value *ret, struct err *e)
{
	for (size_t i = 0; i < n_layers; i++) {
		struct value *low = &layers[i].v[schema_id(k)];
		const struct item *item = NULL;
		int r = 1;

		if (!low->set) {
			continue;
		}
		if (ret->set) {
			r = check(k, ret, low, ctx, &item, e);
		}
		if (r == 0) {
			return wider(k, ret, low, item, e);
		}
		if (r < 0 || (r = combine(k, ret, low, e)) < 0) {
			return r;
		}
	}
	return 0;
}

void merge_defaults(struct policy *to, struct policy *from)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (!to->v[i].set && from->v[i].set && schema_keys[i].type != TYPE_SECTION) {
			to->v[i] = from->v[i];
			from->v[i] = (struct value){};
		}
	}
}
