/* SPDX-License-Identifier: Apache-2.0 */
/* What atoll-ledger and whoever starts it say to each other besides requests. */
#pragma once

#include <jansson.h>

struct err;

/* The reply of a request that failed. */
json_t *ledger_error(const struct err *e);
