/* SPDX-License-Identifier: Apache-2.0 */
/* `atoll account usage`, `report` and `price`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/account-internal.h"
#include "front/cli/cli.h"

#define PRICES_MAX 256

struct options {
	const char *since, *until, *dimension, *prometheus, *currency;
	bool json;
	char *set[PRICES_MAX]; /* ITEM=PRICE */
	size_t n_set;
	struct cli_operands words;
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static long long number_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

void account_print_model(const json_t *row, const char *before)
{
	const char *model = text_of(row, "model");
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, 4096);
	(void)utf8_neutralise(&b, model, strlen(model));
	printf("%s%s\n", *model ? before : "", buf_str(&b));
}

static const char *first(const struct options *o)
{
	return o->words.n > 0 ? o->words.words[0] : NULL;
}

/* ---- usage ---- */

static int usage(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *rows = NULL;
	struct options o = {};
	struct err e = {};
	const json_t *row;
	size_t i;
	int r = cli_parse(c, argc, argv, &o, &o.words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (account_ask_all(json_pack("{s:s, s:s*, s:s*, s:s*, s:s*}", "op", "usage", "account",
				      first(&o), "since", o.since, "until", o.until, "dimension",
				      o.dimension),
			    "usage", NULL, &rows, &e) < 0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(rows));
	}
	printf("%-10s %-24s %-10s %18s  %s\n", "DAY", "ACCOUNT", "DIMENSION", "AMOUNT", "MODEL");
	json_array_foreach(rows, i, row)
	{
		const char *dimension = text_of(row, "dimension");

		printf("%-10s %-24s %-10s %18s", text_of(row, "day"), text_of(row, "account"),
		       dimension, account_amount_text(dimension, number_of(row, "amount"), "").s);
		account_print_model(row, "  ");
	}
	return cli_written();
}

/* ---- report ---- */

static const struct {
	const char *name, *key, *help;
	bool millionths;
} metrics[] = {
	{"atoll_account_money", "money", "Money spent in the period of the report.", true},
	{"atoll_account_money_per_active_user", "money_per_user",
	 "Money for each user who was active in it.", true},
	{"atoll_account_active_users", "users", "Users who were active in it.", false},
	{"atoll_account_sandboxes", "sandboxes", "Sandboxes that are there now.", false},
	{"atoll_account_sandboxes_idle", "idle", "Of those, the ones in which nothing happens.",
	 false},
	{"atoll_account_sandboxes_orphaned", "orphans",
	 "Of those, the ones that nobody has settled for a minute and two periods.", false},
};

/* Names of accounts need no escapes; see ledger_name(). */
static int add_metrics(struct buf *b, const json_t *accounts)
{
	const json_t *row;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(metrics); i++) {
		(void)buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n", metrics[i].name,
			       metrics[i].help, metrics[i].name);
		json_array_foreach(accounts, j, row)
		{
			const json_t *value = json_object_get(row, metrics[i].key);
			long long n = (long long)json_integer_value(value);

			if (!json_is_integer(value)) {
				continue;
			}
			(void)buf_addf(b, "%s{account=\"%s\",currency=\"%s\"} ", metrics[i].name,
				       text_of(row, "account"), text_of(row, "currency"));
			(void)(metrics[i].millionths
				       ? buf_addf(b, "%lld.%06lld\n", n / 1000000, n % 1000000)
				       : buf_addf(b, "%lld\n", n));
		}
	}
	return b->failed ? -ENOMEM : 0;
}

/* Whole or not at all, for a collector may read it at any time. */
static int write_metrics(const char *path, const json_t *accounts, struct err *e)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_buf_ struct buf b = {};
	_cleanup_fd_ int fd = FD_NONE;
	int r;

	buf_init(&b, 64 << 20);
	if (add_metrics(&b, accounts) < 0 || asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot write '%s'", path);
	}
	r = buf_write_fd(fd, b.data, b.len);
	r = r < 0 || fchmod(fd, 0644) == 0 ? r : -errno;
	r = r < 0 || rename(temporary, path) == 0 ? r : -errno;
	if (r < 0) {
		(void)unlink(temporary);
		return err_sys(e, -r, "cannot write '%s'", path);
	}
	return 0;
}

