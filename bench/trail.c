/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way to keep records, for bench/trail: `bench-trail WAY DIR N [BATCH]` writes, or reads, N
 * events like those of a program that starts, and prints "SECONDS BYTES".
 *
 *   accept     our trail, each acknowledged when it survives kill -9
 *   durable    our trail, and after every BATCH events they survive a loss of power
 *   verify     reads what `accept` left: chain, hash tree and form of every line
 *   ack        our trail; each number is printed when it is acknowledged, until it is killed
 *   jsonl      lines of JSON, fsync(2) after every BATCH
 *   sqlite     a table in SQLite (WAL, synchronous=FULL), BATCH events a transaction
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "record/reader.h"
#include "record/trail.h"
#include "record/verify.h"

#define NAME "s-benchmarks"

struct job {
	int dir;
	const char *path;
	uint64_t n, batch;
	uint64_t bytes;
};

static void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "bench-trail: %s failed: %s\n", what, strerror(errno));
		exit(1);
	}
}

static json_t *event(uint64_t i)
{
	return json_pack("{s:[s, s, s, s], s:s, s:s, s:I, s:I}", "argv", "gcc", "-c", "-O2",
			 "src/module.c", "cwd", "/home/user/project", "path", "/usr/bin/gcc", "pid",
			 (json_int_t)(1000 + i), "parent", (json_int_t)999);
}

static uint64_t size_of(const struct job *j, const char *name)
{
	struct stat st;

	return fstatat(j->dir, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static void write_trail(struct job *j, uint64_t sync_every, bool say)
{
	struct err e = {};
	struct trail t;

	must(trail_create(&t, j->dir, NAME, &e) >= 0, "trail_create");
	for (uint64_t i = 0; i < j->n; i++) {
		must(trail_add(&t, "program", event(i), &e) >= 0, "trail_add");
		if (say) {
			must(dprintf(1, "%" PRIu64 "\n", i) > 0, "write");
		}
		if (sync_every > 0 && (i + 1) % sync_every == 0) {
			must(trail_sync(&t, &e) >= 0, "trail_sync");
		}
	}
	trail_done(&t);
	for (unsigned n = 1; n < 100; n++) {
		char name[TRAIL_FILE_SIZE];

		trail_file(NAME, n, name);
		j->bytes += size_of(j, name);
	}
}

static void verify(struct job *j)
{
	struct verify_report report;
	struct reader in;
	struct err e = {};

	must(reader_open(&in, j->dir, NAME, &e) >= 0, "reader_open");
	must(verify_run(&in, &(struct verify_trust){}, NULL, NULL, &report, &e) >= 0 &&
		     report.good && report.records == j->n,
	     "verify_run");
	reader_close(&in);
}

static void write_lines(struct job *j)
{
	_cleanup_fd_ int fd = openat(j->dir, "lines.jsonl",
				     O_WRONLY | O_CREAT | O_APPEND | O_EXCL | O_CLOEXEC, 0600);

	must(fd >= 0, "open");
	for (uint64_t i = 0; i < j->n; i++) {
		_cleanup_json_ json_t *data = event(i);
		size_t len = 0;
		_cleanup_free_ char *text = json_canonical(data, &len);

		text[len] = '\n';
		must(write(fd, text, len + 1) == (ssize_t)len + 1, "write");
		must((i + 1) % j->batch != 0 || fsync(fd) == 0, "fsync");
	}
	j->bytes = size_of(j, "lines.jsonl");
}

static void run_sql(sqlite3 *db, const char *text)
{
	must(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, text);
}

static void write_sqlite(struct job *j)
{
	char path[4096];
	sqlite3_stmt *insert;
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/records.db", j->path);
	must(sqlite3_open(path, &db) == SQLITE_OK, "sqlite3_open");
	run_sql(db, "PRAGMA journal_mode=WAL");
	run_sql(db, "PRAGMA synchronous=FULL");
	run_sql(db, "CREATE TABLE record (seq INTEGER PRIMARY KEY, event TEXT, time INTEGER, data "
		    "TEXT)");
	must(sqlite3_prepare_v2(db, "INSERT INTO record VALUES (?, 'program', ?, ?)", -1, &insert,
				NULL) == SQLITE_OK,
	     "prepare");
	for (uint64_t i = 0; i < j->n; i++) {
		_cleanup_json_ json_t *data = event(i);
		_cleanup_free_ char *text = json_canonical(data, NULL);

		if (j->batch > 1 && i % j->batch == 0) {
			run_sql(db, "BEGIN");
		}
		(void)sqlite3_bind_int64(insert, 1, (sqlite3_int64)i);
		(void)sqlite3_bind_int64(insert, 2, clock_real_ns());
		(void)sqlite3_bind_text(insert, 3, text, -1, SQLITE_STATIC);
		must(sqlite3_step(insert) == SQLITE_DONE, "insert");
		(void)sqlite3_reset(insert);
		if (j->batch > 1 && ((i + 1) % j->batch == 0 || i + 1 == j->n)) {
			run_sql(db, "COMMIT");
		}
	}
	(void)sqlite3_finalize(insert);
	must(sqlite3_close(db) == SQLITE_OK, "sqlite3_close");
	j->bytes = size_of(j, "records.db");
}

int main(int argc, char **argv)
{
	struct job j = {.n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
			.batch = argc > 4 ? strtoull(argv[4], NULL, 10) : 1};
	const char *way = argc > 1 ? argv[1] : "";
	int64_t begun;

	if (argc < 4 || j.n == 0 || j.batch == 0) {
		fprintf(stderr, "usage: bench-trail WAY DIR N [BATCH]\n");
		return 2;
	}
	j.path = argv[2];
	j.dir = open(j.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(j.dir >= 0, "open");
	begun = clock_now_ns();
	if (strcmp(way, "accept") == 0) {
		write_trail(&j, 0, false);
	} else if (strcmp(way, "durable") == 0) {
		write_trail(&j, j.batch, false);
	} else if (strcmp(way, "ack") == 0) {
		write_trail(&j, 0, true);
	} else if (strcmp(way, "verify") == 0) {
		verify(&j);
	} else if (strcmp(way, "jsonl") == 0) {
		write_lines(&j);
	} else if (strcmp(way, "sqlite") == 0) {
		write_sqlite(&j);
	} else {
		fprintf(stderr, "bench-trail: there is no way '%s'\n", way);
		return 2;
	}
	if (strcmp(way, "ack") != 0) {
		printf("%.6f %" PRIu64 "\n", (double)(clock_now_ns() - begun) / 1e9, j.bytes);
	}
	return 0;
}
