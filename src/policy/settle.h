/* SPDX-License-Identifier: Apache-2.0 */
/* A request settled: layers merged, trust and tier decided, defaults filled in. */
#pragma once

#include <stdbool.h>

#include "policy/plan.h"
#include "policy/value.h"

struct policy_request;

struct settled {
	struct policy policy; /* every key that a plan needs is set */
	struct plan_identity identity;
	char *home; /* identity.home free of links, where it exists */
	/* Where a template was looked for, the last one being it; NULL without one. The origins of
	 * its values borrow from here. */
	char **template_places;
	enum trust trust;
	enum provenance provenance;
	enum tier tier;
	enum tier required; /* what the trust level asks for */
	bool accepted;      /* weaker than that, by name */
	bool chains;        /* tool chains outside /usr may be shown */
	const char *
		no_copy; /* why the profile's copy of the workspace is read-only; NULL: it is not */
	const char *copied_for; /* why a copy is one of every file, which nobody has said; NULL: it
				   is not */
	bool env_fixed;         /* a document says which variables there are */
};

/*
 * Everything short of looking at what paths and programs are on this host. A tier that this version
 * does not have is no error here: explaining a policy does not need it.
 */
int policy_settle(const struct policy_request *req, struct settled *ret, struct err *e);
void settled_done(struct settled *s);

/* 0 when this version can build the tier, else the refusal with its remedy. */
int tier_available(const struct settled *s, struct err *e);

/* ---- full.c ---- */

/* 0, or what of the settings cannot be held without a wall (tier none). */
int full_available(const struct settled *s, struct err *e);

/* A key that only a wall could hold; under full nothing is to be said of it. */
bool full_says_nothing(enum key_id key);

/* 0, or why trust full, which `at` has named, is not to be had. */
int full_refuse(const struct settled *s, const struct origin *at, struct err *e);

/* Of tier none: the caller's own ids and home. */
int full_identity(char *const *environ, struct settled *s, struct err *e);

/* ---- network.c ---- */

/* Takes away what a tier, or a narrower word of a higher layer, leaves no room for. */
void network_settle(struct settled *s);

/* Something may be connected to. */
bool network_reaches(const struct settled *s);

/* 0 when this version can do what network says, else the refusal with its remedy. */
int network_available(const struct settled *s, struct err *e);
