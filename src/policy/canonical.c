/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical form of a policy. */
#include "policy/canonical.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/json.h"
#include "policy/value.h"

static json_t *text(const char *s)
{
	return fault_hit() ? NULL : json_string(s);
}

static json_t *list(const struct value *v)
{
	_cleanup_json_ json_t *j = json_array();

	for (size_t i = 0; j && i < v->n_items; i++) {
		if (json_array_append_new(j, text(v->items[i].text)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

/* Names to values; null stands for the caller's value. */
static json_t *variables(const struct value *v)
{
	_cleanup_json_ json_t *j = json_object();

	for (size_t i = 0; j && i < v->n_items; i++) {
		const struct item *it = &v->items[i];

		if (json_put(j, it->name, it->text ? text(it->text) : json_null()) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

json_t *policy_canonical_value(const struct schema_key *k, const struct value *v)
{
	switch (k->type) {
	case TYPE_SECTION:
		return json_null();
	case TYPE_INT:
	case TYPE_SIZE:
	case TYPE_RATE:
	case TYPE_DURATION:
	case TYPE_CPUS:
		return json_integer((json_int_t)v->num);
	case TYPE_WORD:
		return text(k->words[v->num].word);
	case TYPE_NAME:
	case TYPE_TEXT:
	case TYPE_PATH:
		return text(v->text);
	case TYPE_PATHS:
	case TYPE_PATTERNS:
	case TYPE_NAMES:
	case TYPE_PROGRAMS:
	case TYPE_RULES:
	case TYPE_HOSTS:
		return list(v);
	case TYPE_ENV:
		return variables(v);
	}
	return NULL;
}

json_t *policy_canonical(const struct policy *p)
{
	_cleanup_json_ json_t *j = json_object();

	for (size_t i = 0; j && i < KEY_COUNT; i++) {
		const struct schema_key *k = &schema_keys[i];

		if (p->v[i].set && k->type != TYPE_SECTION &&
		    json_put(j, k->path, policy_canonical_value(k, &p->v[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

int policy_canonical_digest(const struct policy *p, char out[DIGEST_HEX_SIZE])
{
	_cleanup_json_ json_t *j = policy_canonical(p);
	_cleanup_free_ char *bytes = NULL;
	size_t len = 0;

	bytes = j && !fault_hit() ? json_canonical(j, &len) : NULL;
	if (!bytes) {
		return -ENOMEM;
	}
	digest_hex(bytes, len, out);
	return 0;
}
