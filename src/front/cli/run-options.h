/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `atoll run`, parsed into a policy request and what to report. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/policy.h"

#define RUN_MAX_OVERRIDES 256
#define RUN_MAX_LABELS    16

struct run_options {
	struct policy_override overrides[RUN_MAX_OVERRIDES];
	size_t n_overrides;
	const char *file;        /* --policy */
	const char *template;    /* --template NAME|FILE */
	const char *accept_tier; /* --accept-tier */
	const char *json;        /* --json FILE|- */
	const char *receipt;     /* --receipt FILE */
	const char *lock;        /* --lock FILE */
	const char *locked;      /* --locked FILE */
	const char *name;        /* --name */
	struct run_label {
		const char *key, *value;
	} labels[RUN_MAX_LABELS]; /* --label KEY=VALUE */
	size_t n_labels;
	bool learn;
	bool plan_only;
	bool quiet;
	char **command; /* the rest of argv; NULL when there is none */
};

struct cli_command;

/*
 * Parses the line of `c`, run or create, until the first word that is no option, or "--". Returns
 * 0, 1 when --help was printed, or CLI_FAILED negated after having said why. The strings of argv
 * are kept, some cut in place.
 */
int run_options_parse(struct run_options *o, const struct cli_command *c, int argc, char **argv);
