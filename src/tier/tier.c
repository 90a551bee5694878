/* SPDX-License-Identifier: Apache-2.0 */
/* The table of tiers. */
#include "tier/tier.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/plan.h"
#include "tier/container/container.h"
#include "tier/none/none.h"
#include "tier/process/process.h"

int tier_find(const struct plan *plan, const struct tier_ops **ret, struct err *e)
{
	static const struct tier_ops *const tiers[] = {
		[TIER_NONE] = &tier_none,
		[TIER_PROCESS] = &tier_process,
		[TIER_CONTAINER] = &tier_container,
	};

	if (plan->tier < ARRAY_SIZE(tiers)) {
		*ret = tiers[plan->tier];
		return 0;
	}
	return err_set(e, ERR_POLICY, EOPNOTSUPP,
		       "this version has no %s tier; use --accept-tier container",
		       tier_name(plan->tier));
}
