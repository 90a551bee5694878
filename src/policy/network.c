/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says of the network: whether it can be done, and what the plan has of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/address.h"
#include "policy/hostname.h"
#include "policy/plan-internal.h"
#include "policy/schema.h"
#include "policy/settle.h"
#include "policy/value.h"

/* Where every host may be connected to (network.default: allow): remote shells, the web, mail as
 * clients send and read it, databases, git. The documentation of the key lists them. */
static const uint16_t usual_ports[] = {22,   80,   443,  587,  993,  3306,
				       5432, 6379, 8080, 8443, 9418, 27017};

static bool has_no_connections(const struct settled *s)
{
	return s->tier == TIER_PROCESS || s->policy.v[KEY_SYSCALLS].num < SYSCALLS_DEFAULT;
}

static bool is_any(const char *rule)
{
	struct destination d;
	struct err ignored = {};

	return destination_parse(rule, &d, &ignored) >= 0 && strcmp(d.host, "*") == 0;
}

/* Of layers above this one. */
static void drop_any(struct value *rules, enum layer below)
{
	size_t n = 0;

	for (size_t i = 0; i < rules->n_items; i++) {
		if (rules->items[i].at.layer < below && is_any(rules->items[i].text)) {
			free(rules->items[i].text);
		} else {
			rules->items[n++] = rules->items[i];
		}
	}
	rules->n_items = n;
}

bool network_reaches(const struct settled *s)
{
	return s->policy.v[KEY_NETWORK_ALLOW].n_items > 0 ||
	       s->policy.v[KEY_NETWORK_DEFAULT].num == NET_DEFAULT_ALLOW;
}

void network_settle(struct settled *s)
{
	struct value *word = &s->policy.v[KEY_NETWORK_DEFAULT];
	struct value *rules = &s->policy.v[KEY_NETWORK_ALLOW];

	/* The host's own network is where there is no wall. */
	if (word->num == NET_DEFAULT_OPEN && word->at.layer == LAYER_PROFILE &&
	    s->tier != TIER_NONE) {
		word->num = NET_DEFAULT_ALLOW;
	}
	/* Nobody has asked for it by name, and it cannot be. */
	if (word->num == NET_DEFAULT_ALLOW && word->at.layer == LAYER_PROFILE &&
	    has_no_connections(s)) {
		word->num = NET_DEFAULT_DENY;
	}
	/* Rules for every host go with the word that they need. */
	if (word->num < NET_DEFAULT_ALLOW && word->at.layer != LAYER_PROFILE) {
		drop_any(rules, word->at.layer);
	}
	/* Whoever says none says it to the layers above, too. */
	if (word->num == NET_DEFAULT_NONE && word->at.layer != LAYER_PROFILE &&
	    rules->n_items > 0 && rules->items[0].at.layer < word->at.layer) {
		value_done(rules);
	}
}

/* Rules, or a default that stands for some, where nothing can be connected to. */
static int refuse_all(const struct settled *s, const struct origin *at, const char *what,
		      struct err *e)
{
	const struct value *calls = &s->policy.v[KEY_SYSCALLS];

	if (s->tier == TIER_PROCESS) {
		return origin_fail(at, e,
				   "%s: the process tier has no network of its own, so it has none "
				   "at all; use tier container, or leave this out",
				   what);
	}
	return origin_fail(at, e,
			   "%s: execution.syscalls is '%s', which has no connections; use default, "
			   "or leave this out",
			   what, schema_keys[KEY_SYSCALLS].words[calls->num].word);
}

static int check_rule(const struct settled *s, const struct item *it, struct err *e)
{
	if (is_any(it->text) && s->policy.v[KEY_NETWORK_DEFAULT].num != NET_DEFAULT_ALLOW) {
		return origin_fail(
			&it->at, e,
			"network.allow: '%s' is every host; that is for network.default: "
			"allow, which trust high has",
			it->text);
	}
	return 0;
}

