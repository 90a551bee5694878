/* SPDX-License-Identifier: Apache-2.0 */
/* Signing trails. */
#include "keeper/seal.h"

#include <errno.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"
#include "keeper/anchor.h"
#include "keeper/state.h"
#include "record/checkpoint.h"
#include "record/key.h"
#include "record/trail.h"

/* What is sealed, and could not be anchored everywhere, says so, and that is sealed. */
static int note_failure(struct trail *t, const struct sign_key *key, const struct err *why,
			struct err *e)
{
	struct checkpoint c;
	int r = trail_add(t, "anchor_failed", json_pack("{s:o}", "why", json_text(why->msg)), e);

	return r < 0 ? r : checkpoint_add(t, key, &c, e);
}

static int seal_now(const struct state *s, struct trail *t, bool wait, struct err *e)
{
	struct checkpoint c;
	struct sign_key key;
	struct err why = {};
	int r = key_need(s->home, e);

	r = r < 0 ? r : key_load(s->home, &key, e);
	if (r < 0) {
		return r;
	}
	r = checkpoint_add(t, &key, &c, e);
	if (r >= 0 && anchor_trail(s, t, &c, wait, &why) < 0) {
		r = note_failure(t, &key, &why, e);
	}
	sign_key_done(&key);
	return r;
}

int seal(const struct state *s, struct trail *t, struct err *e)
{
	return seal_now(s, t, true, e);
}

int seal_meanwhile(const struct state *s, struct trail *t, struct err *e)
{
	return seal_now(s, t, false, e);
}

int seal_event(const struct state *s, const char *sandbox, const char *event, json_t *data,
	       struct err *e)
{
	_cleanup_json_ json_t *taken = data;
	struct trail trail;
	int r;

	if (!taken) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	r = trail_resume(&trail, s->trail, sandbox, e);
	if (r < 0) {
		return r;
	}
	r = trail_add(&trail, event, json_incref(taken), e);
	r = r < 0 ? r : seal(s, &trail, e);
	trail_done(&trail);
	return r;
}
