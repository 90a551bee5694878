/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger needs of a database: one statement at a time, and transactions that only one
 * connection is in at a time. The SQL is the same for all of them: parameters are $1, $2, ...,
 * types are BIGINT and TEXT, ON CONFLICT where a row may be there.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct store;

struct store_arg {
	const char *text; /* NULL: the number */
	int64_t num;
};

#define S_INT(n)           \
	{                  \
		.num = (n) \
	}
#define S_TEXT(s)           \
	{                   \
		.text = (s) \
	}

struct store_cell {
	const char *text; /* NULL: the number, which is 0 for a null */
	int64_t num;
};

/* One row of an answer; its texts live until the function returns. Negative ends the statement. */
typedef int store_row(void *arg, const struct store_cell *cells, struct err *e);

struct store_ops {
	/* Rows told of, or changed. */
	int (*run)(struct store *s, const char *sql, const struct store_arg *args, size_t n,
		   store_row *fn, void *arg, struct err *e);
	/* From here on nobody else is in one; what this one reads is what is there. */
	int (*begin)(struct store *s, struct err *e);
	int (*commit)(struct store *s, struct err *e);
	void (*rollback)(struct store *s);
	/* The wall clock of whoever all its users share, in ms. */
	int (*clock)(struct store *s, int64_t *ret_ms, struct err *e);
	void (*close)(struct store *s);
	/* How long it waits for whoever else is in a transaction; NULL: that is not for us to say.
	 */
	void (*patience)(struct store *s, int ms);
};

/* What each store begins with. */
struct store {
	const struct store_ops *ops;
};

/* More columns than any answer has. */
#define STORE_COLUMNS 16
#define STORE_ARGS    16

int store_run(struct store *s, const char *sql, const struct store_arg *args, size_t n,
	      store_row *fn, void *arg, struct err *e);

/* A statement with its parameters, whose rows do not matter. */
#define store_do(s, e, sql, ...)                                                  \
	({                                                                        \
		const struct store_arg args_[] = {__VA_ARGS__};                   \
		store_run((s), (sql), args_, ARRAY_SIZE(args_), NULL, NULL, (e)); \
	})
/* A question, whose rows go to the function. */
#define store_ask(s, e, fn, arg, sql, ...)                                         \
	({                                                                         \
		const struct store_arg args_[] = {__VA_ARGS__};                    \
		store_run((s), (sql), args_, ARRAY_SIZE(args_), (fn), (arg), (e)); \
	})

/*
 * In a statement: the sum of two numbers, or of all rows, none of them negative and none above
 * 2^61; that, where it would be more. No store would go on: what does not fit is an error for
 * everybody below the account, or no whole number.
 */
#define STORE_PLUS(a, b)                                                                         \
	"CASE WHEN " a " > 2305843009213693952 - " b " THEN 2305843009213693952 ELSE " a " + " b \
	" END"
#define STORE_SUM(x)                                                                \
	"CAST(CASE WHEN COALESCE(SUM((" x ") / 1073741824), 0) >= 2147483648"       \
	" THEN 2305843009213693952 ELSE COALESCE(SUM((" x                           \
	") / 1073741824), 0) * 1073741824 + COALESCE(SUM((" x ") % 1073741824), 0)" \
	" END AS BIGINT)"

/* For answers of one number: arg is an int64_t. */
int store_number(void *arg, const struct store_cell *cells, struct err *e);

/* HOME/ledger/ledger.db, made where it is not there. */
int store_open_sqlite(struct store **ret, int home, struct err *e);

/* postgres://...; only where libpq is (atoll-ledger). */
int store_open_postgres(struct store **ret, const char *url, struct err *e);
