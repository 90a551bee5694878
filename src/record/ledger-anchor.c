/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchors: where trails stood, in a table that is a chain itself.
 *
 * Row n has the SHA-256 of row n - 1 as its canonical JSON (all of its members, among them the
 * digest of the row before that), row 1 has 64 zeros. `meta` has the digest and the number of the
 * last row: a row that is dropped, changed, added or moved shows, the last one included, unless
 * `meta` was changed as well. Who can write the whole ledger can write another chain: against that
 * there is a copy of the last digest elsewhere (an external anchor), or a ledger out of reach.
 *
 * In a ledger that is served each row has the user who added it, also in its digest. Of others'
 * rows a user is told the digest alone, which holds the chain together for who walks it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "record/ledger-internal.h"
#include "record/ledger-anchor.h"

/* No longer than they are: others' disk is not filled with them. */
#define DIGEST_MAX    64
#define SIGNATURE_MAX 128

static int digest_row(const json_t *row, char out[DIGEST_HEX_SIZE], struct err *e)
{
	size_t len;
	_cleanup_free_ char *text = json_canonical(row, &len);

	if (!text) {
		return ledger_no_memory(e);
	}
	digest_hex(text, len, out);
	return 0;
}

static int take_last(void *arg, const struct store_cell *cells, struct err *e)
{
	char *last = arg;

	(void)e;
	(void)snprintf(last, DIGEST_HEX_SIZE, "%s", cells[0].text ? cells[0].text : "");
	return 0;
}

static int last_row(struct ledger_call *c, int64_t *n, char last[DIGEST_HEX_SIZE], struct err *e)
{
	int r = store_run(c->s, "SELECT num FROM meta WHERE name = 'anchors'", NULL, 0,
			  store_number, n, e);

	memset(last, '0', DIGEST_HEX_SIZE - 1);
	last[DIGEST_HEX_SIZE - 1] = '\0';
	return r <= 0 ? r
		      : store_run(c->s, "SELECT word FROM meta WHERE name = 'anchors'", NULL, 0,
				  take_last, last, e);
}

static int hex(const struct ledger_call *c, const char *key, size_t max, const char **ret,
	       struct err *e)
{
	int r = ledger_text(c, key, max, NULL, ret, e);

	return r >= 0 && (*ret)[strspn(*ret, "0123456789abcdef")] != '\0'
		       ? err_set(e, ERR_USER, EINVAL, "'%s' is not hexadecimal", key)
		       : r;
}

static int append(struct ledger_call *c, const char *sandbox, int64_t size, const char *head,
		  const char *root, const char *signature, const char *retired, struct err *e)
{
	char prev[DIGEST_HEX_SIZE], own[DIGEST_HEX_SIZE];
	_cleanup_json_ json_t *row = NULL;
	int64_t n = 0;
	int r = last_row(c, &n, prev, e);

	if (r < 0) {
		return r;
	}
	n++;
	row = json_pack("{s:I, s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:s?, s:o*}", "n", (json_int_t)n,
			"prev", prev, "time_ms", (json_int_t)c->now_ms, "sandbox", sandbox, "size",
			(json_int_t)size, "head", head, "root", root, "signature", signature,
			"retired", retired, "uid", c->uid < 0 ? NULL : json_integer(c->uid));
	r = row ? digest_row(row, own, e) : ledger_no_memory(e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "INSERT INTO anchor (n, prev, time, sandbox, size, head, root,"
			     " signature, retired, uid)"
			     " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULLIF($9, ''),"
			     " NULLIF(CAST($10 AS BIGINT), -1))",
			     S_INT(n), S_TEXT(prev), S_INT(c->now_ms), S_TEXT(sandbox), S_INT(size),
			     S_TEXT(head), S_TEXT(root), S_TEXT(signature),
			     S_TEXT(retired ? retired : ""), S_INT(c->uid));
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "INSERT INTO meta (name, num, word) VALUES ('anchors', $1, $2)"
			     " ON CONFLICT (name) DO UPDATE SET num = excluded.num,"
			     " word = excluded.word",
			     S_INT(n), S_TEXT(own));
	return r < 0 ? r : json_put(c->out, "n", json_integer(n)) < 0 ? ledger_no_memory(e) : 0;
}

int ledger_op_anchor(struct ledger_call *c, struct err *e)
{
	const char *sandbox, *head, *root, *signature;
	int64_t size;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_amount(c->in, "size", -1, &size, e);
	r = r < 0 ? r : hex(c, "head", DIGEST_MAX, &head, e);
	r = r < 0 ? r : hex(c, "root", DIGEST_MAX, &root, e);
	r = r < 0 ? r : hex(c, "signature", SIGNATURE_MAX, &signature, e);
	return r < 0 ? r : append(c, sandbox, size, head, root, signature, NULL, e);
}

int ledger_op_retire(struct ledger_call *c, struct err *e)
{
	const char *sandbox, *why;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_text(c, "why", 512, NULL, &why, e);
	return r < 0 ? r : append(c, sandbox, 0, "", "", "", *why ? why : "it was removed", e);
}

struct page {
	json_t *rows;
	int64_t uid; /* who looks */
};

static json_t *hidden_row(const json_t *row, struct err *e)
{
	char digest[DIGEST_HEX_SIZE];

	return digest_row(row, digest, e) < 0
		       ? NULL
		       : json_pack("{s:O, s:O, s:s}", "n", json_object_get(row, "n"), "prev",
				   json_object_get(row, "prev"), "digest", digest);
}

