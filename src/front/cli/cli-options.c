/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines parsed by their tables, and the help that the same tables give. */
#include "front/cli/cli-options.h"

#include <stdint.h>
#include <string.h>

#include "front/cli/cli.h"
#include "policy/policy.h"
#include "policy/schema.h"

#define LEFT_WIDTH 28 /* of the column of options; what is longer moves its text only */
#define HELP_WIDTH 100

static const struct cli_option help_option = {.name = "--help", .letter = 'h', .help = "this text"};

const struct cli_option *cli_option_at(const struct cli_command *c, size_t i)
{
	size_t n = 0;

	while (c->options && c->options[n].name) {
		n++;
	}
	return i < n ? &c->options[i] : i == n ? &help_option : NULL;
}

const struct cli_value *cli_operand_value(const struct cli_command *c, bool first)
{
	static const struct cli_value nothing = {.kind = CLI_TEXT};

	if (!first && c->max_operands < 2) {
		return &nothing;
	}
	return first || c->further.kind == CLI_TEXT ? &c->operand : &c->further;
}

struct cli_short cli_option_short(const struct cli_option *o)
{
	return (struct cli_short){{(char)(o->letter ? '-' : '\0'), o->letter, '\0'}};
}

const char *cli_command_word(const struct cli_command *c)
{
	const char *space = strrchr(c->name, ' ');

	return space ? space + 1 : c->name;
}

const char *cli_value_word(const struct cli_value *v, size_t i)
{
	const struct schema_key *k = v->key ? schema_find(v->key, strlen(v->key)) : NULL;
	struct policy_profile profile;
	size_t n = 0;

	if (v->kind == CLI_PROFILE) {
		return policy_profile_at(i, &profile) ? profile.name : NULL;
	}
	if (v->choices) {
		while (v->choices[n] && n < i) {
			n++;
		}
		return v->choices[n];
	}
	return k && i < k->n_words ? k->words[i].word : NULL;
}

/* One of the words for a mode, those of other versions included: the policy says why not. */
static bool is_mode(const struct schema_key *k, const char *word)
{
	bool found = schema_word(k, word) >= 0;

	for (size_t i = 0; i < k->n_absent; i++) {
		found = found || strcmp(k->absent[i].word, word) == 0;
	}
	return found;
}

char *cli_cut_mode(char *value)
{
	char *colon = strrchr(value, ':');

	if (!colon || !is_mode(&schema_keys[KEY_WORKSPACE_MODE], colon + 1)) {
		return NULL;
	}
	*colon = '\0';
	return colon + 1;
}

/* ---- parsing ---- */

#define complain(c, ...) (cli_complain((c)->name, __VA_ARGS__), -CLI_FAILED)

/* Finds the option of a word "--name", "--name=value" or "-n". */
static const struct cli_option *find(const struct cli_command *c, const char *word,
				     char **ret_value)
{
	size_t len = strcspn(word, "="), i;
	const struct cli_option *o;

	for (i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		if (o->letter && strcmp(word, cli_option_short(o).text) == 0) {
			*ret_value = NULL;
			return o;
		}
		if (strlen(o->name) == len && strncmp(word, o->name, len) == 0) {
			*ret_value = word[len] ? (char *)word + len + 1 : NULL;
			return o;
		}
	}
	return NULL;
}

static int store(void *into, const struct cli_option *o, char *value)
{
	void *at = (char *)into + o->offset;

	if (o->take) {
		return o->take(into, o, value);
	}
	if (o->argument) {
		*(const char **)at = value;
	} else {
		*(bool *)at = true;
	}
	return 0;
}

/* Takes the option that stands at argv[*i], and its value if that is the next word. */
static int take_option(const struct cli_command *c, char **argv, int *i, void *into)
{
	char *value = NULL;
	const struct cli_option *o = find(c, argv[*i], &value);

	if (!o) {
		return complain(c, "unknown option '%s'; see 'atoll %s --help'", argv[*i], c->name);
	}
	if (o == &help_option && !value) {
		return cli_help(c, stdout) == CLI_OK ? 1 : -CLI_FAILED;
	}
	if (!o->argument && value) {
		return complain(c, "'%s' takes no value", o->name);
	}
	if (o->argument && !value) {
		value = argv[++*i];
	}
	if (o->argument && (!value || !*value)) {
		return complain(c, "'%s' needs a value: %s", o->name, o->argument);
	}
	return store(into, o, value);
}

int cli_parse(const struct cli_command *c, int argc, char **argv, void *into,
	      struct cli_operands *ret)
{
	size_t n = 0;
	int i, r;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		/* A lone dash is standard input where operands are files. */
		bool is_option = argv[i][0] == '-' && (argv[i][1] || c->ends_at_operand);

