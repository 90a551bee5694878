/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `atoll graduate` exports: a directory that says all there is to say about a sandbox that has
 * proved useful, and in which every name is one of ours:
 *
 *   policy.yaml                 the policy, to be loaded again
 *   plan.json, receipt.json     as in the record, so that their SHA-256 is the digest that it names
 *   lock.json                   what else a run depended on, and what nobody fixes
 *   trail.jsonl                 the record, verified
 *   changes.json, changes.patch the bytes of `atoll diff --json` and `--patch`
 *   files/DIGEST, files.json    files that a patch cannot carry, and where they belong
 *   README.md, MANIFEST.sha256  for people, and for sha256sum(1)
 *
 * It is made beside its place under a name of its own, and stands there whole or not at all.
 * TRUST: names, links and contents of changes come from the payload. No path of a change becomes a
 * path here, and its names stand nowhere but in quotes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/digest.h"
#include "keeper/state.h"

struct err;
struct review;

struct graduate {
	char id[STATE_ID_SIZE];
	const struct review *review; /* NULL: it has left no copy */

	/* Of its record. */
	json_t *created, *receipt; /* data of the events; NULL: there was none */
	bool copy_kept;            /* when it ended, there was one */
	bool graduated;
	char head[DIGEST_HEX_SIZE];

	/* The place. */
	int parent;
	char *name;
	bool made; /* what is being built is there */
	int dir;   /* it, open */

	json_t *names; /* of the files so far, as in the manifest */
	size_t n_changes, n_hazards, n_binaries;
	char manifest[DIGEST_HEX_SIZE]; /* the digest of it, from which all the others follow */
};

/*
 * Reads and verifies the record; `to`: and copies it there, FD_NONE: nowhere. -EBADMSG where it is
 * broken, or does not say what an export needs.
 */
int graduate_read(struct graduate *g, const struct state *s, int to, struct err *e);

/* Writes everything into g->dir, which is empty. */
int graduate_write(struct graduate *g, const struct state *s, struct err *e);
