/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures by Ed25519 (RFC 8032), and its keys as the files that openssl(1) reads and writes:
 * a private one as PKCS #8, a public one as SubjectPublicKeyInfo (RFC 8410), both as PEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGN_KEY_SIZE 32 /* of either key */
#define SIGN_SIZE     64

struct sign_key {
	uint8_t secret[SIGN_KEY_SIZE];
	uint8_t public[SIGN_KEY_SIZE];
};

/* A new one, from the kernel's random numbers. 0 or negative errno. */
int sign_generate(struct sign_key *ret);

/* The bytes of a key are not left in memory. */
void sign_key_done(struct sign_key *k);

void sign(const struct sign_key *k, const void *data, size_t len, uint8_t out[SIGN_SIZE]);
bool sign_verify(const uint8_t public[SIGN_KEY_SIZE], const void *data, size_t len,
		 const uint8_t signature[SIGN_SIZE]);

#define SIGN_PEM_SIZE 256

void sign_secret_to_pem(const struct sign_key *k, char out[SIGN_PEM_SIZE]);
void sign_public_to_pem(const uint8_t public[SIGN_KEY_SIZE], char out[SIGN_PEM_SIZE]);

/* False: it is no Ed25519 key of this kind. */
bool sign_secret_from_pem(const char *text, struct sign_key *ret);
bool sign_public_from_pem(const char *text, uint8_t ret[SIGN_KEY_SIZE]);
