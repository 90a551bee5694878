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
	char *ledger;   /* "sqlite", or postgres://...; never NULL */
	int64_t settle; /* ns between two settlements of a sandbox's account */
};

int config_load(char *const *environ, struct config *ret, struct err *e);
void config_done(struct config *c);
