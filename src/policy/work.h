/* SPDX-License-Identifier: Apache-2.0 */
/* The directories that a plan lets a payload work on: its workspace, and further ones. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct plan;

/* What the payload may do with it, least first: from WORKSPACE_COPY on it writes there. */
enum workspace_mode { WORKSPACE_NONE, WORKSPACE_READ_ONLY, WORKSPACE_COPY, WORKSPACE_DIRECT };

/*
 * A path of the host, resolved once through a descriptor. `path` is absolute and free of links;
 * (dev, ino) is what it named then: whoever opens it again compares, and a difference aborts.
 */
struct plan_path {
	char *path;
	dev_t dev;
	ino_t ino;
	bool is_dir;
};

/* A further directory to work on. */
struct plan_more {
	struct plan_path place;
	enum workspace_mode mode; /* WORKSPACE_COPY or WORKSPACE_DIRECT */
};

/* The builder is told of each by descriptors, of which one message has a bounded number. */
#define PLAN_MORE_MAX 4

/* What is worked on, one after the other: the workspace, unless there is none, then the others. */
size_t plan_n_works(const struct plan *p);
const struct plan_path *plan_work(const struct plan *p, size_t i, enum workspace_mode *ret_mode);

/* True if some directory is a copy. */
bool plan_has_copy(const struct plan *p);

/* The directory to work on, in a mode of at least `least`, that `path` is or lies in; or NULL. */
const struct plan_path *plan_work_around(const struct plan *p, const char *path,
					 enum workspace_mode least);
