/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of an installation, which sign its trails:
 *
 *   HOME/keys/trail.pem             the private one, 0600
 *   HOME/keys/trail-XXXXXXXX.pub    public ones, 0644: the first digits of their names
 *                                   (checkpoint_key()). Those of keys that are no more stay, for
 *                                   what they have signed.
 *
 * A trail's signature binds whoever cannot read the private key. The user whose sandboxes these are
 * can, and so can root.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sign.h"

struct err;

/* 0 if there is a key that could sign, which is made where there is none. */
int key_need(int home, struct err *e);

/* The private key; whoever has it calls sign_key_done(). */
int key_load(int home, struct sign_key *ret, struct err *e);

/* A new one takes the place of the one that is there. */
int key_rotate(int home, struct err *e);

#define KEY_MAX 64

struct key_list {
	uint8_t keys[KEY_MAX][SIGN_KEY_SIZE];
	size_t n;
};

/* Adds the one public key that is in a file. */
int key_read(const char *path, struct key_list *list, struct err *e);

/* Whether a text is the whole name of a key: 64 digits in lower case. */
bool key_is_name(const char *text);

/* Adds that of a list which has this name (checkpoint_key()). -ENOENT with *e set: none has. */
int key_pick(const struct key_list *from, const char *name, struct key_list *list, struct err *e);

/* All public keys. None, where there is no directory of keys yet. */
int key_list(int home, struct key_list *ret, struct err *e);
