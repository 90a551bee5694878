/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy denies (policy/deny.h), for a walk that goes from directory to directory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct deny_rules;

struct screen {
	const struct deny_rules *rules; /* NULL: nothing is denied */
	uint64_t *root, *masks, *next;  /* at the root, where the walk is, at a name there */
	bool all;                       /* all of the directory it is in */
};

/* `place` is the absolute path of the walk's root; `rules` may be NULL. 0; -ENOMEM; -EINVAL: all of
 * the place is denied. */
int screen_init(struct screen *s, const struct deny_rules *rules, const char *place);
void screen_done(struct screen *s);

/* The walk is in the directory at `path` below the place, "" for the place itself. */
void screen_enter(struct screen *s, const char *path);

/* True if that name there is denied. */
bool screen_hits(const struct screen *s, const char *name);
