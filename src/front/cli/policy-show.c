/* SPDX-License-Identifier: Apache-2.0 */
/* `atoll policy show`: the built-in profiles. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/policy-internal.h"
#include "policy/policy.h"

/* The second comment line of a profile says what it is for. */
static size_t summary_of(const struct policy_profile *p, const char **ret)
{
	const char *line = memchr(p->text, '\n', p->len);

	*ret = "";
	if (!line || strncmp(line + 1, "# ", 2) != 0) {
		return 0;
	}
	*ret = line + 3;
	return strcspn(*ret, "\n");
}

static json_t *profile_json(const struct policy_profile *p, bool text)
{
	_cleanup_json_ json_t *j = json_object();
	const char *summary;
	size_t len = summary_of(p, &summary);

	if (!j || json_put(j, "name", json_string(p->name)) < 0 ||
	    json_put(j, "summary", json_stringn(summary, len)) < 0 ||
	    (text && json_put(j, "text", json_stringn(p->text, p->len)) < 0)) {
		return NULL;
	}
	return TAKE_PTR(j);
}

static int list_profiles(bool json)
{
	_cleanup_json_ json_t *list = json ? json_array() : NULL;
	struct policy_profile p;

	for (size_t i = 0; policy_profile_at(i, &p); i++) {
		const char *summary;
		size_t len = summary_of(&p, &summary);

		if (!json) {
			(void)printf("%-20s %.*s\n", p.name, (int)len, summary);
		} else if (json_array_append_new(list, profile_json(&p, false)) < 0) {
			return policy_fail("out of memory");
		}
	}
	return json ? cli_print_json(TAKE_PTR(list)) : cli_written();
}

int policy_show(const struct policy_options *o)
{
	struct policy_profile p;
	char name[64];

	if (o->trust && o->profile) {
		return policy_fail("policy show: --trust and --profile exclude each other");
	}
	if (!o->trust && !o->profile) {
		return list_profiles(o->json);
	}
	(void)snprintf(name, sizeof(name), "%s%s", o->trust ? "trust-" : "",
		       o->trust ? o->trust : o->profile);
	if (!policy_profile_find(name, &p)) {
		return policy_fail("there is no profile '%s'; 'atoll policy show' lists them",
				   name);
	}
	if (o->json) {
		return cli_print_json(profile_json(&p, true));
	}
	(void)fwrite(p.text, 1, p.len, stdout);
	return cli_written();
}
