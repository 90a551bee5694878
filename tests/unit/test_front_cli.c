/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of all commands: that they are sound, and that the parser takes what they say. */
#include "unit.h"

#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/policy-internal.h"
#include "front/cli/policy-new.h"
#include "policy/schema.h"

#define MAX_COMMANDS 64

/* Every command, the program and the groups included. */
struct tree {
	const struct cli_command *list[MAX_COMMANDS];
	size_t n;
};

static void walk(const struct cli_command *c, struct tree *t)
{
	assert_true(t->n < MAX_COMMANDS);
	t->list[t->n++] = c;
	for (size_t i = 0; c->commands && c->commands[i]; i++) {
		walk(c->commands[i], t);
	}
}

static struct tree every_command(void)
{
	struct tree t = {};

	walk(&cli_atoll, &t);
	assert_true(t.n > 8);
	return t;
}

static void test_commands(void **state)
{
	struct tree t = every_command();

	(void)state;
	for (size_t i = 0; i < t.n; i++) {
		const struct cli_command *c = t.list[i];
		const char *end = c->about + strlen(c->about) - 1;

		assert_true((c->run != NULL) != (c->commands != NULL));
		assert_true(*end == '\n');
		assert_true(i == 0 || c->summary);
		assert_true(!c->operands == !c->max_operands);
		assert_true(!c->operands || c->operand.kind != CLI_TEXT);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(c->name, t.list[j]->name);
		}
	}
}

static void test_examples(void **state)
{
	struct tree t = every_command();

	(void)state;
	for (size_t i = 0; i < t.n; i++) {
		const struct cli_example *e = t.list[i]->examples;
		char begin[64];

		assert_non_null(e[0].line);
		(void)snprintf(begin, sizeof(begin), "atoll %s", t.list[i]->name);
		for (; e->line; e++) {
			if (strncmp(e->line, begin, strlen(begin)) != 0) {
				fail_msg("an example of '%s' does not use it: %s", begin, e->line);
			}
		}
	}
}

/* What the schema says about the key is what a shell proposes. */
static void check_kind(const struct cli_option *o)
{
	static const struct {
		enum key_type type;
		enum cli_values kind;
	} kinds[] = {
		{TYPE_INT, CLI_TEXT},     {TYPE_SIZE, CLI_TEXT},        {TYPE_DURATION, CLI_TEXT},
		{TYPE_CPUS, CLI_TEXT},    {TYPE_WORD, CLI_WORDS},       {TYPE_WORD, CLI_WORKSPACE},
		{TYPE_NAME, CLI_PROFILE}, {TYPE_NAME, CLI_TEXT},        {TYPE_TEXT, CLI_TEXT},
		{TYPE_NAME, CLI_ACCOUNT}, {TYPE_NAME, CLI_AGENT},       {TYPE_PATH, CLI_FILE},
		{TYPE_PATHS, CLI_FILE},   {TYPE_PROGRAMS, CLI_PROGRAM}, {TYPE_ENV, CLI_VARIABLE},
		{TYPE_RULES, CLI_TEXT},   {TYPE_RATE, CLI_TEXT},        {TYPE_PATTERNS, CLI_TEXT},
		{TYPE_NAMES, CLI_TEXT},   {TYPE_NAMES, CLI_WORDS},      {TYPE_HOSTS, CLI_TEXT},
	};
	const struct schema_key *k = schema_find(o->value.key, strlen(o->value.key));
	bool good = false;

	assert_non_null(k);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		good = good || (kinds[i].type == k->type && kinds[i].kind == o->value.kind);
	}
	if (!good) {
		fail_msg("%s: kind %d does not suit the key %s", o->name, (int)o->value.kind,
			 o->value.key);
	}
	assert_int_equal(o->repeat, schema_is_list(k));
}

static void test_options(void **state)
{
	struct tree t = every_command();

	(void)state;
	for (size_t i = 0; i < t.n; i++) {
		const struct cli_option *o, *last = NULL;

		for (size_t j = 0; (o = cli_option_at(t.list[i], j)) != NULL; j++) {
			last = o;
			assert_true(strncmp(o->name, "--", 2) == 0 && o->help && *o->help);
			assert_true(o->argument || o->value.kind == CLI_TEXT);
			if (o->value.key) {
				check_kind(o);
			}
			if (o->value.kind == CLI_WORDS) {
				assert_non_null(cli_value_word(&o->value, 0));
			}
			assert_true(!o->letter || (o->letter >= 'a' && o->letter <= 'z'));
			for (size_t k = 0; k < j; k++) {
				const struct cli_option *other = cli_option_at(t.list[i], k);

				assert_string_not_equal(o->name, other->name);
				assert_true(!o->letter || o->letter != other->letter);
			}
		}
		assert_string_equal(last->name, "--help");
	}
}

