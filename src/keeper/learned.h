/* SPDX-License-Identifier: Apache-2.0 */
/* What a sandbox would need of the network (`atoll run --learn`): the rules that would have let
 * through what it tried, or that it uses where everything is let through. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "gateway/protocol.h"

struct plan;

#define LEARNED_MAX 256 /* as many as a plan can have */

struct learned {
	char **rules; /* each as destination_text() has it */
	size_t n;
	bool more; /* there were others */
};

void learned_done(struct learned *l);

/* Something was refused, in the gateway's words; a rule of the plan that names it all the same is
 * what is widened. 0, or -ENOMEM. */
int learned_refused(struct learned *l, const struct plan *plan, enum gateway_denial why,
		    const char *host, uint16_t port);

/* Something was let through because everything is, by such a rule. 0, or -ENOMEM. */
int learned_allowed(struct learned *l, const char *rule, const char *host);

/* An array of texts, sorted. NULL: out of memory. The caller owns it. */
json_t *learned_to_json(const struct learned *l);
