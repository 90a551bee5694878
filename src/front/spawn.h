/* SPDX-License-Identifier: Apache-2.0 */
/* How the keeper comes to be: before our own C library, where that is possible. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A keeper that waits for its request. */
struct spawned {
	pid_t pid;  /* our child; a negative errno: there is none */
	int socket; /* to it, close-on-exec; FD_NONE: there is none */
};

/*
 * Starts one, with nothing of the caller's but `env` and the socket. The child is pushed away from
 * our CPU where there is another one, and takes back what we may use with its request.
 */
struct spawned spawn_keeper(char *const *env);

/* The keeper that was started before main(), if there is one; it is the caller's from now on. */
bool spawn_early(struct spawned *ret);

/* At the end of the program: a keeper that was started and not needed leaves nothing behind. */
void spawn_done(void);
