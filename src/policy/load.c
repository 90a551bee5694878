/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader: libyaml's parser events, walked along the schema table.
 *
 * TRUST: a document may come from anywhere. It is at most 1 MiB; nesting follows the schema, so it
 * ends where the schema ends; anchors, aliases, tags, directives and further documents are refused,
 * so a document means what it shows; every scalar is bounded, UTF-8 and free of control characters.
 * Nothing is executed, opened or looked up while loading.
 */
#include "policy/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <yaml.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "policy/hostname.h"
#include "policy/setting.h"

#define KEY_PATH_SIZE 256

struct loader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	bool have_event;
	const char *text;
	size_t len;
	const char *file;
	enum layer layer;
	struct policy *p;
	struct err *e;
};

static struct origin place(const struct loader *l, yaml_mark_t mark)
{
	return (struct origin){.layer = l->layer,
			       .file = l->file,
			       .line = mark.line + 1,
			       .column = mark.column + 1};
}

static struct origin here(const struct loader *l)
{
	return place(l, l->event.start_mark);
}

/* The reader reports a byte offset only. */
static struct origin place_of_offset(const struct loader *l, size_t offset)
{
	struct origin at = {.layer = l->layer, .file = l->file, .line = 1, .column = 1};

	for (size_t i = 0; i < offset && i < l->len; i++) {
		if (l->text[i] == '\n') {
			at.line++;
			at.column = 1;
		} else if (((unsigned char)l->text[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

static int syntax_error(struct loader *l)
{
	const yaml_parser_t *y = &l->parser;
	const char *problem = y->problem ? y->problem : "it cannot be read";
	struct origin at;

	if (y->error == YAML_MEMORY_ERROR) {
		return err_set(l->e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	at = y->error == YAML_READER_ERROR ? place_of_offset(l, y->problem_offset)
					   : place(l, y->problem_mark);
	return origin_fail(&at, l->e, "not valid YAML: %s", problem);
}

/* What YAML can do and a policy must not. */
static int refuse_indirection(struct loader *l)
{
	const yaml_event_t *ev = &l->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;
	struct origin at = here(l);

	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return origin_fail(&at, l->e, "aliases (*name) are not allowed");
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor) {
		return origin_fail(&at, l->e, "anchors (&name) are not allowed");
	}
	if (tag) {
		return origin_fail(&at, l->e, "tags (!name) are not allowed");
	}
	return 0;
}

static void drop_event(struct loader *l)
{
	if (l->have_event) {
		yaml_event_delete(&l->event);
		l->have_event = false;
	}
}

/* Moves to the next event. */
static int next(struct loader *l)
{
	drop_event(l);
	if (fault_hit()) {
		return err_set(l->e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (!yaml_parser_parse(&l->parser, &l->event)) {
		return syntax_error(l);
	}
	l->have_event = true;
	return refuse_indirection(l);
}

static bool at_end(const struct loader *l)
{
	return l->event.type == YAML_MAPPING_END_EVENT || l->event.type == YAML_SEQUENCE_END_EVENT;
}

static bool is_plain(const struct loader *l)
{
	return l->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *scalar_text(const struct loader *l)
{
	return (const char *)l->event.data.scalar.value;
}

static bool one_of(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, list[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Plain text that other YAML readers take for something else than text. */
static bool reads_as_other_type(const char *s)
{
	static const char *const words[] = {"true", "True", "TRUE", "false", "False", "FALSE",
					    "yes",  "Yes",  "YES",  "no",    "No",    "NO",
					    "on",   "On",   "ON",   "off",   "Off",   "OFF"};
	char *end;

	if (one_of(s, words, ARRAY_SIZE(words))) {
		return true;
	}
	if (!strchr("0123456789+-.", s[0])) {
		return false;
	}
	(void)strtod(s, &end);
	return *end == '\0';
}

/* The form of a scalar for that key: null, quoted numbers, unquoted text that is none. */
static int check_style(struct loader *l, const struct schema_key *k)
{
	static const char *const nulls[] = {"", "null", "Null", "NULL", "~"};
	bool path = k->type == TYPE_PATH || k->type == TYPE_PATHS ||
		    k->type == TYPE_PATTERNS; /* ~ is HOME there */
	struct origin at = here(l);
	const char *s = scalar_text(l);

	if (is_plain(l) && one_of(s, nulls, ARRAY_SIZE(nulls) - (path ? 1 : 0))) {
		return origin_fail(&at, l->e, "%s: the value is missing", k->path);
	}
	if (!is_plain(l) && (k->type == TYPE_INT || k->type == TYPE_CPUS)) {
		return origin_fail(&at, l->e, "%s: expected a number, not a quoted text", k->path);
	}
	if (is_plain(l) &&
	    (k->type == TYPE_NAME || k->type == TYPE_NAMES || k->type == TYPE_TEXT) &&
	    reads_as_other_type(s)) {
		return origin_fail(&at, l->e, "%s: expected a text; put %s in quotes", k->path,
				   shown(s).s);
	}
	return 0;
}

static const char *event_kind(const struct loader *l)
{
	switch (l->event.type) {
	case YAML_SCALAR_EVENT:
		return "a single value";
	case YAML_SEQUENCE_START_EVENT:
		return "a list";
	case YAML_MAPPING_START_EVENT:
		return "a mapping";
	default:
		return "nothing";
	}
}

static int wrong_type(struct loader *l, const char *path, const char *expected)
{
	struct origin at = here(l);

	return origin_fail(&at, l->e, "%s: expected %s, found %s", path, expected, event_kind(l));
}

static int take_scalar(struct loader *l, const struct schema_key *k, struct value *v)
{
	struct origin at = here(l);
	int r = setting_check_text(k->path, &at, scalar_text(l), l->event.data.scalar.length, l->e);

	if (r < 0) {
		return r;
	}
	r = check_style(l, k);
	return r < 0 ? r : setting_take(k, &at, scalar_text(l), v, l->e);
}

/* The current scalar as a key of a mapping whose parent is `path`; copied to `out`. */
static int take_key(struct loader *l, const char *path, char *out, size_t size)
{
	struct origin at = here(l);
	size_t len;
	int r;

	if (l->event.type != YAML_SCALAR_EVENT) {
		return origin_fail(&at, l->e, "a key must be a single text, not %s", event_kind(l));
	}
	len = l->event.data.scalar.length;
	r = setting_check_text(*path ? path : "key", &at, scalar_text(l), len, l->e);
	if (r < 0) {
		return r;
	}
	if (len >= size) {
		return origin_fail(&at, l->e, "unknown key '%s'", shown(scalar_text(l)).s);
	}
	memcpy(out, scalar_text(l), len + 1);
	return 0;
}

/* The ports of one network rule, as texts with their places. */
static int take_ports(struct loader *l, struct value *ports)
{
	struct origin at = here(l);
	int r;

	if (l->event.type != YAML_SEQUENCE_START_EVENT) {
		return wrong_type(l, "network.allow.ports", "a list");
	}
	ports->set = true;
	while ((r = next(l)) >= 0 && !at_end(l)) {
		struct origin port_at = here(l);

		if (l->event.type != YAML_SCALAR_EVENT || !is_plain(l)) {
			return wrong_type(l, "network.allow.ports", "numbers without quotes");
		}
		if (ports->n_items >= POLICY_ITEMS_MAX) {
			return origin_fail(&port_at, l->e, "network.allow.ports: more than %d",
					   POLICY_ITEMS_MAX);
		}
		if (value_add(ports, &port_at, NULL, scalar_text(l)) < 0) {
			return err_set(l->e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	if (r >= 0 && ports->n_items == 0) {
		return origin_fail(&at, l->e, "network.allow.ports: the list is empty");
	}
	return r;
}

/* A member with one value: a text, or true and false. */
static int take_member(struct loader *l, const struct schema_key *k, bool flag, struct value *v)
{
	struct origin at = here(l);

	if (l->event.type != YAML_SCALAR_EVENT) {
		return wrong_type(l, k->path, flag ? "true or false" : "a text");
	}
	if (!flag) {
		return take_scalar(l, k, v);
	}
	if (!is_plain(l) ||
	    (strcmp(scalar_text(l), "true") != 0 && strcmp(scalar_text(l), "false") != 0)) {
		return wrong_type(l, k->path, "true or false");
	}
	v->set = true;
	v->at = at;
	v->num = strcmp(scalar_text(l), "true") == 0;
	return 0;
}

/* What a rule of network.allow says as a mapping. */
enum { RULE_HOST, RULE_PORTS, RULE_PROTOCOL, RULE_PRIVATE, RULE_MEMBERS };

struct rule {
	struct value v[RULE_MEMBERS];
};

static void rule_done(struct rule *r)
{
	for (size_t i = 0; i < RULE_MEMBERS; i++) {
		value_done(&r->v[i]);
	}
}

static const struct schema_key rule_members[RULE_MEMBERS] = {
	[RULE_HOST] = {.path = "network.allow.host", .type = TYPE_TEXT},
	[RULE_PORTS] = {.path = "network.allow.ports", .type = TYPE_TEXT},
	[RULE_PROTOCOL] = {.path = "network.allow.protocol", .type = TYPE_TEXT},
	[RULE_PRIVATE] = {.path = "network.allow.private", .type = TYPE_TEXT},
};

/* Members of the language that need what this version does not have. */
static const char *const rule_inspects[] = {"methods", "paths", "credential", "rate", "headers"};

/* The rule as the short form says it; the port NULL: the usual one. */
static int add_rule(struct loader *l, const struct rule *rule, const char *port,
		    const struct origin *at, struct value *v)
{
	const struct value *protocol = &rule->v[RULE_PROTOCOL];
	char text[DESTINATION_SIZE + 64];
	int n = snprintf(text, sizeof(text), "%s%s%s%s%s%s", rule->v[RULE_HOST].text,
			 port ? ":" : "", port ? port : "", protocol->set ? "/" : "",
			 protocol->set ? protocol->text : "",
			 rule->v[RULE_PRIVATE].num ? ",private" : "");

	if (n < 0 || (size_t)n >= sizeof(text)) {
		return origin_fail(at, l->e,
				   "network.allow: the host, port or protocol is too long");
	}
	return setting_take(&schema_keys[KEY_NETWORK_ALLOW], at, text, v, l->e);
}

/* The host stands alone in it: what would be a port or a suffix in the short form is no name. */
static int add_rules(struct loader *l, const struct rule *rule, struct value *v)
{
	const struct value *host = &rule->v[RULE_HOST], *ports = &rule->v[RULE_PORTS];
	int r = 0;

	if (strpbrk(host->text, "/,") || (host->text[0] != '[' && strchr(host->text, ':'))) {
		return origin_fail(&host->at, l->e,
				   "network.allow.host: '%s': only the host stands here; ports, "
				   "protocol and private are members of their own",
				   shown(host->text).s);
	}
	if (!ports->set) {
		return add_rule(l, rule, NULL, &host->at, v);
	}
	for (size_t i = 0; i < ports->n_items && r >= 0; i++) {
		r = add_rule(l, rule, ports->items[i].text, &ports->items[i].at, v);
	}
	return r;
}

/* Which member of a rule a key names, or -1. */
static int rule_member(const char *key)
{
	const size_t prefix = strlen("network.allow.");
	int i = 0;

	while (i < RULE_MEMBERS && strcmp(rule_members[i].path + prefix, key) != 0) {
		i++;
	}
	return i < RULE_MEMBERS ? i : -1;
}

static int unknown_member(struct loader *l, const struct origin *at, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_inspects); i++) {
		if (strcmp(rule_inspects[i], key) == 0) {
			return origin_fail(
				at, l->e,
				"network.allow.%s: this version does not look into "
				"requests, so it cannot hold that; leave it out to allow "
				"every request to that host",
				key);
		}
	}
	return origin_fail(at, l->e, "unknown key 'network.allow.%s'", key);
}

/* {host: NAME, ports: [N, ...], protocol: tls, private: true} */
static int take_rule(struct loader *l, struct value *v)
{
	_cleanup_(rule_done) struct rule rule = {};
	struct origin at = here(l);
	int r;

	while ((r = next(l)) >= 0 && !at_end(l)) {
		struct origin key_at = here(l);
		char key[16];
		int i;

		r = take_key(l, "network.allow", key, sizeof(key));
		if (r < 0) {
			return r;
		}
		i = rule_member(key);
		if (i < 0) {
			return unknown_member(l, &key_at, key);
		}
		if (rule.v[i].set) {
			return origin_fail(&key_at, l->e, "duplicate key 'network.allow.%s'", key);
		}
		r = next(l);
		r = r < 0 ? r
		    : i == RULE_PORTS
			    ? take_ports(l, &rule.v[i])
			    : take_member(l, &rule_members[i], i == RULE_PRIVATE, &rule.v[i]);
		if (r < 0) {
			return r;
		}
	}
	if (r >= 0 && !rule.v[RULE_HOST].set) {
		return origin_fail(&at, l->e, "network.allow: a rule needs a host");
	}
	return r < 0 ? r : add_rules(l, &rule, v);
}

static int take_list(struct loader *l, const struct schema_key *k, struct value *v)
{
	struct origin at = here(l);
	int r;

	if (l->event.type != YAML_SEQUENCE_START_EVENT) {
		return wrong_type(l, k->path, "a list");
	}
	v->set = true;
	v->at = at;
	while ((r = next(l)) >= 0 && !at_end(l)) {
		if (l->event.type == YAML_MAPPING_START_EVENT && k->type == TYPE_RULES) {
			r = take_rule(l, v);
		} else if (l->event.type == YAML_SCALAR_EVENT) {
			r = take_scalar(l, k, v);
		} else {
			r = wrong_type(l, k->path, "a list of texts");
		}
		if (r < 0) {
			return r;
		}
	}
	if (r >= 0 && v->n_items == 0 && k->nonempty && l->layer != LAYER_PROFILE) {
		return origin_fail(&at, l->e,
				   "%s: the list is empty, so nothing would be allowed; leave the "
				   "key out or list what is needed",
				   k->path);
	}
	return r;
}

/* {inherit: true} */
static int take_inherit(struct loader *l, const struct origin *at, const char *name,
			struct value *v)
{
	char key[16];
	int r = next(l);

	if (r < 0) {
		return r;
	}
	if (!at_end(l)) {
		r = take_key(l, "data.env", key, sizeof(key));
		if (r < 0 || (r = next(l)) < 0) {
			return r;
		}
		if (strcmp(key, "inherit") == 0 && l->event.type == YAML_SCALAR_EVENT &&
		    is_plain(l) && strcmp(scalar_text(l), "true") == 0) {
			r = next(l);
			if (r < 0) {
				return r;
			}
			if (at_end(l)) {
				return setting_take_env(at, name, NULL, v, l->e);
			}
		}
	}
	return origin_fail(at, l->e, "data.env: write '%s: value' or '%s: {inherit: true}'", name,
			   name);
}

/* The value of one variable: any single value counts as its text. */
static int take_variable(struct loader *l, const struct origin *at, const char *name,
			 struct value *v)
{
	int r;

	if (l->event.type == YAML_MAPPING_START_EVENT) {
		return take_inherit(l, at, name, v);
	}
	if (l->event.type != YAML_SCALAR_EVENT) {
		return wrong_type(l, "data.env", "a value or {inherit: true}");
	}
	r = setting_check_text("data.env", at, scalar_text(l), l->event.data.scalar.length, l->e);
	if (r < 0) {
		return r;
	}
	if (is_plain(l) && check_style(l, &schema_keys[KEY_ENV]) < 0) {
		return -EINVAL;
	}
	return setting_take_env(at, name, scalar_text(l), v, l->e);
}

static int take_env(struct loader *l, const struct schema_key *k, struct value *v)
{
	int r;

	if (l->event.type != YAML_MAPPING_START_EVENT) {
		return wrong_type(l, k->path, "a mapping of variables");
	}
	v->set = true;
	v->at = here(l);
	while ((r = next(l)) >= 0 && !at_end(l)) {
		struct origin at = here(l);
		char name[KEY_PATH_SIZE];

		r = take_key(l, k->path, name, sizeof(name));
		if (r < 0 || (r = next(l)) < 0 || (r = take_variable(l, &at, name, v)) < 0) {
			return r;
		}
	}
	return r;
}

static int unknown_key(struct loader *l, const struct origin *at, const char *path)
{
	const struct schema_key *k = schema_suggest(path);

	if (k && strcmp(k->path, path) == 0) {
		return origin_fail(at, l->e, "unknown key '%s'; write sections as nested mappings",
				   k->path);
	}
	if (k) {
		return origin_fail(at, l->e, "unknown key '%s'; did you mean '%s'?", shown(path).s,
				   k->path);
	}
	return origin_fail(at, l->e, "unknown key '%s'", shown(path).s);
}

static int take_value(struct loader *l, const struct schema_key *k, const struct origin *key_at);

/* The keys of one mapping, up to its end. `prefix` is the path of the section, "" at the top. */
static int take_section(struct loader *l, const char *prefix)
{
	int r;

	while ((r = next(l)) >= 0 && !at_end(l)) {
		char key[KEY_PATH_SIZE / 2], path[KEY_PATH_SIZE];
		struct origin at = here(l);
		const struct schema_key *k;

		r = take_key(l, prefix, key, sizeof(key));
		if (r < 0) {
			return r;
		}
		(void)snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key);
		k = strchr(key, '.') ? NULL : schema_find(path, strlen(path));
		if (!k) {
			return unknown_key(l, &at, path);
		}
		r = next(l);
		if (r < 0 || (r = take_value(l, k, &at)) < 0) {
			return r;
		}
	}
	return r;
}

static int take_value(struct loader *l, const struct schema_key *k, const struct origin *key_at)
{
	struct value *v = &l->p->v[schema_id(k)];

	if (v->set) {
		return origin_fail(key_at, l->e,
				   "duplicate key '%s'; it was first given on line %zu", k->path,
				   v->at.line);
	}
	if (k->type == TYPE_SECTION) {
		if (l->event.type != YAML_MAPPING_START_EVENT) {
			return wrong_type(l, k->path, "a mapping");
		}
		v->set = true;
		v->at = *key_at;
		return take_section(l, k->path);
	}
	if (k->type == TYPE_ENV) {
		return take_env(l, k, v);
	}
	if (schema_is_list(k)) {
		return take_list(l, k, v);
	}
	if (l->event.type != YAML_SCALAR_EVENT) {
		return wrong_type(l, k->path, "a single value");
	}
	return take_scalar(l, k, v);
}

/* Stream start, document start, up to the root node. */
static int open_document(struct loader *l)
{
	struct origin at;
	int r = next(l);

	if (r < 0 || (r = next(l)) < 0) {
		return r;
	}
	at = here(l);
	if (l->event.type == YAML_STREAM_END_EVENT) {
		return origin_fail(&at, l->e, "the document is empty; %s is a mapping",
				   l->p ? "a policy" : "it");
	}
	if (l->event.data.document_start.version_directive ||
	    l->event.data.document_start.tag_directives.start !=
		    l->event.data.document_start.tag_directives.end) {
		return origin_fail(&at, l->e, "directives (%%) are not allowed");
	}
	r = next(l);
	if (r >= 0 && l->event.type != YAML_MAPPING_START_EVENT) {
		return wrong_type(l, l->p ? "policy" : "the document", "a mapping");
	}
	return r;
}

static int close_document(struct loader *l)
{
	int r = next(l); /* document end */
	struct origin at;

	if (r < 0 || (r = next(l)) < 0) {
		return r;
	}
	at = here(l);
	if (l->event.type != YAML_STREAM_END_EVENT) {
		return origin_fail(&at, l->e, "a second document is not allowed");
	}
	at.line = 1;
	at.column = 1;
	if (l->p && !l->p->v[KEY_VERSION].set) {
		return origin_fail(&at, l->e, "version is missing; add 'version: %d'",
				   POLICY_VERSION);
	}
	return 0;
}

/* The only mapping of a document that is no policy. */
struct flat {
	const struct schema_key *keys;
	size_t n;
	struct value *v;
};

static int take_flat_value(struct loader *l, const struct flat *f, const struct origin *at,
			   const char *key)
{
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->keys[i].path, key) != 0) {
			continue;
		}
		if (f->v[i].set) {
			return origin_fail(at, l->e,
					   "duplicate key '%s'; it was first given on line %zu",
					   key, f->v[i].at.line);
		}
		return l->event.type == YAML_SCALAR_EVENT ? take_scalar(l, &f->keys[i], &f->v[i])
							  : wrong_type(l, key, "a single value");
	}
	return origin_fail(at, l->e, "unknown key '%s'", shown(key).s);
}

static int take_flat(struct loader *l, const struct flat *f)
{
	int r;

	while ((r = next(l)) >= 0 && !at_end(l)) {
		char key[KEY_PATH_SIZE / 2];
		struct origin at = here(l);

		r = take_key(l, "", key, sizeof(key));
		r = r < 0 ? r : next(l);
		r = r < 0 ? r : take_flat_value(l, f, &at, key);
		if (r < 0) {
			return r;
		}
	}
	return r;
}

/* From the first byte to the last: a policy, or else `f`. */
static int load(struct loader *l, const struct flat *f)
{
	struct origin start = {.layer = l->layer, .file = l->file, .line = 1, .column = 1};
	int r;

	if (l->len > POLICY_DOCUMENT_MAX) {
		return origin_fail(&start, l->e, "the document is larger than 1 MiB");
	}
	if (fault_hit() || !yaml_parser_initialize(&l->parser)) {
		return err_set(l->e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	yaml_parser_set_input_string(&l->parser, (const unsigned char *)l->text, l->len);
	yaml_parser_set_encoding(&l->parser, YAML_UTF8_ENCODING);
	r = open_document(l);
	if (r >= 0) {
		r = f ? take_flat(l, f) : take_section(l, "");
	}
	if (r >= 0) {
		r = close_document(l);
	}
	drop_event(l);
	yaml_parser_delete(&l->parser);
	return r < 0 ? r : 0;
}

int policy_load_flat(const char *file, const char *text, size_t len, const struct schema_key *keys,
		     size_t n, struct value *v, struct err *e)
{
	struct loader l = {.text = text, .len = len, .file = file, .layer = LAYER_FILE, .e = e};
	const struct flat f = {keys, n, v};

	return load(&l, &f);
}

int policy_load(const char *file, enum layer layer, const char *text, size_t len,
		struct policy *ret, struct err *e)
{
	struct loader l = {
		.text = text, .len = len, .file = file, .layer = layer, .p = ret, .e = e};
	int r;

	*ret = (struct policy){};
	r = load(&l, NULL);
	if (r < 0) {
		policy_done(ret);
	}
	return r;
}

int policy_read_fd(int fd, const char *file, struct buf *ret, struct err *e)
{
	struct origin start = {.file = file, .line = 1, .column = 1};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot read '%s'", file);
	}
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode)) {
		return err_set(e, ERR_USER, EINVAL, "cannot read '%s': it is no file", file);
	}
	r = buf_read_fd(ret, fd);
	if (r == -E2BIG) {
		return origin_fail(&start, e, "the document is larger than 1 MiB");
	}
	return r < 0 ? err_sys(e, -r, "cannot read '%s'", file) : 0;
}
