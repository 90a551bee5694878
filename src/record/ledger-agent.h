/* SPDX-License-Identifier: Apache-2.0 */
/* Agents in the ledger: how much trust one may have at most (ledger-agent.c). */
#pragma once

#include <stdint.h>

struct err;
struct ledger;

/* Levels of trust, as numbers: as enum trust has them. */
#define LEDGER_TRUST_FULL 4

struct ledger_agent {
	int64_t ceiling; /* LEDGER_TRUST_FULL: there is none */
	int64_t time_ms;
	char why[256];
};

/* What an agent may have at most. */
int ledger_agent(struct ledger *l, const char *agent, struct ledger_agent *ret, struct err *e);

/* One level below what a sandbox of it had; *ret_from is that, within the ceiling that there was.
 */
int ledger_agent_lower(struct ledger *l, const char *agent, int64_t trust, const char *who,
		       const char *why, int64_t *ret_from, int64_t *ret_to, struct err *e);
