/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll completion: scripts for shells. What is code in them is in share/completion; a line there
 * that holds @NAME@ is where rows made from the tables of commands stand. A row says which options
 * there are and what kind of value each takes; what a kind means is the script's business, but for
 * words, which stand in the row.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/completion-internal.h"

typedef void each_fn(const struct cli_command *c);

/* Calls fn for c and every command below it. */
static void each(const struct cli_command *c, each_fn *fn)
{
	fn(c);
	for (size_t i = 0; c->commands && c->commands[i]; i++) {
		each(c->commands[i], fn);
	}
}

/* The text with a backslash before each of `special`, and quotes as they are inside '...'. */
static void put_quoted(const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'') {
			(void)fputs("'\\''", stdout);
			continue;
		}
		if (strchr(special, *text)) {
			(void)putchar('\\');
		}
		(void)putchar(*text);
	}
}

static void put_words(const struct cli_value *v)
{
	const char *word;

	for (size_t i = 0; (word = cli_value_word(v, i)) != NULL; i++) {
		(void)printf("%s%s", i > 0 ? " " : "", word);
	}
}

/* ---- bash ---- */

/* Profiles are words like any other. */
static const char *const bash_kinds[CLI_VALUES] = {
	[CLI_TEXT] = "text",           [CLI_WORDS] = "words",     [CLI_FILE] = "file",
	[CLI_WORKSPACE] = "workspace", [CLI_PROFILE] = "words",   [CLI_TEMPLATE] = "template",
	[CLI_VARIABLE] = "variable",   [CLI_PROGRAM] = "program", [CLI_SANDBOX] = "sandbox",
	[CLI_KEPT] = "kept",           [CLI_EITHER] = "either",   [CLI_COMMAND] = "command",
	[CLI_ACCOUNT] = "account",     [CLI_ORPHAN] = "orphan",   [CLI_AGENT] = "agent",
};

static void bash_command(const struct cli_command *c)
{
	const struct cli_option *o;

	(void)printf("\t'%s')\n\t\tcommands='", c->name);
	for (size_t i = 0; c->commands && c->commands[i]; i++) {
		(void)printf("%s%s", i > 0 ? " " : "", cli_command_word(c->commands[i]));
	}
	(void)printf("'\n\t\toptions='");
	for (size_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		(void)printf("%s%s", i > 0 ? " " : "", o->name);
		if (o->letter) {
			(void)printf(" %s", cli_option_short(o).text);
		}
	}
	(void)printf("'\n\t\toperand=%s operand_words='", bash_kinds[c->operand.kind]);
	put_words(&c->operand);
	(void)printf("' further=%s further_words='", bash_kinds[cli_operand_value(c, false)->kind]);
	put_words(cli_operand_value(c, false));
	(void)printf("' ends=%s\n\t\t;;\n", c->ends_at_operand ? "1" : "");
}

static void bash_commands(void)
{
	each(&cli_atoll, bash_command);
}

static void bash_values(const struct cli_command *c)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		if (o->argument) {
			(void)printf("\t'%s %s'", c->name, o->name);
			if (o->letter) {
				(void)printf(" | '%s %s'", c->name, cli_option_short(o).text);
			}
			(void)printf(") kind=%s kind_words='", bash_kinds[o->value.kind]);
			put_words(&o->value);
			(void)printf("' ;;\n");
		}
	}
}

static void bash_options(void)
{
	each(&cli_atoll, bash_values);
}

/* ---- zsh ---- */

/* The actions of _arguments; words go between the two. */
static const struct {
	const char *before;
	const char *after;
	bool words;
} zsh_actions[CLI_VALUES] = {
	[CLI_TEXT] = {" ", "", false},
	[CLI_WORDS] = {"(", ")", true},
	[CLI_FILE] = {"_files", "", false},
	[CLI_WORKSPACE] = {"{_atoll_workspace ", "}", true},
	[CLI_PROFILE] = {"(", ")", true},
	[CLI_TEMPLATE] = {"_atoll_templates", "", false},
	[CLI_VARIABLE] = {"_parameters -g \"*export*\"", "", false},
	[CLI_PROGRAM] = {"_command_names -e", "", false},
	[CLI_SANDBOX] = {"_atoll_sandboxes", "", false},
	[CLI_KEPT] = {"_atoll_kept", "", false},
	[CLI_EITHER] = {"_atoll_either", "", false},
	[CLI_ACCOUNT] = {"_atoll_accounts", "", false},
	[CLI_ORPHAN] = {"_atoll_orphans", "", false},
	[CLI_AGENT] = {"_atoll_agents", "", false},
	[CLI_COMMAND] = {"_atoll_payload", "", false},
};

static void zsh_action(const struct cli_value *v)
{
	(void)fputs(zsh_actions[v->kind].before, stdout);
	if (zsh_actions[v->kind].words) {
		put_words(v);
	}
	(void)fputs(zsh_actions[v->kind].after, stdout);
}

