/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that people give to sandboxes:
 *
 *   HOME/names/NAME             a link whose target is the sandbox's id
 *   HOME/sandboxes/ID/name      the name, for who removes the directory
 *
 * The link alone decides who has a name. One that leads to no directory belongs to nobody: it was
 * left by a death, and goes when somebody asks for the name.
 */
#pragma once

#include <stdbool.h>

#include "keeper/state.h"

struct err;

#define NAME_MAX_LENGTH 63

/* Lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit; nothing that
 * could be an id. */
bool name_is_valid(const char *name);

/* Gives the sandbox a name. -EEXIST: another one has it. */
int name_claim(const struct state *s, const struct state_sandbox *sb, const char *name,
	       struct err *e);

/* Before the sandbox's directory goes. */
void name_release(const struct state *s, const struct state_sandbox *sb);

/* The name of a sandbox, or "". */
void name_read(int dir, char name[NAME_MAX_LENGTH + 1]);

/*
 * The id of a sandbox, running or kept, by its id, its name, or the beginning of its id, of which
 * there must be but one (-ENOTUNIQ). -ENOENT where there is none; with *e set.
 */
int name_find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e);
