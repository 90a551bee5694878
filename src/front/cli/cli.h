/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands share: how they speak, and how they end. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "keeper/reap.h"

struct err;
struct state;

/* Exit codes as in docker(1) and timeout(1). */
enum cli_exit {
	CLI_OK = 0,
	CLI_REFUSED = 1, /* what was asked for is not done, for a reason that a person can decide */
	CLI_TIME_LIMIT = 124,
	CLI_FAILED = 125,
	CLI_NOT_EXECUTABLE = 126,
	CLI_NOT_FOUND = 127,
	CLI_LIMIT = 137,
};

/* Writes "atoll: MESSAGE" to standard error, controls neutralised; returns CLI_FAILED. */
int cli_fail(const struct err *e);

/* The same for a command line of `atoll NAME` that is wrong: "atoll: NAME: MESSAGE". */
int cli_complain(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One line "atoll: ..." on standard error. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A line on standard error that the next one of these replaces: for what takes its time, and only
 * where that is a terminal that can take a line back. NULL: it is over, and the line goes.
 */
void cli_progress(const char *line);

/* True if standard output is a terminal that shows colours and nobody has asked for none: NO_COLOR
 * (no-color.org), TERM=dumb. */
bool cli_colours(void);

/* At the end of what goes to standard output: CLI_OK, or CLI_FAILED after having said why. */
int cli_written(void);

/* Prints a document and takes it; NULL means out of memory. The exit status. */
int cli_print_json(json_t *taken);

/*
 * Removes what earlier keepers left when they were killed, and says so. One that cannot be removed
 * is said every time, and stops nobody from working.
 */
void cli_reap(const struct state *s, enum reap how);
