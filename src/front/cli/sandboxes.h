/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about sandboxes share. */
#pragma once

#include <jansson.h>

#include "front/cli/cli-options.h"
#include "keeper/control.h"
#include "keeper/state.h"

struct err;

/*
 * What a command about sandboxes begins with: its line is parsed, and must name one. As
 * cli_parse(): 0, 1 when --help was printed, or CLI_FAILED negated after having said why.
 */
int sandboxes_parse(const struct cli_command *c, int argc, char **argv, void *into,
		    struct cli_operands *ret);

/* The same, and opens the state directory; after 0 the caller owes it state_done(). */
int sandboxes_begin(const struct cli_command *c, int argc, char **argv, void *into,
		    struct cli_operands *ret, struct state *ret_state);

typedef int sandbox_fn(const struct state *s, const char *word, void *arg, struct err *e);

/* Calls `fn` with each of the words, and says why where it fails: one that fails keeps none of the
 * others. The exit status. */
int sandboxes_each(const struct state *s, const struct cli_operands *words, sandbox_fn *fn,
		   void *arg);

/* Tells the keeper of the sandbox that a person means by `word` to do something (control.h); one
 * that does not run is an error like any other, and so is one that does not do it. */
int sandbox_tell(const struct state *s, const char *word, enum control_op op, int32_t a,
		 struct err *e);

/* The directories of a result, or of a plan, that its payload could have put links into: a new
 * array, NULL: out of memory. */
json_t *sandbox_written(const json_t *result);

/* report_write() of a document, with the directories of a result. */
int sandbox_write_report(const char *path, const json_t *result, const json_t *doc, struct err *e);

/* The id of a sandbox, as name_find() finds it, and no copy of a further directory (ID.N): that is
 * refused, with the id. */
int sandbox_find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e);

/* The id of a sandbox of which there is a record: that is there, as name_find() finds it, or that
 * has ended, by its id or the beginning of it. -ENOENT with *e set. */
int sandbox_find_record(const struct state *s, const char *word, char id[STATE_ID_SIZE],
			struct err *e);

/* "sandbox 'WORD' is not running" */
int sandbox_absent(const char *word, struct err *e);

/* Asks the keeper of a sandbox. -ENOENT without *e set: it is not running, or ended meanwhile. */
int sandbox_ask(const struct state *s, const char *id, enum control_op op, json_t **ret,
		struct err *e);
