/* SPDX-License-Identifier: Apache-2.0 */
/* atoll audit prove: one record, shown to be among those that were signed, without the others. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/sandboxes.h"
#include "front/cli/trails.h"
#include "policy/scalar.h"
#include "record/checkpoint.h"
#include "record/key.h"
#include "record/merkle.h"
#include "record/reader.h"
#include "record/verify.h"

#define PROOF_MAX (80UL * 1024 * 1024)

struct prove_options {
	bool check;
	const char *key;
};

/* ---- making one ---- */

struct proving {
	uint64_t index;
	uint8_t (*digests)[DIGEST_SIZE];
	size_t n;
	char *record;                 /* the line */
	struct checkpoint checkpoint; /* the first behind the record */
	bool found;
};

static int take_line(void *arg, const struct line *l, const char *text, size_t len,
		     const uint8_t digest[DIGEST_SIZE], struct err *e)
{
	struct proving *p = arg;

	if (p->found) {
		return 0;
	}
	if (p->n > p->index && l && checkpoint_parse(l, &p->checkpoint)) {
		p->found = true;
		return 0;
	}
	if (p->n % 1024 == 0) {
		void *more = realloc(p->digests, (p->n + 1024) * sizeof(*p->digests));

		if (!more) {
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
		p->digests = more;
	}
	memcpy(p->digests[p->n], digest, DIGEST_SIZE);
	if (p->n++ == p->index) {
		p->record = strndup(text, len);
		return p->record ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return 0;
}

static json_t *path_list(const struct merkle_proof *p)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < p->n; i++) {
		char hex[DIGEST_HEX_SIZE];

		hex_encode(p->path[i], DIGEST_SIZE, hex);
		if (json_array_append_new(list, json_string(hex)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}

/* The signer's public key, as PEM. */
static json_t *key_text(const struct key_list *keys, const struct checkpoint *c)
{
	char pem[SIGN_PEM_SIZE] = "";

	for (size_t i = 0; i < keys->n; i++) {
		if (checkpoint_verify(c, keys->keys[i])) {
			sign_public_to_pem(keys->keys[i], pem);
		}
	}
	return json_string(pem);
}

static json_t *proof_document(const struct proving *p, const struct key_list *keys)
{
	const struct checkpoint *c = &p->checkpoint;
	char text[CHECKPOINT_TEXT_SIZE], signature[2 * SIGN_SIZE + 1];
	struct merkle_proof proof;

	merkle_prove((const uint8_t(*)[DIGEST_SIZE])p->digests, c->size, p->index, &proof);
	(void)checkpoint_text(c, text);
	hex_encode(c->signature, SIGN_SIZE, signature);
	return json_pack("{s:s, s:I, s:I, s:o, s:s, s:s, s:o}", "record", p->record, "index",
			 (json_int_t)p->index, "size", (json_int_t)c->size, "path",
			 path_list(&proof), "checkpoint", text, "signature", signature, "key",
			 key_text(keys, c));
}

static int make_proof(const struct state *s, const char *word, const char *number, struct err *e)
{
	struct proving p = {};
	struct verify_report report;
	struct key_list keys;
	struct reader in = {};
	char id[STATE_ID_SIZE];
	int r = sandbox_find_record(s, word, id, e);

	if (r >= 0 && scalar_int(number, &p.index) < 0) {
		r = err_set(e, ERR_USER, EINVAL, "'%s' is no number of a record", number);
	}
	r = r < 0 ? r : key_list(s->home, &keys, e);
	r = r < 0 ? r : reader_open(&in, s->trail, id, e);
	r = r < 0 ? r
		  : verify_run(&in, &(struct verify_trust){.keys = keys.keys, .n_keys = keys.n},
			       take_line, &p, &report, e);
	reader_close(&in);
	if (r >= 0 && !report.good) {
		r = err_set(e, ERR_SYSTEM, EBADMSG, "the record of %s is broken at %" PRIu64 ": %s",
			    id, report.bad, report.why);
	} else if (r >= 0 && !p.found) {
		r = err_set(e, ERR_USER, ENOENT,
			    p.record ? "record %" PRIu64 " of %s is not signed yet"
				     : "there is no record %" PRIu64 " of %s",
			    p.index, id);
	}
	r = r < 0 ? r : cli_print_json(proof_document(&p, &keys));
	free(p.record);
	free(p.digests);
	return r;
}

/* ---- checking one ---- */

static bool read_path(const json_t *doc, struct merkle_proof *ret)
{
	const json_t *list = json_object_get(doc, "path"), *row;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > MERKLE_DEPTH) {
		return false;
	}
	json_array_foreach(list, i, row)
	{
		const char *hex = json_string_value(row);

		if (!hex || strlen(hex) != 2UL * DIGEST_SIZE ||
		    !hex_decode(hex, DIGEST_SIZE, ret->path[i])) {
			return false;
		}
	}
	ret->n = json_array_size(list);
	return true;
}

/* The text that was signed says the root and the size; nothing beside it does. */
static bool read_checkpoint(const char *text, char sandbox[TRAIL_ID_SIZE], uint64_t *ret_size,
			    uint8_t root[DIGEST_SIZE])
{
	char copy[CHECKPOINT_TEXT_SIZE], *at = copy, *lines[6];
	const size_t len = strlen(text);

	if (len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text, len + 1);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char *end = strchr(at, '\n');

		if (!end) {
			return false;
		}
		*end = '\0';
		lines[i] = at;
		at = end + 1;
	}
	(void)snprintf(sandbox, TRAIL_ID_SIZE, "%s", lines[1]);
	return *at == '\0' && strcmp(lines[0], "atoll trail checkpoint 1") == 0 &&
	       scalar_int(lines[2], ret_size) >= 0 && strlen(lines[4]) == 2UL * DIGEST_SIZE &&
	       hex_decode(lines[4], DIGEST_SIZE, root);
}

static const char *wrong_with(const json_t *doc, const struct key_list *keys, struct line *ret)
{
	const char *record = json_string_value(json_object_get(doc, "record"));
	const char *text = json_string_value(json_object_get(doc, "checkpoint"));
	const char *hex = json_string_value(json_object_get(doc, "signature"));
	struct merkle_proof p = {};
	uint8_t root[DIGEST_SIZE], entry[DIGEST_SIZE], signature[SIGN_SIZE];
	char sandbox[TRAIL_ID_SIZE];
	bool known = false;

	if (!record || !text || !hex || !read_path(doc, &p) || strlen(hex) != 2UL * SIGN_SIZE ||
	    !hex_decode(hex, SIGN_SIZE, signature) || !line_parse(record, strlen(record), ret) ||
	    !read_checkpoint(text, sandbox, &p.size, root)) {
		return "it is no proof";
	}
	for (size_t i = 0; i < keys->n; i++) {
		known = known || sign_verify(keys->keys[i], text, strlen(text), signature);
	}
	if (!known) {
		return "its checkpoint is not signed by a key that is trusted";
	}
	/* What it says of itself beside that is to be true, too. */
	if (json_integer_value(json_object_get(doc, "index")) != (json_int_t)ret->seq ||
	    json_integer_value(json_object_get(doc, "size")) != (json_int_t)p.size) {
		return "it says another number of the record, or of records, than was signed";
	}
	p.index = ret->seq;
	digest_raw(record, strlen(record), entry);
	if (strcmp(sandbox, ret->sandbox) != 0 || !merkle_holds(&p, entry, root)) {
		return "the record is not among those that were signed";
	}
	return NULL;
}

static int check_proof(const struct state *s, const struct prove_options *o, const char *path,
		       struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;
	struct key_list keys = {};
	const char *why;
	struct line l;
	int r = o->key ? key_read(o->key, &keys, e) : key_list(s->home, &keys, e);

	if (r < 0) {
		return r;
	}
	doc = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	if (!doc) {
		return err_set(e, ERR_USER, EBADMSG, "cannot read a proof from '%s'", path);
	}
	why = wrong_with(doc, &keys, &l);
	if (why) {
		(void)printf("the proof does NOT hold: %s\n", why);
		return CLI_REFUSED;
	}
	(void)printf("the proof holds: record %" PRIu64 " of %s, %s, of %.*s\n", l.seq, l.sandbox,
		     l.event, LINE_TIME_LEN, l.time);
	return cli_written();
}

static int prove(const struct cli_command *c, int argc, char **argv)
{
	struct prove_options o = {};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (words.n != (o.check ? 1 : 2)) {
		state_done(&s);
		return cli_complain(c->name,
				    o.check ? "name the one file with the proof"
					    : "a sandbox and the number of a record are needed");
	}
	r = o.check ? check_proof(&s, &o, words.words[0], &e)
		    : make_proof(&s, words.words[0], words.words[1], &e);
	state_done(&s);
	return r < 0 ? cli_fail(&e) : r;
}

static const struct cli_option prove_options[] = {
	CLI_FLAG("--check", "check the proof in this file instead",
		 .offset = offsetof(struct prove_options, check)),
	CLI_TAKES("--key", "FILE", CLI_FILE, "with it: trust this public key alone (PEM)",
		  .offset = offsetof(struct prove_options, key)),
	{},
};

static const struct cli_example prove_examples[] = {
	CLI_EXAMPLE("atoll audit prove s-k3m9w2xqzr 2 >proof.json"),
	CLI_EXAMPLE("atoll audit prove --check proof.json --key trail.pub"),
	{},
};

const struct cli_command cli_audit_prove_command = {
	.name = "audit prove",
	.summary = "prove that one record was written, without showing the others",
	.operands = "SANDBOX RECORD | --check FILE",
	.operand.kind = CLI_EITHER,
	.further.kind = CLI_TEXT,
	.max_operands = 2,
	.about = "Print a proof (JSON) that a record is among those that were signed: the record, "
		 "the way\n"
		 "up the hash tree (RFC 9162, 2.1.3), and the signed checkpoint. Whoever has the "
		 "public\n"
		 "key can check it, and sees nothing of the other records.\n",
	.options = prove_options,
	.examples = prove_examples,
	.run = prove,
};
