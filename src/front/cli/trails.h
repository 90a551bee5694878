/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over the records of sandboxes, those that have ended among them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "front/cli/cli-options.h"
#include "keeper/state.h"
#include "record/event.h"
#include "record/line.h"

struct buf;
struct err;

typedef int trail_fn(const struct state *s, const char *id, void *arg, struct err *e);

/* What can be the id of a sandbox; a record's file could have any name. */
bool trail_is_id(const char *text, size_t len);

/* The id, where the name is that of a first segment. */
bool trail_take_name(const char *name, char id[STATE_ID_SIZE]);

/*
 * Calls `fn` for the record of each sandbox that is named, or of every one, the oldest first.
 * Negative, with *e set, where one is not there or `fn` says so.
 */
int trails_each(const struct state *s, const struct cli_operands *words, trail_fn *fn, void *arg,
		struct err *e);

/* A segment that is not there, though a later one of the same record is. */
struct trail_gap {
	char id[STATE_ID_SIZE];
	unsigned segment; /* the first such */
};

/* Those of all records: *ret is free()d by the caller. */
int trails_gaps(const struct state *s, struct trail_gap **ret, size_t *ret_n, struct err *e);

/* Which events somebody wants to see. */
struct trail_filter {
	bool classes[EVENT_CLASSES];
	bool any_class; /* none was named */
	const char *events[32];
	size_t n_events;
	const char *since, *until; /* as they were written */
	const char *owner, *account;
	char from[LINE_TIME_LEN + 1], to[LINE_TIME_LEN + 1]; /* "": no bound */
};

/* Takes the options' words apart; 0, or CLI_FAILED negated after having said why. */
int trail_filter_settle(struct trail_filter *f, const char *command);

/* For the tables of options: --class and --event, each of which adds. */
int trail_take_class(void *into, const struct cli_option *o, char *value);
int trail_take_event(void *into, const struct cli_option *o, char *value);

bool trail_filter_passes(const struct trail_filter *f, const struct line *l);

/* Rows of a table of options of whoever has a filter as its member `filter`, the first. */
extern const char *const trail_classes[];
#define TRAIL_FILTER_OPTIONS(type_)                                                           \
	CLI_TAKES("--class", "CLASS", CLI_WORDS, "only events of this class",                 \
		  .value.choices = trail_classes, .take = trail_take_class, .repeat = true),  \
		CLI_TAKES("--event", "NAME", CLI_TEXT, "only events of this name",            \
			  .take = trail_take_event, .repeat = true),                          \
		CLI_TAKES("--since", "TIME", CLI_TEXT, "a time (UTC), or how long ago",       \
			  .offset = offsetof(struct type_, filter.since)),                    \
		CLI_TAKES("--until", "TIME", CLI_TEXT, "the same, and no later",              \
			  .offset = offsetof(struct type_, filter.until)),                    \
		CLI_TAKES("--owner", "NAME", CLI_TEXT,                                        \
			  "only of sandboxes that this one answers for",                      \
			  .offset = offsetof(struct type_, filter.owner)),                    \
		CLI_TAKES("--account", "NAME", CLI_TEXT, "only of sandboxes of this account", \
			  .offset = offsetof(struct type_, filter.account))

/* Whether a sandbox that was created from this is one of --owner's and --account's. */
bool trail_filter_takes(const struct trail_filter *f, const json_t *created);

/* What one event is told to; negative ends it. */
typedef int trail_event_fn(void *arg, const struct line *l, const char *text, size_t len,
			   struct err *e);

/* The events of one record that pass, in order; unverified. -ENOENT with *e set: there is none. */
int trail_read(const struct state *s, const char *id, const struct trail_filter *f,
	       trail_event_fn *fn, void *arg, struct err *e);

/* The same of a sandbox that may still run: goes on until its record has an end, and somebody has
 * sealed it or nobody writes to it any more. */
int trail_follow(const struct state *s, const char *id, const struct trail_filter *f,
		 trail_event_fn *fn, void *arg, struct err *e);

/* The data of an event; NULL: it is no JSON, or memory ran out. */
json_t *trail_data(const struct line *l);

/* One event for people, neutralised: "TIME NAME key=value ...", with the sandbox in front where
 * `whose`. */
int trail_print(FILE *out, const struct line *l, bool whose);

/* A line, or what was made from one, as it stands; but on a terminal nothing that anybody wrote
 * into it moves the cursor. */
void trail_print_json(const char *text, size_t len);

/* Whether its keeper is at work: nothing that is missing at the end of its record is missing. */
bool trail_is_written(const struct state *s, const char *id);
