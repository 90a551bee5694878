/* SPDX-License-Identifier: Apache-2.0 */
/* Who the payload is inside, and the environment it starts with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct plan;
struct plan_identity;
struct value;

/* The caller's value of a variable, or NULL. */
const char *environ_get(char *const *environ, const char *name);

/* True of a value of TERM or COLORTERM that goes inside: terminfo looks it up as a file name, so
 * nothing but plain characters. */
bool environ_term_is_plain(const char *s);

/*
 * Ids, name and home. Read from HOME and, for a name, /etc/passwd as a file: the program is static
 * and asks no name service. A caller without an entry is called "user".
 */
int identity_fill(char *const *environ, struct plan_identity *ret, struct err *e);

/* The declared PATH (NULL: none, or inherited). */
const char *environment_declared_path(const struct value *declared);

/*
 * plan->env: PATH, HOME, USER, LOGNAME, SHELL, LANG, TERM and COLORTERM where the caller has them,
 * then what the policy declares, which wins. plan->identity must be filled.
 */
int environment_fill(char *const *environ, const struct value *declared, const char *path,
		     struct plan *p, struct err *e);
