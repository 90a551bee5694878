/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy hides: found before the sandbox is built, and noted for the time after its end.
 */
#include "keeper/denied.h"

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
#include "base/utf8.h"
#include "keeper/keeper-internal.h"
#include "linux/mountinfo.h"
#include "policy/deny.h"
#include "policy/path.h"
#include "tier/hostview.h"
#include "workspace/hide.h"

#define NOBODY ((uid_t)-1)

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* ---- the note ---- */

static json_t *rule_json(const char *text)
{
	_cleanup_buf_ struct buf hex = {};
	size_t len = strlen(text);

	if (utf8_valid(text, len)) {
		return json_string(text);
	}
	buf_init(&hex, 2 * len + 1);
	for (size_t i = 0; i < len; i++) {
		(void)buf_addf(&hex, "%02x", (unsigned char)text[i]);
	}
	return hex.failed ? NULL : json_pack("{s:s}", "bytes", buf_str(&hex));
}

json_t *denied_to_json(const struct plan *plan, const struct deny_layers *layers)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < plan->n_deny + layers->n_extra; i++) {
		const char *text =
			i < plan->n_deny ? plan->deny[i] : layers->extra[i - plan->n_deny];

		if (json_array_append_new(list, rule_json(text)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* free() it; NULL: it is no rule of ours, or out of memory. */
static char *rule_text(const json_t *rule)
{
	const char *hex = json_string_value(json_object_get(rule, "bytes"));
	size_t n = hex ? strlen(hex) / 2 : 0;
	char *text;

	if (!hex) {
		return json_is_string(rule) ? strdup(json_string_value(rule)) : NULL;
	}
	text = malloc(n + 1);
	for (size_t i = 0; text && i < n; i++) {
		text[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	}
	if (text) {
		text[n] = '\0';
	}
	return text;
}

int denied_from_json(const json_t *list, struct deny_rules *ret, struct err *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		_cleanup_free_ char *text = rule_text(json_array_get(list, i));

		if (!text || deny_add(ret, text) < 0) {
			return err_set(e, ERR_SYSTEM, EBADMSG,
				       "what the policy denied in the copy cannot be read");
		}
	}
	return list && !json_is_array(list)
		       ? err_set(e, ERR_SYSTEM, EBADMSG, "what the policy denied is no list")
		       : 0;
}

/* ---- the places ---- */

struct rules {
	char **list;
	size_t n;
};

static void rules_done(struct rules *r)
{
	while (r->n > 0) {
		free(r->list[--r->n]);
	}
	free(r->list);
}

/* Takes the text. */
static int add_rule(struct rules *r, char *text)
{
	char **list = text ? reallocarray(r->list, r->n + 1, sizeof(*list)) : NULL;

	if (!list) {
		free(text);
		return -ENOMEM;
	}
	r->list = list;
	r->list[r->n++] = text;
	return 0;
}

struct places {
	struct hide_place *list;
	size_t n, room;
	const char **whole; /* of which nothing is shown */
	size_t n_whole;
};

static void places_done(struct places *p)
{
	for (size_t i = 0; i < p->n; i++) {
		(void)fd_close(p->list[i].root);
	}
	free(p->list);
	free(p->whole);
}

/* Whose directories the payload sees as its own: where root starts it, those of the owner of a
 * place whose owners are translated (tier/container/container.c). */
static void set_owner(const struct keeper *k, const struct stat *st, bool translated,
		      struct hide_place *place)
{
	bool from_root = k->plan.identity.from_root;

	place->owner = !from_root ? geteuid() : translated ? st->st_uid : NOBODY;
	place->group = !from_root ? getegid() : translated ? st->st_gid : NOBODY;
}

static bool is_work(const struct plan *plan, const struct plan_path *p)
{
	enum workspace_mode mode;
	bool found = false;

	for (size_t i = 0; i < plan_n_works(plan); i++) {
		found = found || plan_work(plan, i, &mode) == p;
	}
	return found;
}

/* A place that some rule may meet; `path` is borrowed. `p` is what it was when the policy was
 * resolved, NULL: whatever it is. */
static int add_place(const struct keeper *k, const char *path, const struct plan_path *p,
		     struct places *list, struct err *e)
{
	int v = deny_judge(k->plan.deny, k->plan.n_deny, path, NULL);
	struct hide_place *place = &list->list[list->n];
	struct stat st;

	if (v < 0) {
		return no_memory(e);
	}
	/* Of what the policy names, links and other names may make something, too. */
	if (v == DENY_NONE && !p) {
		return 0;
	}
	if (v == DENY_HIT && !p) {
		list->whole[list->n_whole++] = path;
		return 0;
	}
	*place = (struct hide_place){.path = path, .others = p != NULL};
	place->root = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place->root < 0 || fstat(place->root, &st) < 0) {
		int r = -errno;

		(void)fd_close(place->root);
		return !p && (r == -ENOENT || r == -ENOTDIR)
			       ? 0
			       : err_sys(e, -r, "cannot open '%s'", path);
	}
	if (!S_ISDIR(st.st_mode)) {
		(void)fd_close(place->root);
		return 0; /* nothing is below it */
	}
	list->n++;
	set_owner(k, &st, is_work(&k->plan, p) || (p && (st.st_mode & 05) != 05), place);
	return p && (st.st_dev != p->dev || st.st_ino != p->ino)
		       ? err_set(e, ERR_SYSTEM, ESTALE,
				 "'%s' is not what it was when the policy was resolved", path)
		       : 0;
}

static int find_places(const struct keeper *k, struct places *list, struct err *e)
{
	const struct plan *plan = &k->plan;
	size_t room = plan->n_read + plan_n_works(plan), i;
	int r = 0;

	for (i = 0; hostview_trees[i]; i++, room++) {
	}
	for (i = 0; hostview_etc[i]; i++, room++) {
	}
	list->list = calloc(room, sizeof(*list->list));
	list->whole = calloc(room, sizeof(*list->whole));
	if (!list->list || !list->whole) {
		return no_memory(e);
	}
	for (i = 0; i < plan_n_works(plan) && r >= 0; i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(plan, i, &mode);

		r = mode == WORKSPACE_DIRECT ? 0 : add_place(k, work->path, work, list, e);
	}
	for (i = 0; i < plan->n_read && r >= 0; i++) {
		r = add_place(k, plan->read[i].path, &plan->read[i], list, e);
	}
	for (i = 0; hostview_trees[i] && r >= 0; i++) {
		r = add_place(k, hostview_trees[i], NULL, list, e);
	}
	for (i = 0; hostview_etc[i] && r >= 0; i++) {
		r = add_place(k, hostview_etc[i], NULL, list, e);
	}
	return r;
}

/* Behind the layers that were found. */
static int add_whole(struct deny_layers *l, const struct places *p, struct err *e)
{
	struct deny_layer *list = reallocarray(l->list, l->n + p->n_whole + 1, sizeof(*list));

	if (!list) {
		return no_memory(e);
	}
	l->list = list;
	for (size_t i = 0; i < p->n_whole; i++) {
		l->list[l->n++] = (struct deny_layer){.place = p->whole[i], .all = true};
	}
	return 0;
}

/* ---- mounts below a place ---- */

/*
 * An overlay has no mounts below: what one of them covers outside would be seen, and nobody has
 * looked for names there. So in a place where something is hidden it is, too, as a whole. Where the
 * mount is the builder's own copy, the kernel makes no overlay of it.
 */
static int add_mount(const struct keeper *k, const struct places *places, const char *point,
		     struct rules *rules, struct err *e)
{
	for (size_t i = 0; i < places->n; i++) {
		const struct hide_place *place = &places->list[i];
		_cleanup_buf_ struct buf text = {};

		if (!path_within(point, place->path) || strcmp(point, place->path) == 0 ||
		    !deny_layer_of(&k->hidden, place->path)) {
			continue;
		}
		if (!k->plan.identity.from_root || !place->others) {
			return err_set(e, ERR_POLICY, EOPNOTSUPP,
				       "filesystem.deny cannot be held in '%s': '%s' is mounted "
				       "below it, and would be uncovered; show less, or unmount it",
				       place->path, point);
		}
		buf_init(&text, 8L * PATH_MAX);
		if (deny_quote(point, &text) < 0 || add_rule(rules, buf_take(&text)) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}

static int add_mounts(const struct keeper *k, const struct places *places, struct rules *rules,
		      struct err *e)
{
	_cleanup_(mount_table_done) struct mount_table mounts = {};
	int r = mount_table_read(&mounts, e);

	for (size_t i = 0; i < mounts.n && r >= 0; i++) {
		r = add_mount(k, places, mounts.list[i].point, rules, e);
	}
	return r;
}

/* ---- all of it ---- */

/* A diff has to know of the mounts as of what follows from links. */
static int keep_extra(struct deny_layers *l, struct rules *rules, size_t given, struct err *e)
{
	char **extra = reallocarray(l->extra, l->n_extra + rules->n - given + 1, sizeof(*extra));

	if (!extra) {
		return no_memory(e);
	}
	l->extra = extra;
	while (rules->n > given) {
		l->extra[l->n_extra++] = rules->list[--rules->n];
	}
	return 0;
}

int keeper_find_denied(struct keeper *k, struct err *e)
{
	_cleanup_(places_done) struct places places = {};
	_cleanup_(rules_done) struct rules rules = {};
	int r = 0;

	if (k->plan.n_deny == 0 || k->plan.tier != TIER_CONTAINER) {
		return 0;
	}
	for (size_t i = 0; i < k->plan.n_deny && r >= 0; i++) {
		r = add_rule(&rules, strdup(k->plan.deny[i])) < 0 ? no_memory(e) : 0;
	}
	r = r < 0 ? r : find_places(k, &places, e);
	r = r < 0 ? r : hide_find(places.list, places.n, rules.list, rules.n, &k->hidden, e);
	r = r < 0 ? r : add_mounts(k, &places, &rules, e);
	if (r >= 0 && rules.n > k->plan.n_deny) {
		deny_layers_done(&k->hidden);
		r = hide_find(places.list, places.n, rules.list, rules.n, &k->hidden, e);
	}
	r = r < 0 ? r : keep_extra(&k->hidden, &rules, k->plan.n_deny, e);
	r = r < 0 ? r : add_whole(&k->hidden, &places, e);
	k->spec.denied = &k->hidden;
	return r;
}
