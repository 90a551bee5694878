/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From documents and options to one settled policy: floor, template, file and command line are
 * merged under the rules of precedence; trust is bounded by provenance and picks the profile; the
 * profile fills in what nobody gave; what the trust level fixes is checked last, so that no layer
 * can undo it.
 */
#include "policy/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/identity.h"
#include "policy/merge.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/policy.h"
#include "policy/profile-internal.h"
#include "policy/setting.h"
#include "policy/source.h"
#include "policy/toolchain.h"

/* What a trust level fixes, whatever a document says. */
static const struct trust_rule {
	enum tier required;
	enum tier by_name; /* the weakest tier that the policy may name without acceptance */
	/* The most that may be named. */
	enum limit_mechanism mechanism;
	enum workspace_mode mode;
	enum syscall_profile syscalls;
	enum net_default net;
	bool chains;
	const char *profile;
} trust_rules[] = {
	[TRUST_NONE] = {.required = TIER_MICROVM,
			.by_name = TIER_MICROVM,
			.mechanism = MECHANISM_GROUP,
			.mode = WORKSPACE_READ_ONLY,
			.syscalls = SYSCALLS_DEFAULT,
			.net = NET_DEFAULT_NONE,
			.chains = false,
			.profile = "trust-none"},
	[TRUST_LOW] = {.required = TIER_MICROVM,
		       .by_name = TIER_MICROVM,
		       .mechanism = MECHANISM_GROUP,
		       .mode = WORKSPACE_READ_ONLY,
		       .syscalls = SYSCALLS_DEFAULT,
		       .net = NET_DEFAULT_DENY,
		       .chains = false,
		       .profile = "trust-low"},
	[TRUST_MEDIUM] = {.required = TIER_CONTAINER,
			  .by_name = TIER_CONTAINER,
			  .mechanism = MECHANISM_ANY,
			  .mode = WORKSPACE_DIRECT,
			  .syscalls = SYSCALLS_NESTED,
			  .net = NET_DEFAULT_DENY,
			  .chains = true,
			  .profile = "trust-medium"},
	[TRUST_HIGH] = {.required = TIER_CONTAINER,
			.by_name = TIER_PROCESS,
			.mechanism = MECHANISM_ANY,
			.mode = WORKSPACE_DIRECT,
			.syscalls = SYSCALLS_NESTED,
			.net = NET_DEFAULT_ALLOW,
			.chains = true,
			.profile = "trust-high"},
	[TRUST_FULL] = {.required = TIER_NONE,
			.by_name = TIER_NONE,
			.mechanism = MECHANISM_ANY,
			.mode = WORKSPACE_DIRECT,
			.syscalls = SYSCALLS_NESTED,
			.net = NET_DEFAULT_OPEN,
			.chains = true,
			.profile = "trust-full"},
};

static const enum trust provenance_bound[] = {
	[PROVENANCE_REVIEWED] = TRUST_HIGH,
	[PROVENANCE_AGENT] = TRUST_MEDIUM,
	[PROVENANCE_EXTERNAL] = TRUST_LOW,
};

enum { FLOOR, TEMPLATE, DOCUMENT, OPTIONS, N_LAYERS };

void settled_done(struct settled *s)
{
	policy_done(&s->policy);
	free(s->identity.user);
	free(s->identity.home);
	free(s->home);
	strings_free(s->template_places);
	*s = (struct settled){};
}

/* ---- layers ---- */

/* Options of the command line: of a scalar the last counts, of a list each adds an element. */
static int take_overrides(const struct policy_override *list, size_t n, struct policy *ret,
			  struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct origin at = {.layer = LAYER_OPTION, .option = list[i].option};
		const struct schema_key *k = schema_find(list[i].key, strlen(list[i].key));
		int r;

		if (!k || k->type == TYPE_SECTION || k->rule == MERGE_NONE) {
			return origin_fail(&at, e, "there is no setting '%s'",
					   shown(list[i].key).s);
		}
		if (!schema_is_list(k)) {
			value_done(&ret->v[schema_id(k)]);
		}
		r = setting_check_text(k->path, &at, list[i].value, strlen(list[i].value), e);
		if (r < 0 ||
		    (r = setting_take(k, &at, list[i].value, &ret->v[schema_id(k)], e)) < 0) {
			return r;
		}
	}
	return 0;
}

