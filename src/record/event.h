/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of event that a trail can hold: the one table that the writer checks its names against,
 * and that the schema, the filters and the exports read. A kind that is here keeps its name and its
 * members; new ones are added.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* Of the schema below; stands in "created". */
#define EVENT_VERSION 1

/* What a kind is about, as the filters of `atoll audit show` have it. */
enum event_class {
	EVENT_LIFE,    /* of the sandbox and its commands */
	EVENT_WALL,    /* what is in force */
	EVENT_PROGRAM, /* programs that began */
	EVENT_NETWORK, /* names, connections, the gateway */
	EVENT_DENIAL,  /* what was refused */
	EVENT_LIMIT,   /* what ended it for having used too much */
	EVENT_FILE,    /* what became of what it changed */
	EVENT_MONEY,   /* its account */
	EVENT_RECORD,  /* the record itself */
	EVENT_CLASSES,
};

/* A member of an event's data; `type` is a word of JSON Schema. */
struct event_member {
	const char *name;
	const char *type;
	bool optional;
	const char *doc;
};

struct event_kind {
	const char *name;
	enum event_class class;
	const char *doc;
	const struct event_member *members; /* ends with one without a name */
};

/* NULL: there is none of this name. */
const struct event_kind *event_find(const char *name, size_t len);

/* The i-th; NULL when there are fewer. */
const struct event_kind *event_at(size_t i);

const char *event_class_name(enum event_class c);

/* EVENT_CLASSES: no class has this name. */
enum event_class event_class_find(const char *name);

/* JSON Schema (2020-12) of one line of a trail; NULL: out of memory. */
json_t *event_schema(void);