static void print_report(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("%-24s %18s %6s %18s %9s %5s %8s\n", "ACCOUNT", "MONEY", "USERS", "PER USER",
	       "SANDBOXES", "IDLE", "ORPHANS");
	json_array_foreach(rows, i, row)
	{
		const char *currency = text_of(row, "currency");
		bool used = json_is_integer(json_object_get(row, "money_per_user"));

		printf("%-24s %18s %6lld %18s %9lld %5lld %8lld\n", text_of(row, "account"),
		       account_amount_text("money", number_of(row, "money"), currency).s,
		       number_of(row, "users"),
		       used ? account_amount_text("money", number_of(row, "money_per_user"),
						  currency)
				       .s
			    : "-",
		       number_of(row, "sandboxes"), number_of(row, "idle"),
		       number_of(row, "orphans"));
	}
}

static int report(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *rows = NULL;
	struct options o = {};
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &o.words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = account_ask_all(json_pack("{s:s, s:s*}", "op", "report", "since", o.since), "accounts",
			    "account", &rows, &e);
	r = r < 0 || !o.prometheus ? r : write_metrics(o.prometheus, rows, &e);
	if (r < 0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(rows));
	}
	if (!o.prometheus) {
		print_report(rows);
	}
	return cli_written();
}

/* ---- price ---- */

static int take_set(void *into, const struct cli_option *option, char *value)
{
	struct options *o = into;

	(void)option;
	if (o->n_set == PRICES_MAX) {
		return -cli_complain("account price", "--set: at most %d prices", PRICES_MAX);
	}
	o->set[o->n_set++] = value;
	return 0;
}

/* "model:NAME=IN/OUT" or "ITEM=PRICE". */
static int add_price(json_t *prices, json_t *models, char *text, struct err *e)
{
	char *equals = strrchr(text, '='), *slash;
	int64_t in, out;
	int r;

	if (!equals || equals == text) {
		return err_set(e, ERR_USER, EINVAL,
			       "--set: '%s': write cpu=0.04, or model:NAME=IN/OUT", text);
	}
	*equals++ = '\0';
	if (strncmp(text, "model:", 6) != 0) {
		r = account_millionths(equals, &in, e);
		return r < 0 ? r : json_put(prices, text, json_integer(in)) < 0 ? -ENOMEM : 0;
	}
	slash = strchr(equals, '/');
	if (!slash) {
		return err_set(e, ERR_USER, EINVAL,
			       "--set: the price of a model is IN/OUT, for a million tokens each");
	}
	*slash++ = '\0';
	r = account_millionths(equals, &in, e);
	r = r < 0 ? r : account_millionths(slash, &out, e);
	return r < 0 ? r
		     : json_put(models, text + 6,
				json_pack("{s:I, s:I}", "in", (json_int_t)in, "out",
					  (json_int_t)out));
}

static int add_sheet(struct options *o, struct err *e)
{
	_cleanup_json_ json_t *prices = json_object(), *models = json_object(), *reply = NULL;
	int r = prices && models ? 0 : -ENOMEM;

	for (size_t i = 0; i < o->n_set && r >= 0; i++) {
		r = add_price(prices, models, o->set[i], e);
	}
	r = r == -ENOMEM ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : r;
	return r < 0 ? r
		     : account_ask(json_pack("{s:s, s:s, s:s, s:s*, s:O, s:O}", "op", "price-add",
					     "name", first(o) ? first(o) : "default", "currency",
					     o->currency ? o->currency : "USD", "since", o->since,
					     "prices", prices, "models", models),
				   &reply, e);
}

static int price(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *rows = NULL;
	struct options o = {};
	struct err e = {};
	const json_t *row;
	size_t i;
	int r = cli_parse(c, argc, argv, &o, &o.words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = o.n_set > 0 ? add_sheet(&o, &e) : 0;
	r = r < 0 ? r
		  : account_ask_all(json_pack("{s:s, s:s*}", "op", "price-show", "name", first(&o)),
				    "prices", NULL, &rows, &e);
	if (r < 0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(rows));
	}
	printf("%-16s %-8s %-10s %-12s %18s  %s\n", "PRICES", "CURRENCY", "SINCE", "ITEM", "PRICE",
	       "MODEL");
	json_array_foreach(rows, i, row)
	{
		printf("%-16s %-8s %-10s %-12s %18s", text_of(row, "name"),
		       text_of(row, "currency"), text_of(row, "since"), text_of(row, "item"),
		       account_amount_text("money", number_of(row, "price"), "").s);
		account_print_model(row, "  ");
	}
	return cli_written();
}