/* A value that the option's key takes; any word where it has none. */
static const char *sample(const struct cli_option *o)
{
	static const char *const samples[] = {
		[TYPE_INT] = "64",           [TYPE_SIZE] = "16MiB",  [TYPE_DURATION] = "1s",
		[TYPE_CPUS] = "1",           [TYPE_NAME] = "name",   [TYPE_TEXT] = "text",
		[TYPE_PATH] = "/path",       [TYPE_PATHS] = "/path", [TYPE_PROGRAMS] = "sh",
		[TYPE_RULES] = "a.b:1",      [TYPE_ENV] = "A=b",     [TYPE_RATE] = "1MiB/s",
		[TYPE_PATTERNS] = "**/.env", [TYPE_NAMES] = "name",  [TYPE_HOSTS] = "a.b",
	};
	const struct schema_key *k =
		o->value.key ? schema_find(o->value.key, strlen(o->value.key)) : NULL;

	if (o->value.kind == CLI_WORDS) {
		return cli_value_word(&o->value, 0);
	}
	if (o->argument && strcmp(o->argument, "KEY=VALUE") == 0) {
		return strcmp(o->name, "--filter") == 0 ? "name=word" : "key=value";
	}
	if (strcmp(o->name, "--event") == 0) {
		return "created";
	}
	if (strcmp(o->name, "--fingerprint") == 0) {
		return "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	}
	if (o->value.kind == CLI_VARIABLE) {
		return "A=b";
	}
	return k && k->type != TYPE_WORD ? samples[k->type] : "word";
}

/* Parses "WORD OPTION [VALUE]" or "WORD OPTION=VALUE"; whatever it is parsed into fits. */
static int parse_one(const struct cli_command *c, const char *option, const char *value)
{
	_Alignas(16) char into[65536] = {};
	char word[] = "x", first[128], second[80];
	char *argv[] = {word, first, value ? second : NULL, NULL};
	struct cli_operands operands;
	int r;

	assert_true(sizeof(struct new_policy) < sizeof(into) / 2);
	(void)snprintf(first, sizeof(first), "%s", option);
	(void)snprintf(second, sizeof(second), "%s", value ? value : "");
	r = cli_parse(c, value ? 3 : 2, argv, into, &operands);
	if (c == &cli_policy_new_command) {
		/* Its answers own memory, and stand first. */
		new_policy_done((struct new_policy *)into);
	}
	return r;
}

static void test_every_option_is_taken(void **state)
{
	struct tree t = every_command();
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < t.n; i++) {
		const struct cli_option *o;

		if (!t.list[i]->run) {
			continue;
		}
		for (size_t j = 0; (o = cli_option_at(t.list[i], j + 1)) != NULL; j++) {
			char joined[96];

			/* The one after the last is --help. */
			o = cli_option_at(t.list[i], j);
			(void)snprintf(joined, sizeof(joined), "%s=%s", o->name, sample(o));
			seen++;
			assert_int_equal(
				parse_one(t.list[i], o->name, o->argument ? sample(o) : NULL), 0);
			assert_int_equal(parse_one(t.list[i], joined, NULL),
					 o->argument ? 0 : -CLI_FAILED);
			assert_int_equal(parse_one(t.list[i], o->name, NULL),
					 o->argument ? -CLI_FAILED : 0);
			assert_true(!o->letter || parse_one(t.list[i], cli_option_short(o).text,
							    o->argument ? sample(o) : NULL) == 0);
		}
		assert_int_equal(parse_one(t.list[i], "--no-such", NULL), -CLI_FAILED);
	}
	assert_true(seen > 60);
}

/* ---- the parser, on a table of its own ---- */

struct into {
	const char *file;
	bool flag;
};

static const struct cli_option own_options[] = {
	CLI_TAKES("--file", "FILE", CLI_FILE, "a file", .letter = 'f',
		  .offset = offsetof(struct into, file)),
	CLI_FLAG("--flag", "a flag", .letter = 'g', .offset = offsetof(struct into, flag)),
	{},
};

