/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filesystem.deny: what is hidden from the payload, whatever else shows it.
 *
 * A rule is a path in components, absolute after deny_absolute(). In a component `*` stands for any
 * characters, `?` for one, `[abc]` or `[a-z]` for one of them; a component `**` stands for any
 * number of components, none included. Names are compared in their folded form (base/fold.h), and
 * without dots and spaces at their end, as file systems do that ignore those: a rule may hide more
 * than was meant, never less. What a rule hits is hidden with all below it, so neither the order
 * nor the number of rules that hit the same matters.
 *
 * Rules are matched component by component, from "/" downwards: after each step a mask for each
 * rule says which of its components may come next. So a walk knows where no rule leads any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct buf;

#define DENY_MAX       64   /* rules of a policy */
#define DENY_MAX_ALL   1024 /* with those that follow from links */
#define DENY_MAX_PARTS 63

struct deny_part {
	char *raw, *folded;
	bool deep; /* ** */
	bool glob;
};

struct deny_rule {
	char *text;
	struct deny_part *parts;
	size_t n;
	bool exact; /* no part is a pattern: it holds even where nothing is there yet */
};

struct deny_rules {
	struct deny_rule *list;
	size_t n, room;
};

/* What is wrong with a rule as people write it, with the remedy; NULL: nothing. */
const char *deny_wrong(const char *text);

/*
 * The rule as an absolute one: ~/ is `home`, what does not begin with a slash is below `workspace`;
 * both are plain paths. 0; -ENOENT: there is no workspace (NULL); -ENOMEM.
 */
int deny_absolute(const char *text, const char *workspace, const char *home, struct buf *out);

/* Appends a plain path, in which no character stands for others. 0 or -ENOMEM. */
int deny_quote(const char *path, struct buf *out);

/* The part of an absolute rule before its first pattern and before its last component, as a plain
 * path, and where the rest begins (at a slash). `out`: PATH_MAX. -ENAMETOOLONG. */
int deny_prefix(const char *text, char *out, const char **ret_rest);

/* Adds an absolute rule; one that is there already is not added again. 0; -EINVAL, -E2BIG, -ENOMEM.
 */
int deny_add(struct deny_rules *r, const char *text);
void deny_done(struct deny_rules *r);

/* What the rules make of a name or a path. */
enum deny_verdict {
	DENY_NONE,
	DENY_BELOW, /* something below may be hit */
	DENY_HIT,
};

/* At "/"; `masks` has room for each rule. Rules before `first` are left out. */
void deny_begin(const struct deny_rules *r, size_t first, uint64_t *masks);

/* One component downwards; `from` and `to` may be the same. */
enum deny_verdict deny_step(const struct deny_rules *r, const uint64_t *from, const char *name,
			    uint64_t *to);

/* All components of a path, from where the masks are. A hit above the path is one, too. */
enum deny_verdict deny_walk(const struct deny_rules *r, uint64_t *masks, const char *path);

/* The same for an absolute path and texts of rules; the first that hits or may hit below is in
 * *ret_rule, unless that is NULL. -ENOMEM and others as deny_add() has them. */
int deny_judge(char *const *texts, size_t n, const char *path, const char **ret_rule);

/* ---- what is to be hidden in one place of the view ---- */

/* A name below the place: nothing may be seen there (`mode` 0), or it is a directory on the way to
 * such a name, and this is what the payload sees of it. Directories come before what is in them. */
struct deny_hide {
	char *path;
	mode_t mode;
	struct timespec time;
};

/* One place of the view: an absolute path that is shown as a whole. */
struct deny_layer {
	const char *place; /* borrowed */
	bool all;          /* nothing of it is shown */
	mode_t mode;       /* of the place itself */
	struct timespec time;
	struct deny_hide *list;
	size_t n, room;
};

struct deny_layers {
	struct deny_layer *list;
	size_t n;
	char **extra; /* rules that follow from links and other names, not those of the plan */
	size_t n_extra;
};

/* That of a place, or NULL. */
const struct deny_layer *deny_layer_of(const struct deny_layers *l, const char *place);
void deny_layers_done(struct deny_layers *l);