static int add_row(void *arg, const struct store_cell *cells, struct err *e)
{
	const struct page *p = arg;
	int64_t uid = cells[9].num;
	_cleanup_json_ json_t *row = json_pack(
		"{s:I, s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:s?, s:o*}", "n",
		(json_int_t)cells[0].num, "prev", cells[1].text, "time_ms",
		(json_int_t)cells[2].num, "sandbox", cells[3].text, "size",
		(json_int_t)cells[4].num, "head", cells[5].text, "root", cells[6].text, "signature",
		cells[7].text, "retired", cells[8].text, "uid", uid < 0 ? NULL : json_integer(uid));
	json_t *shown = row && p->uid > 0 && uid != p->uid ? hidden_row(row, e) : json_incref(row);

	return !shown || json_array_append_new(p->rows, shown) < 0 ? ledger_no_memory(e) : 0;
}

/* Those behind row `after`, and what `meta` says of the last one of all. */
int ledger_op_anchors(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	struct page page = {list, c->uid};
	char last[DIGEST_HEX_SIZE];
	int64_t after, n = 0;
	int r = ledger_amount(c->in, "after", 0, &after, e);

	r = r < 0 ? r : last_row(c, &n, last, e);
	r = r < 0 ? r
		  : store_ask(c->s, e, add_row, &page,
			      "SELECT n, prev, time, sandbox, size, head, root, signature, retired,"
			      " COALESCE(uid, -1) FROM anchor WHERE n > $1 ORDER BY n LIMIT $2",
			      S_INT(after), S_INT(LEDGER_PAGE));
	if (r < 0) {
		return r;
	}
	return json_object_set(c->out, "anchors", list) < 0 ||
			       json_put(c->out, "count", json_integer(n)) < 0 ||
			       json_put(c->out, "last", json_string(last)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}

/* ---- whoever asks ---- */

struct walk {
	const char *sandbox;
	ledger_anchor_fn *fn;
	void *arg;
	int64_t n;
	char prev[DIGEST_HEX_SIZE];
};

static int broken(int64_t n, const char *why, struct err *e)
{
	return err_set(e, ERR_SYSTEM, EBADMSG,
		       "the ledger's anchors are broken: row %" PRId64 " %s", n, why);
}

/* Another user's, whose digest is all that we are told. */
static const char *hidden_digest(const json_t *row)
{
	const char *digest = json_string_value(json_object_get(row, "digest"));

	return digest && strlen(digest) == DIGEST_HEX_SIZE - 1 && !json_object_get(row, "sandbox")
		       ? digest
		       : NULL;
}

static int tell(const struct walk *w, const json_t *row, struct err *e)
{
	const struct ledger_anchor_row a = {
		.n = w->n,
		.time_ms = json_integer_value(json_object_get(row, "time_ms")),
		.sandbox = json_string_value(json_object_get(row, "sandbox")),
		.size = json_integer_value(json_object_get(row, "size")),
		.head = json_string_value(json_object_get(row, "head")),
		.root = json_string_value(json_object_get(row, "root")),
		.signature = json_string_value(json_object_get(row, "signature")),
		.retired = json_string_value(json_object_get(row, "retired")),
	};

	if (!a.sandbox || !a.head || !a.root || !a.signature) {
		return broken(w->n, "is incomplete", e);
	}
	return w->sandbox && strcmp(w->sandbox, a.sandbox) != 0 ? 0 : w->fn(w->arg, &a, e);
}

static int walk_page(struct walk *w, const json_t *rows, struct err *e)
{
	const json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach(rows, i, row)
	{
		const char *prev = json_string_value(json_object_get(row, "prev"));

		w->n++;
		if (json_integer_value(json_object_get(row, "n")) != w->n) {
			return broken(w->n, "is missing", e);
		}
		if (!prev || strcmp(prev, w->prev) != 0) {
			return broken(w->n, "does not follow from the one before", e);
		}
		if (hidden_digest(row)) {
			memcpy(w->prev, hidden_digest(row), DIGEST_HEX_SIZE);
			continue;
		}
		r = digest_row(row, w->prev, e);
		r = r < 0 ? r : tell(w, row, e);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* What is added meanwhile is seen by who looks later: of each page `meta` says how far it goes. */
int ledger_anchors(struct ledger *l, const char *sandbox, ledger_anchor_fn *fn, void *arg,
		   struct err *e)
{
	struct walk w = {.sandbox = sandbox, .fn = fn, .arg = arg};

	memset(w.prev, '0', DIGEST_HEX_SIZE - 1);
	for (;;) {
		_cleanup_json_ json_t *page = NULL;
		const json_t *rows;
		const char *last;
		int64_t count;
		int r = ledger_call(
			l, json_pack("{s:s, s:I}", "op", "anchors", "after", (json_int_t)w.n),
			&page, e);

		rows = json_object_get(page, "anchors");
		r = r < 0 ? r : walk_page(&w, rows, e);
		if (r < 0) {
			return r;
		}
		count = json_integer_value(json_object_get(page, "count"));
		last = json_string_value(json_object_get(page, "last"));
		if (w.n == count) {
			return last && strcmp(last, w.prev) == 0
				       ? 0
				       : broken(w.n, "is not as it was written", e);
		}
		if (json_array_size(rows) == 0 || w.n > count) {
			return broken(w.n + 1,
				      w.n > count ? "was added by somebody else" : "is missing", e);
		}
	}
}
