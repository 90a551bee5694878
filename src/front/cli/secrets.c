/* SPDX-License-Identifier: Apache-2.0 */
/* Variables and places in a recorded plan. */
#include "front/cli/secrets.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "policy/credential.h"

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static int add(json_t *list, const char *kind, const char *name)
{
	_cleanup_json_ json_t *secret = json_pack("{s:s, s:s}", "kind", kind, "name", name);
	const json_t *known;
	size_t i;

	json_array_foreach(list, i, known)
	{
		if (json_equal(known, secret)) {
			return 0;
		}
	}
	return secret ? json_array_append(list, secret) : -1;
}

/* Of one path that could be read. */
static int add_places(json_t *list, const json_t *plan, const json_t *place)
{
	const char *home = text_of(json_object_get(plan, "identity"), "home"), *found;
	const char *path = text_of(place, "path");
	bool is_dir = json_is_true(json_object_get(place, "is_dir"));
	size_t n = 0;
	int r = 0;

	while (r >= 0 && *path && *home == '/' &&
	       (found = credential_place_next(path, is_dir, home, &n)) != NULL) {
		r = add(list, "place", found);
	}
	return r;
}

json_t *secrets_of(const json_t *plan)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *row;
	size_t i;
	int r = list ? 0 : -1;

	/* Without a wall it could read whatever its user can. */
	if (r >= 0 && strcmp(text_of(plan, "tier"), "none") == 0) {
		r = add(list, "place", "");
	}

	json_array_foreach(json_object_get(plan, "inherited"), i, row)
	{
		const char *name = json_string_value(row);

		r = r < 0 || !name ? r : add(list, "variable", name);
	}
	r = r < 0 ? r : add_places(list, plan, json_object_get(plan, "workspace"));
	json_array_foreach(json_object_get(plan, "more"), i, row)
	{
		r = r < 0 ? r : add_places(list, plan, row);
	}
	json_array_foreach(json_object_get(plan, "read"), i, row)
	{
		r = r < 0 ? r : add_places(list, plan, row);
	}
	return r < 0 ? NULL : TAKE_PTR(list);
}

const char *secret_text(const json_t *secret, char out[SECRET_TEXT_SIZE])
{
	bool place = strcmp(text_of(secret, "kind"), "place") == 0;

	(void)snprintf(out, SECRET_TEXT_SIZE, "%s%s", place ? "~/" : "$", text_of(secret, "name"));
	return out;
}
