/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of config.yaml, and which of two documents has the word. */
#include "policy/config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/load.h"
#include "policy/source.h"

#define SECOND 1000000000ULL

enum { CONFIG_VERSION, CONFIG_LEDGER, CONFIG_SETTLE, CONFIG_KEYS };

static const struct schema_key keys[CONFIG_KEYS] = {
	[CONFIG_VERSION] = {.path = "version", .type = TYPE_INT, .min = 1, .max = 1},
	[CONFIG_LEDGER] = {.path = "ledger", .type = TYPE_TEXT, .rule = MERGE_FREE},
	[CONFIG_SETTLE] = {.path = "settle_every",
			   .type = TYPE_DURATION,
			   .rule = MERGE_FREE,
			   .min = SECOND,
			   .max = 600 * SECOND},
};

struct document {
	char path[PATH_MAX];
	struct value v[CONFIG_KEYS];
};

static void document_done(struct document *d)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		value_done(&d->v[i]);
	}
}

static int check_ledger(const struct value *v, struct err *e)
{
	static const char *const schemes[] = {"postgres://", "postgresql://"};

	if (!v->set || strcmp(v->text, "sqlite") == 0) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strncmp(v->text, schemes[i], strlen(schemes[i])) == 0) {
			return 0;
		}
	}
	return origin_fail(&v->at, e, "ledger: expected 'sqlite' or 'postgres://HOST/DATABASE'");
}

static int load(struct document *d, char *const *environ, enum config_place place, struct err *e)
{
	int r = source_config(place, environ, d->path, keys, CONFIG_KEYS, d->v, e);
	struct origin start = {.layer = LAYER_FILE, .file = d->path, .line = 1, .column = 1};

	if (r <= 0) {
		return r;
	}
	if (!d->v[CONFIG_VERSION].set) {
		return origin_fail(&start, e, "version is missing; add 'version: 1'");
	}
	return check_ledger(&d->v[CONFIG_LEDGER], e);
}

int config_load(char *const *environ, struct config *ret, struct err *e)
{
	_cleanup_(document_done) struct document host = {}, own = {};
	const struct value *ledger = &host.v[CONFIG_LEDGER], *settle = &host.v[CONFIG_SETTLE];
	int r = load(&host, environ, CONFIG_OF_HOST, e);

	r = r < 0 ? r : load(&own, environ, CONFIG_OF_CALLER, e);
	if (r < 0) {
		return r;
	}
	ledger = ledger->set ? ledger : &own.v[CONFIG_LEDGER];
	settle = settle->set ? settle : &own.v[CONFIG_SETTLE];
	ret->settle = (int64_t)(settle->set ? settle->num : 10 * SECOND);
	ret->ledger = text_dup(ledger->set ? ledger->text : "sqlite");
	return ret->ledger ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

void config_done(struct config *c)
{
	free(c->ledger);
	c->ledger = NULL;
}
