/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills in a man page while building: standard input is the page's prose in scdoc(5), where a line
 * that is @NAME ARGUMENT@ stands for rows of the tables that the option parsers and the loader of
 * policies read; standard output is the page for scdoc(1).
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "front/cli/commands.h"
#include "policy/policy.h"
#include "policy/schema.h"
#include "policy/setting.h"

/* Text of the tables: nothing in it is markup. */
static void put(const char *text)
{
	for (; *text; text++) {
		if (strchr("\\*_#[]|`~.-", *text)) {
			(void)putchar('\\');
		}
		(void)putchar(*text);
	}
}

static void put_marked(char mark, const char *text)
{
	(void)putchar(mark);
	put(text);
	(void)putchar(mark);
}

/* Words as "_a_, _b_ or _c_". */
static void put_words(const struct cli_value *v)
{
	const char *word, *next;

	for (size_t i = 0; (word = cli_value_word(v, i)) != NULL; i++) {
		next = cli_value_word(v, i + 1);
		(void)fputs(i == 0 ? "" : next ? ", " : " or ", stdout);
		put_marked('_', word);
	}
}

/* Help texts and summaries are no sentences. */
static void put_sentence(const char *text)
{
	char first[2] = {text[0], '\0'};

	if (text[0] >= 'a' && text[0] <= 'z') {
		first[0] = (char)(text[0] - 'a' + 'A');
	}
	put(first);
	put(text + 1);
	(void)putchar('.');
}

/* ---- commands ---- */

static void put_option(const struct cli_option *o)
{
	put_marked('*', o->name);
	if (o->letter) {
		(void)fputs(", ", stdout);
		put_marked('*', cli_option_short(o).text);
	}
	if (o->argument) {
		(void)putchar(' ');
		put_marked('_', o->argument);
	}
	(void)fputs("\n\t", stdout);
	put_sentence(o->help);
	if (o->repeat) {
		(void)fputs(" It may be repeated.", stdout);
	}
	if (o->value.kind == CLI_WORDS || o->value.kind == CLI_WORKSPACE) {
		(void)fputs(o->value.kind == CLI_WORDS ? " One of " : " MODE is one of ", stdout);
		put_words(&o->value);
		(void)putchar('.');
	}
	if (o->value.key && o->take) {
		(void)fputs(" It sets ", stdout);
		put_marked('*', o->value.key);
		(void)fputs(" of the policy.", stdout);
	}
	(void)fputs("\n\n", stdout);
}

static void put_options(const struct cli_command *c)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		put_option(o);
	}
}

static void put_synopsis(const struct cli_command *c)
{
	(void)printf("*atoll%s%s* %s", *c->name ? " " : "", c->name,
		     c->commands ? "_COMMAND_ " : "");
	put("[options]");
	if (c->operands) {
		(void)putchar(' ');
		put(c->operands);
	}
	(void)putchar('\n');
}

static void put_about(const struct cli_command *c)
{
	put(c->about);
	if (c->notes) {
		(void)putchar('\n');
		put(c->notes);
	}
}

static void put_examples(const struct cli_command *c)
{
	(void)puts("```");
	for (const struct cli_example *e = c->examples; e->line; e++) {
		(void)printf("%s%s%s\n", e->line, e->why ? "    # " : "", e->why ? e->why : "");
	}
	(void)puts("```");
}

/* A group: each of its commands. */
static void put_commands(const struct cli_command *c)
{
	for (size_t i = 0; c->commands && c->commands[i]; i++) {
		put_marked('*', cli_command_word(c->commands[i]));
		(void)fputs("\n\t", stdout);
		put_sentence(c->commands[i]->summary);
		(void)fputs("\n\n", stdout);
	}
}

static void put_sections(const struct cli_command *c)
{
	for (size_t i = 0; c->commands && c->commands[i]; i++) {
		const struct cli_command *sub = c->commands[i];

		(void)printf("## atoll %s\n\n", sub->name);
		put_synopsis(sub);
		(void)putchar('\n');
		put_about(sub);
		(void)putchar('\n');
		put_options(sub);
		put_examples(sub);
		(void)putchar('\n');
	}
}

/* ---- keys ---- */

static const char *const types[] = {
	[TYPE_INT] = "a whole number",
	[TYPE_SIZE] = "a size: bytes, or with a unit as in 512MiB or 2GB",
	[TYPE_RATE] = "a size and /s, as in 50MiB/s",
	[TYPE_DURATION] = "a duration with units, as in 500ms, 10m or 1h30m",
	[TYPE_CPUS] = "a number, as in 2 or 0.5",
	[TYPE_WORD] = "one of the words below",
	[TYPE_NAME] = "a name: letters, digits, '.', '_' and '-'",
	[TYPE_TEXT] = "one line of text",
	[TYPE_PATH] = "a path",
	[TYPE_PATHS] = "a list of paths",
	[TYPE_PATTERNS] = "a list of paths and patterns",
	[TYPE_NAMES] = "a list of names",
	[TYPE_PROGRAMS] = "a list of programs",
	[TYPE_RULES] = "a list of destinations",
	[TYPE_HOSTS] = "a list of hosts",
	[TYPE_ENV] = "a mapping of variables",
};

