/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of `atoll account` share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "front/cli/cli-options.h"
#include "record/ledger.h"

struct err;

/* One request to the ledger that config.yaml names; takes it. */
int account_ask(json_t *request, json_t **reply, struct err *e);

/* The same for a listing, page after page: the rows under `key`, whole. `by`: what the next page
 * begins after, a member of the last row; NULL: their number. */
int account_ask_all(json_t *request, const char *key, const char *by, json_t **rows, struct err *e);

/* An amount of a dimension as people write it ("12.50", "90s", "10GiB", "2h"), and back. */
int account_amount(enum ledger_dimension d, const char *text, int64_t *ret, struct err *e);
struct account_text {
	char s[64];
};
struct account_text account_amount_text(const char *dimension, int64_t amount,
					const char *currency);

/* The last cell of a line: the name of a model is anybody's text. */
void account_print_model(const json_t *row, const char *before);

/* Digits with decimals as millionths; -EINVAL. */
int account_millionths(const char *text, int64_t *ret, struct err *e);

extern const struct cli_command cli_account_usage_command;
extern const struct cli_command cli_account_report_command;
extern const struct cli_command cli_account_price_command;
extern const struct cli_command cli_account_allow_command;
extern const struct cli_command cli_account_disallow_command;
extern const struct cli_command cli_account_orphans_command;
extern const struct cli_command cli_account_return_command;
extern const struct cli_command cli_account_agents_command;
extern const struct cli_command cli_account_restore_command;
