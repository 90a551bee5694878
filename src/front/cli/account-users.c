/* SPDX-License-Identifier: Apache-2.0 */
/* `atoll account allow` and `disallow`, `orphans` and `return`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/account-internal.h"
#include "front/cli/cli.h"

#define PASSWD_MAX (4 * 1024 * 1024)

struct options {
	const char *user;
	bool json, quiet;
	struct cli_operands words;
};

/* ---- users ---- */

/* Line by line "name:x:uid:..." (passwd(5)). */
static bool find_name(const char *passwd, const char *name, uint64_t *ret)
{
	size_t len = strlen(name);

	for (const char *line = passwd; line && *line; line = strchr(line, '\n')) {
		const char *p;

		line += *line == '\n';
		p = strncmp(line, name, len) == 0 && line[len] == ':' ? strchr(line + len + 1, ':')
								      : NULL;
		if (p) {
			*ret = strtoull(p + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

static int find_user(const char *text, json_int_t *ret, struct err *e)
{
	_cleanup_fd_ int fd = FD_NONE;
	_cleanup_buf_ struct buf b = {};
	uint64_t n = 0;

	if (*text && text[strspn(text, "0123456789")] == '\0' && strlen(text) <= 10) {
		*ret = (json_int_t)strtoull(text, NULL, 10);
		return 0;
	}
	buf_init(&b, PASSWD_MAX);
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || buf_read_fd(&b, fd) < 0 || !*text || !find_name(buf_str(&b), text, &n)) {
		return err_set(
			e, ERR_USER, ENOENT,
			"there is no user '%s' in /etc/passwd; of one that is elsewhere give "
			"the number, as 'id -u' tells it",
			text);
	}
	*ret = (json_int_t)n;
	return 0;
}

static int change(const struct cli_command *c, int argc, char **argv, const char *op)
{
	_cleanup_json_ json_t *reply = NULL;
	struct options o = {};
	struct err e = {};
	json_int_t uid = 0;
	int r = cli_parse(c, argc, argv, &o, &o.words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (o.words.n < 1 || !o.user) {
		return cli_complain(c->name, "%s is missing; see 'atoll %s --help'",
				    o.words.n < 1 ? "the account" : "--user", c->name);
	}
	r = find_user(o.user, &uid, &e);
	if (r < 0) {
		return cli_complain(c->name, "%s", e.msg);
	}
	r = account_ask(
		json_pack("{s:s, s:s, s:I}", "op", op, "account", o.words.words[0], "uid", uid),
		&reply, &e);
	return r < 0 ? cli_fail(&e) : o.json ? cli_print_json(TAKE_PTR(reply)) : CLI_OK;
}

static int allow(const struct cli_command *c, int argc, char **argv)
{
	return change(c, argc, argv, "allow");
}

static int disallow(const struct cli_command *c, int argc, char **argv)
{
	return change(c, argc, argv, "disallow");
}

/* ---- what nobody settles any more ---- */

static void print_text(const char *text, int width)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, 4096);
	(void)utf8_neutralise(&b, text ? text : "", text ? strlen(text) : 0);
	printf("%-*s", width, buf_str(&b));
}

static int orphans(const struct cli_command *c, int argc, char **argv)
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
	if (account_ask_all(json_pack("{s:s}", "op", "orphans"), "orphans", "sandbox", &rows, &e) <
	    0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(rows));
	}
	if (!o.quiet) {
		printf("%-16s %-24s %-24s %s\n", "SANDBOX", "ACCOUNT", "USER", "SILENT FOR");
	}
	json_array_foreach(rows, i, row)
	{
		int64_t ms = json_integer_value(json_object_get(row, "silent_ms"));

		print_text(json_string_value(json_object_get(row, "sandbox")), o.quiet ? 0 : 17);
		if (!o.quiet) {
			print_text(json_string_value(json_object_get(row, "account")), 25);
			print_text(json_string_value(json_object_get(row, "user")), 25);
			printf("%s", account_amount_text("wall", ms / 1000 * 1000, "").s);
		}
		printf("\n");
	}
	return cli_written();
}

