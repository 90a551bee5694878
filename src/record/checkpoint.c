/* SPDX-License-Identifier: Apache-2.0 */
/* Signing a trail, and reading what was signed. */
#include "record/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "record/trail.h"

size_t checkpoint_text(const struct checkpoint *c, char out[CHECKPOINT_TEXT_SIZE])
{
	return (size_t)snprintf(out, CHECKPOINT_TEXT_SIZE,
				"atoll trail checkpoint 1\n%s\n%" PRIu64 "\n%s\n%s\n%s\n",
				c->sandbox, c->size, c->head, c->root, c->time);
}

void checkpoint_key(const uint8_t public[SIGN_KEY_SIZE], char out[DIGEST_HEX_SIZE])
{
	digest_hex(public, SIGN_KEY_SIZE, out);
}

int checkpoint_add(struct trail *t, const struct sign_key *k, struct checkpoint *ret, struct err *e)
{
	char text[CHECKPOINT_TEXT_SIZE], signature[2 * SIGN_SIZE + 1];
	uint8_t root[DIGEST_SIZE];
	json_t *data;

	*ret = (struct checkpoint){.size = t->seq};
	(void)snprintf(ret->sandbox, sizeof(ret->sandbox), "%s", t->sandbox);
	hex_encode(t->prev, DIGEST_SIZE, ret->head);
	merkle_root(&t->tree, root);
	hex_encode(root, DIGEST_SIZE, ret->root);
	checkpoint_key(k->public, ret->key);
	clock_text(ret->time);
	sign(k, text, checkpoint_text(ret, text), ret->signature);
	hex_encode(ret->signature, SIGN_SIZE, signature);
	data = json_pack("{s:I, s:s, s:s, s:s, s:s}", "size", (json_int_t)ret->size, "head",
			 ret->head, "root", ret->root, "key", ret->key, "signature", signature);
	if (!data) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory for a checkpoint");
	}
	return trail_add_at(t, "checkpoint", data, ret->time, e);
}

/* A member that is a digest in hexadecimal. */
static bool take_digest(const json_t *data, const char *key, char out[DIGEST_HEX_SIZE])
{
	const char *text = json_string_value(json_object_get(data, key));
	uint8_t raw[DIGEST_SIZE];

	if (!text || strlen(text) != DIGEST_HEX_SIZE - 1 || !hex_decode(text, DIGEST_SIZE, raw)) {
		return false;
	}
	memcpy(out, text, DIGEST_HEX_SIZE);
	return true;
}

/* The data is in the one form that it was written in, so that no byte of it is free. */
static bool is_canonical(const json_t *data, const struct line *l)
{
	size_t len = 0;
	char *text = json_canonical(data, &len);
	bool same = text && len == l->data_len && memcmp(text, l->data, len) == 0;

	free(text);
	return same;
}

bool checkpoint_parse(const struct line *l, struct checkpoint *ret)
{
	_cleanup_json_ json_t *data = NULL;
	const char *signature;
	json_int_t size;
	char head[DIGEST_HEX_SIZE];

	*ret = (struct checkpoint){};
	if (strcmp(l->event, "checkpoint") != 0) {
		return false;
	}
	data = json_loadb(l->data, l->data_len, JSON_REJECT_DUPLICATES, NULL);
	signature = json_string_value(json_object_get(data, "signature"));
	size = json_integer_value(json_object_get(data, "size"));
	hex_encode(l->prev, DIGEST_SIZE, head);
	if (!is_canonical(data, l) || json_object_size(data) != 5 ||
	    !take_digest(data, "head", ret->head) || !take_digest(data, "root", ret->root) ||
	    !take_digest(data, "key", ret->key) || !signature ||
	    strlen(signature) != 2UL * SIGN_SIZE ||
	    !hex_decode(signature, SIGN_SIZE, ret->signature)) {
		return false;
	}
	ret->size = (uint64_t)size;
	(void)snprintf(ret->sandbox, sizeof(ret->sandbox), "%s", l->sandbox);
	(void)snprintf(ret->time, sizeof(ret->time), "%.*s", LINE_TIME_LEN, l->time);
	return ret->size == l->seq && strcmp(ret->head, head) == 0;
}

bool checkpoint_verify(const struct checkpoint *c, const uint8_t public[SIGN_KEY_SIZE])
{
	char text[CHECKPOINT_TEXT_SIZE], key[DIGEST_HEX_SIZE];

	checkpoint_key(public, key);
	return strcmp(key, c->key) == 0 &&
	       sign_verify(public, text, checkpoint_text(c, text), c->signature);
}
