/* SPDX-License-Identifier: Apache-2.0 */
/* Both kinds of ledger, and the server of one of them. */
#include "unit.h"

#include <glob.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ledger-fixture.h"

extern char **environ;

/* Nobody: PostgreSQL does not run as root. */
#define NOBODY 65534

static struct {
	pid_t pid;
	char dir[64];
	char url[160];
} server;

static void find_program(const char *name, char path[256])
{
	glob_t found;

	assert_int_equal(glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found), 0);
	(void)snprintf(path, 256, "%s", found.gl_pathv[found.gl_pathc - 1]);
	(void)snprintf(strrchr(path, '/') + 1, 32, "%s", name);
	globfree(&found);
}

/* As nobody, quietly. */
static pid_t start(char *const argv[])
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0666);

		if (dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
		    (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))) {
			_exit(126);
		}
		(void)prctl(PR_SET_PDEATHSIG, SIGINT); /* a test that is killed leaves no server */
		(void)execv(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static struct store *connect_store(void)
{
	struct store *s = NULL;
	struct err e = {};

	return store_open_postgres(&s, server.url, &e) < 0 ? NULL : s;
}

static void wait_for_it(void)
{
	struct store *s;

	for (int i = 0; i < 600 && !(s = connect_store()); i++) {
		assert_int_equal(waitpid(server.pid, NULL, WNOHANG), 0);
		(void)poll(NULL, 0, 50);
	}
	assert_non_null(s);
	s->ops->close(s);
}

int fixture_server_start(void **state)
{
	char initdb[256], postgres[256], data[80], socket[80];
	char *const make[] = {initdb,  "-D", data,          "-U", "atoll", "-A",
			      "trust", "-N", "--no-locale", "-E", "UTF8",  NULL};
	char *const serve[] = {postgres,
			       "-D",
			       data,
			       "-k",
			       server.dir,
			       "-c",
			       "listen_addresses=",
			       "-c",
			       "fsync=off",
			       "-c",
			       "max_connections=300",
			       "-c",
			       "shared_buffers=16MB",
			       "-c",
			       "dynamic_shared_memory_type=mmap",
			       NULL};
	char was[256];
	int status;

	(void)state;
	(void)snprintf(server.dir, sizeof(server.dir), "/tmp/atoll-unit-pg-XXXXXX");
	assert_non_null(mkdtemp(server.dir));
	assert_true(geteuid() != 0 || chown(server.dir, NOBODY, NOBODY) == 0);
	find_program("initdb", initdb);
	find_program("postgres", postgres);
	(void)snprintf(data, sizeof(data), "%s/data", server.dir);
	(void)snprintf(socket, sizeof(socket), "%s", server.dir);
	(void)snprintf(server.url, sizeof(server.url), "postgres://atoll@/postgres?host=%s",
		       socket);
	assert_non_null(getcwd(was, sizeof(was)));
	assert_int_equal(chdir(server.dir), 0);
	assert_int_equal(waitpid(start(make), &status, 0) > 0 ? status : -1, 0);
	server.pid = start(serve);
	assert_int_equal(chdir(was), 0);
	wait_for_it();
	return 0;
}

int fixture_server_stop(void **state)
{
	char *dir = server.dir;

	(void)state;
	(void)kill(server.pid, SIGINT);
	(void)waitpid(server.pid, NULL, 0);
	return nftw(dir, unit_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static int64_t clock_of(void *arg)
{
	return ((struct fixture *)arg)->now_ms;
}

static int64_t up_of(void *arg)
{
	return ((struct fixture *)arg)->up_ms;
}

struct store *fixture_store(struct fixture *f)
{
	struct store *s = NULL;
	struct err e = {};
	int r = f->postgres ? store_open_postgres(&s, server.url, &e)
			    : store_open_sqlite(&s, f->home, &e);

	if (r < 0) {
		fail_msg("%s", e.msg);
	}
	return s;
}

struct ledger *fixture_open(struct fixture *f)
{
	struct ledger_config c = {.home = f->home,
				  .clock_ms = clock_of,
				  .up_ms = up_of,
				  .clock_arg = f,
				  .serves = true};
	struct ledger *l = NULL;
	struct err e = {};

	c.store = f->postgres ? fixture_store(f) : NULL;
	if (ledger_open(&l, &c, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	return l;
}

static int set_up(void **state, bool postgres)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f) {
		return -1;
	}
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/atoll-unit-XXXXXX");
	if (!mkdtemp(f->dir)) {
		return -1;
	}
	f->home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->now_ms = NOON;
	f->postgres = postgres;
	if (postgres) {
		struct store *s = fixture_store(f);

		assert_true(store_run(s, "DROP SCHEMA public CASCADE", NULL, 0, NULL, NULL, NULL) >=
			    0);
		assert_true(store_run(s, "CREATE SCHEMA public", NULL, 0, NULL, NULL, NULL) >= 0);
		s->ops->close(s);
	}
	f->l = fixture_open(f);
	*state = f;
	return 0;
}

int fixture_sqlite(void **state)
{
	return set_up(state, false);
}

int fixture_postgres(void **state)
{
	return set_up(state, true);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	ledger_close(f->l);
	(void)fd_close(f->home);
	r = nftw(f->dir, unit_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return r;
}

int64_t fixture_ask(struct store *s, const char *sql)
{
	struct err e = {};
	int64_t n = 0;

	if (store_run(s, sql, NULL, 0, store_number, &n, &e) < 0) {
		fail_msg("%s: %s", sql, e.msg);
	}
	return n;
}
