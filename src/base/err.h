/* SPDX-License-Identifier: Apache-2.0 */
/* An error that a person or the API will read: code, kind, message; no allocation. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>

/* Who can cure it. The front maps kinds to words and exit codes; nothing else does. */
enum err_kind {
	ERR_NONE = 0,
	ERR_USER,   /* a wrong command line or argument */
	ERR_POLICY, /* the policy document, or a rule of precedence, refuses this */
	ERR_GUEST,  /* the payload side broke a rule of ours */
	ERR_SYSTEM, /* the host cannot do it: a kernel call failed, a wall is missing */
	ERR_BUG,    /* an invariant of ours is broken */
};

/*
 * Zero-initialise before use. Functions that take a `struct err *` leave it untouched on
 * success, set it exactly once on failure, and accept NULL. `msg` is lower case, has no full
 * stop, and carries the remedy where there is one.
 */
struct err {
	int code; /* a positive errno value, 0 when unset */
	enum err_kind kind;
	char msg[1024];
};

/* Sets *e and returns -code. A code of 0 or less is a bug and becomes EIO. */
int err_set(struct err *e, enum err_kind kind, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* As err_set with kind ERR_SYSTEM, appending ": <strerror(code)>". */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message at a module boundary; returns -e->code (-EIO if e is NULL).
 */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds "; remedy" to a message that has no remedy yet; returns -e->code (-EIO if e is NULL). */
int err_advise(struct err *e, const char *remedy);

/* The word for a kind as it stands in JSON: "user", "policy", "guest", "system", "bug". */
const char *err_kind_name(enum err_kind kind);
