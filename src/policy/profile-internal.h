/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: policy documents that are compiled into the program. */
#pragma once

#include <stddef.h>

struct err;
struct policy;

/* Made by the build from profiles/NAME.yaml, sorted by name. */
struct embedded_profile {
	const char *name;
	const char *text;
	size_t len;
};
extern const struct embedded_profile embedded_profiles[];
extern const size_t embedded_profiles_count;

/* The profile of that name, or NULL. */
const struct embedded_profile *profile_find(const char *name);

/* Loads it; places in it are called "profile NAME". A mistake in it is a bug of ours. */
int profile_load(const struct embedded_profile *profile, struct policy *ret, struct err *e);
