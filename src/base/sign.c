/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 by libhogweed, and its keys as PEM. */
#include "base/sign.h"

#include <errno.h>
#include <nettle/base64.h>
#include <nettle/eddsa.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(ED25519_KEY_SIZE == SIGN_KEY_SIZE && ED25519_SIGNATURE_SIZE == SIGN_SIZE,
	       "the library's sizes are ours");

/* What stands before the 32 bytes of a key in its DER, which is always the same (RFC 8410, 4 and
 * 7). */
static const uint8_t secret_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
					0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
					0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

#define SECRET_LABEL "PRIVATE KEY"
#define PUBLIC_LABEL "PUBLIC KEY"
#define DER_MAX      (sizeof(secret_prefix) + SIGN_KEY_SIZE)

int sign_generate(struct sign_key *ret)
{
	ssize_t n = getrandom(ret->secret, sizeof(ret->secret), 0);

	if (n != (ssize_t)sizeof(ret->secret)) {
		return n < 0 ? -errno : -EIO;
	}
	ed25519_sha512_public_key(ret->public, ret->secret);
	return 0;
}

void sign_key_done(struct sign_key *k)
{
	explicit_bzero(k, sizeof(*k));
}

void sign(const struct sign_key *k, const void *data, size_t len, uint8_t out[SIGN_SIZE])
{
	ed25519_sha512_sign(k->public, k->secret, len, data, out);
}

bool sign_verify(const uint8_t public[SIGN_KEY_SIZE], const void *data, size_t len,
		 const uint8_t signature[SIGN_SIZE])
{
	return ed25519_sha512_verify(public, len, data, signature) != 0;
}

static void to_pem(const char *label, const uint8_t *prefix, size_t n,
		   const uint8_t key[SIGN_KEY_SIZE], char out[SIGN_PEM_SIZE])
{
	char text[BASE64_ENCODE_RAW_LENGTH(DER_MAX) + 1];
	uint8_t der[DER_MAX];

	memcpy(der, prefix, n);
	memcpy(der + n, key, SIGN_KEY_SIZE);
	base64_encode_raw(text, n + SIGN_KEY_SIZE, der);
	text[BASE64_ENCODE_RAW_LENGTH(n + SIGN_KEY_SIZE)] = '\0';
	(void)snprintf(out, SIGN_PEM_SIZE, "-----BEGIN %s-----\n%s\n-----END %s-----\n", label,
		       text, label);
	explicit_bzero(der, sizeof(der));
	explicit_bzero(text, sizeof(text));
}

static bool from_pem(const char *text, const char *label, const uint8_t *prefix, size_t n,
		     uint8_t ret[SIGN_KEY_SIZE])
{
	struct base64_decode_ctx ctx;
	uint8_t der[BASE64_DECODE_LENGTH(SIGN_PEM_SIZE)];
	size_t len = sizeof(der), body;
	char line[64];
	const char *end;
	bool good;

	(void)snprintf(line, sizeof(line), "-----BEGIN %s-----\n", label);
	if (strncmp(text, line, strlen(line)) != 0) {
		return false;
	}
	text += strlen(line);
	(void)snprintf(line, sizeof(line), "-----END %s-----", label);
	end = strstr(text, line);
	body = end ? (size_t)(end - text) : SIGN_PEM_SIZE;
	if (body >= SIGN_PEM_SIZE) {
		return false;
	}
	base64_decode_init(&ctx);
	good = base64_decode_update(&ctx, &len, der, body, text) && base64_decode_final(&ctx) &&
	       len == n + SIGN_KEY_SIZE && memcmp(der, prefix, n) == 0;
	if (good) {
		memcpy(ret, der + n, SIGN_KEY_SIZE);
	}
	explicit_bzero(der, sizeof(der));
	return good;
}

void sign_secret_to_pem(const struct sign_key *k, char out[SIGN_PEM_SIZE])
{
	to_pem(SECRET_LABEL, secret_prefix, sizeof(secret_prefix), k->secret, out);
}

void sign_public_to_pem(const uint8_t public[SIGN_KEY_SIZE], char out[SIGN_PEM_SIZE])
{
	to_pem(PUBLIC_LABEL, public_prefix, sizeof(public_prefix), public, out);
}

bool sign_secret_from_pem(const char *text, struct sign_key *ret)
{
	if (!from_pem(text, SECRET_LABEL, secret_prefix, sizeof(secret_prefix), ret->secret)) {
		return false;
	}
	ed25519_sha512_public_key(ret->public, ret->secret);
	return true;
}

bool sign_public_from_pem(const char *text, uint8_t ret[SIGN_KEY_SIZE])
{
	return from_pem(text, PUBLIC_LABEL, public_prefix, sizeof(public_prefix), ret);
}
