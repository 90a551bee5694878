/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of all commands; commands.c has the one of the program. */
#pragma once

#include "front/cli/cli-options.h"

extern const struct cli_command cli_run_command;
extern const struct cli_command cli_create_command;
extern const struct cli_command cli_exec_command;
extern const struct cli_command cli_shell_command;
extern const struct cli_command cli_inspect_command;
extern const struct cli_command cli_events_command;
extern const struct cli_command cli_logs_command;
extern const struct cli_command cli_rm_command;
extern const struct cli_command cli_pause_command;
extern const struct cli_command cli_reap_command;
extern const struct cli_command cli_gc_command;
extern const struct cli_command cli_resume_command;
extern const struct cli_command cli_ps_command;
extern const struct cli_command cli_stop_command;
extern const struct cli_command cli_cp_command;
extern const struct cli_command cli_diff_command;
extern const struct cli_command cli_apply_command;
extern const struct cli_command cli_discard_command;
extern const struct cli_command cli_graduate_command;
extern const struct cli_command cli_audit_command;
extern const struct cli_command cli_policy_command;
extern const struct cli_command cli_account_command;
extern const struct cli_command cli_doctor_command;
extern const struct cli_command cli_completion_command;
extern const struct cli_command cli_version_command;

/* Their tables have a file of their own. */
int cmd_create(const struct cli_command *c, int argc, char **argv);
int cmd_run(const struct cli_command *c, int argc, char **argv);

/* --version of the program; the exit status. */
int cli_take_version(void *into, const struct cli_option *option, char *value);
