/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a plan; used inside this folder only. */
#pragma once

#include <stdbool.h>

#include "policy/plan.h"

struct policy;
struct policy_request;
struct search_path;
struct settled;

/* Adds a note for the user. 0 or -ENOMEM. */
int plan_note(struct plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fills deny from the settled policy, last of all: what hides what is to be seen is refused. */
int plan_deny(const struct settled *s, struct plan *p, struct err *e);

/* Whether what it would need of the network is to be known. */
int network_learns(const struct settled *s, bool learn, struct plan *p, struct err *e);

/* Fills what it may connect to, and how much of it. */
int plan_network(const struct settled *s, struct plan *p, struct err *e);

/*
 * Refuses a plan with a directory that is changed directly, and in which, by its own name or where
 * it is mounted again, there is something of a policy, a template, or another directory of the
 * plan.
 */
int plan_apart(const struct policy_request *req, const struct settled *s, struct plan *p,
	       struct err *e);

/* Appends a path and takes it; drops it when an equal or a wider one is there. 0 or -ENOMEM. */
int plan_paths_add(struct plan_path **list, size_t *n, struct plan_path *taken);

/* True when `path` equals one of the list or lies below a directory of it. */
bool plan_paths_cover(const struct plan_path *list, size_t n, const char *path);

void plan_paths_free(struct plan_path *list, size_t n);

/* Appends to a NULL-terminated array of strings and takes the string. 0 or -ENOMEM. */
int strings_add(char ***list, size_t *n, char *taken);
void strings_free(char **list);