/* Every layer, highest first. */
static int load_layers(const struct policy_request *req, struct policy *layers, struct settled *s,
		       struct err *e)
{
	int r = source_floor(req->floor, &layers[FLOOR], e);

	if (r >= 0 && req->template) {
		r = source_template(req->template, req->environ, &layers[TEMPLATE],
				    &s->template_places, e);
	}
	if (r >= 0 && req->file) {
		r = source_file(req->file, &layers[DOCUMENT], e);
	}
	return r < 0 ? r : take_overrides(req->overrides, req->n_overrides, &layers[OPTIONS], e);
}

/* Who the caller is. HOME may be named through links; places are compared by what they are. */
static int settle_identity(char *const *environ, struct settled *s, struct err *e)
{
	struct plan_path real = {};
	int r = identity_fill(environ, &s->identity, e);

	if (r < 0) {
		return r;
	}
	s->home = path_probe(s->identity.home, &real) >= 0 ? real.path : text_dup(s->identity.home);
	return s->home ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* execution.allow of two layers is compared by the programs that this host has. */
static int merge_programs(const struct policy_request *req, struct policy *layers,
			  struct settled *s, struct err *e)
{
	const char *declared = environment_declared_path(&s->policy.v[KEY_ENV]);
	struct plan scratch = {.identity = s->identity}; /* borrows */
	struct search_path search = {};
	struct merge_context ctx = {.home = s->home, .search = &search};
	size_t given = 0;
	int r = 0;

	for (size_t i = 0; i < N_LAYERS; i++) {
		given += layers[i].v[KEY_EXEC_ALLOW].set;
	}
	if (given > 1) {
		r = search_path_init(declared ? declared : environ_get(req->environ, "PATH"),
				     s->home, &scratch, &search, e);
	}
	if (r >= 0) {
		r = merge_key(&schema_keys[KEY_EXEC_ALLOW], layers, N_LAYERS, &ctx,
			      &s->policy.v[KEY_EXEC_ALLOW], e);
	}
	search_path_done(&search);
	strings_free(scratch.notes);
	return r;
}

/* The mode that further directories of a list are worked on in. */
static const struct {
	enum key_id key;
	enum workspace_mode mode;
} more_lists[] = {{KEY_COPIES, WORKSPACE_COPY}, {KEY_WRITE, WORKSPACE_DIRECT}};

/* Below a layer that says where the workspace may be. */
static int check_more_place(const char *key, const struct value *list, const struct value *bound,
			    const char *home, struct err *e)
{
	_cleanup_(plan_path_done) struct plan_path around = {};
	char place[ORIGIN_TEXT_SIZE];
	int r = path_resolve(schema_keys[KEY_WORKSPACE_PATH].path, &bound->at, bound->text, home,
			     PATH_WORKSPACE, &around, e);

	for (size_t i = 0; i < list->n_items && r >= 0; i++) {
		_cleanup_(plan_path_done) struct plan_path found = {};
		const struct item *it = &list->items[i];

		r = path_resolve(key, &it->at, it->text, home, PATH_WORKSPACE, &found, e);
		if (r >= 0 && !path_within(found.path, around.path)) {
			return origin_fail(&it->at, e,
					   "%s: '%s' is refused: filesystem.workspace.path '%s' is "
					   "the most allowed by %s, which takes precedence",
					   key, shown(it->text).s, shown(bound->text).s,
					   origin_text(&bound->at, place));
		}
	}
	return r;
}

static int check_more_mode(const char *key, const struct value *list, enum workspace_mode mode,
			   const struct value *bound, struct err *e)
{
	char place[ORIGIN_TEXT_SIZE];

	return mode > bound->num
		       ? origin_fail(&list->items[0].at, e,
				     "%s: '%s' is refused: filesystem.workspace.mode '%s' is the "
				     "most allowed by %s, which takes precedence",
				     key, shown(list->items[0].text).s,
				     workspace_mode_name((enum workspace_mode)bound->num),
				     origin_text(&bound->at, place))
		       : 0;
}

/*
 * A layer that bounds the workspace's mode, or its place, means what may be done to files of the
 * host, and where: below it no other directory is worked on more freely, or elsewhere, unless it
 * names such ones itself.
 */
static int check_more_below(const struct policy *layers, const char *home, struct err *e)
{
	for (size_t j = 0; j < ARRAY_SIZE(more_lists); j++) {
		const char *key = schema_keys[more_lists[j].key].path;
		const struct value *mode = NULL, *path = NULL;
		bool named = false;

		for (size_t i = 0; i < OPTIONS + 1 && !named; i++) {
			const struct value *v = layers[i].v, *list = &v[more_lists[j].key];
			int r = 0;

			if (list->n_items > 0 && mode) {
				r = check_more_mode(key, list, more_lists[j].mode, mode, e);
			}
			if (list->n_items > 0 && path && r >= 0) {
				r = check_more_place(key, list, path, home, e);
			}
			if (r < 0) {
				return r;
			}
			named = list->set;
			mode = v[KEY_WORKSPACE_MODE].set ? &v[KEY_WORKSPACE_MODE] : mode;
			path = v[KEY_WORKSPACE_PATH].set ? &v[KEY_WORKSPACE_PATH] : path;
		}
	}
	return 0;
}

static int merge_layers(const struct policy_request *req, struct policy *layers, struct settled *s,
			struct err *e)
{
	int bounded = check_more_below(layers, s->home, e);
	struct merge_context ctx = {.home = s->home};

	if (bounded < 0) {
		return bounded;
	}
	for (size_t i = 0; i < OPTIONS; i++) {
		s->env_fixed = s->env_fixed || layers[i].v[KEY_ENV].set;
	}
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct schema_key *k = &schema_keys[i];
		int r;

		if (k->type == TYPE_SECTION || i == KEY_EXEC_ALLOW) {
			continue;
		}
		r = merge_key(k, layers, N_LAYERS, &ctx, &s->policy.v[i], e);
		if (r < 0) {
			return r;
		}
	}
	return merge_programs(req, layers, s, e);
}

