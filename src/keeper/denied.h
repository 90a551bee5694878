/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy denies, in the note of a copy: a diff days later has to know it. */
#pragma once

#include <jansson.h>

struct deny_layers;
struct deny_rules;
struct err;
struct plan;

/* The rules of the plan, and those that followed from links and other names. NULL: out of memory.
 */
json_t *denied_to_json(const struct plan *plan, const struct deny_layers *layers);

/* The same back; a note that says nothing was made before there were such rules. */
int denied_from_json(const json_t *list, struct deny_rules *ret, struct err *e);
