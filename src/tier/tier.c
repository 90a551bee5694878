/* SPDX-License-Identifier: Apache-2.0 */
/* The table of tiers. */
#include "tier/tier.h"

#include "base/err.h"
#include "policy/plan.h"
#include "tier/container/container.h"
#include "tier/process/process.h"

int tier_find(const struct plan *plan, const struct tier_ops **ret, struct err *e)
{
	if (plan->tier == TIER_CONTAINER) {
		*ret = &tier_container;
		return 0;
	}
	if (plan->tier == TIER_PROCESS) {
		*ret = &tier_process;
		return 0;
	}
	return err_set(e, ERR_POLICY, EOPNOTSUPP,
		       "this version has no %s tier; use --accept-tier container",
		       tier_name(plan->tier));
}
