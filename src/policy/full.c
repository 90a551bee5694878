/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust full: what a person runs as himself, to have a record of it.
 *
 * Theory of operation. The level has a tier that is no wall, so nothing that only a wall can hold
 * may be asked for: each setting that says less than everything is refused where it was said, by
 * whatever layer. What remains are limits, the environment, the record. A stronger tier may be
 * named with it; then its settings are as everywhere, and `open` is not among them.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/identity.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/settle.h"
#include "policy/value.h"

/* Somebody said it, and not the profile. */
static const struct origin *said(const struct value *v, bool is_union)
{
	for (size_t i = 0; i < v->n_items; i++) {
		if (v->items[i].at.layer != LAYER_PROFILE) {
			return &v->items[i].at;
		}
	}
	/* Nothing in a list of what is forbidden forbids nothing. */
	return v->set && !is_union && v->at.layer != LAYER_PROFILE ? &v->at : NULL;
}

/* Of words the one that stands for everything; what has none says less, whatever it says. */
static const struct {
	enum key_id key;
	bool has_word;
	uint64_t word;
} held_by_walls[] = {
	{KEY_WORKSPACE_PATH, false, 0},
	{KEY_WORKSPACE_MODE, true, WORKSPACE_DIRECT},
	{KEY_COPY_BY, false, 0},
	{KEY_COPIES, false, 0},
	{KEY_WRITE, false, 0},
	{KEY_READ, false, 0},
	{KEY_DENY, false, 0},
	{KEY_NETWORK_DEFAULT, true, NET_DEFAULT_OPEN},
	{KEY_NETWORK_ALLOW, false, 0},
	{KEY_NETWORK_DENY, false, 0},
	{KEY_NETWORK_CONNECTIONS, false, 0},
	{KEY_NETWORK_BYTES, false, 0},
	{KEY_NETWORK_HOST_BYTES, false, 0},
	{KEY_NETWORK_REQUESTS, false, 0},
	{KEY_COOLDOWN, false, 0},
	{KEY_EXEC_ALLOW, false, 0},
	{KEY_SYSCALLS, true, SYSCALLS_NESTED},
	{KEY_SCRATCH, false, 0},
	{KEY_COPY, false, 0},
	{KEY_IO, false, 0},
};

bool full_says_nothing(enum key_id key)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(held_by_walls) && held_by_walls[i].key != key) {
		i++;
	}
	return i < ARRAY_SIZE(held_by_walls) && key != KEY_NETWORK_DEFAULT;
}

int full_available(const struct settled *s, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(held_by_walls); i++) {
		const struct value *v = &s->policy.v[held_by_walls[i].key];
		const struct schema_key *k = &schema_keys[held_by_walls[i].key];
		const struct origin *at = said(v, k->rule == MERGE_UNION);

		if (at && !(held_by_walls[i].has_word && v->num == held_by_walls[i].word)) {
			return origin_fail(at, e,
					   "%s: tier none has no wall to hold it with; leave it "
					   "out, or name a tier (--tier container)",
					   k->path);
		}
	}
	return 0;
}

int full_refuse(const struct settled *s, const struct origin *at, struct err *e)
{
	const struct value *given = &s->policy.v[KEY_TRUST], *from = &s->policy.v[KEY_PROVENANCE];

	if (!given->set || given->num != TRUST_FULL || given->at.layer != LAYER_OPTION) {
		return origin_fail(at, e,
				   "trust: full may only be named on the command line, as --trust "
				   "full; use high");
	}
	return from->at.layer != LAYER_PROFILE && from->num != PROVENANCE_REVIEWED
		       ? origin_fail(&from->at, e,
				     "provenance: '%s' is not for trust full, which has no wall; "
				     "use a lower trust, or state 'reviewed' if a person has "
				     "reviewed the code",
				     provenance_name((enum provenance)from->num))
		       : 0;
}

/* The user's own, whatever the view of another tier would make of it. */
int full_identity(char *const *environ, struct settled *s, struct err *e)
{
	struct plan_identity *id = &s->identity;
	const char *home = environ_get(environ, "HOME");
	char *user = id->from_root ? text_dup("root") : NULL;
	char *own = home && path_is_clean(home) ? text_dup(home) : NULL;

	if ((id->from_root && !user) || (home && path_is_clean(home) && !own)) {
		free(user);
		free(own);
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (user) {
		free(id->user);
		id->user = user;
		id->uid = 0;
		id->gid = getgid();
		id->from_root = false;
	}
	if (own) {
		free(id->home);
		id->home = own;
	}
	return 0;
}
