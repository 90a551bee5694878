/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger to test: in a file, or on a PostgreSQL server that the test has started for itself. */
#pragma once

#include <stdint.h>

#include "record/ledger.h"
#include "record/store.h"

struct fixture {
	char dir[64]; /* the home of an SQLite ledger */
	int home;
	struct ledger *l;
	bool postgres;
	int64_t now_ms; /* what the ledger takes for the clock of the host */
	int64_t up_ms;  /* and for how long that is up */
};

/* The server: a group's setup and teardown. */
int fixture_server_start(void **state);
int fixture_server_stop(void **state);

/* One test's: an empty ledger. */
int fixture_sqlite(void **state);
int fixture_postgres(void **state);
int fixture_teardown(void **state);

/* Another connection to it, with the same clock. */
struct ledger *fixture_open(struct fixture *f);
struct store *fixture_store(struct fixture *f);

/* Rows of a group's table: a test on each of them. */
#define ON_SQLITE(f)                                                     \
	{                                                                \
		"sqlite: " #f, f, fixture_sqlite, fixture_teardown, NULL \
	}
#define ON_POSTGRES(f)                                                       \
	{                                                                    \
		"postgres: " #f, f, fixture_postgres, fixture_teardown, NULL \
	}
#define ON_BOTH(f) ON_SQLITE(f), ON_POSTGRES(f)

/* The answer of a question of one number. */
int64_t fixture_ask(struct store *s, const char *sql);

#define DAY_MS 86400000LL
/* 2026-11-30 at noon. */
#define NOON (20787 * DAY_MS + DAY_MS / 2)
