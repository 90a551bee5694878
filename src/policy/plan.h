/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: a policy resolved against this host. Every default is filled in, every path is
 * canonical, the tier is decided. It is the only input of the tiers, and what the receipt is
 * compared with. It travels from the front to the keeper, and is printed, as one JSON document.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/digest.h"
#include "policy/plan-limits.h"
#include "policy/work.h"

struct err;

/* Destinations: as many as a policy has elements in a list, and those of network.default. */
#define PLAN_NET_MAX 272

enum trust { TRUST_NONE, TRUST_LOW, TRUST_MEDIUM, TRUST_HIGH, TRUST_FULL };
enum provenance { PROVENANCE_REVIEWED, PROVENANCE_AGENT, PROVENANCE_EXTERNAL };
enum tier { TIER_NONE, TIER_PROCESS, TIER_CONTAINER, TIER_MICROVM }; /* weakest first */
enum copy_by { COPY_BY_OVERLAY, COPY_BY_FILES };
enum syscall_profile { SYSCALLS_FILE, SYSCALLS_STRICT, SYSCALLS_DEFAULT, SYSCALLS_NESTED };
enum denials_rule { DENIALS_END, DENIALS_RECORD }; /* strictest first */
/* Strictest first: ESCAPE_LOWER does all that ESCAPE_STOP does. */
enum escape_rule { ESCAPE_LOWER, ESCAPE_STOP, ESCAPE_PAUSE, ESCAPE_NOTE };
enum durability { DURABILITY_POWER, DURABILITY_PROCESS }; /* strictest first */
/* strictest first */
enum net_default { NET_DEFAULT_NONE, NET_DEFAULT_DENY, NET_DEFAULT_ALLOW, NET_DEFAULT_OPEN };

struct plan;

/* There is a gateway: something may be connected to, or is to be known. */
bool plan_has_gateway(const struct plan *p);

/* The words of a policy document for the enumerations above; "?" outside the range. */
const char *trust_name(enum trust t);
const char *provenance_name(enum provenance p);
const char *tier_name(enum tier t);
const char *workspace_mode_name(enum workspace_mode m);
const char *syscall_profile_name(enum syscall_profile p);
const char *limit_mechanism_name(enum limit_mechanism m);

struct plan_identity {
	uid_t uid; /* inside; equals the caller's unless the caller is root, then 1000 */
	gid_t gid;
	bool from_root; /* the keeper must map an otherwise unused host id */
	char *user;     /* name for the synthesised passwd */
	char *home;     /* absolute; an empty scratch directory inside */
};

/*
 * Strings and arrays belong to the plan and are released by plan_done(). `env` holds NAME=VALUE
 * strings and is NULL-terminated, ready for execve(2); n_env does not count the terminator.
 */
struct plan {
	char *name;
	enum trust trust;
	enum provenance provenance;
	enum tier tier;
	bool tier_accepted; /* weaker than the trust level asks, accepted by name */

	struct plan_path workspace; /* path NULL when the mode is WORKSPACE_NONE */
	enum workspace_mode workspace_mode;
	enum copy_by copy_by; /* of all copies */
	struct plan_more more[PLAN_MORE_MAX];
	size_t n_more;
	struct plan_path *read; /* read-only paths: policy and toolchain prefixes */
	size_t n_read;

	char **deny; /* filesystem.deny, each absolute (policy/deny.h) */
	size_t n_deny;

	enum net_default net_default;
	/* What may be connected to, each as destination_text() has it (policy/hostname.h): of
	 * network.allow, and by default. Empty: there is no gateway. */
	char **net;
	size_t n_net;
	char **net_deny; /* network.deny, canonical hosts */
	size_t n_net_deny;
	bool learn; /* of what is refused, hosts and ports are to be known */

	bool exec_any;          /* no execution.allow: any file that the view shows */
	struct plan_path *exec; /* files, or directories whose files may be executed */
	size_t n_exec;

	enum syscall_profile syscalls;
	enum denials_rule denials; /* what the first refusal does */
	struct plan_limits limits;
	struct plan_identity identity;
	char **env;
	size_t n_env;
	/* The names of those whose values are the caller's own. They may be secrets: no JSON of a
	 * plan, and so no record, has the values. */
	char **inherited;
	size_t n_inherited;
	bool env_fixed; /* a document declares them: a command that comes later adds none */
	uint64_t log;   /* bytes of output that a sandbox that lives keeps; 0: none */

	char *owner; /* governance, recorded in the trail; NULL when undeclared */
	char *account;
	char *agent; /* whose trust the ledger may have lowered */
	char *purpose;
	char *review;  /* how often, a word */
	char **scopes; /* kinds of data */
	size_t n_scopes;
	enum escape_rule escape; /* what follows where one is suspected */
	uint32_t escape_threshold;
	enum durability durability; /* of the trail */
	uint64_t expires; /* ns from its start until it ends and its copy goes; 0: not said */

	char **notes; /* facts the user should see, one sentence each */
	size_t n_notes;

	char policy_digest[DIGEST_HEX_SIZE]; /* of the merged policy's canonical JSON */
	/* Both document.h's, for the record, and not part of the plan as JSON. */
	json_t *policy, *origins;
};

void plan_done(struct plan *p);

/* A copy of the workspace that the kernel bounds, where limits of the keeper's own are not good
 * enough; else the keeper looks. */
static inline bool plan_bounds_copy(const struct plan *p)
{
	return plan_has_copy(p) && p->limits.mechanism == MECHANISM_GROUP;
}

/* The plan as JSON, and back. plan_from_json() trusts nothing: every member is checked. */
json_t *plan_to_json(const struct plan *p);
int plan_from_json(const json_t *j, struct plan *ret, struct err *e);

/* The values of `inherited`, {NAME: value}, NULL: out of memory; and back into a plan from JSON. */
json_t *plan_values(const struct plan *p);
int plan_take_values(struct plan *p, const json_t *values, struct err *e);

/* SHA-256 over the canonical JSON of the plan. 0 or -ENOMEM. */
int plan_digest(const struct plan *p, char out[DIGEST_HEX_SIZE]);
