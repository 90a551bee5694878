/* SPDX-License-Identifier: Apache-2.0 */
/* A kept copy and what is different in it, as lines and as words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/copies.h"
#include "keeper/name.h"
#include "keeper/reap.h"
#include "keeper/seal.h"
#include "workspace/summary.h"
#include "workspace/apply.h"
#include "workspace/select.h"

/* How often a copy that changes meanwhile is walked over again. */
#define RUNNING_TRIES 5

int review_open(struct review *r, const char *id, struct err *e)
{
	char found[STATE_ID_SIZE];
	int n;

	*r = REVIEW_NONE;
	n = state_open(&r->state, e);
	n = n < 0 ? n : name_find(&r->state, id, found, e);
	n = n < 0 ? n : kept_open(&r->state, found, &r->kept, e);
	if (n == -EBUSY) {
		/* Its keeper may be dead, and nobody has looked since. */
		kept_done(&r->kept);
		n = reap_sandbox(&r->state, found, e);
		n = n < 0 ? n : kept_open(&r->state, found, &r->kept, e);
	}
	return n;
}

int review_open_any(struct review *r, const char *id, struct err *e)
{
	char found[STATE_ID_SIZE];
	int n = review_open(r, id, e), again;

	/* It may end between the two questions. */
	for (again = 0; n == -EBUSY && again < 2; again++) {
		struct kept running = {};
		struct err why = {};
		int m = name_find(&r->state, id, found, &why);

		m = m < 0 ? m : kept_watch(&r->state, found, &running, &why);
		if (m == -ENOENT) {
			kept_done(&running);
			kept_done(&r->kept);
			n = kept_open(&r->state, found, &r->kept, e);
			continue;
		}
		kept_done(&r->kept);
		r->kept = running;
		return m < 0 ? err_set(e, why.kind, why.code, "sandbox '%s' is running: %s", id,
				       why.msg)
			     : 0;
	}
	return n;
}

int review_advise(const struct review *r, struct err *e)
{
	return r->kept.running
		       ? err_advise(e, "the sandbox is running and may have changed it meanwhile: "
				       "try again, or hold it still with 'atoll pause'")
		       : -e->code;
}

/* A payload that is at work may take away what was just listed. */
static int find(struct review *r, const struct change_view *view, bool renames, struct err *e)
{
	int tries = 0, n;

	do {
		n = changes_find(r->kept.original, r->kept.upper, view, renames, &r->changes, e);
	} while (n < 0 && n != -ENOMEM && n != -E2BIG && r->kept.running &&
		 ++tries < RUNNING_TRIES);
	return n < 0 ? review_advise(r, e) : n;
}

int review_find(struct review *r, bool renames, struct err *e)
{
	const struct change_view view = {.rules = &r->kept.denied,
					 .workspace = r->kept.workspace,
					 .begun_ns = r->kept.begun_ns,
					 .made_ns = r->kept.made_ns,
					 .dirs = &r->kept.dirs};
	struct apply a = review_apply(r);
	/* What an apply has left that was killed: nobody else is at work on the copy. */
	int n = r->kept.running ? 0 : apply_clean(&a, e);

	hazards_done(&r->hazards);
	changes_done(&r->changes);
	return n < 0 ? n : find(r, &view, renames, e);
}

