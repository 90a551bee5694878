/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound release of resources, and the words that move ownership out of a scope. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A descriptor variable that owns nothing holds this; never 0 and never a bare -1. */
#define FD_NONE (-EBADF)

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f) {
		(void)fclose(*f);
	}
}

/* close(2) keeps errno, so that an error path can report the call that failed before it. */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
	}
	return FD_NONE;
}

static inline void cleanup_fd(int *fd)
{
	*fd = fd_close(*fd);
}

#define _cleanup_(f)     __attribute__((cleanup(f)))
#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_fd_     _cleanup_(cleanup_fd)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

#define TAKE_FD(fd)                        \
	({                                 \
		int *_taken_from = &(fd);  \
		int _taken = *_taken_from; \
		*_taken_from = FD_NONE;    \
		_taken;                    \
	})

#define TAKE_PTR(p)                                  \
	({                                           \
		__typeof__(p) *_taken_from = &(p);   \
		__typeof__(p) _taken = *_taken_from; \
		*_taken_from = NULL;                 \
		_taken;                              \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