/* ---- trust ---- */

/* A chosen profile names its trust; a layer may have lowered what is allowed below that. */
static int profile_trust(struct settled *s, const struct policy *profile, struct err *e)
{
	const struct value *chosen = &s->policy.v[KEY_PROFILE], *given = &s->policy.v[KEY_TRUST];
	const struct value *own = &profile->v[KEY_TRUST];
	char place[ORIGIN_TEXT_SIZE];

	if (!own->set) {
		return err_set(e, ERR_BUG, EINVAL, "profile '%s' names no trust", chosen->text);
	}
	if (given->set && (own->num > given->num ||
			   (own->num < given->num && chosen->at.layer == given->at.layer))) {
		return origin_fail(&chosen->at, e, "profile: '%s' is for trust %s, but %s says %s",
				   chosen->text, trust_name((enum trust)own->num),
				   origin_text(&given->at, place),
				   trust_name((enum trust)given->num));
	}
	s->trust = (enum trust)own->num;
	return 0;
}

/* Trust may not exceed what the origin of the code allows. */
static int check_provenance(struct settled *s, const struct origin *at, struct err *e)
{
	enum trust bound = provenance_bound[s->provenance];

	if (s->trust <= bound) {
		return 0;
	}
	return origin_fail(at, e,
			   "trust: %s is above %s, the most that provenance %s allows; lower the "
			   "trust, or state "
			   "'provenance: %s' if %s",
			   trust_name(s->trust), trust_name(bound), provenance_name(s->provenance),
			   s->trust == TRUST_HIGH ? "reviewed" : "agent",
			   s->trust == TRUST_HIGH
				   ? "a person has reviewed the code"
				   : "nobody else controls what it was generated from");
}