int network_available(const struct settled *s, struct err *e)
{
	const struct value *rules = &s->policy.v[KEY_NETWORK_ALLOW];
	const struct value *word = &s->policy.v[KEY_NETWORK_DEFAULT];

	if (s->tier == TIER_NONE) {
		return 0; /* full_available() has looked */
	}
	if (word->num == NET_DEFAULT_OPEN) {
		return origin_fail(&word->at, e,
				   "network.default: 'open' is the host's own network, which tier "
				   "%s does not share; use allow, or leave the tier out",
				   tier_name(s->tier));
	}
	if (word->num == NET_DEFAULT_ALLOW && has_no_connections(s)) {
		return refuse_all(s, &word->at, "network.default", e);
	}
	if (rules->n_items == 0) {
		return 0;
	}
	if (has_no_connections(s)) {
		return refuse_all(s, &rules->items[0].at, "network.allow", e);
	}
	if (word->num == NET_DEFAULT_NONE) {
		return origin_fail(&rules->items[0].at, e,
				   "network.allow: network.default is 'none', which has no "
				   "destinations; use deny, or leave the rules out");
	}
	for (size_t i = 0; i < rules->n_items; i++) {
		if (check_rule(s, &rules->items[i], e) < 0) {
			return -e->code;
		}
	}
	return 0;
}

int network_learns(const struct settled *s, bool learn, struct plan *p, struct err *e)
{
	const struct origin at = {.layer = LAYER_OPTION, .option = "--learn"};

	if (learn && s->tier == TIER_NONE) {
		return origin_fail(&at, e,
				   "tier none has no gateway, which alone could say what is "
				   "needed; use a lower trust");
	}
	if (learn && has_no_connections(s)) {
		return refuse_all(s, &at, "what it would connect to cannot be known", e);
	}
	if (learn && s->policy.v[KEY_NETWORK_DEFAULT].num == NET_DEFAULT_NONE) {
		return origin_fail(&at, e, "network.default is 'none', which no rule widens");
	}
	p->learn = learn;
	return 0;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/*
 * Destinations. An address that is nobody's on the Internet has to be meant: a name that leads to
 * one is refused by the gateway unless its rule says so, and an address that is written down here.
 */
static int add_rules(const struct value *v, struct plan *p, struct err *e)
{
	for (size_t i = 0; i < v->n_items; i++) {
		const struct item *it = &v->items[i];
		struct destination d;
		struct address a;
		int r = destination_parse(it->text, &d, e);

		if (r < 0) {
			return r;
		}
		if (address_parse(d.host, &a) && address_special(&a) && !d.private_) {
			return origin_fail(
				&it->at, e,
				"network.allow: '%s' is %s; write '%s,private' (or private: "
				"true) if it is meant",
				it->text, address_special(&a), it->text);
		}
		if (strings_add(&p->net, &p->n_net, text_dup(it->text)) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}

/* Every host at the usual ports, where no rule says something of every host at that port. */
static int add_usual(struct plan *p, struct err *e)
{
	size_t n = p->n_net;

	for (size_t i = 0; i < ARRAY_SIZE(usual_ports); i++) {
		struct destination d;
		struct err ignored = {};
		char text[16];
		bool there = false;

		for (size_t j = 0; j < n && !there; j++) {
			there = destination_parse(p->net[j], &d, &ignored) >= 0 &&
				strcmp(d.host, "*") == 0 && d.port == usual_ports[i];
		}
		(void)snprintf(text, sizeof(text), "*:%u", (unsigned)usual_ports[i]);
		if (!there && strings_add(&p->net, &p->n_net, text_dup(text)) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}

int plan_network(const struct settled *s, struct plan *p, struct err *e)
{
	const struct value *v = s->policy.v;
	const struct value *deny = &v[KEY_NETWORK_DENY];
	int r = add_rules(&v[KEY_NETWORK_ALLOW], p, e);

	p->net_default = (enum net_default)v[KEY_NETWORK_DEFAULT].num;
	p->limits.net = (struct plan_net_limits){
		.connections = (uint32_t)v[KEY_NETWORK_CONNECTIONS].num,
		.bytes = v[KEY_NETWORK_BYTES].num,
		.host_bytes = v[KEY_NETWORK_HOST_BYTES].num,
		.requests = (uint32_t)v[KEY_NETWORK_REQUESTS].num,
		.cooldown = (int64_t)v[KEY_COOLDOWN].num,
	};
	if (r >= 0 && p->net_default == NET_DEFAULT_ALLOW) {
		r = add_usual(p, e);
	}
	for (size_t i = 0; i < deny->n_items && r >= 0; i++) {
		r = strings_add(&p->net_deny, &p->n_net_deny, text_dup(deny->items[i].text)) < 0
			    ? no_memory(e)
			    : 0;
	}
	if (r >= 0 && (p->n_net > PLAN_NET_MAX || p->n_net_deny > PLAN_NET_MAX)) {
		return origin_fail(&(p->n_net > PLAN_NET_MAX ? &v[KEY_NETWORK_ALLOW] : deny)->at, e,
				   "network: more than %d hosts", PLAN_NET_MAX);
	}
	return r;
}
