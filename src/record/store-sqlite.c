/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger in a file: SQLite.
 *
 * WAL, so that whoever looks waits for nobody; a transaction begins IMMEDIATE, so that it never has
 * to be given up half-way because somebody else has written meanwhile. synchronous=NORMAL: what was
 * committed survives the death of any process, and power loss takes at most the last transactions,
 * whole ones. What is in the log is brought into the file, which waits for the disk, when a
 * connection is closed that has made it long: a keeper does that when its front has the result. The
 * log stays where it is meanwhile, for a new one would wait for the disk as well. The file and its
 * directory are the caller's alone; SQLite gives its log and its index the mode of the file. No
 * link is followed on the way: the path is that of the open directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "record/ledger.h"
#include "record/store.h"

/* Pages in the log: from here on whoever closes brings them into the file, and whoever writes. Who
 * comes first to a ledger that nobody has open reads the log. */
#define LOG_LONG 200
#define LOG_MOST 2000

/* Statements that a transaction keeps, for it says many of them again with other parameters: half
 * of what a request takes is translating them. */
#define KEPT 4

struct sqlite_store {
	struct store store;
	sqlite3 *db;
	sqlite3_stmt *kept[KEPT];
	int next;    /* of them, to go */
	int log;     /* pages in it, at the last commit here */
	int busy_ms; /* how long it waits for others */
};

static struct sqlite_store *of(struct store *s)
{
	return (struct sqlite_store *)s;
}

/* The errno that says the same, for whoever looks at more than the message. */
static int code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return EACCES;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	default:
		return EIO;
	}
}

static int fail(sqlite3 *db, int rc, struct err *e)
{
	return err_set(e, ERR_SYSTEM, code_of(rc), "the ledger: %s%s",
		       db ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
		       (rc & 0xff) == SQLITE_BUSY ? "; another program keeps it locked" : "");
}

static int bind(sqlite3_stmt *q, const struct store_arg *args, size_t n)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
		char name[24];
		int at;

		(void)snprintf(name, sizeof(name), "$%zu", i + 1);
		at = sqlite3_bind_parameter_index(q, name);
		rc = at == 0        ? SQLITE_OK
		     : args[i].text ? sqlite3_bind_text(q, at, args[i].text, -1, SQLITE_TRANSIENT)
				    : sqlite3_bind_int64(q, at, args[i].num);
	}
	return rc;
}

static int tell(sqlite3_stmt *q, store_row *fn, void *arg, struct err *e)
{
	struct store_cell cells[STORE_COLUMNS] = {};
	int n = sqlite3_column_count(q);

	for (int i = 0; i < n && i < STORE_COLUMNS; i++) {
		switch (sqlite3_column_type(q, i)) {
		case SQLITE_INTEGER:
			cells[i].num = sqlite3_column_int64(q, i);
			break;
		case SQLITE_NULL:
			break;
		case SQLITE_TEXT:
			cells[i].text = (const char *)sqlite3_column_text(q, i);
			break;
		default: /* a sum that did not fit, or somebody else's hand */
			return err_set(e, ERR_SYSTEM, EBADMSG,
				       "the ledger has a value that is no whole number");
		}
	}
	return fn ? fn(arg, cells, e) : 0;
}

/* Whoever has it has it alone: a row's function may say the same statement. */
static int take_statement(struct sqlite_store *s, const char *sql, sqlite3_stmt **ret)
{
	for (int i = 0; i < KEPT; i++) {
		if (s->kept[i] && strcmp(sqlite3_sql(s->kept[i]), sql) == 0) {
			*ret = TAKE_PTR(s->kept[i]);
			return SQLITE_OK;
		}
	}
	return sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);
}

static void put_statement(struct sqlite_store *s, sqlite3_stmt *q)
{
	int at = 0;

	/* Whatever has failed has been told; a transaction may be over by that. */
	if (!q || sqlite3_reset(q) != SQLITE_OK || sqlite3_get_autocommit(s->db)) {
		(void)sqlite3_finalize(q);
		return;
	}
	(void)sqlite3_clear_bindings(q);
	while (at < KEPT && s->kept[at]) {
		at++;
	}
	if (at == KEPT) {
		at = s->next;
		s->next = (s->next + 1) % KEPT;
	}
	(void)sqlite3_finalize(s->kept[at]);
	s->kept[at] = q;
}

static void forget_statements(struct sqlite_store *s)
{
	for (int i = 0; i < KEPT; i++) {
		(void)sqlite3_finalize(TAKE_PTR(s->kept[i]));
	}
}

static int sqlite_run(struct store *s, const char *sql, const struct store_arg *args, size_t n,
		      store_row *fn, void *arg, struct err *e)
{
	sqlite3 *db = of(s)->db;
	sqlite3_stmt *q = NULL;
	int rc = take_statement(of(s), sql, &q), rows = 0, r = 0;

	rc = rc == SQLITE_OK ? bind(q, args, n) : rc;
	while (rc == SQLITE_OK && r >= 0) {
		int step = sqlite3_step(q);

		if (step == SQLITE_DONE) {
			break;
		}
		if (step != SQLITE_ROW) {
			rc = step;
			break;
		}
		r = tell(q, fn, arg, e);
		rows++;
	}
	if (rc != SQLITE_OK) {
		r = fail(db, rc, e);
	}
	if (r >= 0 && q && !sqlite3_stmt_readonly(q)) {
		rows = rows > 0 ? rows : sqlite3_changes(db);
	}
	put_statement(of(s), q);
	return r < 0 ? r : rows;
}

static int sqlite_begin(struct store *s, struct err *e)
{
	int r = sqlite_run(s, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL, e);

	return r < 0 ? r : 0;
}

