/* SPDX-License-Identifier: Apache-2.0 */
/* `atoll account`: accounts and their budgets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/account-internal.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "keeper/account.h"
#include "keeper/state.h"

/* Pages are of this many at least; whoever has more of them than that is not listed. */
#define PAGES_MAX 10000

int account_ask(json_t *request, json_t **reply, struct err *e)
{
	_cleanup_json_ json_t *taken = request;
	_cleanup_ledger_ struct ledger *l = NULL;
	struct state s;
	int r = state_open(&s, e);

	r = r < 0 ? r : account_open_ledger(s.home, &l, NULL, e);
	state_done(&s);
	return r < 0 ? r : ledger_call(l, json_incref(taken), reply, e);
}

static int next_page(json_t *request, const json_t *rows, const char *by)
{
	const json_t *last = json_array_get(rows, json_array_size(rows) - 1);

	return by ? json_object_set(request, "after", json_object_get(last, by))
		  : json_put(request, "from", json_integer((json_int_t)json_array_size(rows)));
}

int account_ask_all(json_t *request, const char *key, const char *by, json_t **rows, struct err *e)
{
	_cleanup_json_ json_t *taken = request, *all = json_array();
	size_t page = 1;

	for (int i = 0; page > 0; i++) {
		_cleanup_json_ json_t *reply = NULL;
		int r = account_ask(json_incref(taken), &reply, e);
		json_t *list = json_object_get(reply, key);

		if (r < 0) {
			return r;
		}
		page = json_array_size(list);
		if (i > PAGES_MAX) {
			return err_set(e, ERR_USER, E2BIG, "there is too much; ask for less");
		}
		if (page > 0 &&
		    (json_array_extend(all, list) < 0 || next_page(taken, all, by) < 0)) {
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	*rows = TAKE_PTR(all);
	return 0;
}

/* ---- the commands ---- */

struct options {
	const char *parent, *currency, *prices, *per, *warn, *model;
	bool json, quiet;
	struct cli_operands words;
};

/* Parses, and wants that many operands; 0, or the exit status negated, 1 for --help. */
static int begin(const struct cli_command *c, int argc, char **argv, struct options *o, size_t n)
{
	int r = cli_parse(c, argc, argv, o, &o->words);

	if (r == 0 && o->words.n < n) {
		r = -cli_complain(c->name, "%s is missing; see 'atoll %s --help'",
				  o->words.n == 0 ? "the account" : "something", c->name);
	}
	return r;
}

/* A request whose reply is only that it was done. */
static int act(json_t *request, const struct options *o)
{
	_cleanup_json_ json_t *reply = NULL;
	struct err e = {};

	if (account_ask(request, &reply, &e) < 0) {
		return cli_fail(&e);
	}
	return o->json ? cli_print_json(TAKE_PTR(reply)) : CLI_OK;
}

static int create(const struct cli_command *c, int argc, char **argv)
{
	struct options o = {};
	int r = begin(c, argc, argv, &o, 1);

	return r != 0 ? (r > 0 ? CLI_OK : -r)
		      : act(json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", "op", "create", "account",
				      o.words.words[0], "parent", o.parent, "currency", o.currency,
				      "prices", o.prices),
			    &o);
}

static int close_it(const struct cli_command *c, int argc, char **argv)
{
	struct options o = {};
	int r = begin(c, argc, argv, &o, 1);

	return r != 0 ? (r > 0 ? CLI_OK : -r)
		      : act(json_pack("{s:s, s:s}", "op", "close", "account", o.words.words[0]),
			    &o);
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int list(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *rows = NULL;
	struct options o = {};
	struct err e = {};
	json_t *row;
	size_t i;
	int r = begin(c, argc, argv, &o, 0);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (account_ask_all(json_pack("{s:s}", "op", "list"), "accounts", "account", &rows, &e) <
	    0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(rows));
	}
	json_array_foreach(rows, i, row)
	{
		if (o.quiet) {
			printf("%s\n", text_of(row, "account"));
		}
	}
	if (o.quiet) {
		return cli_written();
	}
	printf("%-24s %-24s %-8s %-12s %9s  %s\n", "ACCOUNT", "PARENT", "CURRENCY", "PRICES",
	       "SANDBOXES", "STATE");
	json_array_foreach(rows, i, row)
	{
		const char *parent = text_of(row, "parent");

		printf("%-24s %-24s %-8s %-12s %9lld  %s\n", text_of(row, "account"),
		       *parent ? parent : "-", text_of(row, "currency"), text_of(row, "prices"),
		       (long long)json_integer_value(json_object_get(row, "sandboxes")),
		       json_is_true(json_object_get(row, "closed")) ? "closed" : "open");
	}
	return cli_written();
}

static void print_budgets(const json_t *budgets, const char *currency)
{
	static const char *const columns[] = {"amount", "spent", "reserved", "left"};
	const json_t *b;
	size_t i, j;

	printf("%-20s %-10s %-7s %18s %18s %18s %18s\n", "BUDGET OF", "DIMENSION", "PERIOD",
	       "AMOUNT", "SPENT", "RESERVED", "LEFT");
	json_array_foreach(budgets, i, b)
	{
		const char *dimension = text_of(b, "dimension");

		printf("%-20s %-10s %-7s", text_of(b, "account"), dimension, text_of(b, "period"));
		for (j = 0; j < ARRAY_SIZE(columns); j++) {
			json_int_t n = json_integer_value(json_object_get(b, columns[j]));

			printf(" %18s", account_amount_text(dimension, n, currency).s);
		}
		account_print_model(b, "  of ");
	}
}

/* Those of a ledger that is kept for several: with the account by which each of them may. */
static void print_users(const json_t *users)
{
	const json_t *user;
	size_t i;

	json_array_foreach(users, i, user)
	{
		printf("uid %lld may use it, as '%s'\n",
		       (long long)json_integer_value(json_object_get(user, "uid")),
		       text_of(user, "account"));
	}
}

static int show(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *doc = NULL;
	struct options o = {};
	struct err e = {};
	const json_t *budgets;
	const char *parent;
	int r = begin(c, argc, argv, &o, 1);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (account_ask(json_pack("{s:s, s:s}", "op", "show", "account", o.words.words[0]), &doc,
			&e) < 0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(doc));
	}
	parent = text_of(doc, "parent");
	printf("account %s%s%s%s: currency %s, prices %s, %lld sandboxes\n",
	       text_of(doc, "account"), *parent ? ", below " : "", parent,
	       json_is_true(json_object_get(doc, "closed")) ? ", closed" : "",
	       text_of(doc, "currency"), text_of(doc, "prices"),
	       (long long)json_integer_value(json_object_get(doc, "sandboxes")));
	budgets = json_object_get(doc, "budgets");
	if (json_array_size(budgets) == 0) {
		printf("no budget binds it: 'atoll account set-budget %s DIMENSION AMOUNT'\n",
		       text_of(doc, "account"));
	} else {
		print_budgets(budgets, text_of(doc, "currency"));
	}
	print_users(json_object_get(doc, "users"));
	return cli_written();
}

