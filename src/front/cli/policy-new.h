/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of `atoll policy new` share. Answers are values of keys of the schema, checked as
 * an option or a document would be; they are fitted to what the rules allow, and what differs from
 * the answer, or is weaker than it sounds, is a finding. The document is made of both.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "policy/value.h"

struct buf;
struct err;
struct settled;

#define NEW_FINDINGS 16

/* Where the wall differs from the need that was stated. */
struct new_finding {
	enum key_id key;
	bool weaker; /* else stronger */
	char text[1200];
};

struct new_policy {
	struct policy answers; /* fitted, after new_fit() */
	struct new_finding findings[NEW_FINDINGS];
	size_t n_findings;
};

void new_policy_done(struct new_policy *n);

/* What follows from the answers to what is asked before `key`; the caller owns *ret. */
int new_settle(const struct new_policy *n, enum key_id key, struct settled *ret, struct err *e);

/* Tightens one answer until the rules accept it beside those that are asked before it. */
int new_fit_key(struct new_policy *n, enum key_id key, struct err *e);

/*
 * Fits the answers to the rules, tighter where they allow less, and finds where the wall is weaker
 * or stronger than asked for. *ret is what follows from the fitted answers; the caller owns it.
 */
int new_fit(struct new_policy *n, struct settled *ret, struct err *e);

/* Keys that are asked for, in the order of the questions. */
struct new_question {
	enum key_id key;
	const char *option;
	const char *group; /* of the four; NULL: the same as the one before */
	const char *ask;
	const char *usual; /* what holds without an answer; NULL: what the trust level gives */
	bool decides;      /* has no default unless --yes takes it */
};

extern const struct new_question new_questions[];
extern const size_t new_questions_count;

/* The document, as text. 0 or -ENOMEM. */
int new_document(const struct new_policy *n, const struct settled *s, struct buf *out);

/* {answers, findings, document}; NULL: out of memory. */
json_t *new_json(const struct new_policy *n, const char *document);
