/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `atoll policy new`: answers against the rules. What the rules do not allow is fitted by asking
 * them: a looser word is tightened until policy_settle() accepts it, so that no rule stands here a
 * second time. Where the need is deeper than the wall that there is, the answer stays as it is: the
 * document then does not start, and says so.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "front/cli/policy-new.h"
#include "policy/plan.h"
#include "policy/policy.h"
#include "policy/setting.h"
#include "policy/settle.h"

extern char **environ;

/* The keys that decide others, in the order in which they are fitted. */
static const struct {
	enum key_id key;
	const char *option;
	int tighter; /* the way through the key's words */
} fitted[] = {
	{KEY_PROVENANCE, "--provenance", 1},
	{KEY_TRUST, "--trust", -1},
	{KEY_TIER, "--tier", 1},
	{KEY_MECHANISM, "--limits", -1},
	{KEY_WORKSPACE_MODE, "--workspace", -1},
};

void new_policy_done(struct new_policy *n)
{
	policy_done(&n->answers);
}

/* The first `count` of the keys that decide, as options; the rest is left to the defaults. */
static int settle_some(const struct new_policy *n, size_t count, struct settled *ret, struct err *e)
{
	struct policy_override overrides[ARRAY_SIZE(fitted)];
	struct policy_request req = {.overrides = overrides, .environ = environ};

	for (size_t i = 0; i < count; i++) {
		const struct value *v = &n->answers.v[fitted[i].key];
		const struct schema_key *k = &schema_keys[fitted[i].key];

		if (v->set && fitted[i].key == KEY_TRUST && v->num == TRUST_FULL) {
			return err_set(
				e, ERR_USER, EINVAL,
				"no policy can say trust full, which is named on the command "
				"line with each run");
		}
		if (v->set) {
			overrides[req.n_overrides++] = (struct policy_override){
				k->path, k->words[v->num].word, fitted[i].option};
		}
	}
	return policy_settle(&req, ret, e);
}

/* Where the key stands among those that decide; behind them all when it is none. */
static size_t place_of(enum key_id key)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(fitted) && fitted[i].key != key) {
		i++;
	}
	return i;
}

int new_settle(const struct new_policy *n, enum key_id key, struct settled *ret, struct err *e)
{
	return settle_some(n, place_of(key), ret, e);
}

