/* SPDX-License-Identifier: Apache-2.0 */
/* atoll audit: its table, and the subcommands that are small. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/sandboxes.h"
#include "front/cli/trails.h"
#include "keeper/seal.h"
#include "record/checkpoint.h"
#include "record/key.h"

/* ---- key ---- */

struct key_options {
	bool rotate;
	bool json;
};

static int print_key(const struct sign_key *k, bool json)
{
	char pem[SIGN_PEM_SIZE], id[DIGEST_HEX_SIZE];

	sign_public_to_pem(k->public, pem);
	checkpoint_key(k->public, id);
	if (json) {
		return cli_print_json(json_pack("{s:s, s:s, s:s}", "algorithm", "Ed25519", "key",
						id, "pem", pem));
	}
	(void)fputs(pem, stdout);
	return cli_written();
}

static int key(const struct cli_command *c, int argc, char **argv)
{
	struct key_options o = {};
	struct cli_operands words;
	struct sign_key k;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = state_open(&s, &e);
	r = r < 0 ? r : o.rotate ? key_rotate(s.home, &e) : key_need(s.home, &e);
	r = r < 0 ? r : key_load(s.home, &k, &e);
	state_done(&s);
	if (r < 0) {
		return cli_fail(&e);
	}
	r = print_key(&k, o.json);
	sign_key_done(&k);
	return r;
}

static const struct cli_option key_options[] = {
	CLI_FLAG("--rotate", "make a new one first",
		 .offset = offsetof(struct key_options, rotate)),
	CLI_FLAG("--json", "as JSON, with its name", .offset = offsetof(struct key_options, json)),
	{},
};

static const struct cli_example key_examples[] = {
	CLI_EXAMPLE("atoll audit key >trail.pub", .why = "for who verifies elsewhere"),
	CLI_EXAMPLE("atoll audit key --rotate"),
	{},
};

static const struct cli_command key_command = {
	.name = "audit key",
	.summary = "print the public key that records are signed with",
	.about = "Print the public key (Ed25519, PEM) of this installation. The private one is "
		 "made when\n"
		 "it is first needed, in the state directory, and does not leave it.\n",
	.notes = "What an earlier key has signed is still verified: its public key stays.\n",
	.options = key_options,
	.examples = key_examples,
	.run = key,
};

/* ---- schema ---- */

struct schema_options {
	bool json;
};

static int schema(const struct cli_command *c, int argc, char **argv)
{
	struct schema_options o = {};
	struct cli_operands words;
	int r = cli_parse(c, argc, argv, &o, &words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	return cli_print_json(event_schema());
}

static const struct cli_option schema_options[] = {
	CLI_FLAG("--json", "as JSON, which it is anyway",
		 .offset = offsetof(struct schema_options, json)),
	{},
};

static const struct cli_example schema_examples[] = {
	CLI_EXAMPLE("atoll audit schema >trail.schema.json"),
	{},
};

static const struct cli_command schema_command = {
	.name = "audit schema",
	.summary = "print the JSON Schema of a record's lines",
	.about = "Print the JSON Schema (2020-12) of one line of a record: every kind of event, "
		 "and what\n"
		 "stands in it.\n",
	.options = schema_options,
	.examples = schema_examples,
	.run = schema,
};

/* ---- review ---- */

struct review_options {
	const char *note;
};

static int review_one(const struct state *s, const char *id, void *arg, struct err *e)
{
	const struct review_options *o = arg;
	int r;

	if (trail_is_written(s, id)) {
		return err_set(e, ERR_USER, EBUSY,
			       "sandbox %s is running, and its record is its keeper's; review it "
			       "when it has ended",
			       id);
	}
	r = seal_event(s, id, "reviewed",
		       json_pack("{s:i, s:o}", "caller", (int)getuid(), "note",
				 json_text(o->note ? o->note : "")),
		       SEAL_ASKED, e);
	return r == -ENOENT && !e->code
		       ? err_set(e, ERR_SYSTEM, ENOENT, "the record of sandbox %s is gone", id)
		       : r;
}

static int review(const struct cli_command *c, int argc, char **argv)
{
	struct review_options o = {};
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = trails_each(&s, &words, review_one, &o, &e);
	state_done(&s);
	return r < 0 ? cli_fail(&e) : CLI_OK;
}

static const struct cli_option review_options[] = {
	CLI_TAKES("--note", "TEXT", CLI_TEXT, "what was found",
		  .offset = offsetof(struct review_options, note)),
	{},
};

static const struct cli_example review_examples[] = {
	CLI_EXAMPLE("atoll audit review s-k3m9w2xqzr --note 'hosts are as expected'"),
	{},
};

static const struct cli_command review_command = {
	.name = "audit review",
	.summary = "record that somebody has looked at what a sandbox could do",
	.operands = "SANDBOX...",
	.operand.kind = CLI_EITHER,
	.max_operands = SIZE_MAX,
	.about = "Record that you have reviewed what a sandbox that has ended could access, and "
		 "did. 'atoll\n"
		 "audit report' tells which reviews (governance.review) are overdue.\n",
	.options = review_options,
	.examples = review_examples,
	.run = review,
};

/* ---- audit ---- */

static const struct cli_example audit_examples[] = {
	CLI_EXAMPLE("atoll audit verify"),
	CLI_EXAMPLE("atoll audit show --since 24h --class denial"),
	CLI_EXAMPLE("atoll audit report --owner ci"),
	CLI_EXAMPLE("atoll audit export --format csv >events.csv"),
	{},
};

static const struct cli_command *const audit_commands[] = {
	&cli_audit_verify_command, &cli_audit_show_command,
	&cli_audit_report_command, &cli_audit_export_command,
	&cli_audit_prove_command,  &cli_audit_credentials_command,
	&review_command,           &key_command,
	&schema_command,           NULL,
};

const struct cli_command cli_audit_command = {
	.name = "audit",
	.summary = "verify, show, report and export records",
	.about = "Records: what every sandbox was allowed, did, and was refused, signed.\n",
	.notes = "'atoll audit COMMAND --help' tells more.\n",
	.examples = audit_examples,
	.commands = audit_commands,
};
