/* SPDX-License-Identifier: Apache-2.0 */
/* The table of policy keys as a JSON Schema (2020-12), for editors and other checkers. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/json.h"
#include "policy/policy.h"
#include "policy/schema.h"

#define SIZE_PATTERN     "^[0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$"
#define RATE_PATTERN     "^[0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?/s$"
#define DURATION_PATTERN "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
#define NAME_PATTERN     "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
#define VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]*$"

/* Types whose schema does not depend on the row: literal JSON. */
static const char *const literals[] = {
	[TYPE_SIZE] = "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0},"
		      "{\"type\":\"string\",\"pattern\":\"" SIZE_PATTERN "\"}]}",
	[TYPE_RATE] = "{\"type\":\"string\",\"pattern\":\"" RATE_PATTERN "\"}",
	[TYPE_DURATION] = "{\"type\":\"string\",\"pattern\":\"" DURATION_PATTERN "\"}",
	[TYPE_NAME] = "{\"type\":\"string\",\"pattern\":\"" NAME_PATTERN "\"}",
	[TYPE_TEXT] = "{\"type\":\"string\",\"minLength\":1}",
	[TYPE_PATH] = "{\"type\":\"string\",\"minLength\":1}",
	[TYPE_PATHS] = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}}",
	[TYPE_PATTERNS] = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}}",
	[TYPE_NAMES] =
		"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"" NAME_PATTERN
		"\"}}",
	[TYPE_PROGRAMS] = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}}",
	[TYPE_HOSTS] = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}}",
	[TYPE_RULES] =
		"{\"type\":\"array\",\"items\":{\"anyOf\":["
		"{\"type\":\"string\",\"pattern\":\"^(\\\\[[0-9A-Fa-f:.]+\\\\]|[^:/,]+)(:[0-9]{"
		"1,5})?(/(tls|http|tcp))?(,private)?$\"},"
		"{\"type\":\"object\",\"properties\":{"
		"\"host\":{\"type\":\"string\",\"minLength\":1},"
		"\"ports\":{\"type\":\"array\",\"minItems\":1,"
		"\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535}},"
		"\"protocol\":{\"enum\":[\"tls\",\"http\",\"tcp\"]},"
		"\"private\":{\"type\":\"boolean\"}},"
		"\"required\":[\"host\"],\"additionalProperties\":false}]}}",
	[TYPE_ENV] = "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"" VARIABLE_PATTERN
		     "\"},\"additionalProperties\":{\"anyOf\":["
		     "{\"type\":[\"string\",\"number\",\"boolean\"]},"
		     "{\"type\":\"object\",\"properties\":{\"inherit\":{\"const\":true}},"
		     "\"required\":[\"inherit\"],\"additionalProperties\":false}]}}",
};

static json_t *object(void)
{
	return fault_hit() ? NULL : json_object();
}

/* A number with its range; CPUs are counted in thousandths inside. */
static json_t *number(const struct schema_key *k)
{
	_cleanup_json_ json_t *j = object();
	bool cpus = k->type == TYPE_CPUS;

	if (!j || json_put(j, "type", json_string(cpus ? "number" : "integer")) < 0 ||
	    json_put(j, "minimum",
		     cpus ? json_real((double)k->min / 1000) : json_integer((json_int_t)k->min)) <
		    0 ||
	    json_put(j, "maximum", json_integer((json_int_t)(cpus ? k->max / 1000 : k->max))) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

static json_t *words(const struct schema_key *k)
{
	_cleanup_json_ json_t *j = object();
	json_t *list = json_array();

	if (!j || json_put(j, "enum", list) < 0) {
		if (!j) {
			json_decref(list);
		}
		return NULL;
	}
	for (size_t i = 0; i < k->n_words; i++) {
		if (json_array_append_new(list, json_string(k->words[i].word)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}

static json_t *section(void)
{
	_cleanup_json_ json_t *j = object();

	if (!j || json_put(j, "type", json_string("object")) < 0 ||
	    json_put(j, "properties", json_object()) < 0 ||
	    json_put(j, "additionalProperties", json_false()) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

static json_t *of_type(const struct schema_key *k)
{
	switch (k->type) {
	case TYPE_SECTION:
		return section();
	case TYPE_INT:
	case TYPE_CPUS:
		return number(k);
	case TYPE_WORD:
		return words(k);
	default:
		return fault_hit() ? NULL : json_loads(literals[k->type], 0, NULL);
	}
}

/* The row as a schema with its description. */
static json_t *of_key(const struct schema_key *k)
{
	_cleanup_json_ json_t *j = of_type(k);

	if (!j || json_put(j, "description", json_string(k->doc)) < 0) {
		return NULL;
	}
	if (schema_is_list(k) && k->type != TYPE_ENV &&
	    json_put(j, "maxItems", json_integer(POLICY_ITEMS_MAX)) < 0) {
		return NULL;
	}
	if (k->type == TYPE_NAMES && k->n_words > 0 && json_put(j, "items", words(k)) < 0) {
		return NULL;
	}
	if (k->nonempty && json_put(j, "minItems", json_integer(1)) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

/* Puts `value` (taken) where the dotted path leads; sections stand before their keys. */
static int place(json_t *root, const char *path, json_t *value)
{
	json_t *at = root;
	const char *dot;
	char name[64];

	while ((dot = strchr(path, '.')) != NULL && (size_t)(dot - path) < sizeof(name)) {
		memcpy(name, path, (size_t)(dot - path));
		name[dot - path] = '\0';
		at = json_object_get(json_object_get(at, "properties"), name);
		path = dot + 1;
	}
	return json_put(json_object_get(at, "properties"), path, value);
}

json_t *policy_json_schema(void)
{
	_cleanup_json_ json_t *j = section();
	json_t *required = json_array();

	if (!j || json_put(j, "required", required) < 0) {
		if (!j) {
			json_decref(required);
		}
		return NULL;
	}
	if (json_array_append_new(required, json_string(schema_keys[KEY_VERSION].path)) < 0 ||
	    json_put(j, "$schema", json_string("https://json-schema.org/draft/2020-12/schema")) <
		    0 ||
	    json_put(j, "title", json_string("Atoll policy, version 1")) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (place(j, schema_keys[i].path, of_key(&schema_keys[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(j);
}
