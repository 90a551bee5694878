/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of a trail that goes on (config.yaml, checkpoint_every): of a sandbox that lives for
 * days, what happened by then is signed and anchored in the ledger before its end. Only where there
 * is something new; and what cannot be signed does not go on.
 */
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/seal.h"
#include "policy/config.h"

extern char **environ;

/* After the start, where nobody waits for it. */
static void begin(struct keeper *k)
{
	struct config config = {};
	struct err why = {};
	int r = config_load(environ, &config, &why);

	k->checkpoint_ns = -1;
	if (r < 0) {
		(void)keeper_record(k, "anchor_failed",
				    json_pack("{s:o}", "why", json_text(why.msg)),
				    k->error.code ? NULL : &k->error);
	}
	if (r >= 0 && config.checkpoint > 0) {
		k->checkpoint_ns = config.checkpoint;
		k->checkpoint_due_ns = clock_now_ns() + config.checkpoint;
	}
	config_done(&config);
}

int64_t keeper_checkpoint(struct keeper *k)
{
	int64_t now = clock_now_ns();

	if (k->checkpoint_ns == 0) {
		begin(k);
	}
	if (k->checkpoint_ns < 0) {
		return INT64_MAX;
	}
	if (now >= k->checkpoint_due_ns) {
		if (k->trail.seq > k->signed_seq &&
		    seal_meanwhile(&k->state, &k->trail, k->error.code ? NULL : &k->error) >= 0) {
			k->signed_seq = k->trail.seq;
		}
		k->checkpoint_due_ns = now + k->checkpoint_ns;
	}
	return k->checkpoint_due_ns;
}
