/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scratch directory of a sandbox that has no tmpfs of its own: /tmp/atoll-ID, the payload's
 * alone, with `tmp` (TMPDIR) and `home` (HOME) in it. It is named in sandbox.json before it is
 * made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

#define SCRATCH_PATH_SIZE 64

struct scratch {
	char path[SCRATCH_PATH_SIZE]; /* canonical */
	char home[SCRATCH_PATH_SIZE];
	char name[SCRATCH_PATH_SIZE]; /* in its directory; "" until scratch_name() */
	bool made;                    /* something of it may be there */
	int dir;                      /* FD_NONE: none */
	char *own[3];                 /* variables for it: HOME, TMPDIR, GIT_CONFIG_NOSYSTEM */
	char **env;                   /* the payload's environment with them; NULL-terminated */
};

void scratch_init(struct scratch *s);

/*
 * Says where it will be for sandbox `id`, and fills s->env from `env`, whose strings are borrowed.
 * A variable of ours that is there is one that the policy declares: it stands.
 */
int scratch_name(struct scratch *s, const char *id, char *const *env, struct err *e);

/* Makes it, for user `uid`. */
int scratch_make(struct scratch *s, uid_t uid, gid_t gid, struct err *e);

/* Removes that of sandbox `id`, with all that is in it; nothing inside may run any more. */
int scratch_remove(const char *id, struct err *e);

void scratch_done(struct scratch *s);