static int give_back(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_json_ json_t *all = json_array();
	struct options o = {};
	int r = cli_parse(c, argc, argv, &o, &o.words), status = CLI_OK;

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (o.words.n < 1) {
		return cli_complain(c->name, "the sandbox is missing; see 'atoll %s --help'",
				    c->name);
	}
	for (size_t i = 0; i < o.words.n; i++) {
		_cleanup_json_ json_t *reply = NULL;
		struct err e = {};

		r = account_ask(
			json_pack("{s:s, s:s}", "op", "return", "sandbox", o.words.words[i]),
			&reply, &e);
		if (r >= 0 && !json_is_true(json_object_get(reply, "held"))) {
			r = err_set(&e, ERR_USER, ESTALE, "the ledger holds nothing for sandbox %s",
				    o.words.words[i]);
		}
		status = r < 0 ? cli_fail(&e) : status;
		if (r >= 0) {
			(void)json_put(reply, "sandbox", json_string(o.words.words[i]));
			(void)json_array_append(all, reply);
		}
	}
	return o.json && status == CLI_OK ? cli_print_json(TAKE_PTR(all)) : status;
}

/* ---- the tables ---- */

#define MEMBER(field) .offset = offsetof(struct options, field)
#define JSON_OPTION   CLI_FLAG("--json", "as JSON", MEMBER(json))

static const struct cli_option user_options[] = {
	CLI_TAKES("--user", "USER", CLI_TEXT, "a name of /etc/passwd, or a number", MEMBER(user)),
	JSON_OPTION,
	{},
};

static const struct cli_example allow_examples[] = {
	CLI_EXAMPLE("atoll account allow team-a --user 1001"),
	CLI_EXAMPLE("atoll account allow team-a --user nobody"),
	{},
};

const struct cli_command cli_account_allow_command = {
	.name = "account allow",
	.summary = "let a user spend from an account of the system's ledger",
	.operands = "ACCOUNT",
	.operand.kind = CLI_ACCOUNT,
	.max_operands = 1,
	.about =
		"Let a user of this host use an account and every one below it, of a ledger that "
		"is\n"
		"kept for several users ('ledger: system'). Only root can. Others see and use the\n"
		"accounts that they are allowed, and no others.\n",
	.options = user_options,
	.examples = allow_examples,
	.run = allow,
};

static const struct cli_example disallow_examples[] = {
	CLI_EXAMPLE("atoll account disallow team-a --user 1001"),
	{},
};

const struct cli_command cli_account_disallow_command = {
	.name = "account disallow",
	.summary = "take that back",
	.operands = "ACCOUNT",
	.operand.kind = CLI_ACCOUNT,
	.max_operands = 1,
	.about = "Take back what 'atoll account allow' has allowed. Nothing new of that user "
		 "starts on "
		 "the\n"
		 "account; what runs goes on with what it has reserved.\n",
	.options = user_options,
	.examples = disallow_examples,
	.run = disallow,
};

static const struct cli_option orphan_options[] = {
	CLI_FLAG("--quiet", "ids only", MEMBER(quiet)),
	JSON_OPTION,
	{},
};

static const struct cli_example orphan_examples[] = {
	CLI_EXAMPLE("atoll account orphans"),
	{},
};

const struct cli_command cli_account_orphans_command = {
	.name = "account orphans",
	.summary = "list reservations that nobody settles any more",
	.about =
		"List what sandboxes hold that nobody has settled for a minute and two of their "
		"own\n"
		"periods. 'atoll reap' gives back what is left on this host; of a host that never\n"
		"comes back 'atoll account return' does.\n",
	.options = orphan_options,
	.examples = orphan_examples,
	.run = orphans,
};

static const struct cli_option return_options[] = {
	JSON_OPTION,
	{},
};

static const struct cli_example return_examples[] = {
	CLI_EXAMPLE("atoll account return s-h4k2m9x7qp"),
	{},
};

const struct cli_command cli_account_return_command = {
	.name = "account return",
	.summary = "give back what a sandbox holds that is gone for good",
	.operands = "SANDBOX...",
	.operand.kind = CLI_ORPHAN,
	.max_operands = SIZE_MAX,
	.about = "Give back what a sandbox has reserved whose host never comes back. What it can "
		 "have\n"
		 "used since it was last settled counts as used. One that runs after all ends at "
		 "its "
		 "next\n"
		 "settlement.\n",
	.options = return_options,
	.examples = return_examples,
	.run = give_back,
};