		if (!is_option && c->ends_at_operand) {
			break;
		}
		if (!is_option) {
			argv[1 + n++] = argv[i];
			continue;
		}
		r = take_option(c, argv, &i, into);
		if (r != 0) {
			return r;
		}
	}
	i += i < argc && strcmp(argv[i], "--") == 0;
	if (c->ends_at_operand) {
		*ret = (struct cli_operands){.words = argv + i, .n = (size_t)(argc - i)};
		return 0;
	}
	for (; i < argc; i++) {
		argv[1 + n++] = argv[i];
	}
	if (n > c->max_operands) {
		return complain(c, "unexpected argument '%s'; see 'atoll %s --help'",
				argv[1 + c->max_operands], c->name);
	}
	argv[1 + n] = NULL;
	*ret = (struct cli_operands){.words = argv + 1, .n = n};
	return 0;
}

int cli_run(const struct cli_command *c, int argc, char **argv)
{
	const char *blank = *c->name ? " " : "";
	const struct cli_option *o;
	char *value = NULL;
	size_t i;

	if (argc < 2) {
		cli_complain(c->name, "which command? see 'atoll %s%s--help'", c->name, blank);
		return CLI_FAILED;
	}
	o = find(c, argv[1], &value);
	if (o && !value) {
		return o == &help_option ? cli_help(c, stdout) : o->take(NULL, o, NULL);
	}
	for (i = 0; c->commands[i]; i++) {
		const struct cli_command *sub = c->commands[i];

		if (strcmp(argv[1], cli_command_word(sub)) == 0) {
			return sub->commands ? cli_run(sub, argc - 1, argv + 1)
					     : sub->run(sub, argc - 1, argv + 1);
		}
	}
	cli_complain(c->name, "there is no command '%s'; see 'atoll %s%s--help'", argv[1], c->name,
		     blank);
	return CLI_FAILED;
}

/* ---- help ---- */

static void help_commands(const struct cli_command *c, FILE *out)
{
	size_t i;

	for (i = 0; c->commands && c->commands[i]; i++) {
		(void)fprintf(out, "  %-12s %s\n", cli_command_word(c->commands[i]),
			      c->commands[i]->summary);
	}
}

/* How many columns the words take, with what stands between them. */
static int words_length(const struct cli_value *v)
{
	const char *word;
	int n = 0;

	for (size_t i = 0; (word = cli_value_word(v, i)) != NULL; i++) {
		n += (int)strlen(word) + 2;
	}
	return n;
}

/* ": a, b or c", the words that a value is chosen from; on a line of their own, which begins at
 * `column`, where the one that has `used` columns is too long for them. */
static void help_words(const struct cli_value *v, int column, int used, bool repeat, FILE *out)
{
	const char *word;

	if (v->kind != CLI_WORDS && v->kind != CLI_WORKSPACE) {
		return;
	}
	(void)fputs(v->kind == CLI_WORKSPACE ? "; MODE:" : ":", out);
	if (used + words_length(v) > HELP_WIDTH - (repeat ? (int)strlen(" (repeatable)") : 0)) {
		(void)fprintf(out, "\n%*s", column, "");
	} else {
		(void)putc(' ', out);
	}
	for (size_t i = 0; (word = cli_value_word(v, i)) != NULL; i++) {
		const char *before = i == 0 ? "" : cli_value_word(v, i + 1) ? ", " : " or ";

		(void)fprintf(out, "%s%s", before, word);
	}
}

/* "--patch, -p", "--level LEVEL"; the length of it. */
static int help_left(const struct cli_option *o, char *text, size_t size)
{
	return snprintf(text, size, "%s%s%s%s%s", o->name, o->letter ? ", " : "",
			cli_option_short(o).text, o->argument ? " " : "",
			o->argument ? o->argument : "");
}

static void help_options(const struct cli_command *c, FILE *out)
{
	const struct cli_option *o;
	char left[64];
	int width = 0;
	size_t i;

	for (i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		int len = help_left(o, left, sizeof(left));

		width = len > width && len <= LEFT_WIDTH ? len : width;
	}
	for (i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
		(void)help_left(o, left, sizeof(left));
		(void)fprintf(out, "  %-*s  %s", width, left, o->help);
		help_words(&o->value, width + 4, width + 4 + (int)strlen(o->help), o->repeat, out);
		(void)fputs(o->repeat ? " (repeatable)\n" : "\n", out);
	}
}

static void help_examples(const struct cli_command *c, FILE *out)
{
	const struct cli_example *e;

	(void)fputs("\nexamples:\n", out);
	for (e = c->examples; e->line; e++) {
		if (e->why) {
			(void)fprintf(out, "  %-42s # %s\n", e->line, e->why);
		} else {
			(void)fprintf(out, "  %s\n", e->line);
		}
	}
}

int cli_help(const struct cli_command *c, FILE *out)
{
	const char *blank = *c->name ? " " : "";

	(void)fprintf(out, "usage: atoll %s%s%s%s%s\n\n%s\n", c->name, blank,
		      c->commands ? "COMMAND [options]" : "[options]", c->operands ? " " : "",
		      c->operands ? c->operands : "", c->about);
	help_commands(c, out);
	if (c->commands) {
		(void)fputc('\n', out);
	}
	help_options(c, out);
	if (c->notes) {
		(void)fprintf(out, "\n%s", c->notes);
	}
	help_examples(c, out);
	return out == stdout ? cli_written() : CLI_OK;
}
