/* SPDX-License-Identifier: Apache-2.0 */
/* Serving a ledger: framing, limits and times of connections, and the walls. */
#include "unit.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/json.h"
#include "record/ledger-flight.h"
#include "record/ledger-server.h"
#include "record/store.h"

struct fixture {
	char dir[64], path[80], url[90];
	int home, listener;
	struct ledger *l;
	struct ledger_server *s;
};

/* Few, and quick. */
static const struct ledger_server_limits few = {
	.clients = 6, .per_user = 4, .idle_ms = 300, .request_ms = 100, .answer_ms = 100};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct ledger_config c = {.serves = true};

	if (!f) {
		return -1;
	}
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/atoll-unit-XXXXXX");
	if (!mkdtemp(f->dir)) {
		return -1;
	}
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	(void)snprintf(f->url, sizeof(f->url), "unix:%s", f->path);
	f->home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.home = f->home;
	assert_int_equal(ledger_open(&f->l, &c, NULL), 0);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", f->path);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(f->listener, 64), 0);
	assert_int_equal(ledger_server_new(&f->s, f->listener, f->l, &few, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	ledger_server_free(f->s);
	ledger_close(f->l);
	(void)close(f->listener);
	(void)close(f->home);
	r = nftw(f->dir, unit_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return r;
}

static int dial(const struct fixture *f)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void turns(struct fixture *f, int n)
{
	while (n-- > 0) {
		assert_int_equal(ledger_server_turn(f->s, FD_NONE, 0, NULL), 0);
	}
}

static size_t pack(char *to, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);

	memcpy(to, &len, sizeof(len));
	memcpy(to + sizeof(len), text, len + 1);
	return sizeof(len) + len;
}

/* The answer that is there; 0: the connection is closed, -1: there is none (yet). */
static ssize_t take(int fd, char *to, size_t size)
{
	uint32_t len;
	ssize_t n = recv(fd, &len, sizeof(len), MSG_DONTWAIT);

	if (n <= 0) {
		return n < 0 && errno == ECONNRESET ? 0 : n;
	}
	assert_int_equal(n, sizeof(len));
	assert_true(len < size);
	assert_int_equal(recv(fd, to, len, MSG_WAITALL), len);
	to[len] = '\0';
	return len;
}

static const char list[] = "{\"op\": \"list\"}";

/* Byte by byte, and two at once: one answer each, in their order. */
static void test_framing(void **state)
{
	struct fixture *f = *state;
	char out[256], in[4096];
	size_t len = pack(out, list);
	int fd = dial(f);

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(take(fd, in, sizeof(in)), -1);
		assert_int_equal(send(fd, out + i, 1, 0), 1);
		turns(f, 2);
	}
	assert_true(take(fd, in, sizeof(in)) > 0);
	assert_string_equal(in, "{\"accounts\":[]}");
	len += pack(out + len, "{\"op\": \"nothing\"}");
	assert_int_equal(send(fd, out, len, 0), len);
	turns(f, 4);
	assert_true(take(fd, in, sizeof(in)) > 0);
	assert_string_equal(in, "{\"accounts\":[]}");
	assert_true(take(fd, in, sizeof(in)) > 0);
	assert_non_null(strstr(in, "no such request"));
	assert_int_equal(take(fd, in, sizeof(in)), -1);
	(void)close(fd);
	turns(f, 2);
	assert_int_equal(ledger_server_clients(f->s), 0);
}

/* What is no message ends its connection, and says nothing. */
static void test_garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"\0\0\0\0", 4},         {"\1\0\1\0", 4}, /* 64 KiB and a byte */
		{"\xff\xff\xff\xff", 4}, {"GET / HTTP/1.1\r\n\r\n", 18},
		{"\2\0\0\0[]", 6},       {"\4\0\0\0null", 8},
		{"\3\0\0\0{\"a", 7},     {"\x11\0\0\0{\"op\":1,\"op\":2}  ", 21},
		{"\2\0\0\0\xff\xfe", 6},
	};
	struct fixture *f = *state;
	char in[4096];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = dial(f);

		turns(f, 1);
		assert_int_equal(send(fd, rows[i].bytes, rows[i].len, 0), rows[i].len);
		turns(f, 2);
		if (take(fd, in, sizeof(in)) != 0) {
			fail_msg("row %zu", i);
		}
		(void)close(fd);
		assert_int_equal(ledger_server_clients(f->s), 0);
	}
}

