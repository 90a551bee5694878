/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the line of a trail that signs all lines before it.
 *
 * What is signed (Ed25519) is the text
 *
 *   atoll trail checkpoint 1
 *   SANDBOX
 *   SIZE            records before it, which is its own number
 *   HEAD            SHA-256 of the last of them, which is its own "prev"
 *   ROOT            of their hash tree (record/merkle.h)
 *   TIME            which is its own "time"
 *
 * each line with its newline, so that every byte of the checkpoint's line but the signature itself
 * is covered by it. openssl(1) can check it with the public key alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/sign.h"
#include "record/line.h"

struct err;
struct trail;

struct checkpoint {
	char sandbox[TRAIL_ID_SIZE];
	uint64_t size;
	char head[DIGEST_HEX_SIZE];
	char root[DIGEST_HEX_SIZE];
	char key[DIGEST_HEX_SIZE]; /* SHA-256 of the public key's 32 bytes */
	char time[CLOCK_TEXT_SIZE];
	uint8_t signature[SIGN_SIZE];
};

#define CHECKPOINT_TEXT_SIZE 320

/* The text that is signed; how long it is. */
size_t checkpoint_text(const struct checkpoint *c, char out[CHECKPOINT_TEXT_SIZE]);

/* The name of a public key. */
void checkpoint_key(const uint8_t public[SIGN_KEY_SIZE], char out[DIGEST_HEX_SIZE]);

/* Adds one to a trail. */
int checkpoint_add(struct trail *t, const struct sign_key *k, struct checkpoint *ret,
		   struct err *e);

/* Reads the one that a line is. False: it is none, or says of itself what it is not. */
bool checkpoint_parse(const struct line *l, struct checkpoint *ret);

bool checkpoint_verify(const struct checkpoint *c, const uint8_t public[SIGN_KEY_SIZE]);