int review_select(struct review *r, char *const *paths, size_t n, struct err *e)
{
	const char *unknown = NULL;

	if (changes_select(&r->changes, paths, n, &unknown) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (unknown) {
		return err_set(e, ERR_USER, ENOENT, "nothing is different at '%s'", unknown);
	}
	return hazards_find(&r->changes, r->kept.upper, getenv("PATH"), &r->hazards, e);
}

void review_done(struct review *r)
{
	hazards_done(&r->hazards);
	changes_done(&r->changes);
	kept_done(&r->kept);
	state_done(&r->state);
}

struct apply review_apply(const struct review *r)
{
	return (struct apply){.original = r->kept.original,
			      .upper = r->kept.upper,
			      .journal = r->kept.home.dir,
			      .id = r->kept.home.id,
			      .begun_ns = r->kept.begun_ns};
}

int review_refuse_pending(const struct review *r, struct err *e)
{
	return apply_pending(r->kept.home.dir)
		       ? err_set(e, ERR_USER, EBUSY,
				 "an apply of sandbox %s was interrupted; finish it with 'atoll "
				 "apply --continue %s', or undo it with 'atoll apply --undo %s'",
				 r->kept.home.id, r->kept.home.id, r->kept.home.id)
		       : 0;
}

static void add_name(struct buf *out, const char *name)
{
	(void)utf8_neutralise(out, name, strlen(name));
}

static const char *type_word(mode_t mode)
{
	return S_ISREG(mode)    ? "file"
	       : S_ISDIR(mode)  ? "directory"
	       : S_ISLNK(mode)  ? "link"
	       : S_ISFIFO(mode) ? "fifo"
	       : S_ISSOCK(mode) ? "socket"
				: "device";
}

/* What the letter and the name leave open. */
static void add_detail(const struct change *c, struct buf *out)
{
	unsigned before = c->before.mode & 07777, after = c->after.mode & 07777;

	if (c->kind == CHANGE_TYPE) {
		(void)buf_addf(out, " (%s, was a %s)", type_word(c->after.mode),
			       type_word(c->before.mode));
	} else if (c->before.mode && c->after.mode && before != after && !S_ISLNK(c->after.mode)) {
		(void)buf_addf(out, " (mode %04o, was %04o)", after, before);
	} else if (c->after.mode && !S_ISREG(c->after.mode) && !S_ISLNK(c->after.mode)) {
		(void)buf_addf(out, " (%s)", type_word(c->after.mode));
	}
	if (c->after.target) {
		(void)buf_adds(out, " -> ");
		add_name(out, c->after.target);
	}
}

void review_line(const struct review *r, size_t i, struct buf *out)
{
	const struct change *c = &r->changes.list[i];

	(void)buf_addf(out, "%c  ", change_letter(c->kind));
	if (c->from) {
		add_name(out, c->from);
		(void)buf_adds(out, " => ");
	}
	add_name(out, c->path);
	add_detail(c, out);
}

const struct hazard *review_hazard(const struct review *r, size_t i, size_t *next)
{
	const struct hazards *h = &r->hazards;

	while (*next < h->n && h->list[*next].change < i) {
		(*next)++;
	}
	return *next < h->n && h->list[*next].change == i ? &h->list[(*next)++] : NULL;
}

void review_sum(const struct changes *c, struct buf *out)
{
	static const enum change_kind order[] = {CHANGE_MODIFIED, CHANGE_ADDED, CHANGE_DELETED,
						 CHANGE_RENAMED,  CHANGE_MODE,  CHANGE_TYPE};
	static const char *const words[] = {
		[CHANGE_ADDED] = "added",          [CHANGE_DELETED] = "deleted",
		[CHANGE_MODIFIED] = "modified",    [CHANGE_MODE] = "with another mode",
		[CHANGE_TYPE] = "of another type", [CHANGE_RENAMED] = "renamed",
	};
	size_t counts[ARRAY_SIZE(words)] = {}, i;

	for (i = 0; i < c->n; i++) {
		counts[c->list[i].kind]++;
	}
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (counts[order[i]] > 0) {
			(void)buf_addf(out, "%s%zu %s", out->len > 0 ? ", " : "", counts[order[i]],
				       words[order[i]]);
		}
	}
}

int review_record(const struct review *r, const char *event, json_t *changes, struct err *e)
{
	json_t *data = changes ? changes : json_object();
	char id[STATE_ID_SIZE];
	int n = data ? json_put(data, "copy", json_string(r->kept.home.id)) : -ENOMEM;

	if (n >= 0 && strcmp(event, "changed") != 0) {
		n = json_put(data, "caller", json_integer(getuid()));
	}
	if (n < 0) {
		json_decref(data);
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	state_name_of(r->kept.home.id, id);
	n = seal_event(&r->state, id, event, data, SEAL_AGAIN, e);
	return n == -ENOENT ? 0 : n;
}

bool review_after_run(const char *id, bool quiet)
{
	_cleanup_(review_done) struct review r;
	_cleanup_buf_ struct buf sum = {};
	struct err e = {};
	int n = review_open(&r, id, &e);

	if (n >= 0 && (n = review_find(&r, true, &e)) < 0) {
		struct err unused = {};

		(void)review_record(&r, "changed", changes_unread(e.msg), &unused);
	}
	if (n >= 0 && r.changes.n == 0) {
		n = kept_discard(&r.state, &r.kept, &e);
		if (n >= 0) {
			return false;
		}
	} else if (n >= 0) {
		n = review_record(&r, "changed", changes_summary(&r.changes, r.kept.upper), &e);
	}
	if (n >= 0 && !quiet) {
		buf_init(&sum, 256);
		review_sum(&r.changes, &sum);
		cli_say("%s in the copy%s%s%s; 'atoll diff %s' shows it, 'atoll apply %s' takes it "
			"over, "
			"'atoll discard %s' throws it away",
			buf_str(&sum), strchr(id, '.') ? " of '" : "",
			strchr(id, '.') ? r.kept.workspace : "", strchr(id, '.') ? "'" : "", id, id,
			id);
	}
	if (n < 0) {
		cli_say("the copy of sandbox %s is kept, but cannot be examined: %s", id, e.msg);
	}
	return true;
}