static void wait_ms(struct fixture *f, int ms)
{
	int64_t end = 0;
	struct timespec ts;

	do {
		assert_int_equal(ledger_server_turn(f->s, FD_NONE, 20, NULL), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
		end = end ? end : ts.tv_sec * 1000LL + ts.tv_nsec / 1000000 + ms;
	} while (ts.tv_sec * 1000LL + ts.tv_nsec / 1000000 < end);
}

/* Half a request, none at all, and an answer that nobody takes: each has its time. */
static void test_times(void **state)
{
	struct fixture *f = *state;
	char out[256], in[4096];
	size_t len = pack(out, list);
	int half = dial(f), idle = dial(f);

	turns(f, 1);
	assert_int_equal(send(half, out, len - 1, 0), len - 1);
	wait_ms(f, 150);
	assert_int_equal(take(half, in, sizeof(in)), 0);
	assert_int_equal(take(idle, in, sizeof(in)), -1);
	assert_int_equal(ledger_server_clients(f->s), 1);
	wait_ms(f, 300);
	assert_int_equal(take(idle, in, sizeof(in)), 0);
	(void)close(half);
	(void)close(idle);
	/* So many that no more answers fit into the socket. */
	half = dial(f);
	turns(f, 1);
	assert_true(fcntl(half, F_SETFL, O_NONBLOCK) == 0);
	for (int i = 0; i < 20000; i++) {
		if (send(half, out, len, MSG_NOSIGNAL) < 0) {
			turns(f, 1);
		}
	}
	wait_ms(f, 200);
	assert_int_equal(ledger_server_clients(f->s), 0);
	(void)close(half);
}

/* More connections than one may have: the newest is told, those before it are served. */
static void test_how_many(void **state)
{
	struct fixture *f = *state;
	char out[256], in[4096];
	size_t len = pack(out, list);
	int fds[6];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(f);
	}
	turns(f, 1);
	assert_int_equal(ledger_server_clients(f->s), few.per_user);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)send(fds[i], out, len, MSG_NOSIGNAL);
	}
	/* One of them in a turn, for they are all of one user. */
	for (size_t i = 0; i < few.per_user; i++) {
		int answered = 0;

		turns(f, 1);
		for (size_t j = 0; j < few.per_user; j++) {
			answered += take(fds[j], in, sizeof(in)) > 0;
		}
		assert_int_equal(answered, 1);
	}
	for (size_t i = few.per_user; i < ARRAY_SIZE(fds); i++) {
		assert_true(take(fds[i], in, sizeof(in)) > 0);
		assert_non_null(strstr(in, "too many connections"));
		assert_int_equal(take(fds[i], in, sizeof(in)), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)close(fds[i]);
	}
}

/* Books that take long to look through, and who may: uid 1001. */
static void fill(struct fixture *f)
{
	static const char *const steps[] = {
		"INSERT INTO account (name, currency, prices, created)"
		" VALUES ('org', 'USD', 'default', 0)",
		"INSERT INTO chain (account, above, far) VALUES ('org', 'org', 0)",
		"INSERT INTO member (account, uid) VALUES ('org', 1001)",
		"WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200000)"
		" INSERT INTO used (account, dimension, model, day, amount)"
		" SELECT 'org', 'tokens', 'm' || i, 1, 1 FROM c",
	};
	struct store *s;

	assert_int_equal(store_open_sqlite(&s, f->home, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_true(store_run(s, steps[i], NULL, 0, NULL, NULL, NULL) > 0);
	}
	s->ops->close(s);
}

static int answers_of(const int *fds, size_t n)
{
	static char in[1024 * 1024];
	int answered = 0;

	for (size_t i = 0; i < n; i++) {
		answered += take(fds[i], in, sizeof(in)) > 0;
	}
	return answered;
}

/* Whose questions take long is heard when the others have none. */
static void test_slow_questions(void **state)
{
	struct fixture *f = *state;
	char slow[256], quick[256];
	size_t n_slow = pack(slow, "{\"op\": \"usage\"}"), n_quick = pack(quick, list);
	int of_one[3], of_other[3];

	if (geteuid() != 0) {
		skip(); /* there is only one user here */
	}
	fill(f);
	assert_int_equal(chmod(f->dir, 0755) | chmod(f->path, 0666), 0);
	for (size_t i = 0; i < ARRAY_SIZE(of_one); i++) {
		assert_int_equal(seteuid(1001), 0);
		of_one[i] = dial(f);
		assert_int_equal(seteuid(0), 0);
		of_other[i] = dial(f);
		assert_int_equal(send(of_one[i], slow, n_slow, 0), n_slow);
		assert_int_equal(send(of_other[i], quick, n_quick, 0), n_quick);
	}
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0); /* as before those changes of user */
	turns(f, 4);
	assert_int_equal(answers_of(of_other, 3), 3);
	assert_int_equal(answers_of(of_one, 3), 1);
	turns(f, 2);
	assert_int_equal(answers_of(of_one, 3), 2);
	for (size_t i = 0; i < ARRAY_SIZE(of_one); i++) {
		(void)close(of_one[i]);
		(void)close(of_other[i]);
	}
}

