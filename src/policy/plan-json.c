/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan as one JSON document, and back.
 *
 * Both directions walk the same tables, so that what is written is what is read. Words stand for
 * enumerations, bytes for sizes, nanoseconds (members ending in _ns) for times. Device and inode
 * numbers are 64 bits that JSON integers carry as signed. TRUST: the reader is the keeper, the
 * writer the front of the same user; still every member is checked, because a plan that was
 * misread builds the wrong wall.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/utf8.h"
#include "policy/deny.h"
#include "policy/hostname.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/plan.h"
#include "policy/schema.h"
#include "policy/value.h"

enum field_type {
	FIELD_TEXT,
	FIELD_OPTIONAL,
	FIELD_BOOL,
	FIELD_WORD,
	FIELD_U32,
	FIELD_U64,
	FIELD_U64_OR_0
};

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	enum key_id key; /* words, or the range of a number; KEY_COUNT: any number */
};

#define FIELD(m, t, k)                             \
	{                                          \
#m, t, offsetof(struct plan, m), k \
	}
#define AT(n, m, t, k)                            \
	{                                         \
		n, t, offsetof(struct plan, m), k \
	}

static const struct field plan_fields[] = {
	FIELD(name, FIELD_TEXT, KEY_COUNT),
	FIELD(trust, FIELD_WORD, KEY_TRUST),
	FIELD(provenance, FIELD_WORD, KEY_PROVENANCE),
	FIELD(tier, FIELD_WORD, KEY_TIER),
	FIELD(tier_accepted, FIELD_BOOL, KEY_COUNT),
	FIELD(workspace_mode, FIELD_WORD, KEY_WORKSPACE_MODE),
	FIELD(copy_by, FIELD_WORD, KEY_COPY_BY),
	FIELD(exec_any, FIELD_BOOL, KEY_COUNT),
	FIELD(env_fixed, FIELD_BOOL, KEY_COUNT),
	FIELD(log, FIELD_U64_OR_0, KEY_LOG),
	FIELD(syscalls, FIELD_WORD, KEY_SYSCALLS),
	FIELD(denials, FIELD_WORD, KEY_DENIALS),
	FIELD(net_default, FIELD_WORD, KEY_NETWORK_DEFAULT),
	FIELD(learn, FIELD_BOOL, KEY_COUNT),
	FIELD(owner, FIELD_OPTIONAL, KEY_COUNT),
	FIELD(account, FIELD_OPTIONAL, KEY_COUNT),
	FIELD(agent, FIELD_OPTIONAL, KEY_COUNT),
	FIELD(purpose, FIELD_OPTIONAL, KEY_COUNT),
	FIELD(review, FIELD_OPTIONAL, KEY_COUNT),
	FIELD(escape, FIELD_WORD, KEY_ESCAPE),
	FIELD(escape_threshold, FIELD_U32, KEY_ESCAPE_THRESHOLD),
	FIELD(durability, FIELD_WORD, KEY_DURABILITY),
	AT("expires_ns", expires, FIELD_U64_OR_0, KEY_EXPIRES),
};

static const struct field limit_fields[] = {
	AT("mechanism", limits.mechanism, FIELD_WORD, KEY_MECHANISM),
	AT("memory", limits.memory, FIELD_U64, KEY_MEMORY),
	AT("cpus_milli", limits.cpus_milli, FIELD_U32, KEY_CPUS),
	AT("processes", limits.processes, FIELD_U32, KEY_PROCESSES),
	AT("open_files", limits.open_files, FIELD_U32, KEY_OPEN_FILES),
	AT("file_size", limits.file_size, FIELD_U64, KEY_FILE_SIZE),
	AT("scratch", limits.scratch, FIELD_U64, KEY_SCRATCH),
	AT("copy", limits.copy, FIELD_U64, KEY_COPY),
	AT("output", limits.output, FIELD_U64, KEY_OUTPUT),
	AT("starts", limits.starts, FIELD_U32, KEY_STARTS),
	AT("io", limits.io, FIELD_U64_OR_0, KEY_IO),
	AT("wall_ns", limits.wall, FIELD_U64, KEY_WALL),
	AT("cpu_time_ns", limits.cpu_time, FIELD_U64, KEY_CPU),
	AT("idle_ns", limits.idle, FIELD_U64, KEY_IDLE),
	AT("session_ns", limits.session, FIELD_U64, KEY_SESSION),
	AT("pauses", limits.pauses, FIELD_U32, KEY_PAUSES),
	AT("paused_ns", limits.paused, FIELD_U64, KEY_PAUSED),
	AT("net_connections", limits.net.connections, FIELD_U32, KEY_NETWORK_CONNECTIONS),
	AT("net_bytes", limits.net.bytes, FIELD_U64, KEY_NETWORK_BYTES),
	AT("net_host_bytes", limits.net.host_bytes, FIELD_U64, KEY_NETWORK_HOST_BYTES),
	AT("net_requests", limits.net.requests, FIELD_U32, KEY_NETWORK_REQUESTS),
	AT("cooldown_ns", limits.net.cooldown, FIELD_U64_OR_0, KEY_COOLDOWN),
	AT("keep_ns", limits.keep, FIELD_U64, KEY_KEEP),
};

