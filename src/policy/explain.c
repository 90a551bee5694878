/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy means, one English sentence for each consequence. Sentences come from the schema
 * table; each is marked as a wall (the kernel refuses), a guard-rail (stops mistakes, and code that
 * tries can get around it) or a fact (recorded, or decides others).
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "policy/policy.h"
#include "policy/setting.h"
#include "policy/settle.h"

#define SENTENCE_MAX (2 * 1024 * 1024)

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static const char *class_of(const struct settled *s, const struct schema_key *k)
{
	const struct value *v = s->policy.v;

	switch (k->class) {
	case CLASS_WALL:
		/* Naming direct opens something, and so does no tier. */
		return (s->tier == TIER_NONE &&
			(schema_id(k) == KEY_TIER || schema_id(k) == KEY_NETWORK_DEFAULT)) ||
				       (schema_id(k) == KEY_WORKSPACE_MODE &&
					v[KEY_WORKSPACE_MODE].num == WORKSPACE_DIRECT) ||
				       (schema_id(k) == KEY_WRITE && v[KEY_WRITE].n_items > 0)
			       ? "fact"
			       : "wall";
	case CLASS_GUARD:
		return "guard-rail";
	case CLASS_LIMIT:
		return v[KEY_MECHANISM].num == MECHANISM_GROUP ? "wall" : "guard-rail";
	case CLASS_FACT:
		break;
	}
	return "fact";
}

/* The template with {} replaced by the value. */
static int fill_in(const char *template, const struct schema_key *k, const struct value *v,
		   struct buf *out)
{
	const char *hole = strstr(template, "{}");

	if (!hole) {
		return buf_adds(out, template);
	}
	(void)buf_add(out, template, (size_t)(hole - template));
	(void)setting_show(k, v, out);
	(void)buf_adds(out, hole + 2);
	return out->failed ? -ENOMEM : 0;
}

/* Where the host's own files are around the payload, these are other walls, or none. */
static const struct {
	enum tier tier;
	enum key_id key;
	const char *class;
	const char *say;
} at_tier[] = {
	{TIER_NONE, KEY_ROOT, "fact",
	 "It sees and changes whatever the user can: every file, every process of the user's, what "
	 "listens on this host, and Atoll's own record. HOME is the user's."},
	{TIER_PROCESS, KEY_ROOT, "wall",
	 "It can open the host's /usr and a few files of /etc, /dev and /proc, and nothing else of "
	 "the "
	 "host; that a path exists, its size and its times can be seen by who knows it. HOME and "
	 "TMPDIR are in a directory made for it."},
	{TIER_PROCESS, KEY_NETWORK_DEFAULT, "wall",
	 "It has no network: it can make no socket but pairs that are connected for good."},
	{TIER_PROCESS, KEY_SCRATCH, "guard-rail",
	 "Its scratch directory may hold {}: the keeper looks, and ends it beyond that. It is gone "
	 "afterwards."},
};

/* The row above for a key, or -1. */
static int tier_row(const struct settled *s, const struct schema_key *k)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(at_tier) &&
	       (at_tier[i].tier != s->tier || at_tier[i].key != schema_id(k))) {
		i++;
	}
	return i < ARRAY_SIZE(at_tier) ? (int)i : -1;
}

/* Where nothing can be connected to, they say nothing. */
static bool is_of_connections(enum key_id key)
{
	return key == KEY_NETWORK_DENY || key == KEY_COOLDOWN ||
	       (key > KEY_NETWORK_LIMITS && key <= KEY_NETWORK_REQUESTS);
}

/* The sentence of one key, or NULL when it has none. */
static const char *template_of(const struct settled *s, const struct schema_key *k)
{
	const struct value *v = &s->policy.v[schema_id(k)];
	bool no_workspace = s->policy.v[KEY_WORKSPACE_MODE].num == WORKSPACE_NONE;
	int row = tier_row(s, k);

	if (row >= 0) {
		return at_tier[row].say;
	}
	if (s->tier == TIER_NONE && full_says_nothing(schema_id(k))) {
		return NULL;
	}
	if (schema_id(k) == KEY_COPY_BY && s->policy.v[KEY_WORKSPACE_MODE].num != WORKSPACE_COPY) {
		return NULL;
	}
	if (k->type == TYPE_WORD) {
		return v->set ? k->words[v->num].say : NULL;
	}
	if ((schema_id(k) == KEY_WORKSPACE_PATH && no_workspace) ||
	    (schema_id(k) == KEY_COPY && s->policy.v[KEY_WORKSPACE_MODE].num != WORKSPACE_COPY)) {
		return NULL;
	}
	if (is_of_connections(schema_id(k)) && !network_reaches(s)) {
		return NULL;
	}
	if (schema_id(k) == KEY_COPY && s->policy.v[KEY_MECHANISM].num == MECHANISM_GROUP) {
		return "Its copy may grow by {}: it is on a file system that holds no more.";
	}
	if (schema_id(k) == KEY_EXEC_ALLOW && !v->set) {
		return "Any program that it can see may be executed.";
	}
	if (schema_is_list(k) && v->n_items == 0) {
		return k->say_none;
	}
	return v->set ? k->say : NULL;
}