static int find_dimension(const char *word, enum ledger_dimension *ret, struct err *e)
{
	for (int d = 0; d < LEDGER_DIMENSIONS; d++) {
		if (strcmp(ledger_dimension((enum ledger_dimension)d), word) == 0) {
			*ret = (enum ledger_dimension)d;
			return 0;
		}
	}
	return err_set(e, ERR_USER, EINVAL,
		       "there is no budget of '%s'; money, cpu, memory, wall, egress, sandboxes or "
		       "tokens",
		       word);
}

static int set_budget(const struct cli_command *c, int argc, char **argv)
{
	struct options o = {};
	enum ledger_dimension d = LEDGER_DIMENSIONS;
	int64_t amount = 0, warn = 0;
	struct err e = {};
	bool none;
	int r = begin(c, argc, argv, &o, 3);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	none = strcmp(o.words.words[2], "none") == 0;
	r = find_dimension(o.words.words[1], &d, &e);
	r = r < 0 || none ? r : account_amount(d, o.words.words[2], &amount, &e);
	r = r < 0 || !o.warn ? r : account_amount(LEDGER_TOKENS, o.warn, &warn, &e);
	if (r < 0) {
		return cli_complain(c->name, "%s", e.msg);
	}
	return act(json_pack("{s:s, s:s, s:s, s:o, s:s*, s:s*, s:o*}", "op", "set-budget",
			     "account", o.words.words[0], "dimension", o.words.words[1], "amount",
			     none ? json_null() : json_integer(amount), "period", o.per, "model",
			     o.model, "warn", o.warn ? json_integer(warn) : NULL),
		   &o);
}

/* ---- the tables ---- */

#define MEMBER(field) .offset = offsetof(struct options, field)
#define JSON_OPTION   CLI_FLAG("--json", "as JSON", MEMBER(json))

static const struct cli_option create_options[] = {
	CLI_TAKES("--parent", "ACCOUNT", CLI_ACCOUNT,
		  "the account above: what binds it binds this one", MEMBER(parent)),
	CLI_TAKES("--currency", "CODE", CLI_TEXT, "of the budgets of money (the parent's, or USD)",
		  MEMBER(currency)),
	CLI_TAKES("--prices", "NAME", CLI_TEXT, "the price sheet (the parent's, or 'default')",
		  MEMBER(prices)),
	JSON_OPTION,
	{},
};

static const struct cli_example create_examples[] = {
	CLI_EXAMPLE("atoll account create acme --currency EUR"),
	CLI_EXAMPLE("atoll account create team-a --parent acme"),
	{},
};

static const struct cli_command create_command = {
	.name = "account create",
	.summary = "make an account",
	.operands = "ACCOUNT",
	.operand.kind = CLI_ACCOUNT,
	.max_operands = 1,
	.about = "Make an account. Sandboxes whose policy names it (governance.account) reserve of "
		 "its\n"
		 "budgets before they start.\n",
	.options = create_options,
	.examples = create_examples,
	.run = create,
};

