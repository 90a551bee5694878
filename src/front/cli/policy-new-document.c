/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `atoll policy new`: the document. Keys stand in the order of the schema. An answer is a line,
 * what was asked for and left to its default is a comment, and so is a finding, above its key.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "front/cli/policy-new.h"
#include "policy/plan.h"
#include "policy/setting.h"
#include "policy/settle.h"

#define WIDTH 96

static const char head[] =
	"# Made by 'atoll policy new'; 'atoll policy explain FILE' says what each line means.\n"
	"# Containment: provenance, trust, tier, limits.mechanism. Access: filesystem, network,\n"
	"# execution.allow, data. Governance: governance. Ephemerality: time, limits.scratch.\n"
	"# A key behind a # is a default.\n";

struct document {
	struct buf *out;
	const struct new_policy *n;
	const struct settled *s;
};

static bool is_below(const struct schema_key *k, const struct schema_key *section)
{
	size_t len = strlen(section->path);

	return strncmp(k->path, section->path, len) == 0 && k->path[len] == '.';
}

static bool is_asked(enum key_id key)
{
	for (size_t i = 0; i < new_questions_count; i++) {
		if (new_questions[i].key == key) {
			return true;
		}
	}
	return false;
}

/* The line is no comment. Where there is no network rules for it would keep it from starting. */
static bool is_live(const struct document *d, const struct schema_key *k)
{
	bool refused = schema_id(k) == KEY_NETWORK_ALLOW &&
		       (d->s->tier == TIER_PROCESS ||
			d->s->policy.v[KEY_NETWORK_DEFAULT].num == NET_DEFAULT_NONE);
	bool live = k->type != TYPE_SECTION && !refused && d->n->answers.v[schema_id(k)].set;

	for (size_t i = 0; k->type == TYPE_SECTION && !live && i < KEY_COUNT; i++) {
		live = is_below(&schema_keys[i], k) && is_live(d, &schema_keys[i]);
	}
	return live;
}

/* It has a line at all. */
static bool is_shown(const struct document *d, const struct schema_key *k)
{
	const struct value *usual = &d->s->policy.v[schema_id(k)];
	bool shown = is_live(d, k);

	if (k->type != TYPE_SECTION) {
		return shown || d->n->answers.v[schema_id(k)].set ||
		       (is_asked(schema_id(k)) && usual->set && !schema_is_list(k) &&
			schema_id(k) != KEY_NAME && schema_id(k) != KEY_WORKSPACE_PATH);
	}
	for (size_t i = 0; !shown && i < KEY_COUNT; i++) {
		shown = is_below(&schema_keys[i], k) && is_shown(d, &schema_keys[i]);
	}
	return shown;
}

static void put_indent(struct buf *out, const struct schema_key *k)
{
	for (const char *p = k->path; *p; p++) {
		if (*p == '.') {
			(void)buf_adds(out, "  ");
		}
	}
}

/* A text as comment lines of a bearable width. */
static void put_comment(struct buf *out, const struct schema_key *k, const char *text)
{
	size_t used = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (used > 0 && used + word >= WIDTH) {
			(void)buf_addc(out, '\n');
			used = 0;
		}
		if (used == 0) {
			put_indent(out, k);
			(void)buf_addc(out, '#');
		}
		(void)buf_addc(out, ' ');
		(void)buf_add(out, text, word);
		used += word + 1;
		text += word + strspn(text + word, " ");
	}
	(void)buf_addc(out, '\n');
}

/* Text of the user's in double quotes, which YAML reads as JSON does. */
static void put_quoted(struct buf *out, const char *text)
{
	_cleanup_json_ json_t *j = json_string(text);
	_cleanup_free_ char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;

	if (!quoted) {
		out->failed = true;
		return;
	}
	(void)buf_adds(out, quoted);
}

static void put_scalar(struct buf *out, const struct schema_key *k, const struct value *v)
{
	if (v->text) {
		put_quoted(out, v->text);
	} else if (setting_show(k, v, out) < 0) {
		out->failed = true;
	}
}

