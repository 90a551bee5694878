/* SPDX-License-Identifier: Apache-2.0 */
/* Between a sandbox's agent and the ledger. */
#include "keeper/agent.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "keeper/account.h"
#include "keeper/keeper-internal.h"
#include "record/ledger-agent.h"
#include "record/ledger.h"

_Static_assert(TRUST_FULL == LEDGER_TRUST_FULL, "levels are numbered alike");

/* A level that a ledger of ours can have. */
static enum trust level(int64_t n)
{
	return n < 0 ? TRUST_NONE : n > TRUST_FULL ? TRUST_FULL : (enum trust)n;
}

int agent_check(struct keeper *k, struct err *e)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	const char *agent = k->plan.agent;
	char since[CLOCK_TEXT_SIZE];
	struct ledger_agent a;
	int r;

	if (!agent) {
		return 0;
	}
	r = account_open_ledger(k->state.home, &l, NULL, e);
	r = r < 0 ? r : ledger_agent(l, agent, &a, e);
	if (r < 0) {
		return err_wrap(e, "what trust agent '%s' may have cannot be found out", agent);
	}
	if ((int64_t)k->plan.trust <= a.ceiling) {
		return 0;
	}
	clock_format(NULL, a.time_ms / 1000, 0, since);
	return err_set(e, ERR_POLICY, EPERM,
		       "agent '%s' may have trust '%s' at most since %.10s, and not '%s' (%s); use "
		       "--trust %s, or look at what it did and give its trust back with 'atoll "
		       "account restore %s --why TEXT'",
		       agent, trust_name(level(a.ceiling)), since, trust_name(k->plan.trust), a.why,
		       trust_name(level(a.ceiling)), agent);
}

int agent_lower(struct keeper *k, struct err *e)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	const char *agent = k->plan.agent;
	char why[128], who[32];
	struct err failed = {};
	int64_t from = k->plan.trust, to = 0;
	int r = account_open_ledger(k->state.home, &l, NULL, &failed), n;

	(void)snprintf(why, sizeof(why), "an escape was suspected in sandbox %s", k->home.id);
	(void)snprintf(who, sizeof(who), "uid:%u", (unsigned)getuid());
	r = r < 0 ? r
		  : ledger_agent_lower(l, agent, (int64_t)k->plan.trust, who, why, &from, &to,
				       &failed);
	n = keeper_record(k, "trust.lowered",
			  json_pack("{s:s, s:s, s:s*, s:o*}", "agent", agent, "from",
				    trust_name(level(from)), "to",
				    r < 0 ? NULL : trust_name(level(to)), "why",
				    r < 0 ? json_text(failed.msg) : NULL),
			  e);
	if (r < 0) {
		if (e) {
			*e = failed;
		}
		return err_wrap(e, "the trust of agent '%s' could not be lowered", agent);
	}
	return n;
}
