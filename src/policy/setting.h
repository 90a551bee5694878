/* SPDX-License-Identifier: Apache-2.0 */
/* One setting as text, checked against its row of the schema table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/value.h"

/*
 * Sets *v, which must be unset, from the text of a scalar key; for a list key appends one element
 * (for variables: NAME=VALUE, or NAME alone to inherit). Errors point at `at`. 0, -EINVAL, -ENOMEM.
 */
int setting_take(const struct schema_key *k, const struct origin *at, const char *text,
		 struct value *v, struct err *e);

/* The name of a variable: letters, digits and '_', no digit first. */
bool setting_is_variable(const char *name, size_t len);

/* A variable; text NULL inherits the caller's value. */
int setting_take_env(const struct origin *at, const char *name, const char *text, struct value *v,
		     struct err *e);

/* Refuses text that no key may have: not UTF-8, control or formatting characters, too long. */
int setting_check_text(const char *what, const struct origin *at, const char *text, size_t len,
		       struct err *e);

/* The value as text that setting_take() reads back; lists are joined by ", ". */
struct buf;
int setting_show(const struct schema_key *k, const struct value *v, struct buf *out);
