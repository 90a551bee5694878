/* SPDX-License-Identifier: Apache-2.0 */
/* atoll account agents, restore: agents whose trust was lowered. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/account-internal.h"
#include "front/cli/cli.h"
#include "policy/plan.h"

struct agent_options {
	const char *why;
	bool json, quiet;
	struct cli_operands words;
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static const char *level_of(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n >= TRUST_NONE && n <= TRUST_FULL ? trust_name((enum trust)n) : "?";
}

/* Levels are numbers in the ledger, and words everywhere else. */
static int name_level(json_t *o, const char *key)
{
	return json_object_get(o, key) ? json_put(o, key, json_string(level_of(o, key))) : 0;
}

static int print_agents(const json_t *rows, bool quiet)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (quiet) {
			printf("%s\n", text_of(row, "agent"));
		}
	}
	if (quiet) {
		return cli_written();
	}
	printf("%-24s %-10s %-20s %-12s %s\n", "AGENT", "AT MOST", "SINCE", "BY", "WHY");
	json_array_foreach(rows, i, row)
	{
		_cleanup_buf_ struct buf line = {}, plain = {};
		char since[CLOCK_TEXT_SIZE];

		clock_format(NULL, json_integer_value(json_object_get(row, "time_ms")) / 1000, 0,
			     since);
		buf_init(&line, 4096);
		(void)buf_addf(&line, "%-24s %-10s %.19sZ %-12s %s", text_of(row, "agent"),
			       text_of(row, "ceiling"), since, text_of(row, "who"),
			       text_of(row, "why"));
		/* Somebody's texts, and the ledger may be that of others, too. */
		buf_init(&plain, 16384);
		(void)utf8_neutralise(&plain, buf_str(&line), line.len);
		printf("%s\n", buf_str(&plain));
	}
	return cli_written();
}

static int agents(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *rows = NULL;
	struct agent_options o = {};
	struct err e = {};
	json_t *row;
	size_t i;
	int r = cli_parse(c, argc, argv, &o, &o.words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = account_ask_all(json_pack("{s:s}", "op", "agents"), "agents", "agent", &rows, &e);
	json_array_foreach(rows, i, row)
	{
		if (r >= 0 && name_level(row, "ceiling") < 0) {
			r = err_set(&e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	if (r < 0) {
		return cli_fail(&e);
	}
	return o.json ? cli_print_json(TAKE_PTR(rows)) : print_agents(rows, o.quiet);
}

static int restore(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *reply = NULL;
	struct agent_options o = {};
	struct err e = {};
	char who[32];
	int r = cli_parse(c, argc, argv, &o, &o.words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (o.words.n < 1 || !o.why) {
		return cli_complain(c->name, "%s is missing; see 'atoll %s --help'",
				    o.words.n < 1 ? "the agent" : "--why TEXT", c->name);
	}
	(void)snprintf(who, sizeof(who), "uid:%u", (unsigned)getuid());
	r = account_ask(json_pack("{s:s, s:s, s:s, s:s}", "op", "agent-restore", "agent",
				  o.words.words[0], "who", who, "why", o.why),
			&reply, &e);
	if (r >= 0 && (name_level(reply, "from") < 0 || name_level(reply, "to") < 0)) {
		r = err_set(&e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (r < 0) {
		return cli_fail(&e);
	}
	return o.json ? cli_print_json(TAKE_PTR(reply)) : CLI_OK;
}

static const struct cli_option agents_options[] = {
	CLI_FLAG("--quiet", "names alone", .offset = offsetof(struct agent_options, quiet)),
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct agent_options, json)),
	{},
};

static const struct cli_example agents_examples[] = {
	CLI_EXAMPLE("atoll account agents"),
	{},
};

const struct cli_command cli_account_agents_command = {
	.name = "account agents",
	.summary = "list agents whose trust was lowered",
	.about =
		"List the agents (governance.agent) whose trust was lowered because an escape was\n"
		"suspected, and those to whom a person gave it back: what they may have at most, "
		"since\n"
		"when, by whom and why.\n",
	.options = agents_options,
	.examples = agents_examples,
	.run = agents,
};

static const struct cli_option restore_options[] = {
	CLI_TAKES("--why", "TEXT", CLI_TEXT, "what was found when it was looked at",
		  .offset = offsetof(struct agent_options, why)),
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct agent_options, json)),
	{},
};

static const struct cli_example restore_examples[] = {
	CLI_EXAMPLE("atoll account restore builder --why \"a test that probes on purpose\""),
	{},
};

const struct cli_command cli_account_restore_command = {
	.name = "account restore",
	.summary = "give an agent back the trust that it had",
	.operands = "AGENT",
	.operand.kind = CLI_AGENT,
	.max_operands = 1,
	.about = "Give an agent whose trust was lowered all of it back. Who did that, when and why "
		 "stays\n"
		 "in the ledger.\n",
	.options = restore_options,
	.examples = restore_examples,
	.run = restore,
};
