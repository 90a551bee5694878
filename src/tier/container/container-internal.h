/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the container tier share. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "policy/plan.h"

struct tier_spec;

/* The mount tree while it is made. */
struct view {
	const struct tier_spec *spec;
	const int *mounts; /* of struct builder: what the keeper has made, or FD_NONE */
	int root;          /* the new root, from view_build() on */
	int scratch;       /* the one writable tmpfs; never in the view as a whole */
	int proc;
	int denials; /* of struct tier_sandbox, from view_build() on */
	int upper;   /* of a copy on a tmpfs of our own, from view_show_paths() on; else FD_NONE */
};

/* Why there may be no overlay, with the remedy. */
#define VIEW_NO_COPY                                                                              \
	"no copy of the workspace can be made here; the state directory (ATOLL_HOME) must be on " \
	"a file system that overlayfs writes to, as ext4, xfs and btrfs are, or every file be "   \
	"copied (--copy-by files)"

/* True where the payload writes into the files themselves. */
bool view_is_direct(enum workspace_mode mode);

/* build.c: the whole life of the process that becomes pid 1. Never returns. */
struct builder;
_Noreturn void container_build(struct builder *b);

/* view.c: the mount tree under v->root, with everything but the plan's own paths. */
int view_build(struct view *v, struct err *e);

/* The plan's paths, once BUILD_PARTS is here. */
int view_show_paths(struct view *v, struct err *e);

/* Makes the root and what is left of /proc read-only, once the namespaces' sysctls are set. */
int view_seal(const struct view *v, struct err *e);

/* etc.c: the synthesised /etc in the new root. */
int etc_build(const struct view *v, struct err *e);

struct deny_layer;

/* deny.c: what of a place is hidden, NULL: nothing. */
const struct deny_layer *view_denied(const struct view *v, const char *place);

/*
 * Hides what is denied in a place that is shown read-only: *mount, detached, is replaced by one in
 * which nothing of it can be seen; where nothing is denied, it is left as it is.
 */
int view_deny(const struct view *v, const char *place, int *mount, struct err *e);

/* Attaches a mount to the scratch space, which is not in the view as a whole: for as long as the
 * old root is there, under this name. */
int view_attach_layer(const struct view *v, int mount, const char *name, struct err *e);

/* The layer that hides, on the scratch space under this name. */
int view_make_denied(const struct view *v, const struct deny_layer *l, const char *name,
		     struct err *e);

/* Reads back that nothing is there where something is hidden. */
struct reading;
int view_check_denied(const struct reading *r);

/* One rule of the view: what a mount at this path must be. */
struct view_rule {
	const char *path;
	bool tree;      /* holds for mounts below as well */
	bool required;  /* must be there */
	unsigned attrs; /* MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC that must be set */
};

#define VIEW_MAX_RULES 96

/* The rules that follow from a plan, for the receipt; returns their number. */
size_t view_rules(const struct plan *plan, struct view_rule rules[VIEW_MAX_RULES]);

/* receipt.c: the read-back. */
struct tier_sandbox;
struct tier_command;
int container_receipt(struct tier_sandbox *sb, const struct tier_command *cmd, json_t **ret,
		      struct err *e);

/*
 * The part of it that belongs to the namespaces rather than to one process (mounts, network, id
 * maps), read from pid 1 while that starts the payload; container_receipt() then checks that the
 * payload is in these very namespaces.
 */
int container_survey(struct tier_sandbox *sb, struct err *e);
