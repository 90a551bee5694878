/* SPDX-License-Identifier: Apache-2.0 */
/* Signing trails. */
#include "keeper/seal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"
#include "keeper/account.h"
#include "keeper/anchor.h"
#include "keeper/state.h"
#include "record/checkpoint.h"
#include "record/key.h"
#include "record/reader.h"
#include "record/trail.h"
#include "record/verify.h"

/* What is sealed, and could not be anchored everywhere, says so, and that is sealed. */
static int note_failure(struct trail *t, const struct sign_key *key, const struct err *why,
			struct err *e)
{
	struct checkpoint c;
	int r = trail_add(t, "anchor_failed", json_pack("{s:o}", "why", json_text(why->msg)), e);

	return r < 0 ? r : checkpoint_add(t, key, &c, e);
}

enum seal_how {
	SEAL_MEANWHILE, /* nobody outside */
	SEAL_WAIT,      /* for whoever is outside */
	SEAL_LEAVE,     /* whoever is outside is told by a child that goes on alone */
};

static int by_number(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* The child of a keeper that has ended: it has the trail, and nothing else of it. */
static void go_alone(const struct trail *t)
{
	int keep[] = {t->dir, t->first, t->fd};
	unsigned from = 3;

	(void)setsid();
	qsort(keep, ARRAY_SIZE(keep), sizeof(keep[0]), by_number);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] > (int)from) {
			(void)close_range(from, (unsigned)keep[i] - 1, 0);
		}
		from = keep[i] >= (int)from ? (unsigned)keep[i] + 1 : from;
	}
	(void)close_range(from, ~0U, 0);
}

/* Tells who is outside, and the trail what came of it. */
static int tell_outside(struct trail *t, const struct sign_key *key, const struct checkpoint *c,
			enum seal_how how, struct err *e)
{
	_cleanup_free_ char *place = NULL;
	struct err why = {};
	pid_t child = -1;
	int r = anchor_place(&place, &why);

	if (r >= 0 && !place) {
		return 0;
	}
	if (r >= 0 && how == SEAL_LEAVE) {
		child = fork();
		if (child > 0) {
			return 0; /* it has the lock, and what it writes is the last */
		}
		if (child == 0) {
			go_alone(t);
		}
	}
	/* Where there can be no child, it takes as long as it takes. */
	r = r < 0 ? r : anchor_outside(place, t, c, &why);
	r = r < 0 ? note_failure(t, key, &why, e) : 0;
	if (how == SEAL_LEAVE && child == 0) {
		_exit(r < 0);
	}
	return r;
}

static int seal_now(const struct state *s, struct trail *t, enum seal_how how, struct err *e)
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
	/* A sandbox that runs, and whoever looks for the dead, have something else to do. */
	if (r >= 0 &&
	    anchor_in_ledger(s, t, &c, how == SEAL_MEANWHILE ? ACCOUNT_HURRY_MS : 0, &why) < 0) {
		r = note_failure(t, &key, &why, e);
	} else if (r >= 0 && how != SEAL_MEANWHILE) {
		r = tell_outside(t, &key, &c, how, e);
	}
	sign_key_done(&key);
	return r;
}

int seal(const struct state *s, struct trail *t, struct err *e)
{
	return seal_now(s, t, SEAL_LEAVE, e);
}

int seal_meanwhile(const struct state *s, struct trail *t, struct err *e)
{
	return seal_now(s, t, SEAL_MEANWHILE, e);
}

/* What stands there, also beside what was said of it elsewhere: a record that holds together may be
 * what is left of one. */
static int examine(const struct state *s, const char *sandbox, bool beside,
		   struct verify_report *ret, struct err *e)
{
	_cleanup_free_ struct verify_anchor *anchors = NULL;
	struct verify_trust trust = {};
	struct key_list keys;
	struct reader in;
	int r = key_list(s->home, &keys, e);

	trust.keys = keys.keys;
	trust.n_keys = r < 0 ? 0 : keys.n;
	if (r >= 0 && beside) {
		r = anchor_known(s, sandbox, &anchors, &trust.n_anchors, e);
		trust.anchors = anchors;
	}
	r = r < 0 ? r : reader_open(&in, s->trail, sandbox, e);
	if (r < 0) {
		return r;
	}
	r = verify_run(&in, &trust, NULL, NULL, ret, e);
	reader_close(&in);
	return r;
}

/*
 * Whether what stands there may be signed. Whoever cut something off, or made it anew, is not to
 * find it signed the next time that somebody adds to it, nor by putting back the directory of a
 * sandbox that has ended (SEAL_FIRST).
 */
static int may_seal(const struct state *s, const char *sandbox, enum seal_what what,
		    struct verify_report *report, struct err *e)
{
	int r;

	*report = (struct verify_report){};
	if (what == SEAL_ASKED) {
		return 1;
	}
	r = examine(s, sandbox, what == SEAL_FIRST, report, e);
	if (r < 0 || !report->good) {
		return r < 0 ? r : 0;
	}
	/* One that has had its seal has had its first. */
	return (what == SEAL_FIRST && !report->closed) || report->sealed == report->records;
}

int seal_event(const struct state *s, const char *sandbox, const char *event, json_t *data,
	       enum seal_what what, struct err *e)
{
	_cleanup_json_ json_t *taken = data;
	struct verify_report report;
	struct trail trail;
	struct err why = {};
	int r, may;

	if (!taken) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a trail event");
	}
	r = trail_resume(&trail, s->trail, sandbox, e);
	if (r < 0) {
		return r;
	}
	may = may_seal(s, sandbox, what, &report, &why);
	/* Ended well, and sealed: whoever says that it was found has put something there. */
	if (what == SEAL_FIRST && report.good && report.clean && report.closed) {
		trail_done(&trail);
		return 0;
	}
	r = trail_add(&trail, event, json_incref(taken), e);
	if (r >= 0 && may > 0) {
		/* Whoever looks for the dead has something else to do. */
		bool waits = what == SEAL_AGAIN || what == SEAL_ASKED;

		may = seal_now(s, &trail, waits ? SEAL_WAIT : SEAL_MEANWHILE, &why);
	}
	trail_done(&trail);
	/* As at the end of a sandbox: what was done is recorded, and 'atoll audit verify' says that
	 * it is not sealed. Nothing that has to go waits for a key. */
	if (r >= 0 && may < 0 && what == SEAL_ASKED) {
		r = err_set(e, why.kind, why.code, "%s", why.msg);
	}
	return r;
}
