/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of `atoll policy` share. */
#pragma once

#include "front/cli/cli-options.h"

/* Options that the subcommands share; each takes some of them. */
struct policy_options {
	const char *trust;
	const char *profile;
	const char *floor;
	const char *template;
	const char *accept_tier;
	bool json;
	struct cli_operands files;
};

/* One line on standard error; the exit code of a failure. */
#define policy_fail(...) (cli_say(__VA_ARGS__), CLI_FAILED)

int policy_show(const struct policy_options *o);

extern const struct cli_command cli_policy_new_command;
