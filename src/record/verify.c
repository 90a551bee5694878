/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a trail.
 *
 * TRUST: every byte is anybody's. A digest that does not fit says that a line, or what the next one
 * says of it, was changed, and not which of the two. So the verdict waits for one line more: if
 * that follows from the later of the two, the later one is as it was, and the earlier one is not.
 */
#include "record/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "record/checkpoint.h"
#include "record/event.h"
#include "record/merkle.h"
#include "record/reader.h"

struct run {
	const struct verify_trust *trust;
	struct verify_report *report;
	struct merkle tree;
	uint8_t digest[DIGEST_SIZE]; /* of the line before */
	size_t next_anchor;
	bool unlinked; /* the line before does not follow from the one before it */
	bool cut;      /* the line before is none */
};

/* The first verdict stands. */
__attribute__((format(printf, 3, 4))) static void condemn(struct run *v, uint64_t bad,
							  const char *fmt, ...)
{
	struct verify_report *r = v->report;
	va_list ap;

	if (!r->good) {
		return;
	}
	r->good = false;
	r->bad = bad;
	va_start(ap, fmt);
	(void)vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
}

/* Whether its number is the one that it must have. */
static void check_number(struct run *v, const struct line *l, bool follows)
{
	uint64_t n = v->report->records;

	if (l->seq == n) {
		return;
	}
	if (follows) {
		condemn(v, n, "it has the number %" PRIu64, l->seq);
	} else if (l->seq > n) {
		condemn(v, n, "it is missing: record %" PRIu64 " stands in its place", l->seq);
	} else {
		condemn(v, n, "record %" PRIu64 " stands in its place again", l->seq);
	}
}

/* Whether it follows from the line before; the verdict may come with the next one. */
static void check_link(struct run *v, const struct line *l)
{
	static const uint8_t none[DIGEST_SIZE];
	uint64_t n = v->report->records;
	bool follows = memcmp(l->prev, n == 0 ? none : v->digest, DIGEST_SIZE) == 0;

	if (v->unlinked) {
		condemn(v, follows ? n - 2 : n - 1,
			"it was changed: the digest of it that the next record has is another one");
	}
	check_number(v, l, follows);
	if (!follows && n == 0) {
		condemn(v, 0, "it does not begin a record: something before it is missing");
	}
	v->unlinked = !follows;
}

static bool is_signed(const struct run *v, const struct checkpoint *c)
{
	bool known = false;

	for (size_t i = 0; i < v->trust->n_keys && !known; i++) {
		known = checkpoint_verify(c, v->trust->keys[i]);
	}
	return known;
}

/* One that does not follow from the line before, and yet has signed that: only what it says of it
 * beside its signature was changed. */
static void check_unlinked(struct run *v, const struct line *l)
{
	struct line other = *l;
	struct checkpoint c;

	memcpy(other.prev, v->digest, DIGEST_SIZE);
	if (checkpoint_parse(&other, &c) && is_signed(v, &c)) {
		condemn(v, v->report->records,
			"the digest that it has of the record before it "
			"was changed");
	}
}

static void check_checkpoint(struct run *v, const struct line *l)
{
	struct verify_report *r = v->report;
	struct checkpoint c;
	uint8_t root[DIGEST_SIZE];
	char hex[DIGEST_HEX_SIZE];

	if (!checkpoint_parse(l, &c)) {
		condemn(v, r->records, "the checkpoint is not as one is written");
		return;
	}
	r->checkpoints++;
	if (!is_signed(v, &c)) {
		condemn(v, r->records,
			v->trust->n_keys > 0
				? "the checkpoint is not signed by a key of this installation"
				: "there is no key to verify the checkpoint with");
		return;
	}
	merkle_root(&v->tree, root);
	hex_encode(root, DIGEST_SIZE, hex);
	if (strcmp(hex, c.root) != 0) {
		condemn(v, r->sealed,
			"records from here to %" PRIu64 " are not those that were signed",
			r->records - 1);
		return;
	}
	if (r->good) {
		r->sealed = r->records + 1;
		r->closed = r->over;
	}
}

