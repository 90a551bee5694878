/* SPDX-License-Identifier: Apache-2.0 */
/* Where a walk meets what the policy denies. */
#include "workspace/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "policy/deny.h"

int screen_init(struct screen *s, const struct deny_rules *rules, const char *place)
{
	size_t n = rules ? rules->n : 0;
	enum deny_verdict v;

	*s = (struct screen){};
	if (n == 0) {
		return 0;
	}
	s->root = fault_hit() ? NULL : calloc(n, 3 * sizeof(*s->root));
	if (!s->root) {
		return -ENOMEM;
	}
	s->rules = rules;
	s->masks = s->root + n;
	s->next = s->masks + n;
	deny_begin(rules, 0, s->root);
	v = deny_walk(rules, s->root, place);
	/* No sandbox is made of a workspace that is denied as a whole. */
	return v == DENY_HIT ? -EINVAL : 0;
}

void screen_done(struct screen *s)
{
	free(s->root);
	*s = (struct screen){};
}

void screen_enter(struct screen *s, const char *path)
{
	if (s->rules) {
		memcpy(s->masks, s->root, s->rules->n * sizeof(*s->masks));
		s->all = deny_walk(s->rules, s->masks, path) == DENY_HIT;
	}
}

bool screen_hits(const struct screen *s, const char *name)
{
	return s->rules && (s->all || deny_step(s->rules, s->masks, name, s->next) == DENY_HIT);
}