/* "policy show" as a part of a function's name. */
static void zsh_name(const struct cli_command *c)
{
	(void)fputs("_atoll", stdout);
	if (*c->name) {
		(void)putchar('_');
	}
	for (const char *p = c->name; *p; p++) {
		(void)putchar(*p == ' ' ? '_' : *p);
	}
}

/* One spelling; where there is another, each keeps the other from being proposed. */
static void zsh_option(const struct cli_option *o, const char *spelling, const char *joined)
{
	(void)printf(" \\\n\t\t'");
	if (o->repeat) {
		(void)putchar('*');
	} else if (o->letter) {
		(void)printf("(%s %s)", o->name, cli_option_short(o).text);
	}
	(void)printf("%s%s[", spelling, joined);
	put_quoted(o->help, "[]:\\");
	(void)putchar(']');
	if (o->argument) {
		(void)putchar(':');
		put_quoted(o->argument, ":\\");
		(void)putchar(':');
		zsh_action(&o->value);
	}
	(void)putchar('\'');
}

static void zsh_operand(const struct cli_command *c, const char *which, const struct cli_value *v)
{
	(void)printf(" \\\n\t\t'%s:", which);
	put_quoted(c->operands, ":\\");
	(void)putchar(':');
	zsh_action(v);
	(void)putchar('\'');
}

/* A command's own words, "*::", are completed as if nothing were before them. */
static void zsh_operands(const struct cli_command *c)
{
	const struct cli_value *first = &c->operand, *further = cli_operand_value(c, false);

	if (c->max_operands == 1 || (c->max_operands > 0 && first != further)) {
		zsh_operand(c, "1", first);
	}
	if (c->max_operands > 1) {
		zsh_operand(c, further->kind == CLI_COMMAND ? "*::" : "*", further);
	}
}

static void zsh_arguments(const struct cli_command *c)
{
	const struct cli_option *o;

	(void)printf("\t_arguments -S%s", c->ends_at_operand ? " -A '-*'" : "");
	for (size_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		zsh_option(o, o->name, o->argument ? "=" : "");
		if (o->letter) {
			zsh_option(o, cli_option_short(o).text, "");
		}
	}
	zsh_operands(c);
	(void)putchar('\n');
}

static void zsh_command(const struct cli_command *c)
{
	zsh_name(c);
	(void)printf("%s() {\n", c->commands ? "_options" : "");
	zsh_arguments(c);
	(void)printf("}\n\n");
	if (!c->commands) {
		return;
	}
	zsh_name(c);
	(void)printf("() {\n\t_atoll_group ");
	zsh_name(c);
	for (size_t i = 0; c->commands[i]; i++) {
		(void)printf(" \\\n\t\t'%s:", cli_command_word(c->commands[i]));
		put_quoted(c->commands[i]->summary, ":\\");
		(void)putchar('\'');
	}
	(void)printf("\n}\n\n");
}

static void zsh_commands(void)
{
	each(&cli_atoll, zsh_command);
}

/* ---- fish ---- */

static const struct {
	const char *before; /* of `complete`, behind -r */
	const char *after;
	bool words;
} fish_actions[CLI_VALUES] = {
	[CLI_TEXT] = {"-f", "", false},
	[CLI_WORDS] = {"-f -a '", "'", true},
	[CLI_FILE] = {"-F", "", false},
	[CLI_WORKSPACE] = {"-f -a '(__atoll_workspace ", ")'", true},
	[CLI_PROFILE] = {"-f -a '", "'", true},
	[CLI_TEMPLATE] = {"-f -a '(__atoll_templates)'", "", false},
	[CLI_VARIABLE] = {"-f -a '(set -xn)'", "", false},
	[CLI_PROGRAM] = {"-f -a '(__fish_complete_command)'", "", false},
	[CLI_SANDBOX] = {"-f -a '(__atoll_sandboxes)'", "", false},
	[CLI_KEPT] = {"-f -a '(__atoll_kept)'", "", false},
	[CLI_EITHER] = {"-f -a '(__atoll_sandboxes; __atoll_kept)'", "", false},
	[CLI_ACCOUNT] = {"-f -a '(__atoll_accounts)'", "", false},
	[CLI_ORPHAN] = {"-f -a '(__atoll_orphans)'", "", false},
	[CLI_AGENT] = {"-f -a '(__atoll_agents)'", "", false},
	[CLI_COMMAND] = {"-f -a '(__atoll_payload)'", "", false},
};

static void fish_action(const struct cli_value *v)
{
	(void)printf(" %s", fish_actions[v->kind].before);
	if (fish_actions[v->kind].words) {
		put_words(v);
	}
	(void)fputs(fish_actions[v->kind].after, stdout);
}

static void fish_name(const struct cli_command *c)
{
	(void)printf(" '%s'", c->name);
}

static void fish_names(void)
{
	each(&cli_atoll, fish_name);
}

static void fish_ends(const struct cli_command *c)
{
	if (c->ends_at_operand) {
		fish_name(c);
	}
}

static void fish_ending(void)
{
	each(&cli_atoll, fish_ends);
}

