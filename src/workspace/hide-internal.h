/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of finding what is to be hidden: the walk (hide-walk.c), and what comes of it (hide.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/deny.h"
#include "workspace/hide.h"

struct err;

/* Names below one place, until they are a layer. */
struct hide_names {
	char **list;
	size_t n, room;
	size_t sorted; /* so many, the first, are in order, and none of them lies in another */
};

struct hide_inode {
	dev_t dev;
	ino_t ino;
};

struct hider {
	const struct hide_place *places;
	size_t n_places;
	struct deny_rules rules; /* those given, then those that follow from links */
	size_t given;
	struct hide_names *names; /* of each place */
	struct hide_inode *inodes;
	size_t n_inodes, room;
	struct err *e;
};

/* Adds a name below the place; takes nothing. 0, -E2BIG or -ENOMEM. */
int hide_add(struct hider *h, size_t place, const char *path);

/* True for a name that is one of those in order, or lies in one. */
bool hide_has(const struct hide_names *names, const char *path);

/* A file that is hidden and has other names. 0, -E2BIG or -ENOMEM. */
int hide_note_inode(struct hider *h, dev_t dev, ino_t ino);
bool hide_has_inode(const struct hider *h, dev_t dev, ino_t ino);

/* `path` is a link in a place, and from where it leads the components of a rule from `part` on
 * follow; `part` behind the last: all of what it leads to. 0 or negative errno. */
int hide_link(struct hider *h, size_t place, const char *path, const struct deny_rule *rule,
	      size_t part);

/* What a diff has to know of a name that no rule of the plan hits: it is a rule of its own. */
int hide_note_name(struct hider *h, size_t place, const char *path);

/* Finds what the rules from `first` on hit in a place. */
int hide_walk(struct hider *h, size_t place, size_t first);

/* Finds the other names of the files that were noted. */
int hide_walk_inodes(struct hider *h, size_t place);