static const struct field identity_fields[] = {
	AT("uid", identity.uid, FIELD_U32, KEY_COUNT),
	AT("gid", identity.gid, FIELD_U32, KEY_COUNT),
	AT("from_root", identity.from_root, FIELD_BOOL, KEY_COUNT),
	AT("user", identity.user, FIELD_TEXT, KEY_COUNT),
	AT("home", identity.home, FIELD_TEXT, KEY_COUNT),
};

_Static_assert(sizeof(enum trust) == sizeof(uint32_t), "enumerations are read as 32 bits");
_Static_assert(sizeof(uid_t) == sizeof(uint32_t), "ids are read as 32 bits");

/* ---- writing ---- */

/* Text exactly as it is: a plan is built of UTF-8 only, so NULL means out of memory. */
static json_t *exact_text(const char *s)
{
	return fault_hit() ? NULL : json_string(s);
}

static json_t *field_value(const struct plan *p, const struct field *f)
{
	const void *at = (const char *)p + f->offset;
	uint32_t n32;

	switch (f->type) {
	case FIELD_TEXT:
	case FIELD_OPTIONAL: {
		const char *s = *(char *const *)at;

		return s ? exact_text(s) : json_null();
	}
	case FIELD_BOOL:
		return json_boolean(*(const bool *)at);
	case FIELD_WORD:
		memcpy(&n32, at, sizeof(n32));
		return exact_text(n32 < schema_keys[f->key].n_words
					  ? schema_keys[f->key].words[n32].word
					  : "?");
	case FIELD_U32:
		memcpy(&n32, at, sizeof(n32));
		return json_integer(n32);
	case FIELD_U64:
	case FIELD_U64_OR_0:
		return json_integer((json_int_t) * (const uint64_t *)at);
	}
	return NULL;
}