static const struct cli_option json_options[] = {
	JSON_OPTION,
	{},
};

static const struct cli_option list_options[] = {
	CLI_FLAG("--quiet", "names only", MEMBER(quiet)),
	JSON_OPTION,
	{},
};

static const struct cli_example list_examples[] = {
	CLI_EXAMPLE("atoll account list"),
	{},
};

static const struct cli_command list_command = {
	.name = "account list",
	.summary = "list accounts",
	.about = "List the accounts of the ledger.\n",
	.options = list_options,
	.examples = list_examples,
	.run = list,
};

static const struct cli_example show_examples[] = {
	CLI_EXAMPLE("atoll account show team-a"),
	CLI_EXAMPLE("atoll account show team-a --json"),
	{},
};

static const struct cli_command show_command = {
	.name = "account show",
	.summary = "show an account and every budget that binds it",
	.operands = "ACCOUNT",
	.operand.kind = CLI_ACCOUNT,
	.max_operands = 1,
	.about = "Show an account, and every budget that binds it, of its own and of the accounts\n"
		 "above: what is spent, what running sandboxes have reserved, what is left.\n",
	.options = json_options,
	.examples = show_examples,
	.run = show,
};

static const char *const periods[] = {"day", "month", "total", NULL};

static const char *const dimensions[] = {"money",  "cpu",       "memory", "wall",
					 "egress", "sandboxes", "tokens", NULL};

static const struct cli_option budget_options[] = {
	CLI_TAKES("--per", "PERIOD", CLI_WORDS, "what it is for (total)", MEMBER(per),
		  .value.choices = periods),
	CLI_TAKES("--warn", "PERCENT", CLI_TEXT,
		  "when it is said that little is left (80; 0: never)", MEMBER(warn)),
	CLI_TAKES("--model", "NAME", CLI_TEXT, "tokens of this model only", MEMBER(model)),
	JSON_OPTION,
	{},
};

static const struct cli_example budget_examples[] = {
	CLI_EXAMPLE("atoll account set-budget team-a money 25 --per day"),
	CLI_EXAMPLE("atoll account set-budget team-a cpu 10h --per month"),
	CLI_EXAMPLE("atoll account set-budget team-a memory 36000", .why = "GiB-seconds"),
	CLI_EXAMPLE("atoll account set-budget team-a egress 10GiB --per month --warn 90"),
	CLI_EXAMPLE("atoll account set-budget team-a sandboxes 20", .why = "at once"),
	CLI_EXAMPLE("atoll account set-budget team-a sandboxes none"),
	{},
};

static const struct cli_command budget_command = {
	.name = "account set-budget",
	.summary = "set a budget of an account",
	.operands = "ACCOUNT DIMENSION AMOUNT",
	.operand.kind = CLI_ACCOUNT,
	.further = {.kind = CLI_WORDS, .choices = dimensions},
	.max_operands = 3,
	.about =
		"Set a budget: of money, cpu, memory, wall, egress, sandboxes (at once) or "
		"tokens.\n"
		"A start reserves of each the most that its sandbox can use, and is refused where\n"
		"that is more than is left. AMOUNT 'none' takes the budget away.\n",
	.options = budget_options,
	.examples = budget_examples,
	.run = set_budget,
};

static const struct cli_example close_examples[] = {
	CLI_EXAMPLE("atoll account close team-a"),
	{},
};

static const struct cli_command close_command = {
	.name = "account close",
	.summary = "let nothing start on an account any more",
	.operands = "ACCOUNT",
	.operand.kind = CLI_ACCOUNT,
	.max_operands = 1,
	.about = "Close an account: nothing starts on it, or on one below it, any more. What runs "
		 "goes\n"
		 "on with what it has reserved. What was spent stays in the ledger.\n",
	.options = json_options,
	.examples = close_examples,
	.run = close_it,
};

static const struct cli_command *const account_commands[] = {
	&create_command,
	&budget_command,
	&cli_account_price_command,
	&cli_account_allow_command,
	&cli_account_disallow_command,
	&list_command,
	&show_command,
	&cli_account_usage_command,
	&cli_account_report_command,
	&cli_account_orphans_command,
	&cli_account_return_command,
	&close_command,
	&cli_account_agents_command,
	&cli_account_restore_command,
	NULL,
};

static const struct cli_example account_examples[] = {
	CLI_EXAMPLE("atoll account list"),
	CLI_EXAMPLE("atoll account report"),
	{},
};

const struct cli_command cli_account_command = {
	.name = "account",
	.summary = "accounts, budgets, prices and what was spent",
	.about = "Accounts: what sandboxes may use up, and what they have.\n",
	.notes = "'atoll account COMMAND --help' tells more.\n",
	.examples = account_examples,
	.commands = account_commands,
};
