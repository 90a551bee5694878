/* SPDX-License-Identifier: Apache-2.0 */
/* What one policy document says: a value for each key of the schema, and where it was said. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/schema.h"

struct err;

/* Who said it, in the order of precedence. A profile only supplies what nobody gave. */
enum layer { LAYER_FLOOR, LAYER_TEMPLATE, LAYER_FILE, LAYER_OPTION, LAYER_PROFILE };

/* A place that a message can point at. Strings are borrowed and outlive the policy. */
struct origin {
	enum layer layer;
	const char *file;   /* NULL for an option */
	const char *option; /* "--memory"; NULL for a document */
	size_t line;        /* from 1 */
	size_t column;
};

#define ORIGIN_TEXT_SIZE 320

/* "file:line:column", or the option. Returns `out`. */
const char *origin_text(const struct origin *at, char out[ORIGIN_TEXT_SIZE]);

/* Sets *e to "place: message" with kind ERR_POLICY (ERR_USER for an option); returns -EINVAL. */
int origin_fail(const struct origin *at, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* One element of a list or of the environment. */
struct item {
	struct origin at;
	char *text; /* element, or the value of a variable; NULL when inherited */
	char *name; /* variables only */
};

/* Which members count follows from the type of the key. */
struct value {
	bool set;
	struct origin at;
	uint64_t num; /* integers, sizes, durations, thousandths, index of a word */
	char *text;
	struct item *items;
	size_t n_items;
};

struct policy {
	struct value v[KEY_COUNT];
};

void policy_done(struct policy *p);
#define _cleanup_policy_ __attribute__((cleanup(policy_done)))

void value_done(struct value *v);
/* A deep copy into an empty value. 0 or -ENOMEM. */
int value_copy(struct value *to, const struct value *from);
/* Appends an element; the strings are copied and may be NULL. 0 or -ENOMEM. */
int value_add(struct value *v, const struct origin *at, const char *name, const char *text);

/* strdup(3) that fault injection can make fail. */
char *text_dup(const char *s);

#define SHOWN_SIZE 72

/* Text of others for a message: cut after 60 bytes between characters, controls escaped. */
struct shown {
	char s[SHOWN_SIZE];
};
struct shown shown(const char *text);