static int add(json_t *list, const char *key, const char *class, const char *text, const char *from)
{
	json_t *j = fault_hit() ? NULL : json_object();

	if (json_array_append_new(list, j) < 0 || json_put(j, "key", json_string(key)) < 0 ||
	    json_put(j, "class", json_string(class)) < 0 ||
	    json_put(j, "text", json_string(text)) < 0 ||
	    json_put(j, "from", json_string(from)) < 0) {
		return -ENOMEM;
	}
	return 0;
}

static int add_key(json_t *list, const struct settled *s, const struct schema_key *k)
{
	const struct value *v = &s->policy.v[schema_id(k)];
	const char *template = k->type == TYPE_SECTION ? NULL : template_of(s, k);
	_cleanup_buf_ struct buf text = {};
	char from[ORIGIN_TEXT_SIZE] = "default";
	int row = tier_row(s, k);
	const char *class;

	if (!template) {
		return 0;
	}
	buf_init(&text, SENTENCE_MAX);
	if (fill_in(template, k, v, &text) < 0) {
		return -ENOMEM;
	}
	if (v->set && (v->at.file || v->at.option)) {
		(void)origin_text(&v->at, from);
	}
	class = (schema_id(k) == KEY_EXEC_ALLOW && !v->set) ||
				(schema_id(k) == KEY_DENY && v->n_items == 0)
			? "fact"
			: class_of(s, k);
	class = row >= 0 ? at_tier[row].class : class;
	return add(list, k->path, class, buf_str(&text), from);
}

/* What is beyond a rule of filesystem.deny depends on how it is spelled. */
static int add_deny(json_t *list, const struct settled *s)
{
	const struct value *v = &s->policy.v[KEY_DENY];
	size_t patterns = 0;

	for (size_t i = 0; i < v->n_items; i++) {
		patterns += strpbrk(v->items[i].text, "*?[") != NULL;
	}
	if (patterns < v->n_items &&
	    add(list, "filesystem.deny", "fact",
		"A denied path without a pattern stays hidden where nothing is there yet, and "
		"costs a look at the directories above it.",
		"default") < 0) {
		return -ENOMEM;
	}
	return patterns > 0 ? add(list, "filesystem.deny", "fact",
				  "A denied pattern costs one walk at the start: it hides what is "
				  "there then, and what the host makes later under such a name is "
				  "seen.",
				  "default")
			    : 0;
}

/* Consequences that no key has alone. */
static int add_whole(json_t *list, const struct settled *s)
{
	_cleanup_buf_ struct buf text = {};
	struct err why = {};

	buf_init(&text, SENTENCE_MAX);
	if (s->accepted &&
	    (buf_addf(&text, "Trust %s asks for tier %s; the weaker tier was accepted by name.",
		      trust_name(s->trust), tier_name(s->required)) < 0 ||
	     add(list, "tier", "fact", buf_str(&text), "--accept-tier") < 0)) {
		return -ENOMEM;
	}
	if (s->tier != TIER_NONE &&
	    add(list, "filesystem", s->chains ? "fact" : "wall",
		s->chains
			? "Tool chains outside /usr that the caller's PATH leads to are readable, "
			  "without credential files."
			: "Tool chains outside /usr are not shown.",
		"default") < 0) {
		return -ENOMEM;
	}
	if (add_deny(list, s) < 0) {
		return -ENOMEM;
	}
	buf_clear(&text);
	if (tier_available(s, &why) < 0 &&
	    (buf_addf(&text, "This version refuses to run it: %s.", why.msg) < 0 ||
	     add(list, "tier", "fact", buf_str(&text), "default") < 0)) {
		return -ENOMEM;
	}
	return 0;
}

int policy_explain(const struct policy_request *req, json_t **ret, struct err *e)
{
	_cleanup_(settled_done) struct settled s = {};
	_cleanup_json_ json_t *list = NULL;
	int r = policy_settle(req, &s, e);

	if (r < 0) {
		return r;
	}
	list = json_array();
	for (size_t i = 0; list && i < KEY_COUNT; i++) {
		if (add_key(list, &s, &schema_keys[i]) < 0) {
			return no_memory(e);
		}
	}
	if (!list || add_whole(list, &s) < 0) {
		return no_memory(e);
	}
	*ret = TAKE_PTR(list);
	return 0;
}

int policy_check(const struct policy_request *req, char *note, size_t note_size, struct err *e)
{
	_cleanup_(settled_done) struct settled s = {};
	struct err why = {};
	int r = policy_settle(req, &s, e);

	if (r < 0) {
		return r;
	}
	note[0] = '\0';
	if (tier_available(&s, &why) < 0 || network_available(&s, &why) < 0) {
		(void)snprintf(note, note_size, "%s", why.msg);
	} else if (s.policy.v[KEY_EXEC_ALLOW].set && s.policy.v[KEY_EXEC_ALLOW].n_items == 0) {
		(void)snprintf(note, note_size,
			       "execution.allow: nothing may be executed yet; list programs in "
			       "the policy");
	}
	return 0;
}
