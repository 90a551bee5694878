/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and their options as tables. The parser, the --help texts, the scripts of `atoll
 * completion` and the man pages all read them: an option exists when it stands in its command's
 * table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cli_option;

/* What may stand there, as far as a shell can propose it. */
enum cli_values {
	CLI_TEXT,      /* nothing to propose: a size, a number, a sentence */
	CLI_WORDS,     /* one of a list: `choices`, or the words of `key` */
	CLI_FILE,      /* a file or directory */
	CLI_WORKSPACE, /* a directory, or one with :MODE, a word of `key` */
	CLI_PROFILE,   /* a built-in profile */
	CLI_TEMPLATE,  /* a template's name, or a file */
	CLI_VARIABLE,  /* an environment variable */
	CLI_PROGRAM,   /* a program's name or path */
	CLI_SANDBOX,   /* the id or the name of a running sandbox */
	CLI_KEPT,      /* of one whose copy is kept */
	CLI_EITHER,    /* of one or the other */
	CLI_ACCOUNT,   /* an account of the ledger */
	CLI_ORPHAN,    /* a sandbox that the ledger has not heard of for long */
	CLI_AGENT,     /* an agent whose trust the ledger has lowered, or given back */
	CLI_COMMAND,   /* a command with its own arguments, to the end */
	CLI_VALUES,
};

struct cli_value {
	enum cli_values kind;
	const char *key;            /* a key of the policy's schema */
	const char *const *choices; /* NULL-terminated; NULL: the words of `key` */
};

struct cli_option {
	const char *name;     /* "--trust" */
	char letter;          /* 'p': "-p" is the same; 0: there is none */
	const char *argument; /* its name in the help, "LEVEL"; NULL: a flag */
	struct cli_value value;
	const char *help; /* less than a line; the words of the value are added to it */
	size_t offset;    /* in what is parsed into: a bool, or a const char * */
	/* Takes the value instead; 0, or CLI_FAILED negated after having said why. */
	int (*take)(void *into, const struct cli_option *o, char *value);
	bool repeat; /* each one adds */
};

/* Rows of a table of options: what follows the help are further designated members. */
#define CLI_FLAG(name_, help_, ...)                           \
	{                                                     \
		.name = (name_), .help = (help_), __VA_ARGS__ \
	}
#define CLI_TAKES(name_, argument_, kind_, help_, ...)                                            \
	{                                                                                         \
		.name = (name_), .argument = (argument_), .value.kind = (kind_), .help = (help_), \
		__VA_ARGS__                                                                       \
	}
#define CLI_OF_KEY(key_) .value.key = (key_)

struct cli_example {
	const char *line; /* for a shell */
	const char *why;  /* or NULL */
};

#define CLI_EXAMPLE(line_, ...)              \
	{                                    \
		.line = (line_), __VA_ARGS__ \
	}

/* Tables end with an element that is all zero. */
struct cli_command {
	const char *name;     /* what follows "atoll ": "policy show"; "" is the program */
	const char *summary;  /* for the list of commands, less than a line */
	const char *operands; /* "FILE..." in the usage line; NULL: none */
	struct cli_value operand;
	/* The second operand and those behind it, where they are something else. */
	struct cli_value further;
	size_t max_operands;
	/* The options end at the first operand: the rest, however many, belongs to somebody else.
	 */
	bool ends_at_operand;
	const char *about; /* whole lines, what it does */
	const char *notes; /* whole lines, after the options; NULL: none */
	const struct cli_option *options;
	const struct cli_example *examples;
	/* One of the two. argv[0] is the command's name; the result is the exit status. */
	int (*run)(const struct cli_command *c, int argc, char **argv);
	const struct cli_command *const *commands;
};

/* The program itself: every command is below it. */
extern const struct cli_command cli_atoll;

/* The i-th option, --help being the last; NULL when there are fewer. */
const struct cli_option *cli_option_at(const struct cli_command *c, size_t i);

/* What its first operand is, or those behind it. */
const struct cli_value *cli_operand_value(const struct cli_command *c, bool first);

/* The last word of its name. */
const char *cli_command_word(const struct cli_command *c);

/* The i-th of the words that may stand there, for CLI_WORDS, CLI_WORKSPACE and CLI_PROFILE; NULL
 * when there are fewer. */
const char *cli_value_word(const struct cli_value *v, size_t i);

struct cli_operands {
	char **words; /* ends with NULL */
	size_t n;
};

/*
 * Parses argv into the struct at `into`, which the options' offsets are for. Returns 0, 1 when
 * --help was printed, or CLI_FAILED negated after having said why. Strings and array are argv's,
 * whose operands are moved to its front; some words may be cut in place.
 */
int cli_parse(const struct cli_command *c, int argc, char **argv, void *into,
	      struct cli_operands *ret);

/* "-p", the short spelling of an option; "" where there is none. */
struct cli_short {
	char text[3];
};
struct cli_short cli_option_short(const struct cli_option *o);

/* The mode of PATH:MODE, cut off in place, or NULL; a path may hold colons of its own. */
char *cli_cut_mode(char *value);

/* Finds the command below c that argv[1] names, and runs it. */
int cli_run(const struct cli_command *c, int argc, char **argv);

/* The --help text; the exit status. */
int cli_help(const struct cli_command *c, FILE *out);
