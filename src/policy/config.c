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

enum {
	CONFIG_VERSION,
	CONFIG_LEDGER,
	CONFIG_SETTLE,
	CONFIG_ANCHOR,
	CONFIG_CHECKPOINT,
	CONFIG_KEEP,
	CONFIG_KEYS
};

static const struct schema_key keys[CONFIG_KEYS] = {
	[CONFIG_VERSION] = {.path = "version", .type = TYPE_INT, .min = 1, .max = 1},
	[CONFIG_LEDGER] = {.path = "ledger", .type = TYPE_TEXT, .rule = MERGE_FREE},
	[CONFIG_SETTLE] = {.path = "settle_every",
			   .type = TYPE_DURATION,
			   .rule = MERGE_FREE,
			   .min = SECOND,
			   .max = 600 * SECOND},
	[CONFIG_ANCHOR] = {.path = "anchor", .type = TYPE_TEXT, .rule = MERGE_FREE},
	[CONFIG_CHECKPOINT] = {.path = "checkpoint_every",
			       .type = TYPE_DURATION,
			       .rule = MERGE_FREE,
			       .min = SECOND,
			       .max = 86400 * SECOND},
	[CONFIG_KEEP] = {.path = "trail_keep",
			 .type = TYPE_DURATION,
			 .rule = MERGE_FREE,
			 .min = 3600 * SECOND,
			 .max = 36500 * 86400ULL * SECOND},
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
	static const char *const schemes[] = {"postgres://", "postgresql://", "unix:/"};

	if (!v->set || strcmp(v->text, "sqlite") == 0 || strcmp(v->text, "system") == 0) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strncmp(v->text, schemes[i], strlen(schemes[i])) == 0) {
			return 0;
		}
	}
	return origin_fail(&v->at, e,
			   "ledger: expected 'sqlite', 'system', 'unix:/PATH' or "
			   "'postgres://HOST/DATABASE'");
}

static int check_anchor(const struct value *v, struct err *e)
{
	static const char *const schemes[] = {"file:/", "command:", "https://", "http://"};

	for (size_t i = 0; v->set && i < ARRAY_SIZE(schemes); i++) {
		if (strncmp(v->text, schemes[i], strlen(schemes[i])) == 0 &&
		    v->text[strlen(schemes[i])] != '\0') {
			return 0;
		}
	}
	return v->set ? origin_fail(&v->at, e,
				    "anchor: expected 'file:/PATH', 'command:COMMAND' or "
				    "'https://HOST/PATH'")
		      : 0;
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
	r = check_ledger(&d->v[CONFIG_LEDGER], e);
	return r < 0 ? r : check_anchor(&d->v[CONFIG_ANCHOR], e);
}

/* What the host says, or else the caller. */
static const struct value *word_of(const struct document *host, const struct document *own,
				   size_t key)
{
	return host->v[key].set ? &host->v[key] : &own->v[key];
}

int config_load(char *const *environ, struct config *ret, struct err *e)
{
	_cleanup_(document_done) struct document host = {}, own = {};
	const struct value *ledger, *settle, *anchor;
	int r = load(&host, environ, CONFIG_OF_HOST, e);

	r = r < 0 ? r : load(&own, environ, CONFIG_OF_CALLER, e);
	if (r < 0) {
		return r;
	}
	ledger = word_of(&host, &own, CONFIG_LEDGER);
	settle = word_of(&host, &own, CONFIG_SETTLE);
	anchor = word_of(&host, &own, CONFIG_ANCHOR);
	ret->checkpoint = (int64_t)word_of(&host, &own, CONFIG_CHECKPOINT)->num;
	ret->keep = (int64_t)word_of(&host, &own, CONFIG_KEEP)->num;
	if (anchor->set && !(ret->anchor = text_dup(anchor->text))) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	ret->settle = (int64_t)(settle->set ? settle->num : 10 * SECOND);
	ret->ledger = text_dup(ledger->set ? ledger->text : "sqlite");
	return ret->ledger ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

void config_done(struct config *c)
{
	free(c->ledger);
	free(c->anchor);
	*c = (struct config){};
}
