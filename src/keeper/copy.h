/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of a workspace, on disk, in the sandbox's own directory:
 *
 *   HOME/sandboxes/ID/copy/upper   the upper layer of an overlay: what the payload changed
 *   HOME/sandboxes/ID/copy/work    overlayfs's own; gone after the end
 *   HOME/sandboxes/ID/copy/image   a file system with both (image.h), instead of them
 *   HOME/sandboxes/ID/copy/whole   says that copy/upper is no layer but holds every file, and by
 *                                  its ctime since when; nothing of the payload's has run by then
 *   HOME/sandboxes/ID/copy/dirs    of such a copy: which directories the original had (dirs.h)
 *   HOME/sandboxes/ID/kept.json    what an ended sandbox's copy is a copy of
 *
 * A further directory that is worked on as a copy (plan->more[n]) has a sandbox's directory of its
 * own, ID.1 and so on: its keeper is the sandbox's, it has nothing but such a copy, and a
 * sandbox.json that says so; everything below holds for it too, each for itself.
 *
 * sandbox.json says from the start what the copy belongs to. A sandbox that ends with something
 * changed keeps its directory: kept.json is written, then the end of the trail, then everything but
 * the copy and kept.json is removed, sandbox.json last. So a directory with sandbox.json has been
 * left by a dead keeper, and one with kept.json alone is waiting for a person.
 *
 * Three ways to bound what a copy holds. The keeper looks, where the policy accepts that: two
 * directories. The kernel does, where it does not: root's are in an image; anybody else's on a
 * tmpfs of the sandbox's own, from which they are brought to copy/upper at the end, and which is
 * gone with a keeper that is killed.
 *
 * What is below copy/ was written by the payload: it is nothing but bytes and names, which nobody
 * here follows or executes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "keeper/state.h"
#include "linux/tree.h"
#include "policy/deny.h"
#include "tier/tier.h"
#include "workspace/carry.h"

struct err;
struct plan;
struct plan_path;

struct copy {
	const struct plan_path *of; /* the original, of the plan */
	struct tier_copy layers; /* for who mounts them; TIER_COPY_NONE: this sandbox has no copy */
	char *path;              /* of copy/ */
	json_t *note;            /* what sandbox.json says of it */
	int mount;               /* of the image */
	int upper;               /* FD_NONE until it is there */
	struct tree_usage born;  /* what it held when it was whole, of every file */
	struct carry_loss loss;  /* at the end of a tmpfs: what the disk had no place for */
	carry_tell *tell;        /* while every file is copied; NULL: nobody is told */
	void *tell_arg;
};

/* That of a further directory. */
struct copy_more {
	struct state_sandbox home; /* ID.1 and so on; no directory: it is no copy */
	struct copy copy;
	bool kept; /* after the end: something was changed */
};

/*
 * Why no copy can be kept where the state directory is, or will be: half a sentence; NULL: one can,
 * as far as can be seen without making it. overlayfs wants extended attributes of the user's, and
 * renames that leave whiteouts, of the file system of its upper layer.
 */
const char *copy_impossible(void);

/* The same for one whose size the kernel holds: what is missing for it. */
const char *copy_unbounded(void);

void copy_init(struct copy *c);
void copy_done(struct copy *c);

/* Says where the copy of sandbox `id` will be, and what of: `of` belongs to the plan. */
int copy_name(struct copy *c, const char *id, const struct plan *plan, const struct plan_path *of,
	      const struct deny_layers *denied, struct err *e);

/* Makes what the tier does not: copy/upper and copy/work, the image with them, or the copy of every
 * file, which belongs to `uid` and `gid` where root is the caller. `upper` has the mode of the
 * workspace. */
int copy_make(struct copy *c, const struct state_sandbox *home, const struct plan *plan, uid_t uid,
	      gid_t gid, struct err *e);

/* Reads back that the file system of the layers is no larger than `size`; -EBADMSG. */
int copy_check_size(int upper, uint64_t size, struct err *e);

/*
 * After the end: copy_settle() of what is on disk, where what was on a tmpfs is brought before.
 * Nothing of the copy is held open after it.
 */
int copy_end(struct copy *c, const struct state_sandbox *home, struct err *e);

/* What was lost then, for the result and the record; null: nothing. NULL: out of memory. */
json_t *copy_loss_to_json(const struct copy *c);

/*
 * The same for a dead keeper: removes what is overlayfs's own, and where something was changed
 * writes kept.json. `note` is that of sandbox.json. 1: it is to be kept, which copy_release()
 * completes; 0: nothing was changed and all of it may go.
 */
int copy_settle(const struct state_sandbox *home, const json_t *note, struct err *e);

/* When all is said about the sandbox: from here on its copy waits for a person. */
int copy_release(const struct state_sandbox *home, struct err *e);
