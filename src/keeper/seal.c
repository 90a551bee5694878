/* SPDX-License-Identifier: Apache-2.0 */
/* Signing trails. */
#include "keeper/seal.h"

#include <errno.h>

#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"
#include "keeper/state.h"
#include "record/checkpoint.h"
#include "record/key.h"
#include "record/reader.h"
#include "record/trail.h"
#include "record/verify.h"

int seal(const struct state *s, struct trail *t, struct err *e)
{
	struct checkpoint c;
	struct sign_key key;
	int r = key_need(s->home, e);

	r = r < 0 ? r : key_load(s->home, &key, e);
	if (r < 0) {
		return r;
	}
	r = checkpoint_add(t, &key, &c, e);
	sign_key_done(&key);
	return r;
}

/* Whether what stands there may be signed. Whoever cut something off, or made it anew, is not to
 * find it signed the next time that somebody adds to it. */
static int may_seal(const struct state *s, const char *sandbox, enum seal_what what, struct err *e)
{
	struct verify_report report;
	struct key_list keys;
	struct reader in;
	int r;

	if (what == SEAL_ASKED) {
		return 1;
	}
	r = key_list(s->home, &keys, e);
	r = r < 0 ? r : reader_open(&in, s->trail, sandbox, e);
	if (r < 0) {
		return r;
	}
	r = verify_run(&in, &(struct verify_trust){.keys = keys.keys, .n_keys = keys.n}, NULL, NULL,
		       &report, e);
	reader_close(&in);
	return r < 0 ? r : report.good && (what == SEAL_FIRST || report.sealed == report.records);
}

int seal_event(const struct state *s, const char *sandbox, const char *event, json_t *data,
	       enum seal_what what, struct err *e)
{
	_cleanup_json_ json_t *taken = data;
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
	may = may_seal(s, sandbox, what, &why);
	r = trail_add(&trail, event, json_incref(taken), e);
	if (r >= 0 && may > 0) {
		may = seal(s, &trail, &why);
	}
	trail_done(&trail);
	/* As at the end of a sandbox: what was done is recorded, and 'atoll audit verify' says that
	 * it is not sealed. Nothing that has to go waits for a key. */
	if (r >= 0 && may < 0 && what == SEAL_ASKED) {
		r = err_set(e, why.kind, why.code, "%s", why.msg);
	}
	return r;
}
