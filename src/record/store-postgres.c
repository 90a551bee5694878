/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on a PostgreSQL server.
 *
 * A transaction takes one advisory lock before it reads anything, so that there is one at a time,
 * as with SQLite, and the same reasoning holds for both. READ COMMITTED is said, not left to the
 * server's settings: what is read behind the lock is then what the last one has committed, and not
 * what there was when the transaction began. synchronous_commit stays as the server has it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "record/store.h"

/* "atoll" */
#define LOCK "418364349548"

/* How long it waits for the lock, and for a server that does not answer. */
#define SETTINGS                                                 \
	"SET lock_timeout = '4s'; SET statement_timeout = '5s';" \
	" SET idle_in_transaction_session_timeout = '30s'; SET client_encoding = 'UTF8'"

/* pg_type.h; fixed for ever. */
enum { OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_NUMERIC = 1700 };

struct postgres_store {
	struct store store;
	PGconn *db;
};

static struct postgres_store *of(struct store *s)
{
	return (struct postgres_store *)s;
}

/* One line of what the server says. */
static int fail(PGconn *db, const PGresult *result, struct err *e)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	int code = !state                        ? ECONNREFUSED
		   : strcmp(state, "55P03") == 0 ? EBUSY
		   : strcmp(state, "57014") == 0 ? ETIMEDOUT
		   : strcmp(state, "53100") == 0 ? ENOSPC
		   : strcmp(state, "25006") == 0 ? EROFS
		   : strcmp(state, "23505") == 0 ? EEXIST
						 : EIO;
	char line[512];

	(void)snprintf(line, sizeof(line), "%s", text ? text : PQerrorMessage(db));
	line[strcspn(line, "\n")] = '\0';
	return err_set(e, ERR_SYSTEM, code, "the ledger: %s", line);
}

static int take_number(const char *text, int64_t *ret, struct err *e)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	*ret = n;
	return errno != 0 || *end != '\0'
		       ? err_set(e, ERR_SYSTEM, EBADMSG,
				 "the ledger has a value that is no whole number")
		       : 0;
}

static int tell(const PGresult *result, int row, store_row *fn, void *arg, struct err *e)
{
	struct store_cell cells[STORE_COLUMNS] = {};
	int r = 0;

	for (int i = 0; r >= 0 && i < PQnfields(result) && i < STORE_COLUMNS; i++) {
		const char *text = PQgetisnull(result, row, i) ? NULL : PQgetvalue(result, row, i);
		Oid type = PQftype(result, i);

		if (text && (type == OID_INT8 || type == OID_INT4 || type == OID_INT2 ||
			     type == OID_NUMERIC)) {
			r = take_number(text, &cells[i].num, e);
		} else {
			cells[i].text = text;
		}
	}
	return r < 0 ? r : fn ? fn(arg, cells, e) : 0;
}

static int take_result(PGconn *db, const PGresult *result, store_row *fn, void *arg, struct err *e)
{
	ExecStatusType status = PQresultStatus(result);
	int rows = PQntuples(result), r = 0;
	int64_t changed = 0;

	if (status == PGRES_COMMAND_OK) {
		const char *n = PQcmdTuples((PGresult *)result);

		return *n && take_number(n, &changed, e) < 0 ? -EBADMSG : (int)changed;
	}
	if (status != PGRES_TUPLES_OK) {
		return fail(db, result, e);
	}
	for (int i = 0; i < rows && r >= 0; i++) {
		r = tell(result, i, fn, arg, e);
	}
	return r < 0 ? r : rows;
}

static int postgres_run(struct store *s, const char *sql, const struct store_arg *args, size_t n,
			store_row *fn, void *arg, struct err *e)
{
	PGconn *db = of(s)->db;
	const char *values[STORE_ARGS];
	char numbers[STORE_ARGS][24];
	PGresult *result;
	int r;

	if (n > STORE_ARGS) {
		return err_set(e, ERR_BUG, EINVAL, "too many parameters");
	}
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(numbers[i], sizeof(numbers[i]), "%" PRId64, args[i].num);
		values[i] = args[i].text ? args[i].text : numbers[i];
	}
	result = PQexecParams(db, sql, (int)n, NULL, values, NULL, NULL, 0);
	r = result ? take_result(db, result, fn, arg, e) : fail(db, NULL, e);
	PQclear(result);
	return r;
}

static int simple(struct store *s, const char *sql, struct err *e)
{
	PGresult *result = PQexec(of(s)->db, sql);
	ExecStatusType status = PQresultStatus(result);
	int r = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
			? 0
			: fail(of(s)->db, result, e);

	PQclear(result);
	return r;
}

static int postgres_begin(struct store *s, struct err *e)
{
	return simple(s,
		      "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
		      " SELECT pg_advisory_xact_lock(" LOCK ")",
		      e);
}

/* A transaction that failed is rolled back by a COMMIT, which says so in its tag alone. */
static int postgres_commit(struct store *s, struct err *e)
{
	PGresult *result = PQexec(of(s)->db, "COMMIT");
	int r = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : fail(of(s)->db, result, e);

	if (r >= 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
		r = err_set(e, ERR_SYSTEM, EIO, "the ledger: the transaction was given up");
	}
	PQclear(result);
	return r;
}

static void postgres_rollback(struct store *s)
{
	(void)simple(s, "ROLLBACK", NULL);
}

static int postgres_clock(struct store *s, int64_t *ret_ms, struct err *e)
{
	int r = postgres_run(s,
			     "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
			     NULL, 0, store_number, ret_ms, e);

	return r < 0 ? r : 0;
}

static void postgres_close(struct store *s)
{
	PQfinish(of(s)->db);
	free(s);
}

/* What a server warns of is nobody's here to read. */
static void say_nothing(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

int store_open_postgres(struct store **ret, const char *url, struct err *e)
{
	static const struct store_ops ops = {
		.run = postgres_run,
		.begin = postgres_begin,
		.commit = postgres_commit,
		.rollback = postgres_rollback,
		.clock = postgres_clock,
		.close = postgres_close,
	};
	const char *const keys[] = {"dbname", "connect_timeout", "application_name", NULL};
	const char *const values[] = {url, "5", "atoll", NULL};
	struct postgres_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	s->store.ops = &ops;
	/* What the URL itself says comes first: it stands first, and is expanded in its place. */
	s->db = PQconnectdbParams(keys, values, 1);
	if (PQstatus(s->db) != CONNECTION_OK) {
		r = fail(s->db, NULL, e);
	} else {
		(void)PQsetNoticeReceiver(s->db, say_nothing, NULL);
		r = simple(&s->store, SETTINGS, e);
	}
	if (r < 0) {
		postgres_close(&s->store);
		return r;
	}
	*ret = &s->store;
	return 0;
}