static void find(struct new_policy *n, enum key_id key, bool weaker, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void find(struct new_policy *n, enum key_id key, bool weaker, const char *fmt, ...)
{
	struct new_finding *f = &n->findings[n->n_findings];
	va_list ap;

	if (n->n_findings == NEW_FINDINGS) {
		return;
	}
	*f = (struct new_finding){.key = key, .weaker = weaker};
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	n->n_findings++;
}

/* ---- fitting ---- */

/* The rules accept the first `count` answers, and this version can build a wall that is meant to
 * be weaker than what the trust level asks for. */
static int accepts(const struct new_policy *n, size_t count, struct err *e)
{
	_cleanup_(settled_done) struct settled s = {};
	int r = settle_some(n, count, &s, e);

	return r >= 0 && fitted[count - 1].key == KEY_TIER && s.tier < s.required
		       ? tier_available(&s, e)
		       : r;
}

/* Messages begin with the option, which whoever reads the document has never seen. */
static const char *reason(const struct err *e, const char *option)
{
	size_t len = strlen(option);

	return strncmp(e->msg, option, len) == 0 && strncmp(e->msg + len, ": ", 2) == 0
		       ? e->msg + len + 2
		       : e->msg;
}

int new_fit_key(struct new_policy *n, enum key_id key, struct err *e)
{
	const struct schema_key *k = &schema_keys[key];
	struct value *v = &n->answers.v[key];
	size_t i = place_of(key);
	const char *asked = i < ARRAY_SIZE(fitted) && v->set ? k->words[v->num].word : NULL;
	struct err first = {}, why = {};

	if (!asked || accepts(n, i + 1, &first) >= 0) {
		return 0;
	}
	while (v->num + (uint64_t)fitted[i].tighter < k->n_words) {
		v->num += (uint64_t)fitted[i].tighter;
		why = (struct err){};
		if (accepts(n, i + 1, &why) >= 0) {
			/* Left to the trust level, so that --accept-tier can still lower it. */
			v->set = key != KEY_TIER;
			find(n, key, false, "%s was asked for, and it is %s: %s", asked,
			     k->words[v->num].word, reason(&first, fitted[i].option));
			return 0;
		}
	}
	*e = first;
	return -first.code;
}

/* ---- finding ---- */

static void find_tier(struct new_policy *n, const struct settled *s)
{
	struct err why = {};

	if (tier_available(s, &why) < 0) {
		find(n, KEY_TIER, true, "it does not start: %s", reason(&why, "--tier"));
	} else if (s->tier == TIER_PROCESS) {
		find(n, KEY_TIER, true,
		     "the process tier has no view, network or /tmp of its own: it stands on the "
		     "host's "
		     "files, where one system call filter and Landlock are the wall; container has "
		     "more "
		     "walls where it runs");
	}
}

static void find_files(struct new_policy *n, const struct settled *s)
{
	if (s->policy.v[KEY_WORKSPACE_MODE].num == WORKSPACE_DIRECT) {
		find(n, KEY_WORKSPACE_MODE, true,
		     "direct changes the files themselves: there is no copy to review, and what it "
		     "destroys is gone");
	}
}

static void find_network(struct new_policy *n, const struct settled *s)
{
	if (!n->answers.v[KEY_NETWORK_ALLOW].set) {
		return;
	}
	if (s->policy.v[KEY_NETWORK_DEFAULT].num == NET_DEFAULT_NONE) {
		find(n, KEY_NETWORK_ALLOW, false,
		     "connections were asked for, and trust none has no network at all: it refuses "
		     "to run a policy with such rules");
	} else if (s->tier == TIER_PROCESS) {
		find(n, KEY_NETWORK_ALLOW, false,
		     "connections were asked for, and there is no network at all: the process tier "
		     "has none, and refuses to run a policy with such rules");
	} else {
		find(n, KEY_NETWORK_ALLOW, true,
		     "what it can read it can send there: each destination is one that has to be "
		     "trusted with it");
	}
}

static void find_variables(struct new_policy *n)
{
	const struct value *v = &n->answers.v[KEY_ENV];
	_cleanup_buf_ struct buf names = {};

	buf_init(&names, sizeof(n->findings[0].text) / 2);
	for (size_t i = 0; i < v->n_items; i++) {
		if (!v->items[i].text) {
			(void)buf_addf(&names, "%s%s", names.len > 0 ? ", " : "", v->items[i].name);
		}
	}
	if (names.len > 0) {
		find(n, KEY_ENV, true,
		     "it can read the caller's %s and give it away: this version has nothing that "
		     "would use a secret for it from outside",
		     buf_str(&names));
	}
}

static void find_programs(struct new_policy *n)
{
	if (n->answers.v[KEY_EXEC_ALLOW].set) {
		find(n, KEY_EXEC_ALLOW, true,
		     "the list is a guard-rail: an interpreter or a dynamic loader in it can still "
		     "run any code");
	}
}

static void find_mechanism(struct new_policy *n, const struct settled *s)
{
	if (s->policy.v[KEY_MECHANISM].num == MECHANISM_ANY) {
		find(n, KEY_MECHANISM, true,
		     "where the host offers no control group, memory is watched by sampling, which "
		     "code that tries can outrun; group refuses to start there");
	}
}

/* Time and room beyond what the trust level gives. */
static void find_longer(struct new_policy *n, const struct settled *s, enum key_id key)
{
	const struct value *v = &n->answers.v[key], *usual = &s->policy.v[key];
	_cleanup_buf_ struct buf text = {};

	buf_init(&text, 256);
	if (v->set && v->num > usual->num && setting_show(&schema_keys[key], usual, &text) >= 0) {
		find(n, key, true, "more than the %s that trust %s gives", buf_str(&text),
		     trust_name(s->trust));
	}
}

static void find_all(struct new_policy *n, const struct settled *s)
{
	if (s->trust == TRUST_HIGH) {
		find(n, KEY_TRUST, true, "high rests on the review alone: its limits are wide");
	}
	find_tier(n, s);
	find_files(n, s);
	find_network(n, s);
	find_variables(n);
	find_programs(n);
	find_mechanism(n, s);
	find_longer(n, s, KEY_SCRATCH);
	find_longer(n, s, KEY_WALL);
	find_longer(n, s, KEY_IDLE);
}

/* A value of ours, as if it had been answered. */
static void state(struct new_policy *n, enum key_id key, uint64_t num)
{
	if (!n->answers.v[key].set) {
		n->answers.v[key] = (struct value){.set = true, .num = num};
	}
}

int new_fit(struct new_policy *n, struct settled *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(fitted); i++) {
		r = new_fit_key(n, fitted[i].key, e);
	}
	if (r < 0 || (r = settle_some(n, ARRAY_SIZE(fitted), ret, e)) < 0) {
		return r;
	}
	find_all(n, ret);
	state(n, KEY_VERSION, POLICY_VERSION);
	state(n, KEY_PROVENANCE, (uint64_t)ret->provenance);
	state(n, KEY_TRUST, (uint64_t)ret->trust);
	/* Destinations are named, whatever the level would let through. */
	state(n, KEY_NETWORK_DEFAULT,
	      ret->policy.v[KEY_NETWORK_DEFAULT].num < NET_DEFAULT_DENY ? NET_DEFAULT_NONE
									: NET_DEFAULT_DENY);
	return 0;
}