static int sqlite_commit(struct store *s, struct err *e)
{
	int r;

	forget_statements(of(s));
	r = sqlite_run(s, "COMMIT", NULL, 0, NULL, NULL, e);
	return r < 0 ? r : 0;
}

static void sqlite_rollback(struct store *s)
{
	forget_statements(of(s));
	if (!sqlite3_get_autocommit(of(s)->db)) {
		(void)sqlite_run(s, "ROLLBACK", NULL, 0, NULL, NULL, NULL);
	}
}

static int sqlite_clock(struct store *s, int64_t *ret_ms, struct err *e)
{
	(void)s;
	(void)e;
	*ret_ms = clock_real_ns() / 1000000;
	return 0;
}

/* Begins it anew, unless somebody else is at work on it, who may do so. What a checkpoint has done
 * is forgotten by who finds nobody there, so no other kind of it would ever make the log shorter.
 */
static void shorten_log(struct sqlite_store *s)
{
	(void)sqlite3_busy_timeout(s->db, 0);
	(void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	(void)sqlite3_busy_timeout(s->db, s->busy_ms);
}

static int count_log(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_store *s = arg;

	(void)db;
	(void)name;
	s->log = pages;
	if (pages >= LOG_MOST) {
		shorten_log(s);
	}
	return SQLITE_OK;
}

static void sqlite_patience(struct store *s, int ms)
{
	of(s)->busy_ms = ms;
	(void)sqlite3_busy_timeout(of(s)->db, ms);
}

static void sqlite_close(struct store *s)
{
	forget_statements(of(s));
	if (of(s)->log >= LOG_LONG) {
		shorten_log(of(s));
	}
	(void)sqlite3_close(of(s)->db);
	free(s);
}

/*
 * Made by us: SQLite would give it whatever mode the umask leaves. Its directory is returned,
 * locked: who changes a new file's journal to a log fails at once where others do the same.
 */
static int make_file(int home, struct err *e)
{
	_cleanup_fd_ int dir = FD_NONE, fd = FD_NONE;
	struct stat st;

	if (mkdirat(home, "ledger", 0700) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make the directory of the ledger");
	}
	dir = openat(home, "ledger", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0) {
		return err_sys(e, errno, "cannot open the directory of the ledger");
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022)) {
		return err_set(e, ERR_USER, EPERM,
			       "the directory of the ledger must belong to you and be writable by "
			       "nobody else");
	}
	/* Never opened where it is there: closing it would drop the locks that this process has on
	 * it by another connection (fcntl(2)). */
	if (flock(dir, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock the directory of the ledger");
	}
	if (fstatat(dir, "ledger.db", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		fd = openat(dir, "ledger.db", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		if (fd < 0) {
			return err_sys(e, errno, "cannot make the ledger");
		}
	}
	return TAKE_FD(dir);
}

static int path_of(int home, char path[PATH_MAX], struct err *e)
{
	static const char name[] = "/ledger/ledger.db";
	char link[sizeof("/proc/self/fd/2147483647")];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", home);
	n = readlink(link, path, PATH_MAX - sizeof(name));
	if (n < 0 || path[0] != '/') {
		return err_sys(e, n < 0 ? errno : ENOENT, "cannot find the state directory");
	}
	memcpy(path + n, name, sizeof(name));
	return 0;
}

static int is_wal(void *arg, const struct store_cell *cells, struct err *e)
{
	(void)arg;
	return cells[0].text && strcmp(cells[0].text, "wal") == 0
		       ? 0
		       : err_set(e, ERR_SYSTEM, EOPNOTSUPP,
				 "the ledger cannot be kept on this file system, which has no "
				 "shared memory for its log; set ATOLL_HOME to a local one");
}

static int set_up(struct store *s, struct err *e)
{
	static const char *const settings[] = {
		"PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF",
		"PRAGMA cache_size=-256", /* KiB: a keeper holds it for hours */
	};
	int r = sqlite_run(s, "PRAGMA journal_mode=WAL", NULL, 0, is_wal, NULL, e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(settings); i++) {
		r = sqlite_run(s, settings[i], NULL, 0, NULL, NULL, e);
	}
	return r < 0 ? r : 0;
}

int store_open_sqlite(struct store **ret, int home, struct err *e)
{
	static const struct store_ops ops = {
		.run = sqlite_run,
		.begin = sqlite_begin,
		.commit = sqlite_commit,
		.rollback = sqlite_rollback,
		.clock = sqlite_clock,
		.close = sqlite_close,
		.patience = sqlite_patience,
	};
	struct sqlite_store *s;
	char path[PATH_MAX];
	_cleanup_fd_ int dir = make_file(home, e); /* and its lock */
	int rc, r = dir < 0 ? dir : path_of(home, path, e);

	if (r < 0) {
		return r;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	s->store.ops = &ops;
	/* There are no threads here, and nobody asks how much memory it has: both cost each of its
	 * allocations a lock. Whoever comes second is told that it is too late, and has it. */
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	rc = sqlite3_open_v2(path, &s->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
				     SQLITE_OPEN_PRIVATECACHE,
			     NULL);
	if (rc != SQLITE_OK) {
		r = fail(s->db, rc, e);
	} else {
		sqlite_patience(&s->store, LEDGER_PATIENCE_MS);
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		(void)sqlite3_wal_hook(s->db, count_log, s);
		r = set_up(&s->store, e);
	}
	if (r < 0) {
		sqlite_close(&s->store);
		return err_wrap(e, "cannot open the ledger '%s'", path);
	}
	*ret = &s->store;
	return 0;
}