static int load_profile(const char *name, const struct origin *at, struct policy *ret,
			struct err *e)
{
	const struct embedded_profile *profile = profile_find(name);

	if (!profile) {
		return origin_fail(at, e,
				   "profile: there is no profile '%s'; 'atoll policy show' lists "
				   "them",
				   shown(name).s);
	}
	return profile_load(profile, ret, e);
}

/* Decides trust and fills in the defaults of the profile chosen and of the trust level. */
static int settle_trust(struct settled *s, struct err *e)
{
	_cleanup_policy_ struct policy chosen = {}, base = {};
	const struct value *profile = &s->policy.v[KEY_PROFILE], *given = &s->policy.v[KEY_TRUST];
	const struct origin *at = given->set ? &given->at : &profile->at;
	int r;

	if (!s->policy.v[KEY_PROVENANCE].set) {
		s->policy.v[KEY_PROVENANCE] = (struct value){
			.set = true, .at.layer = LAYER_PROFILE, .num = PROVENANCE_AGENT};
	}
	s->provenance = (enum provenance)s->policy.v[KEY_PROVENANCE].num;
	if (profile->set) {
		r = load_profile(profile->text, &profile->at, &chosen, e);
		if (r < 0 || (r = profile_trust(s, &chosen, e)) < 0) {
			return r;
		}
	} else if (given->set) {
		s->trust = (enum trust)given->num;
	} else {
		s->trust = provenance_bound[s->provenance] < TRUST_MEDIUM
				   ? provenance_bound[s->provenance]
				   : TRUST_MEDIUM;
	}
	r = s->trust == TRUST_FULL ? full_refuse(s, at, e) : check_provenance(s, at, e);
	if (r < 0 || (r = load_profile(trust_rules[s->trust].profile, at, &base, e)) < 0) {
		return r;
	}
	merge_defaults(&s->policy, &chosen);
	merge_defaults(&s->policy, &base);
	s->policy.v[KEY_TRUST].num = s->trust;
	return 0;
}

/* ---- tier ---- */

static int accepted_tier(const char *word, int *ret, struct err *e)
{
	char list[128];
	const struct schema_key *k = &schema_keys[KEY_TIER];

	*ret = word ? schema_word(k, word) : -1;
	if (word && *ret < 0) {
		return err_set(e, ERR_USER, EINVAL, "--accept-tier: '%s' is not one of %s",
			       shown(word).s, schema_word_list(k, list, sizeof(list)));
	}
	return 0;
}

/* The tier: named, or what the trust level asks for, or what was accepted instead. */
static int settle_tier(const char *accept, struct settled *s, struct err *e)
{
	const struct trust_rule *rule = &trust_rules[s->trust];
	struct value *v = &s->policy.v[KEY_TIER];
	bool given = v->at.layer != LAYER_PROFILE;
	char place[ORIGIN_TEXT_SIZE];
	int accepted, r = accepted_tier(accept, &accepted, e);

	if (r < 0) {
		return r;
	}
	s->required = rule->required;
	s->tier = given ? (enum tier)v->num : rule->required;
	if (accepted >= 0 && given && (enum tier)accepted < s->tier && s->tier != TIER_CONTAINER) {
		return err_set(e, ERR_USER, EINVAL,
			       "--accept-tier: '%s' is weaker than tier %s, which %s fixes", accept,
			       tier_name(s->tier), origin_text(&v->at, place));
	}
	if (accepted >= 0 && !given && (enum tier)accepted < s->tier) {
		s->tier = (enum tier)accepted;
	}
	if (s->tier == TIER_NONE && rule->by_name > TIER_NONE) {
		return err_set(
			e, ERR_POLICY, EINVAL,
			"tier none is no wall at all: it comes with trust full, which is named "
			"on the command line (--trust full)");
	}
	if (s->tier < rule->by_name) {
		if (accepted < 0 || (enum tier)accepted > s->tier) {
			return origin_fail(&v->at, e,
					   "tier: %s is weaker than %s, which trust %s asks for; "
					   "to run behind the weaker wall say so on the command "
					   "line with --accept-tier %s",
					   tier_name(s->tier), tier_name(rule->required),
					   trust_name(s->trust), tier_name(s->tier));
		}
		s->accepted = true;
	}
	v->num = s->tier;
	return 0;
}

