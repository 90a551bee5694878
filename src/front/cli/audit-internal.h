/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `atoll audit`, each with its table in a file of its own. */
#pragma once

#include "front/cli/cli-options.h"

extern const struct cli_command cli_audit_verify_command;
extern const struct cli_command cli_audit_show_command;
extern const struct cli_command cli_audit_report_command;
extern const struct cli_command cli_audit_export_command;
extern const struct cli_command cli_audit_prove_command;
extern const struct cli_command cli_audit_credentials_command;
