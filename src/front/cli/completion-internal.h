/* SPDX-License-Identifier: Apache-2.0 */
/* The files of share/completion, compiled in; sorted by name. */
#pragma once

#include <stddef.h>

struct completion_skeleton {
	const char *name; /* of the shell */
	const char *text;
	size_t len;
};

extern const struct completion_skeleton completion_skeletons[];
extern const size_t completion_skeletons_count;
