/* SPDX-License-Identifier: Apache-2.0 */
/* From documents to a plan: load, merge under the rules of precedence, resolve. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct err;
struct plan;

/* One setting from the command line: a key of the schema, its text, the option it came from. */
struct policy_override {
	const char *key;    /* "execution.limits.memory" */
	const char *value;  /* "2GiB"; for a list key each override appends one element */
	const char *option; /* "--memory", for messages */
};

/* Everything a plan follows from. Borrowed for the call. */
struct policy_request {
	const char *floor; /* organisation floor file; NULL: /etc/atoll/floor.yaml when it exists */
	const char *template; /* --template: a name, or a path with a slash; NULL: none */
	const char *file;     /* --policy FILE, or NULL */
	const struct policy_override *overrides;
	size_t n_overrides;
	const char *accept_tier; /* --accept-tier, or NULL */
	bool learn;              /* --learn: what it would need of the network is to be known */
	/* Why this host cannot keep a copy of a workspace, as half a sentence; NULL: it can. A copy
	 * that is only the profile's default is none then. */
	const char *no_copy;
	/* The same for one whose size the kernel holds, as limits by groups alone ask for. */
	const char *no_bounded_copy;
	/* The caller's: for `env: {NAME: inherit}`, for PATH and HOME, and where templates are. */
	char *const *environ;
};

/*
 * Builds the plan. Errors in documents read `file:line:column: message`, those of the command line
 * `--option: message`. The caller owns *ret (plan_done). On failure *ret is untouched.
 */
int policy_plan(const struct policy_request *req, struct plan *ret, struct err *e);

/*
 * Checks a request without looking at what this host has: documents, precedence, trust. What is
 * right but cannot run on this version leaves its reason in `note`, which is "" otherwise.
 */
int policy_check(const struct policy_request *req, char *note, size_t note_size, struct err *e);

/*
 * What a request means: a JSON array of {key, class, text, from}; class is "wall", "guard-rail" or
 * "fact". The caller owns *ret.
 */
int policy_explain(const struct policy_request *req, json_t **ret, struct err *e);

/* The JSON Schema (2020-12) of a policy document; NULL: out of memory. The caller owns it. */
json_t *policy_json_schema(void);

/* The built-in profiles, sorted by name. */
struct policy_profile {
	const char *name;
	const char *text; /* the YAML document */
	size_t len;
};

/* The i-th profile; false when there are fewer. */
bool policy_profile_at(size_t i, struct policy_profile *ret);
bool policy_profile_find(const char *name, struct policy_profile *ret);