/* "run 0", "exec 1": so many operands are before the command that is run. */
static void fish_runs(const struct cli_command *c)
{
	if (cli_operand_value(c, false)->kind == CLI_COMMAND) {
		(void)printf(" '%s %d'", c->name, c->operand.kind != CLI_COMMAND);
	}
}

static void fish_running(void)
{
	each(&cli_atoll, fish_runs);
}

static void fish_values(const struct cli_command *c)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		if (o->argument) {
			(void)printf(" '%s %s'", c->name, o->name);
		}
		if (o->argument && o->letter) {
			(void)printf(" '%s %s'", c->name, cli_option_short(o).text);
		}
	}
}

static void fish_valued(void)
{
	each(&cli_atoll, fish_values);
}

static void fish_rows(const struct cli_command *c)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		(void)printf("complete -c atoll -n '__atoll_at \"%s\" options' -l %s", c->name,
			     o->name + 2);
		if (o->letter) {
			(void)printf(" -s %c", o->letter);
		}
		(void)printf(" -d '");
		put_quoted(o->help, "\\");
		(void)putchar('\'');
		if (o->argument) {
			(void)fputs(" -r", stdout);
			fish_action(&o->value);
		}
		(void)putchar('\n');
	}
	for (size_t i = 0; c->commands && c->commands[i]; i++) {
		(void)printf("complete -c atoll -n '__atoll_at \"%s\"' -a %s -d '", c->name,
			     cli_command_word(c->commands[i]));
		put_quoted(c->commands[i]->summary, "\\");
		(void)printf("'\n");
	}
	for (size_t i = 0; i < 2 && i < c->max_operands; i++) {
		(void)printf("complete -c atoll -n '__atoll_at \"%s\" %s'", c->name,
			     i == 0 ? "first" : "further");
		fish_action(cli_operand_value(c, i == 0));
		(void)putchar('\n');
	}
}

static void fish_table(void)
{
	each(&cli_atoll, fish_rows);
}

/* ---- the scripts ---- */

static const struct {
	const char *shell;
	const char *marker;
	void (*print)(void);
} markers[] = {
	{"bash", "COMMANDS", bash_commands}, {"bash", "OPTIONS", bash_options},
	{"zsh", "COMMANDS", zsh_commands},   {"fish", "COMMANDS", fish_names},
	{"fish", "ENDING", fish_ending},     {"fish", "RUNNING", fish_running},
	{"fish", "VALUED", fish_valued},     {"fish", "TABLE", fish_table},
};

/* True if a marker of that shell stood there, which has been replaced. */
static bool fill_in(const char *shell, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(markers); i++) {
		if (strcmp(markers[i].shell, shell) == 0 && strlen(markers[i].marker) == len &&
		    memcmp(markers[i].marker, name, len) == 0) {
			markers[i].print();
			return true;
		}
	}
	return false;
}

static void print_script(const struct completion_skeleton *s)
{
	const char *at = s->text, *end = s->text + s->len;

	while (at < end) {
		const char *open = memchr(at, '@', (size_t)(end - at));
		const char *close = open ? memchr(open + 1, '@', (size_t)(end - open - 1)) : NULL;

		(void)fwrite(at, 1, (size_t)((close ? open : end) - at), stdout);
		if (!close) {
			break;
		}
		/* "$@" and the like: no marker, and what is between may begin one. */
		if (fill_in(s->name, open + 1, (size_t)(close - open - 1))) {
			at = close + 1;
		} else {
			(void)putchar('@');
			at = open + 1;
		}
	}
}

static const char *const shells[] = {"bash", "fish", "zsh", NULL};

static int run(const struct cli_command *c, int argc, char **argv)
{
	struct cli_operands operands;
	int r = cli_parse(c, argc, argv, NULL, &operands);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	for (size_t i = 0; i < completion_skeletons_count && operands.n > 0; i++) {
		if (strcmp(completion_skeletons[i].name, operands.words[0]) == 0) {
			print_script(&completion_skeletons[i]);
			return cli_written();
		}
	}
	return operands.n == 0 ? cli_complain(c->name, "for which shell? bash, fish or zsh")
			       : cli_complain(c->name,
					      "there is no script for '%s'; bash, fish and zsh "
					      "have one",
					      operands.words[0]);
}

static const struct cli_example examples[] = {
	CLI_EXAMPLE("atoll completion bash > ~/.local/share/bash-completion/completions/atoll"),
	CLI_EXAMPLE("atoll completion zsh > ~/.zfunc/_atoll", .why = "a directory of $fpath"),
	CLI_EXAMPLE("atoll completion fish > ~/.config/fish/completions/atoll.fish"),
	{},
};

const struct cli_command cli_completion_command = {
	.name = "completion",
	.summary = "print a completion script for a shell",
	.operands = "SHELL",
	.operand = {.kind = CLI_WORDS, .choices = shells},
	.max_operands = 1,
	.about = "Print the script with which bash, fish or zsh completes atoll's command lines:\n"
		 "commands, options, their values, profiles, templates, sandboxes by id and name,\n"
		 "and the command that is run. 'make install' has put them where these\n"
		 "shells look; this is for an atoll that came as a single file.\n",
	.examples = examples,
	.run = run,
};