/* What the process tier has no means for: namespaces, and a scratch space that the kernel walls. */
static int process_available(const struct settled *s, struct err *e)
{
	const struct value *syscalls = &s->policy.v[KEY_SYSCALLS];
	const struct value *mechanism = &s->policy.v[KEY_MECHANISM];
	const struct value *mode = &s->policy.v[KEY_WORKSPACE_MODE];
	const struct value *copies = &s->policy.v[KEY_COPIES];

	if (syscalls->num == SYSCALLS_NESTED) {
		return origin_fail(
			&syscalls->at, e,
			"execution.syscalls: 'nested' needs namespaces of the sandbox's own, "
			"which the process tier does not have; use tier container");
	}
	if (copies->n_items > 0) {
		return origin_fail(&copies->items[0].at, e,
				   "filesystem.copies: a copy needs a mount, which the process "
				   "tier does not have; use tier container, or filesystem.read or "
				   "write");
	}
	if (mode->num == WORKSPACE_COPY) {
		return origin_fail(
			&mode->at, e,
			"filesystem.workspace.mode: 'copy' needs a mount, which the "
			"process tier does not have; use tier container, or read-only or "
			"direct");
	}
	if (mechanism->num == MECHANISM_GROUP) {
		return origin_fail(
			&mechanism->at, e,
			"execution.limits.mechanism: 'group' asks for control groups alone, and "
			"at the process tier the keeper measures the scratch directory; use tier "
			"container, or accept that with 'mechanism: any' where the trust level "
			"allows it");
	}
	return 0;
}

/* What has a size of its own is made empty. */
static int container_available(const struct settled *s, struct err *e)
{
	const struct value *by = &s->policy.v[KEY_COPY_BY], *copies = &s->policy.v[KEY_COPIES];
	bool bounded = s->policy.v[KEY_MECHANISM].num == MECHANISM_GROUP;

	if (copies->n_items > 0 && bounded && !s->identity.from_root) {
		return origin_fail(&copies->items[0].at, e,
				   "filesystem.copies: an ordinary user's copy that the kernel "
				   "bounds is on a tmpfs of the sandbox's own, which is one; leave "
				   "them out, or accept a limit that the keeper looks after with "
				   "'mechanism: any' where the trust level allows it");
	}
	return (s->policy.v[KEY_WORKSPACE_MODE].num == WORKSPACE_COPY || copies->n_items > 0) &&
			       by->set && by->num == COPY_BY_FILES && bounded
		       ? origin_fail(&by->at, e,
				     "filesystem.workspace.copy_by: a copy of every file is "
				     "measured by the keeper, and execution.limits.mechanism "
				     "'group' asks for limits of the kernel's; use overlay, or "
				     "accept that with 'mechanism: any' where the trust level "
				     "allows it")
		       : 0;
}

