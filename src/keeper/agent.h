/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent that runs in a sandbox (governance.agent), and what the ledger says of its trust. It
 * starts with no more than that, and not at all where the ledger cannot be asked. Where an escape
 * is suspected in it, `governance.escape: lower` ends the sandbox first, and then lowers what the
 * agent may have in all that start later.
 */
#pragma once

struct err;
struct keeper;

/* Before anything of the payload runs. */
int agent_check(struct keeper *k, struct err *e);

/* When nothing of it runs any more. The record says what came of it. */
int agent_lower(struct keeper *k, struct err *e);
