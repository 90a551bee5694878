/* SPDX-License-Identifier: Apache-2.0 */
/* Policies, recorded and written out again. */
#include "policy/document.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "policy/path.h"
#include "policy/plan.h"
#include "policy/setting.h"
#include "policy/settle.h"

/* ---- recording ---- */

/* Relative to its document, or to where the caller was: neither is there next time. */
static json_t *lasting(const struct schema_key *k, const struct origin *at, const char *text)
{
	bool name = k->type == TYPE_PROGRAMS && !strchr(text, '/');
	char path[PATH_MAX];

	if (fault_hit()) {
		return NULL;
	}
	/* One that is too long was refused with the plan. */
	return text[0] == '~' || text[0] == '/' || name || path_expand(at, text, "/", path) < 0
		       ? json_string(text)
		       : json_string(path);
}

static json_t *list_of(const struct schema_key *k, const struct value *v)
{
	bool paths = k->type == TYPE_PATHS || k->type == TYPE_PROGRAMS;
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < v->n_items; i++) {
		const struct item *it = &v->items[i];

		if (json_array_append_new(j, paths ? lasting(k, &it->at, it->text)
						   : json_string(it->text)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

static json_t *value_of(const struct schema_key *k, const struct value *v, const struct plan *p)
{
	_cleanup_buf_ struct buf text = {};

	if (schema_is_list(k) && k->type != TYPE_ENV) {
		return list_of(k, v);
	}
	if (schema_id(k) == KEY_WORKSPACE_PATH) {
		return p->workspace.path ? json_string(p->workspace.path)
					 : lasting(k, &v->at, v->text);
	}
	buf_init(&text, POLICY_TEXT_MAX + 1);
	return setting_show(k, v, &text) < 0 ? NULL : json_string(buf_str(&text));
}

/* Names to values; null stands for the caller's. */
static json_t *variables(const struct value *v)
{
	_cleanup_json_ json_t *j = json_object();

	for (size_t i = 0; j && i < v->n_items; i++) {
		const struct item *it = &v->items[i];

		if (json_put(j, it->name, it->text ? json_string(it->text) : json_null()) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

/*
 * A list that a document may not have empty. Where no document spoke of variables, one that does
 * would forbid a command that comes later to bring its own. A tier that is weaker than the trust
 * level asks for is no document's to name: it is accepted on the command line, or not.
 */
static bool is_left_out(const struct settled *s, const struct schema_key *k)
{
	const struct value *v = &s->policy.v[schema_id(k)];

	/* What would be refused if anybody but the profile had said it. */
	if ((s->tier == TIER_NONE && full_says_nothing(schema_id(k))) ||
	    (s->trust == TRUST_FULL && schema_id(k) == KEY_PROVENANCE &&
	     v->at.layer == LAYER_PROFILE)) {
		return true;
	}
	return k->type == TYPE_SECTION || !v->set || (k->nonempty && v->n_items == 0) ||
	       (k->type == TYPE_ENV && v->n_items == 0 && !s->env_fixed) ||
	       (schema_id(k) == KEY_TIER && s->accepted);
}

json_t *policy_record(const struct settled *s, const struct plan *p)
{
	_cleanup_json_ json_t *j = json_object();

	for (size_t i = 0; j && i < KEY_COUNT; i++) {
		const struct schema_key *k = &schema_keys[i];
		const struct value *v = &s->policy.v[i];

		if (!is_left_out(s, k) &&
		    json_put(j, k->path, k->type == TYPE_ENV ? variables(v) : value_of(k, v, p)) <
			    0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

/* Adds a place once. */
static int add_place(json_t *list, const struct origin *at)
{
	char place[ORIGIN_TEXT_SIZE];
	const json_t *known;
	size_t i;

	if (at->layer == LAYER_PROFILE) {
		return 0;
	}
	(void)origin_text(at, place);
	json_array_foreach(list, i, known)
	{
		if (strcmp(json_string_value(known), place) == 0) {
			return 0;
		}
	}
	return fault_hit() ? -ENOMEM : json_array_append_new(list, json_text(place));
}

static int add_places(json_t *j, const struct schema_key *k, const struct value *v)
{
	_cleanup_json_ json_t *list = json_array();
	int r = list ? 0 : -ENOMEM;

	if (r >= 0 && v->n_items == 0) {
		r = add_place(list, &v->at);
	}
	for (size_t i = 0; i < v->n_items && r >= 0; i++) {
		r = add_place(list, &v->items[i].at);
	}
	return r < 0 || json_array_size(list) == 0 ? r : json_put(j, k->path, TAKE_PTR(list));
}

json_t *policy_origins(const struct settled *s)
{
	static const struct origin accepted = {.layer = LAYER_OPTION, .option = "--accept-tier"};
	_cleanup_json_ json_t *j = json_object(), *list = json_array();

	for (size_t i = 0; j && list && i < KEY_COUNT; i++) {
		const struct value *v = &s->policy.v[i];

		if (schema_keys[i].type != TYPE_SECTION && v->set &&
		    add_places(j, &schema_keys[i], v) < 0) {
			return NULL;
		}
	}
	if (j && list && s->accepted &&
	    (add_place(list, &accepted) < 0 ||
	     json_put(j, schema_keys[KEY_TIER].path, TAKE_PTR(list)) < 0)) {
		return NULL;
	}
	return TAKE_PTR(j);
}

/* ---- writing ---- */

static void put_indent(struct buf *out, const char *path)
{
	for (; *path; path++) {
		if (*path == '.') {
			(void)buf_adds(out, "  ");
		}
	}
}

/* What JSON has as it is, no text of a policy is refused for, and YAML takes for unprintable. */
static const struct {
	const char *bytes, *escape;
} escapes[] = {
	{"\xef\xbf\xbe", "\\ufffe"},
	{"\xef\xbf\xbf", "\\uffff"},
};

/* In double quotes, which YAML reads as JSON does but for the above. */
static void put_quoted(struct buf *out, const json_t *text)
{
	_cleanup_free_ char *quoted = json_dumps(text, JSON_ENCODE_ANY);
	const char *p = quoted;

	out->failed = out->failed || !quoted;
	while (p && *p) {
		size_t i = 0;

		while (i < ARRAY_SIZE(escapes) && strncmp(p, escapes[i].bytes, 3) != 0) {
			i++;
		}
		if (i < ARRAY_SIZE(escapes)) {
			(void)buf_adds(out, escapes[i].escape);
			p += 3;
		} else {
			(void)buf_addc(out, *p++);
		}
	}
}

/* Numbers and words stand for themselves, and are made of nothing that could be more. */
static bool is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-_/";

	return *text && strspn(text, plain) == strlen(text);
}

static bool put_scalar(struct buf *out, const struct schema_key *k, const json_t *v)
{
	const char *text = json_string_value(v);
	bool quoted = k->type == TYPE_NAME || k->type == TYPE_TEXT || k->type == TYPE_PATH;

	if (!text || (!quoted && !is_plain(text))) {
		return false;
	}
	(void)buf_addc(out, ' ');
	if (quoted) {
		put_quoted(out, v);
	} else {
		(void)buf_adds(out, text);
	}
	(void)buf_addc(out, '\n');
	return true;
}

static bool put_list(struct buf *out, const struct schema_key *k, const json_t *v)
{
	size_t i;
	json_t *item;

	if (!json_is_array(v)) {
		return false;
	}
	(void)buf_adds(out, json_array_size(v) == 0 ? " []\n" : "\n");
	json_array_foreach(v, i, item)
	{
		if (!json_is_string(item)) {
			return false;
		}
		put_indent(out, k->path);
		(void)buf_adds(out, "  - ");
		put_quoted(out, item);
		(void)buf_addc(out, '\n');
	}
	return true;
}

static bool put_variables(struct buf *out, const struct schema_key *k, json_t *v)
{
	const char *name;
	json_t *value;

	if (!json_is_object(v)) {
		return false;
	}
	(void)buf_adds(out, json_object_size(v) == 0 ? " {}\n" : "\n");
	json_object_foreach(v, name, value)
	{
		if (!setting_is_variable(name, strlen(name)) ||
		    !(json_is_string(value) || json_is_null(value))) {
			return false;
		}
		put_indent(out, k->path);
		(void)buf_addf(out, "  %s: ", name);
		if (json_is_null(value)) {
			(void)buf_adds(out, "{inherit: true}");
		} else {
			put_quoted(out, value);
		}
		(void)buf_addc(out, '\n');
	}
	return true;
}

/* Something of a section is there. */
static bool has_any(const json_t *record, const struct schema_key *section)
{
	size_t len = strlen(section->path);

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const char *path = schema_keys[i].path;

		if (strncmp(path, section->path, len) == 0 && path[len] == '.' &&
		    json_object_get(record, path)) {
			return true;
		}
	}
	return false;
}

static bool put_key(struct buf *out, const struct schema_key *k, json_t *v)
{
	const char *dot = strrchr(k->path, '.');

	put_indent(out, k->path);
	(void)buf_addf(out, "%s:", dot ? dot + 1 : k->path);
	if (k->type == TYPE_SECTION) {
		(void)buf_addc(out, '\n');
		return true;
	}
	return k->type == TYPE_ENV ? put_variables(out, k, v)
	       : schema_is_list(k) ? put_list(out, k, v)
				   : put_scalar(out, k, v);
}

int policy_write(const json_t *record, struct buf *out, struct err *e)
{
	size_t known = 0;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct schema_key *k = &schema_keys[i];
		json_t *v = k->type == TYPE_SECTION ? NULL : json_object_get(record, k->path);

		if (k->type == TYPE_SECTION ? !has_any(record, k) : !v) {
			continue;
		}
		known += v != NULL;
		if (!put_key(out, k, v)) {
			return err_set(e, ERR_SYSTEM, EBADMSG, "the recorded policy: '%s' is wrong",
				       k->path);
		}
	}
	if (known == 0 || known != json_object_size(record)) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "the recorded policy is missing, or has keys that this version does "
			       "not know");
	}
	return out->failed ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : 0;
}