int tier_available(const struct settled *s, struct err *e)
{
	const struct value *v = &s->policy.v[KEY_TIER];

	switch (s->tier) {
	case TIER_NONE:
		return full_available(s, e);
	case TIER_PROCESS:
		return process_available(s, e);
	case TIER_CONTAINER:
		return container_available(s, e);
	case TIER_MICROVM:
		break;
	}
	if (v->at.layer != LAYER_PROFILE) {
		return origin_fail(&v->at, e,
				   "tier: the microvm tier is not in this version; use container");
	}
	return err_set(e, ERR_POLICY, EOPNOTSUPP,
		       "trust %s needs the microvm tier, which this version does not have; lower "
		       "the wall by name with --accept-tier container, which is recorded, or raise "
		       "the trust if the code deserves it",
		       trust_name(s->trust));
}

/* What the trust level fixes, against what was given. */
static int check_fixed(const struct settled *s, struct err *e)
{
	const struct trust_rule *rule = &trust_rules[s->trust];
	const struct {
		enum key_id key;
		uint64_t most;
	} bounds[] = {
		{KEY_MECHANISM, rule->mechanism},
		{KEY_WORKSPACE_MODE, rule->mode},
		{KEY_SYSCALLS, rule->syscalls},
		{KEY_NETWORK_DEFAULT, rule->net},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		const struct schema_key *k = &schema_keys[bounds[i].key];
		const struct value *v = &s->policy.v[bounds[i].key];

		if (v->num > bounds[i].most) {
			return origin_fail(&v->at, e, "%s: '%s' is refused: trust %s allows '%s'",
					   k->path, k->words[v->num].word, trust_name(s->trust),
					   k->words[bounds[i].most].word);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(more_lists); i++) {
		const struct value *v = &s->policy.v[more_lists[i].key];

		if (v->n_items > 0 && more_lists[i].mode > rule->mode) {
			return origin_fail(
				&v->items[0].at, e, "%s: '%s' is refused: trust %s allows '%s'",
				schema_keys[more_lists[i].key].path, shown(v->items[0].text).s,
				trust_name(s->trust), workspace_mode_name(rule->mode));
		}
	}
	return 0;
}

/*
 * A copy that nobody has asked for by name needs what may not be there: then there is nothing to
 * change, and a note says so. What was named is refused where it cannot be had; where only an
 * overlay cannot, and nobody has said how it is to be made, it is one of every file.
 */
static void settle_copy(const struct policy_request *req, struct settled *s)
{
	struct value *mode = &s->policy.v[KEY_WORKSPACE_MODE];
	struct value *by = &s->policy.v[KEY_COPY_BY];
	bool bounded = s->policy.v[KEY_MECHANISM].num == MECHANISM_GROUP;
	bool named = (mode->num == WORKSPACE_COPY && mode->at.layer != LAYER_PROFILE) ||
		     s->policy.v[KEY_COPIES].n_items > 0;
	bool files = by->set && by->num == COPY_BY_FILES;

	if (named && req->no_copy && !by->set && !bounded) {
		by->num = COPY_BY_FILES;
		s->copied_for = req->no_copy;
		files = true;
	}
	if (mode->num != WORKSPACE_COPY || mode->at.layer != LAYER_PROFILE) {
		return;
	}
	s->no_copy = s->tier == TIER_PROCESS  ? "the process tier has no mounts to make a copy with"
		     : req->no_copy && !files ? req->no_copy
		     : bounded                ? req->no_bounded_copy
					      : NULL;
	if (s->no_copy) {
		mode->num = WORKSPACE_READ_ONLY;
	}
}

/* A profile's number is what the level gives; a session that has less gives no more than that. What
 * was named is refused where it cannot be had. */
static void settle_open_files(struct settled *s)
{
	struct value *v = &s->policy.v[KEY_OPEN_FILES];
	struct rlimit session;

	if (v->at.layer == LAYER_PROFILE && getrlimit(RLIMIT_NOFILE, &session) == 0 &&
	    session.rlim_max < v->num) {
		v->num = session.rlim_max;
	}
}

/* A base profile must supply every key that a plan needs. */
static int check_complete(const struct settled *s, struct err *e)
{
	static const enum key_id optional[] = {
		KEY_VERSION, KEY_PROFILE, KEY_COPY_BY, KEY_OWNER, KEY_PROVENANCE, KEY_EXEC_ALLOW,
		KEY_ACCOUNT, KEY_AGENT,   KEY_PURPOSE, KEY_IO,    KEY_EXPIRES,    KEY_REVIEW};

	for (size_t i = 0; i < KEY_COUNT; i++) {
		bool needed = schema_keys[i].type != TYPE_SECTION &&
			      !schema_is_list(&schema_keys[i]) && !s->policy.v[i].set;

		for (size_t j = 0; j < ARRAY_SIZE(optional); j++) {
			needed = needed && i != optional[j];
		}
		if (needed) {
			return err_set(e, ERR_BUG, EINVAL, "profile '%s' does not set '%s'",
				       trust_rules[s->trust].profile, schema_keys[i].path);
		}
	}
	return 0;
}

/* What the organisation, or anybody below it, wants to have said of each sandbox. */
static int check_required(const struct settled *s, struct err *e)
{
	static const enum key_id keys[] = {KEY_OWNER,   KEY_ACCOUNT, KEY_PURPOSE, KEY_SCOPES,
					   KEY_EXPIRES, KEY_REVIEW,  KEY_AGENT};
	const struct schema_key *require = &schema_keys[KEY_REQUIRE];
	const struct value *v = &s->policy.v[KEY_REQUIRE];

	for (size_t i = 0; i < v->n_items; i++) {
		enum key_id key = keys[schema_word(require, v->items[i].text)];
		const struct value *said = &s->policy.v[key];

		if (schema_is_list(&schema_keys[key]) ? said->n_items == 0 : !said->set) {
			return origin_fail(
				&v->items[i].at, e,
				"governance.require: '%s' is missing; say %s in the policy, "
				"or --%s",
				v->items[i].text, schema_keys[key].path,
				key == KEY_SCOPES ? "scope" : v->items[i].text);
		}
	}
	return 0;
}

/* Whose trust could be lowered must be known before anything is suspected. */
static int check_escape(const struct settled *s, struct err *e)
{
	const struct value *v = &s->policy.v[KEY_ESCAPE];

	return v->num == ESCAPE_LOWER && !s->policy.v[KEY_AGENT].set
		       ? origin_fail(&v->at, e,
				     "governance.escape: 'lower' lowers the trust of an agent; say "
				     "which in governance.agent, or --agent, or choose 'stop'")
		       : 0;
}

int policy_settle(const struct policy_request *req, struct settled *ret, struct err *e)
{
	_cleanup_(settled_done) struct settled s = {};
	struct policy layers[N_LAYERS] = {};
	int r = load_layers(req, layers, &s, e);

	if (r >= 0) {
		r = settle_identity(req->environ, &s, e);
	}
	if (r >= 0) {
		r = merge_layers(req, layers, &s, e);
	}
	for (size_t i = 0; i < N_LAYERS; i++) {
		policy_done(&layers[i]);
	}
	if (r < 0 || (r = settle_trust(&s, e)) < 0 || (r = check_complete(&s, e)) < 0 ||
	    (r = settle_tier(req->accept_tier, &s, e)) < 0 || (r = check_fixed(&s, e)) < 0 ||
	    (r = check_required(&s, e)) < 0 || (r = check_escape(&s, e)) < 0) {
		return r;
	}
	if (s.tier == TIER_NONE && (r = full_identity(req->environ, &s, e)) < 0) {
		return r;
	}
	settle_copy(req, &s);
	settle_open_files(&s);
	network_settle(&s);
	s.chains = trust_rules[s.trust].chains;
	*ret = s;
	s = (struct settled){};
	return 0;
}