static const struct cli_example own_examples[] = {CLI_EXAMPLE("atoll own"), {}};

static const struct cli_command own = {
	.name = "own",
	.about = "Own.\n",
	.operands = "WORD...",
	.max_operands = 2,
	.options = own_options,
	.examples = own_examples,
};

static void test_operands(void **state)
{
	static const struct {
		const char *line;
		int result;
		size_t n;
		const char *first, *file;
		bool flag;
	} rows[] = {
		{"own", 0, 0, NULL, NULL, false},
		{"own a b", 0, 2, "a", NULL, false},
		{"own a b c", -CLI_FAILED, 0, NULL, NULL, false},
		{"own a --flag b", 0, 2, "a", NULL, true},
		{"own --file f a", 0, 1, "a", "f", false},
		{"own a --file=f", 0, 1, "a", "f", false},
		{"own a --file f=g", 0, 1, "a", "f=g", false},
		{"own a --file --flag", 0, 1, "a", "--flag", false},
		{"own -- --flag", 0, 1, "--flag", NULL, false},
		{"own --flag -- --flag --", 0, 2, "--flag", NULL, true},
		{"own -", 0, 1, "-", NULL, false},
		{"own -f", -CLI_FAILED, 0, NULL, NULL, false},
		{"own -f x a", 0, 1, "a", "x", false},
		{"own -g a", 0, 1, "a", NULL, true},
		{"own a -g -f -g", 0, 1, "a", "-g", true},
		{"own -- -g", 0, 1, "-g", NULL, false},
		{"own -x", -CLI_FAILED, 0, NULL, NULL, false},
		{"own -gf", -CLI_FAILED, 0, NULL, NULL, false},
		{"own -g=1", -CLI_FAILED, 0, NULL, NULL, false},
		{"own -fx", -CLI_FAILED, 0, NULL, NULL, false},
		{"own a --file", -CLI_FAILED, 0, NULL, NULL, false},
		{"own --fil f", -CLI_FAILED, 0, NULL, NULL, false},
		{"own --flag=1", -CLI_FAILED, 0, NULL, NULL, true},
		{"own --help=1", -CLI_FAILED, 0, NULL, NULL, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char line[64], *save = NULL, *argv[8] = {};
		struct cli_operands operands = {};
		struct into into = {};
		int argc = 0;

		(void)snprintf(line, sizeof(line), "%s", rows[i].line);
		for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
			argv[argc++] = w;
		}
		assert_int_equal(cli_parse(&own, argc, argv, &into, &operands), rows[i].result);
		if (rows[i].result != 0) {
			continue;
		}
		assert_int_equal(operands.n, rows[i].n);
		assert_null(operands.words[operands.n]);
		assert_true(into.flag == rows[i].flag);
		if (rows[i].first) {
			assert_string_equal(operands.words[0], rows[i].first);
		}
		if (rows[i].file) {
			assert_string_equal(into.file, rows[i].file);
		} else {
			assert_null(into.file);
		}
	}
}

static void test_words(void **state)
{
	static const char *const choices[] = {"a", "b", NULL};
	const struct cli_value own_words = {.kind = CLI_WORDS, .choices = choices};
	const struct cli_value trust = {.kind = CLI_WORDS, .key = "trust"};
	const struct cli_value profile = {.kind = CLI_PROFILE};
	const struct cli_value none = {.kind = CLI_TEXT};

	(void)state;
	assert_string_equal(cli_value_word(&own_words, 1), "b");
	assert_null(cli_value_word(&own_words, 2));
	assert_null(cli_value_word(&own_words, 3));
	for (size_t i = 0; i < schema_keys[KEY_TRUST].n_words; i++) {
		assert_string_equal(cli_value_word(&trust, i),
				    schema_keys[KEY_TRUST].words[i].word);
	}
	assert_null(cli_value_word(&trust, schema_keys[KEY_TRUST].n_words));
	assert_string_equal(cli_value_word(&profile, 0), "dev-assistant");
	assert_null(cli_value_word(&profile, 1000));
	assert_null(cli_value_word(&none, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands), cmocka_unit_test(test_examples),
		cmocka_unit_test(test_options),  cmocka_unit_test(test_every_option_is_taken),
		cmocka_unit_test(test_operands), cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