static int put_fields(json_t *obj, const struct plan *p, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (json_put(obj, f[i].name, field_value(p, &f[i])) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

static json_t *path_value(const struct plan_path *p)
{
	_cleanup_json_ json_t *j = json_object();

	if (!j || json_put(j, "path", exact_text(p->path)) < 0 ||
	    json_put(j, "dev", json_integer((json_int_t)p->dev)) < 0 ||
	    json_put(j, "ino", json_integer((json_int_t)p->ino)) < 0 ||
	    json_put(j, "is_dir", json_boolean(p->is_dir)) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

static json_t *path_list(const struct plan_path *list, size_t n)
{
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < n; i++) {
		if (json_array_append_new(j, path_value(&list[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

static json_t *more_list(const struct plan *p)
{
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < p->n_more; i++) {
		const struct plan_more *m = &p->more[i];
		json_t *row = path_value(&m->place);

		if (json_array_append_new(j, row) < 0 ||
		    json_put(row, "mode", exact_text(workspace_mode_name(m->mode))) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

static json_t *text_list(char *const *list, size_t n)
{
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < n; i++) {
		if (json_array_append_new(j, exact_text(list[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

/* Bits as the words of their key. */
static json_t *word_list(uint32_t bits, enum key_id key)
{
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < schema_keys[key].n_words; i++) {
		if ((bits & 1U << i) &&
		    json_array_append_new(j, exact_text(schema_keys[key].words[i].word)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

static int put_section(json_t *obj, const char *name, const struct plan *p, const struct field *f,
		       size_t n)
{
	json_t *section = json_object(); /* json_put takes it, NULL or not */

	if (json_put(obj, name, section) < 0) {
		return -ENOMEM;
	}
	return put_fields(section, p, f, n);
}

/* Where `name` ends in "NAME=VALUE", if it is that; else 0. */
static size_t name_of(const char *variable, const char *name)
{
	size_t len = strlen(name);

	return strncmp(variable, name, len) == 0 && variable[len] == '=' ? len : 0;
}

/* The variable of that name; NULL: it has no value yet. */
static const char *find_variable(const struct plan *p, const char *name)
{
	size_t i = 0;

	while (i < p->n_env && name_of(p->env[i], name) == 0) {
		i++;
	}
	return i < p->n_env ? p->env[i] : NULL;
}

static bool is_inherited(const struct plan *p, const char *variable)
{
	size_t i = 0;

	while (i < p->n_inherited && name_of(variable, p->inherited[i]) == 0) {
		i++;
	}
	return i < p->n_inherited;
}

static json_t *declared_list(const struct plan *p)
{
	_cleanup_json_ json_t *j = fault_hit() ? NULL : json_array();

	for (size_t i = 0; j && i < p->n_env; i++) {
		if (!is_inherited(p, p->env[i]) &&
		    json_array_append_new(j, exact_text(p->env[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

json_t *plan_values(const struct plan *p)
{
	_cleanup_json_ json_t *j = fault_hit() ? NULL : json_object();

	for (size_t i = 0; j && i < p->n_inherited; i++) {
		const char *variable = find_variable(p, p->inherited[i]);

		if (!variable || json_put(j, p->inherited[i],
					  exact_text(variable + strlen(p->inherited[i]) + 1)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

json_t *plan_to_json(const struct plan *p)
{
	_cleanup_json_ json_t *j = json_object();

	if (!j || put_fields(j, p, plan_fields, ARRAY_SIZE(plan_fields)) < 0 ||
	    put_section(j, "limits", p, limit_fields, ARRAY_SIZE(limit_fields)) < 0 ||
	    put_section(j, "identity", p, identity_fields, ARRAY_SIZE(identity_fields)) < 0 ||
	    json_put(j, "workspace", p->workspace.path ? path_value(&p->workspace) : json_null()) <
		    0 ||
	    json_put(j, "more", more_list(p)) < 0 ||
	    json_put(j, "read", path_list(p->read, p->n_read)) < 0 ||
	    json_put(j, "deny", text_list(p->deny, p->n_deny)) < 0 ||
	    json_put(j, "net", text_list(p->net, p->n_net)) < 0 ||
	    json_put(j, "net_deny", text_list(p->net_deny, p->n_net_deny)) < 0 ||
	    json_put(j, "scopes", text_list(p->scopes, p->n_scopes)) < 0 ||
	    json_put(j, "idle_signals", word_list(p->limits.idle_signals, KEY_IDLE_SIGNALS)) < 0 ||
	    json_put(j, "exec", path_list(p->exec, p->n_exec)) < 0 ||
	    json_put(j, "env", declared_list(p)) < 0 ||
	    json_put(j, "inherited", text_list(p->inherited, p->n_inherited)) < 0 ||
	    json_put(j, "notes", text_list(p->notes, p->n_notes)) < 0 ||
	    json_put(j, "policy_digest", exact_text(p->policy_digest)) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

int plan_digest(const struct plan *p, char out[DIGEST_HEX_SIZE])
{
	_cleanup_json_ json_t *j = plan_to_json(p);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = j && !fault_hit() ? json_canonical(j, &len) : NULL;
	if (!text) {
		return -ENOMEM;
	}
	digest_hex(text, len, out);
	return 0;
}

/* ---- reading ---- */

static int bad(struct err *e, const char *name, const char *why)
{
	return err_set(e, ERR_BUG, EINVAL, "plan: member '%s' %s", name, why);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static int read_text(const json_t *v, const char *name, char **ret, struct err *e)
{
	char *copy;

	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
		return bad(e, name, "is missing or no text");
	}
	copy = text_dup(json_string_value(v));
	if (!copy) {
		return no_memory(e);
	}
	free(*ret);
	*ret = copy;
	return 0;
}

static int read_number(const json_t *v, const struct field *f, uint64_t *ret, struct err *e)
{
	const struct schema_key *k = f->key < KEY_COUNT ? &schema_keys[f->key] : NULL;
	uint64_t min = k ? k->min : 0, max = k ? k->max : UINT32_MAX;

	if (!json_is_integer(v)) {
		return bad(e, f->name, "is missing or no integer");
	}
	if (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < min ||
	    (uint64_t)json_integer_value(v) > max) {
		return bad(e, f->name, "is out of range");
	}
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int read_word(const json_t *v, const struct field *f, uint32_t *ret, struct err *e)
{
	int i = json_is_string(v) ? schema_word(&schema_keys[f->key], json_string_value(v)) : -1;

	if (i < 0) {
		return bad(e, f->name, "is missing or no known word");
	}
	*ret = (uint32_t)i;
	return 0;
}

static int read_field(const json_t *obj, const struct field *f, struct plan *p, struct err *e)
{
	const json_t *v = json_object_get(obj, f->name);
	void *at = (char *)p + f->offset;
	uint64_t n = 0;
	uint32_t n32 = 0;
	int r;

	switch (f->type) {
	case FIELD_OPTIONAL:
		if (json_is_null(v)) {
			return 0;
		}
		return read_text(v, f->name, at, e);
	case FIELD_TEXT:
		return read_text(v, f->name, at, e);
	case FIELD_BOOL:
		if (!json_is_boolean(v)) {
			return bad(e, f->name, "is missing or no boolean");
		}
		*(bool *)at = json_is_true(v);
		return 0;
	case FIELD_WORD:
		r = read_word(v, f, &n32, e);
		memcpy(at, &n32, sizeof(n32));
		return r;
	case FIELD_U32:
		r = read_number(v, f, &n, e);
		n32 = (uint32_t)n;
		memcpy(at, &n32, sizeof(n32));
		return r;
	case FIELD_U64_OR_0:
		if (json_is_integer(v) && json_integer_value(v) == 0) {
			*(uint64_t *)at = 0;
			return 0;
		}
		/* fallthrough */
	case FIELD_U64:
		r = read_number(v, f, &n, e);
		*(uint64_t *)at = n;
		return r;
	}
	return bad(e, f->name, "has no type");
}

static int read_fields(const json_t *obj, const struct field *f, size_t n, struct plan *p,
		       struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int r = read_field(obj, &f[i], p, e);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* A section that has these fields and no others. */
static int read_section(const json_t *obj, const char *name, const struct field *f, size_t n,
			struct plan *p, struct err *e)
{
	const json_t *section = json_object_get(obj, name);

	if (!json_is_object(section) || json_object_size(section) != n) {
		return bad(e, name, "is missing or has unknown members");
	}
	return read_fields(section, f, n, p, e);
}

static int read_path(const json_t *v, const char *name, struct plan_path *ret, struct err *e)
{
	const json_t *dev = json_object_get(v, "dev"), *ino = json_object_get(v, "ino");
	const json_t *is_dir = json_object_get(v, "is_dir");
	int r;

	if (json_object_size(v) != 4 || !json_is_integer(dev) || !json_is_integer(ino) ||
	    !json_is_boolean(is_dir)) {
		return bad(e, name, "is no path");
	}
	r = read_text(json_object_get(v, "path"), name, &ret->path, e);
	if (r < 0) {
		return r;
	}
	if (!path_is_clean(ret->path)) {
		plan_path_done(ret);
		return bad(e, name, "is no canonical path");
	}
	ret->dev = (dev_t)json_integer_value(dev);
	ret->ino = (ino_t)json_integer_value(ino);
	ret->is_dir = json_is_true(is_dir);
	return 0;
}

/* A path with one more member. */
static int read_more(const json_t *obj, struct plan *p, struct err *e)
{
	const struct field mode = {.name = "mode", .key = KEY_WORKSPACE_MODE};
	const json_t *list = json_object_get(obj, "more");

	if (!json_is_array(list) || json_array_size(list) > PLAN_MORE_MAX) {
		return bad(e, "more", "is missing, no list or too long");
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		_cleanup_json_ json_t *row = json_copy(json_array_get(list, i));
		uint32_t word = 0;
		int r = read_word(json_object_get(row, "mode"), &mode, &word, e);

		if (r < 0) {
			return r;
		}
		(void)json_object_del(row, "mode");
		r = read_path(row, "more", &p->more[i].place, e);
		if (r < 0) {
			return r;
		}
		p->n_more = i + 1;
		p->more[i].mode = (enum workspace_mode)word;
		if (!p->more[i].place.is_dir || word < WORKSPACE_COPY) {
			return bad(e, "more", "is no directory to be changed");
		}
	}
	return 0;
}

static int read_paths(const json_t *obj, const char *name, struct plan_path **ret, size_t *ret_n,
		      struct err *e)
{
	const json_t *list = json_object_get(obj, name);
	size_t n = json_array_size(list);

	if (!json_is_array(list)) {
		return bad(e, name, "is missing or no list");
	}
	if (n == 0) {
		return 0;
	}
	*ret = fault_hit() ? NULL : calloc(n, sizeof(**ret));
	if (!*ret) {
		return no_memory(e);
	}
	for (size_t i = 0; i < n; i++) {
		int r = read_path(json_array_get(list, i), name, &(*ret)[i], e);

		if (r < 0) {
			return r;
		}
		*ret_n = i + 1;
	}
	return 0;
}

static int read_texts(const json_t *obj, const char *name, char ***ret, size_t *ret_n,
		      struct err *e)
{
	const json_t *list = json_object_get(obj, name);

	if (!json_is_array(list)) {
		return bad(e, name, "is missing or no list");
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		char *copy = NULL;
		int r = read_text(json_array_get(list, i), name, &copy, e);

		if (r < 0) {
			return r;
		}
		if (strings_add(ret, ret_n, copy) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}

/* At least one word, each once. */
static int read_words(const json_t *obj, const char *name, enum key_id key, uint32_t *ret,
		      struct err *e)
{
	const json_t *list = json_object_get(obj, name);
	uint32_t bits = 0;

	if (json_array_size(list) == 0) {
		return bad(e, name, "is missing or no list");
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_string_value(json_array_get(list, i));
		int n = word ? schema_word(&schema_keys[key], word) : -1;

		if (n < 0 || (bits & 1U << n)) {
			return bad(e, name, "has no known word, or one twice");
		}
		bits |= 1U << n;
	}
	*ret = bits;
	return 0;
}

static int check_net(const struct plan *p, struct err *e)
{
	char text[DESTINATION_SIZE];
	struct err why = {};

	for (size_t i = 0; i < p->n_net; i++) {
		if (destination_canonical(p->net[i], text, &why) < 0 ||
		    strcmp(text, p->net[i]) != 0) {
			return bad(e, "net", "has an element that is no destination");
		}
	}
	for (size_t i = 0; i < p->n_net_deny; i++) {
		if (hostname_canonical(p->net_deny[i], text, &why) < 0 ||
		    strcmp(text, p->net_deny[i]) != 0) {
			return bad(e, "net_deny", "has an element that is no host");
		}
	}
	if (p->n_net > PLAN_NET_MAX || p->n_net_deny > PLAN_NET_MAX) {
		return bad(e, "net", "is too long");
	}
	return (p->net_default == NET_DEFAULT_NONE || p->net_default == NET_DEFAULT_OPEN) &&
			       p->n_net > 0
		       ? bad(e, "net", "does not fit its default")
		       : 0;
}

/* Without a wall, what only a wall could hold would be a promise. */
static int check_tier(const struct plan *p, struct err *e)
{
	bool none = p->tier == TIER_NONE;
	bool bare = p->trust == TRUST_FULL && !p->workspace.path && p->exec_any && !p->learn &&
		    p->n_more + p->n_read + p->n_deny + p->n_net_deny == 0 &&
		    p->syscalls == SYSCALLS_NESTED;

	return none != (p->net_default == NET_DEFAULT_OPEN) || (none && !bare)
		       ? bad(e, "tier", "is none, and does not fit the rest")
		       : 0;
}

/* What the members must be to each other. */
static int check_whole(const struct plan *p, struct err *e)
{
	if ((p->workspace_mode == WORKSPACE_NONE) != (p->workspace.path == NULL)) {
		return bad(e, "workspace", "does not fit its mode");
	}
	if (check_tier(p, e) < 0) {
		return -e->code;
	}
	if (p->workspace.path && !p->workspace.is_dir) {
		return bad(e, "workspace", "is no directory");
	}
	if (p->exec_any ? p->n_exec > 0 : p->n_exec == 0) {
		return bad(e, "exec", "does not fit exec_any");
	}
	for (size_t i = 0; i < p->n_deny; i++) {
		if (p->deny[i][0] != '/' || deny_wrong(p->deny[i])) {
			return bad(e, "deny", "has an element that is no rule");
		}
	}
	if (check_net(p, e) < 0) {
		return -e->code;
	}
	if (p->n_env == 0) {
		return bad(e, "env", "is empty");
	}
	for (size_t i = 0; i < p->n_inherited; i++) {
		if (p->inherited[i][0] == '\0' || strchr(p->inherited[i], '=') ||
		    find_variable(p, p->inherited[i])) {
			return bad(e, "inherited", "has an element that is no name of its own");
		}
	}
	for (size_t i = 0; i < p->n_env; i++) {
		if (p->env[i][0] == '=' || !strchr(p->env[i], '=')) {
			return bad(e, "env", "has an element without a name or value");
		}
	}
	if (!path_is_clean(p->identity.home) || strchr(p->identity.user, '/') ||
	    strchr(p->identity.user, ':') || strchr(p->identity.user, '\n') ||
	    p->identity.user[0] == '\0') {
		return bad(e, "identity", "has an unusable user or home");
	}
	return 0;
}

static int read_digest(const json_t *obj, struct plan *p, struct err *e)
{
	const char *s = json_string_value(json_object_get(obj, "policy_digest"));

	if (!s || strlen(s) != DIGEST_HEX_SIZE - 1 ||
	    strspn(s, "0123456789abcdef") != DIGEST_HEX_SIZE - 1) {
		return bad(e, "policy_digest", "is missing or no digest");
	}
	memcpy(p->policy_digest, s, DIGEST_HEX_SIZE);
	return 0;
}

/* limits, identity, workspace, more, read, deny, net, net_deny, scopes, idle_signals, exec, env,
 * inherited, notes, policy_digest */
#define OTHER_MEMBERS 15

int plan_from_json(const json_t *j, struct plan *ret, struct err *e)
{
	_cleanup_(plan_done) struct plan p = {};
	const json_t *workspace = json_object_get(j, "workspace");
	int r;

	if (!json_is_object(j)) {
		return err_set(e, ERR_BUG, EINVAL, "plan: it is no object");
	}
	r = read_fields(j, plan_fields, ARRAY_SIZE(plan_fields), &p, e);
	if (r < 0 ||
	    (r = read_section(j, "limits", limit_fields, ARRAY_SIZE(limit_fields), &p, e)) < 0 ||
	    (r = read_section(j, "identity", identity_fields, ARRAY_SIZE(identity_fields), &p, e)) <
		    0 ||
	    (r = read_more(j, &p, e)) < 0 ||
	    (r = read_paths(j, "read", &p.read, &p.n_read, e)) < 0 ||
	    (r = read_paths(j, "exec", &p.exec, &p.n_exec, e)) < 0 ||
	    (r = read_texts(j, "deny", &p.deny, &p.n_deny, e)) < 0 ||
	    (r = read_words(j, "idle_signals", KEY_IDLE_SIGNALS, &p.limits.idle_signals, e)) < 0 ||
	    (r = read_texts(j, "net", &p.net, &p.n_net, e)) < 0 ||
	    (r = read_texts(j, "net_deny", &p.net_deny, &p.n_net_deny, e)) < 0 ||
	    (r = read_texts(j, "scopes", &p.scopes, &p.n_scopes, e)) < 0 ||
	    (r = read_texts(j, "env", &p.env, &p.n_env, e)) < 0 ||
	    (r = read_texts(j, "inherited", &p.inherited, &p.n_inherited, e)) < 0 ||
	    (r = read_texts(j, "notes", &p.notes, &p.n_notes, e)) < 0 ||
	    (r = read_digest(j, &p, e)) < 0) {
		return r;
	}
	if (!json_is_null(workspace) &&
	    (r = read_path(workspace, "workspace", &p.workspace, e)) < 0) {
		return r;
	}
	if (json_object_size(j) != ARRAY_SIZE(plan_fields) + OTHER_MEMBERS) {
		return err_set(e, ERR_BUG, EINVAL, "plan: it has missing or unknown members");
	}
	r = check_whole(&p, e);
	if (r < 0) {
		return r;
	}
	*ret = p;
	p = (struct plan){};
	return 0;
}

int plan_take_values(struct plan *p, const json_t *values, struct err *e)
{
	if (json_object_size(values) != p->n_inherited) {
		return bad(e, "inherited", "has other names than there are values");
	}
	for (size_t i = 0; i < p->n_inherited; i++) {
		const char *value = json_string_value(json_object_get(values, p->inherited[i]));
		char *text = NULL;

		if (!value || find_variable(p, p->inherited[i])) {
			return bad(e, "inherited", "has a name without a value");
		}
		if (fault_hit() || asprintf(&text, "%s=%s", p->inherited[i], value) < 0 ||
		    strings_add(&p->env, &p->n_env, text) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}
