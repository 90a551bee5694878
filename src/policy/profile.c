/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded profiles. */
#include "policy/profile-internal.h"

#include <string.h>

#include "base/err.h"
#include "policy/load.h"
#include "policy/policy.h"

const struct embedded_profile *profile_find(const char *name)
{
	for (size_t i = 0; i < embedded_profiles_count; i++) {
		if (strcmp(embedded_profiles[i].name, name) == 0) {
			return &embedded_profiles[i];
		}
	}
	return NULL;
}

int profile_load(const struct embedded_profile *profile, struct policy *ret, struct err *e)
{
	return policy_load(profile->name, LAYER_PROFILE, profile->text, profile->len, ret, e);
}

bool policy_profile_at(size_t i, struct policy_profile *ret)
{
	if (i >= embedded_profiles_count) {
		return false;
	}
	*ret = (struct policy_profile){.name = embedded_profiles[i].name,
				       .text = embedded_profiles[i].text,
				       .len = embedded_profiles[i].len};
	return true;
}

bool policy_profile_find(const char *name, struct policy_profile *ret)
{
	const struct embedded_profile *p = profile_find(name);

	return p && policy_profile_at((size_t)(p - embedded_profiles), ret);
}