/* What a document of lower precedence may do with it. */
static const char *const merges[] = {
	[MERGE_NONE] = "each document states its own",
	[MERGE_FREE] = "may replace it",
	[MERGE_SAME] = "may only repeat it",
	[MERGE_LOWER] = "may only lower it",
	[MERGE_RAISE] = "may only raise it",
	[MERGE_WITHIN] = "may only name a place below",
	[MERGE_SUBSET] = "may only keep a part of it",
	[MERGE_BY_NAME] = "may only keep some of the names, and set those that are free",
	[MERGE_UNION] = "may only add to it",
};

static const char *const classes[] = {
	[CLASS_FACT] = "a fact: recorded, or decides others",
	[CLASS_WALL] = "a wall: the kernel refuses",
	[CLASS_GUARD] = "a guard-rail: it stops mistakes, code that tries can get around it",
	[CLASS_LIMIT] = "a wall when a control group arms it, else a guard-rail",
};

static void put_number(const struct schema_key *k, uint64_t n)
{
	_cleanup_buf_ struct buf b = {};
	const struct value v = {.set = true, .num = n};

	buf_init(&b, 256);
	(void)setting_show(k, &v, &b);
	put(buf_str(&b));
}

static void put_key(const struct schema_key *k)
{
	put_marked('*', k->path);
	(void)fputs("\n\t", stdout);
	put(k->doc);
	if (k->type == TYPE_SECTION) {
		(void)fputs(" A mapping of the keys below.\n\n", stdout);
		return;
	}
	(void)fputs("\n\n\tValue: ", stdout);
	put(types[k->type]);
	if (k->max > k->min) {
		(void)fputs("; from ", stdout);
		put_number(k, k->min);
		(void)fputs(" to ", stdout);
		put_number(k, k->max);
	}
	(void)fputs(".++\nIt is ", stdout);
	put(classes[k->class]);
	(void)fputs(".++\nA lower document: ", stdout);
	put(merges[k->rule]);
	(void)fputs(k->rule == MERGE_LOWER && k->n_words > 0   ? ", to a word further up"
		    : k->rule == MERGE_RAISE && k->n_words > 0 ? ", to a word further down"
							       : "",
		    stdout);
	(void)fputs(".\n\n", stdout);
	for (size_t i = 0; i < k->n_words; i++) {
		(void)fputs("\t- ", stdout);
		put_marked('_', k->words[i].word);
		(void)fputs(": ", stdout);
		put(k->words[i].say);
		(void)putchar('\n');
	}
	if (k->n_words > 0) {
		(void)putchar('\n');
	}
}

static void put_keys(const struct cli_command *unused)
{
	(void)unused;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		put_key(&schema_keys[i]);
	}
}

static void put_profiles(const struct cli_command *unused)
{
	struct policy_profile p;

	(void)unused;
	for (size_t i = 0; policy_profile_at(i, &p); i++) {
		(void)fputs(i > 0 ? ", " : "", stdout);
		put_marked('_', p.name);
	}
	(void)putchar('\n');
}

/* ---- pages ---- */

static const struct {
	const char *name;
	void (*print)(const struct cli_command *c);
} markers[] = {
	{"SYNOPSIS", put_synopsis}, {"ABOUT", put_about},       {"OPTIONS", put_options},
	{"EXAMPLES", put_examples}, {"COMMANDS", put_commands}, {"SECTIONS", put_sections},
	{"KEYS", put_keys},         {"PROFILES", put_profiles},
};

static const struct cli_command *find(const struct cli_command *c, const char *name)
{
	const struct cli_command *found = strcmp(c->name, name) == 0 ? c : NULL;

	for (size_t i = 0; !found && c->commands && c->commands[i]; i++) {
		found = find(c->commands[i], name);
	}
	return found;
}

/* A line "@NAME COMMAND@" or "@NAME@"; false when it is none of ours. */
static bool fill_in(char *line)
{
	char *end = line + strcspn(line, "\n"), *argument;
	const struct cli_command *c;

	if (line[0] != '@' || end - line < 3 || end[-1] != '@') {
		return false;
	}
	end[-1] = '\0';
	argument = strchr(line, ' ');
	if (argument) {
		*argument++ = '\0';
	}
	c = find(&cli_atoll, argument ? argument : "");
	for (size_t i = 0; c && i < ARRAY_SIZE(markers); i++) {
		if (strcmp(markers[i].name, line + 1) == 0) {
			markers[i].print(c);
			return true;
		}
	}
	(void)fprintf(stderr, "man-gen: nothing stands for '%s %s'\n", line,
		      argument ? argument : "");
	return false;
}

int main(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		if (line[0] != '@') {
			(void)fputs(line, stdout);
		} else if (!fill_in(line)) {
			return 1;
		}
	}
	return fflush(stdout) != 0 || ferror(stdout) || ferror(stdin);
}
