/* SPDX-License-Identifier: Apache-2.0 */
/* The program's table: every command is below it. */
#include "front/cli/commands.h"

static const struct cli_command *const commands[] = {
	&cli_run_command,
	&cli_create_command,
	&cli_exec_command,
	&cli_shell_command,
	&cli_cp_command,
	&cli_diff_command,
	&cli_apply_command,
	&cli_discard_command,
	&cli_graduate_command,
	&cli_ps_command,
	&cli_inspect_command,
	&cli_events_command,
	&cli_logs_command,
	&cli_pause_command,
	&cli_resume_command,
	&cli_stop_command,
	&cli_rm_command,
	&cli_reap_command,
	&cli_gc_command, /* the same */
	&cli_audit_command,
	&cli_policy_command,
	&cli_account_command,
	&cli_doctor_command,
	&cli_completion_command,
	&cli_version_command,
	NULL,
};

static const struct cli_option options[] = {
	CLI_FLAG("--version", "print the version", .take = cli_take_version),
	{},
};

static const struct cli_example examples[] = {
	CLI_EXAMPLE("atoll run -- python3 script.py",
		    .why = "a copy of the current directory is visible"),
	CLI_EXAMPLE("atoll run -- make", .why = "what it changes waits for 'atoll diff'"),
	CLI_EXAMPLE("atoll run --workspace .:direct -- make", .why = "and this may change it"),
	CLI_EXAMPLE("atoll policy explain --trust medium", .why = "what the default policy means"),
	{},
};

const struct cli_command cli_atoll = {
	.name = "",
	.about = "Run untrusted code behind a boundary that you choose, can see, and can prove.\n",
	.notes = "'atoll COMMAND --help' tells more.\n",
	.options = options,
	.examples = examples,
	.commands = commands,
};
