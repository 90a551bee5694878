/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands share: one function each, and how they speak. */
#pragma once

struct err;
struct state;

/* Exit codes as in docker(1) and timeout(1). */
enum cli_exit {
	CLI_OK = 0,
	CLI_TIME_LIMIT = 124,
	CLI_FAILED = 125,
	CLI_NOT_EXECUTABLE = 126,
	CLI_NOT_FOUND = 127,
	CLI_LIMIT = 137,
};

/* argv[0] is the subcommand's name; the return value is the exit status. */
int cmd_run(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Writes "atoll: MESSAGE" to standard error, controls neutralised; returns CLI_FAILED. */
int cli_fail(const struct err *e);
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One line "atoll: ..." on standard error. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Removes what earlier keepers left when they were killed, and says so. One that cannot be removed
 * is said every time, and stops nobody from working.
 */
void cli_reap(const struct state *s);
