/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about sandboxes share. */
#pragma once

#include <jansson.h>

#include "keeper/control.h"
#include "keeper/state.h"

struct err;

/* Asks the keeper of a sandbox. -ENOENT without *e set: it is not running, or ended meanwhile. */
int sandbox_ask(const struct state *s, const char *id, enum control_op op, json_t **ret,
		struct err *e);