/* Our own side of it: an answer that is not awaited, and a server that comes back. */
static void test_flight(void **state)
{
	struct fixture *f = *state;
	struct ledger_config c = {.url = f->url};
	struct ledger *l = NULL;
	struct ledger_usage u = {};
	enum ledger_answer answer;
	struct err e = {};
	char why[256];
	struct pollfd w;

	assert_int_equal(ledger_open(&l, &c, &e), 0);
	assert_true(ledger_is_remote(l));
	ledger_poll(l, &w);
	assert_int_equal(w.fd, FD_NONE);
	assert_true(ledger_due_ns(l) == INT64_MAX);
	assert_int_equal(ledger_settle_begin(l, "s-1", &u, &e), 0);
	assert_int_equal(ledger_settle_hear(l, &answer, why, &e), -EAGAIN);
	turns(f, 1); /* accepts */
	ledger_server_free(f->s);
	f->s = NULL;
	assert_int_equal(ledger_server_new(&f->s, f->listener, f->l, &few, NULL), 0);
	assert_int_equal(ledger_settle_hear(l, &answer, why, &e), -EAGAIN);
	ledger_poll(l, &w);
	assert_int_equal(w.fd, FD_NONE);
	(void)poll(NULL, 0, 60);
	assert_int_equal(ledger_settle_hear(l, &answer, why, &e), -EAGAIN);
	ledger_poll(l, &w);
	assert_true(w.fd >= 0 && w.events == POLLIN);
	turns(f, 3);
	assert_int_equal(e.code, 0);
	assert_int_equal(ledger_settle_hear(l, &answer, why, &e), -ESTALE);
	assert_non_null(strstr(e.msg, "holds nothing"));
	assert_true(ledger_due_ns(l) == INT64_MAX);
	ledger_close(l);
}

/* ---- walls ---- */

/* A sanitizer's _exit() does more than the walls let through. */
static void end(int status)
{
	(void)syscall(SYS_exit_group, status);
}

static void open_password(void)
{
	end(open("/etc/passwd", O_RDONLY) < 0 ? errno : 0);
}

static void open_network(void)
{
	end(socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0);
}

static void start_program(void)
{
	(void)execl("/bin/true", "true", NULL);
	end(errno);
}

static void be_read(void)
{
	end(prctl(PR_GET_DUMPABLE));
}

static void write_on(void)
{
	end(open("ledger/more", O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0);
}

/* What it does, in a child, behind the walls or without them: its exit status, or minus its signal.
 */
static int attempt(const struct fixture *f, bool walls, void (*what)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err e = {};

		if (fchdir(f->home) < 0 || (walls && ledger_server_confine(f->home, &e) < 0)) {
			_exit(200);
		}
		what();
		_exit(201);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_walls(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(attempt(f, false, open_password), 0);
	assert_int_equal(attempt(f, true, open_password), EACCES);
	assert_int_equal(attempt(f, false, open_network), 0);
	assert_int_equal(attempt(f, true, open_network), -SIGSYS);
	assert_int_equal(attempt(f, false, start_program), 0);
	assert_int_equal(attempt(f, true, start_program), -SIGSYS);
	assert_int_equal(attempt(f, false, be_read), 1);
	assert_int_equal(attempt(f, true, be_read), -SIGSYS);
	assert_int_equal(attempt(f, true, write_on), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_framing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_how_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walls, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