static void put_items(struct buf *out, const struct schema_key *k, const struct value *v,
		      const char *mark)
{
	(void)buf_addc(out, '\n');
	for (size_t i = 0; i < v->n_items; i++) {
		const struct item *it = &v->items[i];

		put_indent(out, k);
		(void)buf_adds(out, mark);
		(void)buf_adds(out, "  ");
		if (k->type != TYPE_ENV) {
			(void)buf_adds(out, "- ");
			put_quoted(out, it->text);
		} else if (it->text) {
			(void)buf_addf(out, "%s: ", it->name);
			put_quoted(out, it->text);
		} else {
			(void)buf_addf(out, "%s: {inherit: true}", it->name);
		}
		(void)buf_addc(out, '\n');
	}
}

static void put_key(const struct document *d, const struct schema_key *k)
{
	const struct value *answer = &d->n->answers.v[schema_id(k)];
	const struct value *v = answer->set ? answer : &d->s->policy.v[schema_id(k)];
	const char *dot = strrchr(k->path, '.'), *mark = is_live(d, k) ? "" : "# ";

	if (k->type != TYPE_SECTION) {
		put_comment(d->out, k, k->doc);
	} else if (!dot) {
		(void)buf_addc(d->out, '\n');
	}
	for (size_t i = 0; i < d->n->n_findings; i++) {
		const struct new_finding *f = &d->n->findings[i];
		char text[sizeof(f->text) + 16];

		if (f->key == schema_id(k)) {
			(void)snprintf(text, sizeof(text), "%s: %s.",
				       f->weaker ? "WEAKER" : "STRONGER", f->text);
			put_comment(d->out, k, text);
		}
	}
	put_indent(d->out, k);
	(void)buf_addf(d->out, "%s%s:", mark, dot ? dot + 1 : k->path);
	if (k->type == TYPE_SECTION) {
		(void)buf_addc(d->out, '\n');
	} else if (schema_is_list(k)) {
		put_items(d->out, k, v, mark);
	} else {
		(void)buf_addc(d->out, ' ');
		put_scalar(d->out, k, v);
		(void)buf_addc(d->out, '\n');
	}
}

int new_document(const struct new_policy *n, const struct settled *s, struct buf *out)
{
	const struct document d = {.out = out, .n = n, .s = s};

	(void)buf_adds(out, head);
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (is_shown(&d, &schema_keys[i])) {
			put_key(&d, &schema_keys[i]);
		}
	}
	return out->failed ? -ENOMEM : 0;
}

/* ---- JSON ---- */

static json_t *answer_json(const struct schema_key *k, const struct value *v)
{
	_cleanup_json_ json_t *list = schema_is_list(k) ? json_array() : NULL;
	_cleanup_buf_ struct buf text = {};

	if (!schema_is_list(k)) {
		buf_init(&text, POLICY_TEXT_MAX + 1);
		return setting_show(k, v, &text) < 0 ? NULL : json_string(buf_str(&text));
	}
	for (size_t i = 0; list && i < v->n_items; i++) {
		const struct item *it = &v->items[i];

		buf_init(&text, 2 * POLICY_TEXT_MAX);
		(void)buf_addf(&text, "%s%s%s", it->name ? it->name : "",
			       it->name && it->text ? "=" : "", it->text ? it->text : "");
		if (text.failed || json_array_append_new(list, json_string(buf_str(&text))) < 0) {
			return NULL;
		}
		buf_done(&text);
	}
	return TAKE_PTR(list);
}

static int put_findings(json_t *list, const struct new_policy *n)
{
	for (size_t i = 0; i < n->n_findings; i++) {
		const struct new_finding *f = &n->findings[i];
		json_t *j = json_object();

		if (json_array_append_new(list, j) < 0 ||
		    json_put(j, "key", json_string(schema_keys[f->key].path)) < 0 ||
		    json_put(j, "wall", json_string(f->weaker ? "weaker" : "stronger")) < 0 ||
		    json_put(j, "text", json_string(f->text)) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

json_t *new_json(const struct new_policy *n, const char *document)
{
	_cleanup_json_ json_t *j = json_object();
	json_t *answers = json_object(), *findings = json_array();
	int r = j ? json_put(j, "answers", answers) : -ENOMEM;

	r = r >= 0 ? json_put(j, "findings", findings) : r;
	for (size_t i = 0; r >= 0 && i < KEY_COUNT; i++) {
		if (n->answers.v[i].set) {
			r = json_put(answers, schema_keys[i].path,
				     answer_json(&schema_keys[i], &n->answers.v[i]));
		}
	}
	if (r < 0 || put_findings(findings, n) < 0 ||
	    json_put(j, "document", json_string(document)) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}