/* Anchors that speak of what has been read by now, this line included. */
static void check_anchors(struct run *v)
{
	struct verify_report *r = v->report;
	char head[DIGEST_HEX_SIZE];

	hex_encode(v->digest, DIGEST_SIZE, head);
	while (v->next_anchor < v->trust->n_anchors &&
	       v->trust->anchors[v->next_anchor].size <= r->records) {
		const struct verify_anchor *a = &v->trust->anchors[v->next_anchor++];

		if (a->size != r->records || strcmp(a->head, head) != 0) {
			condemn(v, r->anchored,
				"records from here to %" PRIu64 " are not those that were anchored",
				a->size - 1);
		} else if (r->good) {
			r->anchored = a->size;
		}
	}
}

static bool ends_trail(const struct line *l)
{
	return strcmp(l->event, "torn_down") == 0 || strcmp(l->event, "reaped") == 0 ||
	       strcmp(l->event, "reviewed") == 0;
}

static bool ends_clean(const struct line *l)
{
	static const char clean[] = "{\"clean\":true}";

	return strcmp(l->event, "torn_down") == 0 && l->data_len == strlen(clean) &&
	       memcmp(l->data, clean, l->data_len) == 0;
}

/* One that is a line of a trail. */
static void take(struct run *v, const struct line *l)
{
	struct verify_report *r = v->report;

	if (v->cut && strcmp(l->event, "reaped") != 0) {
		condemn(v, r->records - 1, "it is no record");
	}
	if (!r->sandbox[0]) {
		(void)snprintf(r->sandbox, sizeof(r->sandbox), "%s", l->sandbox);
	}
	check_link(v, l);
	if (!event_find(l->event, strlen(l->event))) {
		condemn(v, r->records, "there are no events '%s'", l->event);
	}
	if (strcmp(l->sandbox, r->sandbox) != 0) {
		condemn(v, r->records, "it is about another sandbox, %s", l->sandbox);
	}
	if (strcmp(l->event, "checkpoint") == 0) {
		if (v->unlinked) {
			check_unlinked(v, l);
		} else {
			check_checkpoint(v, l);
		}
	}
	r->over = r->over || ends_trail(l);
	r->clean = r->clean || ends_clean(l);
	if (r->records == 0) {
		(void)snprintf(r->first_time, sizeof(r->first_time), "%.*s", LINE_TIME_LEN,
			       l->time);
	}
	(void)snprintf(r->last_time, sizeof(r->last_time), "%.*s", LINE_TIME_LEN, l->time);
}

/* No line follows that could tell which of the two it was. */
static void end_unlinked(struct run *v)
{
	uint64_t n = v->report->records;

	if (v->unlinked) {
		condemn(v, n - (n > 1 ? 2 : 1),
			"it was changed, or the digest of it in the next record was");
	}
}

/* What only the end can tell. */
static void conclude(struct run *v)
{
	struct verify_report *r = v->report;
	uint64_t last =
		v->trust->n_anchors > 0 ? v->trust->anchors[v->trust->n_anchors - 1].size : 0;

	end_unlinked(v);
	if (v->cut) {
		condemn(v, r->records - 1, "it was cut short");
	}
	if (last > r->records) {
		condemn(v, r->records,
			"it is missing: there were %" PRIu64 " records when it was "
			"anchored",
			last);
	}
	if (r->records == 0) {
		condemn(v, 0, "it is missing: the record is empty");
	}
	hex_encode(v->digest, DIGEST_SIZE, r->head);
}

int verify_run(struct reader *in, const struct verify_trust *trust, verify_line *fn, void *arg,
	       struct verify_report *ret, struct err *e)
{
	struct run v = {.trust = trust, .report = ret};
	const char *text;
	size_t len = 0;
	struct line l;
	int r;

	*ret = (struct verify_report){.good = true};
	(void)snprintf(ret->sandbox, sizeof(ret->sandbox), "%s", in->sandbox);
	while ((r = reader_next(in, &text, &len, e)) > 0) {
		bool is_line = !in->cut && line_parse(text, len, &l);

		if (is_line) {
			take(&v, &l);
		} else if (v.cut) {
			condemn(&v, ret->records - 1, "it is no record");
		} else {
			end_unlinked(&v);
		}
		v.cut = !is_line;
		v.unlinked = is_line && v.unlinked;
		digest_raw(text, len, v.digest);
		merkle_add(&v.tree, v.digest);
		ret->records++;
		if (!in->cut) {
			check_anchors(&v);
		}
		if (fn && ret->good &&
		    (r = fn(arg, is_line ? &l : NULL, text, len, v.digest, e)) < 0) {
			return r;
		}
	}
	if (r >= 0) {
		conclude(&v);
	}
	return r;
}