/* ---- the tables ---- */

#define MEMBER(field)      .offset = offsetof(struct options, field)
#define JSON_OPTION        CLI_FLAG("--json", "as JSON", MEMBER(json))
#define SINCE_OPTION(help) CLI_TAKES("--since", "DAY", CLI_TEXT, help, MEMBER(since))

static const struct cli_option usage_options[] = {
	SINCE_OPTION("the first day, as 2026-11-30"),
	CLI_TAKES("--until", "DAY", CLI_TEXT, "the last day", MEMBER(until)),
	CLI_TAKES("--dimension", "WORD", CLI_TEXT, "money, cpu, memory, wall, egress, ...",
		  MEMBER(dimension)),
	JSON_OPTION,
	{},
};

static const struct cli_example usage_examples[] = {
	CLI_EXAMPLE("atoll account usage team-a"),
	CLI_EXAMPLE("atoll account usage --since 2026-11-01 --dimension money --json"),
	{},
};

const struct cli_command cli_account_usage_command = {
	.name = "account usage",
	.summary = "what was used, day by day",
	.operands = "[ACCOUNT]",
	.operand.kind = CLI_ACCOUNT,
	.max_operands = 1,
	.about = "What accounts have used, day by day (UTC), each with those below it.\n",
	.options = usage_options,
	.examples = usage_examples,
	.run = usage,
};

static const struct cli_option report_options[] = {
	SINCE_OPTION("the first day (that of this month)"),
	CLI_TAKES("--prometheus", "FILE", CLI_FILE, "write metrics there, whole or not at all",
		  MEMBER(prometheus)),
	JSON_OPTION,
	{},
};

static const struct cli_example report_examples[] = {
	CLI_EXAMPLE("atoll account report"),
	CLI_EXAMPLE("atoll account report --since 2026-11-01 --json"),
	CLI_EXAMPLE("atoll account report --prometheus atoll.prom",
		    .why = "for a collector of text files"),
	{},
};

const struct cli_command cli_account_report_command = {
	.name = "account report",
	.summary = "money, users, idle and orphaned sandboxes of each account",
	.about = "What each account has spent, what that is for each active user, and how many of "
		 "its\n"
		 "sandboxes are there, idle, or orphaned (nobody has settled them for a minute).\n",
	.options = report_options,
	.examples = report_examples,
	.run = report,
};

static const char *const names[] = {"default", NULL};

static const struct cli_option price_options[] = {
	CLI_TAKES("--set", "ITEM=PRICE", CLI_TEXT, "a price of a new sheet", .take = take_set,
		  .repeat = true),
	SINCE_OPTION("the day from which the new sheet holds (today)"),
	CLI_TAKES("--currency", "CODE", CLI_TEXT, "of the new sheet (USD)", MEMBER(currency)),
	JSON_OPTION,
	{},
};

static const struct cli_example price_examples[] = {
	CLI_EXAMPLE("atoll account price"),
	CLI_EXAMPLE("atoll account price default --currency EUR --set cpu=0.04 --set memory=0.005"),
	CLI_EXAMPLE("atoll account price default --since 2030-01-01 --set 'model:*=3/15'"),
	{},
};

const struct cli_command cli_account_price_command = {
	.name = "account price",
	.summary = "show price sheets, or add one",
	.operands = "[NAME]",
	.operand = {.kind = CLI_WORDS, .choices = names},
	.max_operands = 1,
	.about = "Show price sheets, or with --set add one. A price is for a CPU, a GiB of memory "
		 "or "
		 "a\n"
		 "sandbox (wall) for an hour, a GiB of traffic (egress), or, of a model, for a "
		 "million\n"
		 "tokens in and out. A sheet is never changed: a new one holds from its day on.\n",
	.options = price_options,
	.examples = price_examples,
	.run = price,
};
