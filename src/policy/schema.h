/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of policy keys. The loader, the merge, the command line, `policy explain`, the JSON
 * Schema and the canonical form of a policy all read it; a key exists when it stands here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/key.h"

enum key_type {
	TYPE_SECTION,  /* a mapping of further keys */
	TYPE_INT,      /* num */
	TYPE_SIZE,     /* num, bytes */
	TYPE_RATE,     /* num, bytes in a second */
	TYPE_DURATION, /* num, nanoseconds */
	TYPE_CPUS,     /* num, thousandths */
	TYPE_WORD,     /* num, index into words */
	TYPE_NAME,     /* text: an identifier */
	TYPE_TEXT,     /* text: one line */
	TYPE_PATH,     /* text */
	TYPE_PATHS,    /* items */
	TYPE_PATTERNS, /* items: as policy/deny.h has them */
	TYPE_NAMES,    /* items: identifiers, or some of `words` */
	TYPE_PROGRAMS, /* items */
	TYPE_RULES,    /* items: canonical host:port */
	TYPE_HOSTS,    /* items: canonical hosts */
	TYPE_ENV,      /* items with names */
};

/* How a value given by a lower layer may differ from one given by a higher layer. */
enum merge_rule {
	MERGE_NONE,    /* each document for itself */
	MERGE_FREE,    /* may be replaced */
	MERGE_SAME,    /* may be repeated only */
	MERGE_LOWER,   /* the number, or the place in the list of words, may fall */
	MERGE_RAISE,   /* it may rise */
	MERGE_WITHIN,  /* a path may move to a place below */
	MERGE_SUBSET,  /* each element must lie within one of the higher list */
	MERGE_BY_NAME, /* variables: only names that are there, only values that are free there */
	MERGE_UNION,   /* elements may be added, and none taken away */
};

/* What stands behind the key when it is enforced, for `policy explain`. */
enum key_class {
	CLASS_FACT,  /* recorded or decides other keys */
	CLASS_WALL,  /* the kernel refuses */
	CLASS_GUARD, /* stops mistakes; a payload that tries can get around it */
	CLASS_LIMIT, /* wall when armed by a control group, guard-rail when by the sampler */
};

struct word {
	const char *word;
	const char *say; /* sentence for `policy explain` */
};

/* A value that other versions of the language have and this one does not. */
struct absent {
	const char *word; /* matched as a whole, or as the start when it ends in ':' */
	const char *why;
};

struct schema_key {
	const char *path;
	enum key_type type;
	enum merge_rule rule;
	enum key_class class;
	bool nonempty; /* an empty list is refused except in a profile */
	const struct word *words;
	size_t n_words;
	const struct absent *absent;
	size_t n_absent;
	uint64_t min;
	uint64_t max;
	const char *doc;      /* one or two sentences for people who write policies */
	const char *say;      /* sentence of `policy explain`; {} is the value */
	const char *say_none; /* the same for an empty list */
};

extern const struct schema_key schema_keys[KEY_COUNT];

#define POLICY_VERSION   1
#define POLICY_ITEMS_MAX 256
#define POLICY_TEXT_MAX  4095 /* bytes of any scalar: a path fits */

/* The key of that dotted path (len bytes), or NULL. */
const struct schema_key *schema_find(const char *path, size_t len);
enum key_id schema_id(const struct schema_key *k);

bool schema_is_list(const struct schema_key *k);

/* Index of the word, or -1. */
int schema_word(const struct schema_key *k, const char *word);

/* "a, b or c" of all words of the key. Returns `out`. */
const char *schema_word_list(const struct schema_key *k, char *out, size_t size);

/*
 * The known key that was probably meant by an unknown one, or NULL: spelled alike in its section,
 * or with that last part in another one.
 */
const struct schema_key *schema_suggest(const char *path);
