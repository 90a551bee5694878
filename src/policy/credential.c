/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and who lies in whom. */
#include "policy/credential.h"

#include <string.h>

#include "base/cleanup.h"
#include "policy/path.h"

/* Reading them is allowed by name, and noted. */
static const char *const places[] = {
	".ssh",
	".gnupg",
	".aws",
	".azure",
	".config/gcloud",
	".kube",
	".docker",
	".config/gh",
	".netrc",
	".git-credentials",
	".npmrc",
	".pypirc",
	".pgpass",
	".config/pip",
	".cargo/credentials.toml",
	".local/share/keyrings",
	".mozilla",
	".config/google-chrome",
	".config/chromium",
};

/* True if `path`, which lies in `home`, is `home`/`place` or in it. */
static bool is_in(const char *path, const char *home, const char *place)
{
	size_t len = strlen(home);

	return path_within(path, home) && path[len] == '/' && path_within(path + len + 1, place);
}

/* True if `dir` holds `home`/`place`: it is HOME, holds HOME, or is a part of the way. */
static bool holds(const char *dir, const char *home, const char *place)
{
	size_t len = strlen(home);

	return path_within(home, dir) ||
	       (path_within(dir, home) && path_within(place, dir + len + 1));
}

const char *credential_place_next(const char *path, bool is_dir, const char *home, size_t *n)
{
	while (*n < ARRAY_SIZE(places)) {
		const char *place = places[(*n)++];

		if (is_in(path, home, place) || (is_dir && holds(path, home, place))) {
			return place;
		}
	}
	return NULL;
}
