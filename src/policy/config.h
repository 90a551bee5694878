/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.yaml: what is set for all sandboxes of a host or of a user, and is no matter of a policy.
 *
 * /etc/atoll/config.yaml comes first, then the caller's own ($XDG_CONFIG_HOME/atoll/config.yaml,
 * else ~/.config/atoll/config.yaml; root has none): a key that the first one gives, the second one
 * cannot change. Neither need exist. A document is read as strictly as a policy.
 */
#pragma once

#include <stdint.h>

struct err;

struct config {
	char *ledger;   /* "sqlite", "system", unix:/PATH, or postgres://...; never NULL */
	int64_t settle; /* ns between two settlements of a sandbox's account */
	char *anchor; /* file:PATH, command:LINE, or a URL; NULL: trails are anchored in the ledger
			 alone */
	int64_t checkpoint; /* ns between two checkpoints of a trail; 0: one, at its end */
	int64_t keep;       /* ns until the trail of a sandbox that is gone is removed; 0: never */
};

int config_load(char *const *environ, struct config *ret, struct err *e);
void config_done(struct config *c);
