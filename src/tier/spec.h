/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper tells a tier: what to build, around what. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/plan.h"

struct deny_layers;

/* What stands around a payload; each has its own kind of the policy's syscall profile. */
enum wall_kind {
	WALLS_CONTAINER,
	WALLS_PROCESS, /* a user and a pid namespace, no mount namespace */
	WALLS_GUARDED, /* no namespace at all */
	WALLS_NONE,    /* nothing: a filter that only shows what begins */
};

/* Nothing but the tree of processes holds the sandbox together, and ids are the host's. */
static inline bool walls_have_no_namespace(enum wall_kind kind)
{
	return kind == WALLS_GUARDED || kind == WALLS_NONE;
}

/* A program to be run inside, and what it is given. */
struct tier_program {
	char *const *argv; /* NULL-terminated, at least one */
	char *const *env;  /* NULL-terminated */
	const char *cwd;   /* absolute, inside the view */
	bool own;          /* argv is for atoll-init itself (linux/parcel.h), not for a program */
	bool anywhere;     /* cwd may lead through links: where it has led is read, and stands */
	int stdio[3];      /* its ends of the pipes, and of the terminal */
	unsigned tty;      /* bit n: descriptor n is the sandbox's own terminal */
	int terminal;      /* the master of it, FD_NONE without one */
};

/* Where what a payload changes in a copy of its workspace goes: the layers `upper` and `work`. */
struct tier_copy {
	enum tier_copy_kind {
		TIER_COPY_NONE,
		TIER_COPY_DIRECTORY, /* below a directory of the host */
		TIER_COPY_MOUNT,     /* on a file system that is mounted, and attached nowhere */
		TIER_COPY_TMPFS,     /* on one that the tier makes */
		TIER_COPY_FILES,     /* there are no layers: a directory that holds every file */
	} kind;
	const char *directory; /* the path of either */
	int mount;             /* its descriptor, borrowed */
	uint64_t size;         /* of the tmpfs, in bytes */
	mode_t mode;           /* of its `upper`, which the payload sees as that of the workspace */
};

/* What to start. Borrowed for the life of the tier_sandbox. */
struct tier_spec {
	const struct plan *plan;
	const struct tier_program *first; /* NULL: the sandbox waits for what it is to run */
	const char *scratch;   /* where the tier has no tmpfs of its own: the scratch directory */
	struct tier_copy copy; /* where the workspace is one */
	struct tier_copy more[PLAN_MORE_MAX]; /* of plan->more, where those are */
	const struct deny_layers
		*denied;  /* what is hidden in the places of the view; NULL: nothing */
	bool limit_nproc; /* no process limit by a group: RLIMIT_NPROC in the user namespace */
	int image;        /* of tier_image(); no longer needed when start() returns */
	int cgroup; /* a group of version 2 to be born in; FD_NONE: join task lists, or none */
	unsigned affinity; /* no CPU limit by a group: pin to this many CPUs; 0: do not */
	uid_t host_uid;    /* what the payload is outside */
	gid_t host_gid;
};
