/* SPDX-License-Identifier: Apache-2.0 */
/* The program's entry, in front of the C library's; and how the keeper comes to be. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A keeper that waits for its request. */
struct entry_keeper {
	pid_t pid;  /* our child; a negative errno: there is none */
	int socket; /* to it, close-on-exec; FD_NONE: there is none */
};

/*
 * Starts one, with nothing of the caller's but `env` and the socket. It is pushed away from our CPU
 * where there is another one, and takes back what we may use with its request.
 */
struct entry_keeper entry_start_keeper(char *const *env);

/* The keeper that was started before main(), once; false: there is none. */
bool entry_take_keeper(struct entry_keeper *ret);
