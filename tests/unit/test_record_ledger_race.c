/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger among many, and among the dead: spent and reserved are never above a budget. */
#include "unit.h"

#include <poll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/json.h"
#include "ledger-fixture.h"
#include "record/ledger-tokens.h"

static void do_call(struct ledger *l, json_t *request)
{
	struct err e = {};

	if (ledger_call(l, request, NULL, &e) < 0) {
		fail_msg("%s", e.msg);
	}
}

static void create(struct ledger *l, const char *name, const char *parent)
{
	do_call(l,
		json_pack("{s:s, s:s, s:s*}", "op", "create", "account", name, "parent", parent));
}

static void budget(struct ledger *l, const char *name, const char *dimension, const char *period,
		   int64_t amount)
{
	do_call(l,
		json_pack("{s:s, s:s, s:s, s:s, s:I}", "op", "set-budget", "account", name,
			  "dimension", dimension, "period", period, "amount", (json_int_t)amount));
}

static int reserve(struct ledger *l, const char *sandbox, const char *account, int64_t wall,
		   int64_t cpu)
{
	struct ledger_reservation v = {.sandbox = sandbox,
				       .account = account,
				       .of = {[LEDGER_WALL] = {wall, 10},
					      [LEDGER_CPU] = {cpu, 10},
					      [LEDGER_SANDBOXES] = {1, 0}}};
	struct err e = {};

	return ledger_reserve(l, &v, NULL, &e);
}

static struct ledger_usage used(int64_t wall, int64_t cpu)
{
	return (struct ledger_usage){.of = {[LEDGER_WALL] = wall, [LEDGER_CPU] = cpu}};
}

/* Every sum that is kept is that of what it is made of. */
static void check_sums(struct store *s, const char *account)
{
	static const char *const dimensions[] = {"wall", "cpu", "money", "tokens"};
	char sql[256];

	for (size_t i = 0; i < ARRAY_SIZE(dimensions); i++) {
		int64_t settled, spent;

		(void)snprintf(sql, sizeof(sql),
			       "SELECT CAST(COALESCE(SUM(settled), 0) AS BIGINT) FROM hold WHERE "
			       "dimension = '%s'",
			       dimensions[i]);
		settled = fixture_ask(s, sql);
		(void)snprintf(sql, sizeof(sql),
			       "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM used WHERE "
			       "dimension = '%s' AND account = '%s' AND model = ''",
			       dimensions[i], account);
		spent = fixture_ask(s, sql);
		assert_int_equal(settled, spent);
	}
	assert_int_equal(fixture_ask(s, "SELECT COUNT(*) FROM reservation"),
			 fixture_ask(s, "SELECT COUNT(DISTINCT sandbox) FROM hold"));
	assert_int_equal(fixture_ask(s, "SELECT COUNT(*) FROM hold"),
			 fixture_ask(s, "SELECT COUNT(*) FROM reservation") * LEDGER_DIMENSIONS);
}

/* ---- hundreds at the same time ---- */

#define STARTS 200
#define ROOM   37

/* Where others are too slow a request is refused without having done anything: it is asked again.
 */
static bool is_crowded(int r)
{
	return r == -EBUSY || r == -ETIMEDOUT;
}

/* One start, as soon as all are there; 0: it had room. */
static int start_one(struct fixture *f, int number, int gate)
{
	struct ledger *l = fixture_open(f);
	struct err e = {};
	struct ledger_usage u = used(500, 0);
	enum ledger_answer answer;
	char id[16], why[256], c;
	int r;

	(void)snprintf(id, sizeof(id), "s-%d", number);
	if (read(gate, &c, 1) < 0) {
		return 9;
	}
	do {
		r = reserve(l, id, number % 2 ? "a" : "b", 1000, 10);
	} while (is_crowded(r));
	if (r >= 0) {
		do {
			r = ledger_settle(l, id, &u, &answer, why, &e);
		} while (is_crowded(r));
		r = r >= 0 && answer != LEDGER_OK ? -EIO : r;
	}
	ledger_close(l);
	return r == 0 ? 0 : r == -EDQUOT ? 1 : 2;
}

static void test_parallel_starts(void **state)
{
	struct fixture *f = *state;
	pid_t pids[STARTS];
	int gate[2], count[3] = {};
	struct store *s;

	create(f->l, "org", NULL);
	create(f->l, "a", "org");
	create(f->l, "b", "org");
	budget(f->l, "org", "wall", "day", ROOM * 1000 + 999);
	ledger_close(f->l);
	f->l = NULL;
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < STARTS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			(void)close(gate[1]);
			_exit(start_one(f, i, gate[0]));
		}
	}
	(void)close(gate[0]);
	(void)close(gate[1]);
	for (int i = 0; i < STARTS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 3);
		count[WEXITSTATUS(status)]++;
	}
	assert_int_equal(count[0], ROOM);
	assert_int_equal(count[1], STARTS - ROOM);
	s = fixture_store(f);
	check_sums(s, "org");
	assert_int_equal(fixture_ask(s, "SELECT COUNT(*) FROM reservation"), ROOM);
	s->ops->close(s);
}

/* ---- killed anywhere ---- */

/* The life of a sandbox; then of the next one. */
static _Noreturn void live(struct fixture *f, int number)
{
	struct ledger *l = fixture_open(f);
	struct ledger_usage u = used(40, 20);
	enum ledger_answer answer;
	struct err e = {};
	char id[16], why[256];

	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	(void)raise(SIGSTOP);
	(void)snprintf(id, sizeof(id), "s-%d", number);
	if (reserve(l, id, "org", 100, 100) < 0 || ledger_settle(l, id, &u, &answer, why, &e) < 0) {
		_exit(1);
	}
	u = used(60, 60);
	_exit(ledger_release(l, id, &u, NULL, &e) < 0);
}

/* What changes a file, or is said to a server. */
static bool is_write(long call)
{
	return call == SYS_pwrite64 || call == SYS_write || call == SYS_ftruncate ||
	       call == SYS_fdatasync || call == SYS_fsync || call == SYS_unlink ||
	       call == SYS_sendto;
}

/* Kills it before or after its n-th such call; false: it has ended before. */
static bool kill_at(pid_t pid, int n)
{
	int status, seen = 0;
	long call = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(
		ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	for (;;) {
		struct __ptrace_syscall_info info;

		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
		assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			call = (long)info.entry.nr;
		}
		if (is_write(call) && ++seen == n) {
			(void)kill(pid, SIGKILL);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			return true;
		}
	}
}

/* How many are connected to the server. */
static int64_t backends(const struct fixture *f, struct store *s)
{
	return f->postgres ? fixture_ask(s, "SELECT COUNT(*) FROM pg_stat_activity WHERE "
					    "backend_type = 'client backend'")
			   : 0;
}

/* What the dead one had said is done, or not done: nobody is at work on it any more. */
static void await_server(const struct fixture *f, struct store *s, int64_t before)
{
	for (int i = 0; i < 5000 && backends(f, s) > before; i++) {
		(void)poll(NULL, 0, 2);
	}
	assert_true(backends(f, s) <= before);
}

static void test_killed_at_every_write(void **state)
{
	struct fixture *f = *state;
	struct store *s = fixture_store(f);
	const int64_t connected = backends(f, s);
	struct err e = {};
	bool killed = true;
	int n;

	create(f->l, "org", NULL);
	do_call(f->l,
		json_pack("{s:s, s:s, s:s, s:{s:i, s:i}}", "op", "price-add", "name", "default",
			  "currency", "USD", "prices", "wall", 3600000, "cpu", 7200000));
	budget(f->l, "org", "wall", "total", 100);
	for (n = 1; killed; n++) {
		char id[16];
		pid_t pid;
		int64_t spent;

		(void)snprintf(id, sizeof(id), "s-%d", n);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			live(f, n);
		}
		killed = kill_at(pid, n);
		await_server(f, s, connected);
		check_sums(s, "org");
		/* As many as there were when it began: the next one finds room again. */
		assert_true(ledger_return(f->l, id, &e) >= 0);
		check_sums(s, "org");
		assert_int_equal(fixture_ask(s, "SELECT COUNT(*) FROM reservation WHERE state = "
						"'open'"),
				 0);
		spent = fixture_ask(s, "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM used "
				       "WHERE dimension = 'wall'");
		assert_true(spent <= n * 60);
		budget(f->l, "org", "wall", "total", spent + 100);
	}
	assert_true(n > 10);
	print_message("# killed at %d calls\n", n - 1);
	s->ops->close(s);
}

/* ---- whatever happens ---- */

#define SANDBOXES 12
#define ACCOUNTS  4
#define DAYS      60
#define MODELS    2
#define REQUESTS  3 /* of a sandbox at the same time */

/* What the ledger should say, in a few lines: no database, no sums that are kept. */
struct model {
	int64_t today, month; /* by the latest time that was seen */
	struct {
		int parent;
		int64_t day, total; /* budgets of wall; -1: none */
		int64_t used[DAYS]; /* by itself */
		int64_t tokens;     /* a budget of all models, in total, and one of the first */
		int64_t first;
		int64_t tokens_used[MODELS];
	} accounts[ACCOUNTS];
	struct {
		bool open;
		int account;
		int64_t ceiling, settled;
		struct {
			bool open;
			int model;
			int64_t n;
		} requests[REQUESTS];
	} sandboxes[SANDBOXES];
	int lives[SANDBOXES];
};

static bool is_below(const struct model *m, int account, int above)
{
	while (account >= 0 && account != above) {
		account = m->accounts[account].parent;
	}
	return account == above;
}

static int64_t model_spent(const struct model *m, int account, int64_t since)
{
	int64_t sum = 0;

	for (int a = 0; a < ACCOUNTS; a++) {
		for (int64_t d = since; is_below(m, a, account) && d < DAYS; d++) {
			sum += m->accounts[a].used[d];
		}
	}
	return sum;
}

static int64_t model_held(const struct model *m, int account)
{
	int64_t sum = 0;

	for (int i = 0; i < SANDBOXES; i++) {
		if (m->sandboxes[i].open && is_below(m, m->sandboxes[i].account, account) &&
		    m->sandboxes[i].ceiling > m->sandboxes[i].settled) {
			sum += m->sandboxes[i].ceiling - m->sandboxes[i].settled;
		}
	}
	return sum;
}

static bool model_fits(const struct model *m, int account, int64_t asked)
{
	for (int a = account; a >= 0; a = m->accounts[a].parent) {
		int64_t held = model_held(m, a);

		if ((m->accounts[a].day >= 0 &&
		     model_spent(m, a, m->today) + held + asked > m->accounts[a].day) ||
		    (m->accounts[a].total >= 0 &&
		     model_spent(m, a, 0) + held + asked > m->accounts[a].total)) {
			return asked == 0;
		}
	}
	return true;
}

static void model_use(struct model *m, int i, int64_t so_far)
{
	int64_t more = so_far - m->sandboxes[i].settled;

	if (more > 0) {
		m->accounts[m->sandboxes[i].account].used[m->today] += more;
		m->sandboxes[i].settled = so_far;
	}
}

/* Of one model, or of all (MODELS), by the account and those below it: used, or held. */
static int64_t model_tokens(const struct model *m, int account, int model, bool held)
{
	int64_t sum = 0;

	for (int a = 0; !held && a < ACCOUNTS; a++) {
		for (int i = 0; is_below(m, a, account) && i < MODELS; i++) {
			sum += model == MODELS || model == i ? m->accounts[a].tokens_used[i] : 0;
		}
	}
	for (int i = 0; held && i < SANDBOXES; i++) {
		for (int j = 0; is_below(m, m->sandboxes[i].account, account) && j < REQUESTS;
		     j++) {
			bool counts =
				m->sandboxes[i].requests[j].open &&
				(model == MODELS || model == m->sandboxes[i].requests[j].model);

			sum += counts ? m->sandboxes[i].requests[j].n : 0;
		}
	}
	return sum;
}

static bool model_fits_tokens(const struct model *m, int account, int model, int64_t n)
{
	for (int a = account; a >= 0 && n > 0; a = m->accounts[a].parent) {
		int64_t all = model_tokens(m, a, MODELS, false) + model_tokens(m, a, MODELS, true);
		int64_t first = model_tokens(m, a, 0, false) + model_tokens(m, a, 0, true);

		if ((m->accounts[a].tokens >= 0 && all + n > m->accounts[a].tokens) ||
		    (m->accounts[a].first >= 0 && model == 0 && first + n > m->accounts[a].first)) {
			return false;
		}
	}
	return true;
}

/* What was not told counts. */
static void model_end_requests(struct model *m, int i)
{
	for (int j = 0; j < REQUESTS; j++) {
		if (m->sandboxes[i].requests[j].open) {
			m->accounts[m->sandboxes[i].account]
				.tokens_used[m->sandboxes[i].requests[j].model] +=
				m->sandboxes[i].requests[j].n;
		}
		m->sandboxes[i].requests[j].open = false;
	}
}

static const char *const names[ACCOUNTS] = {"org", "a", "b", "a.sub"};

static int pick(unsigned *seed, int n)
{
	*seed = *seed * 1103515245 + 12345;
	return (int)((*seed >> 16) % (unsigned)n);
}

static void do_reserve(struct fixture *f, struct model *m, int i, unsigned *seed)
{
	int64_t asked = pick(seed, 60);
	int account = pick(seed, ACCOUNTS);
	char id[24];
	int r;

	(void)snprintf(id, sizeof(id), "s-%d-%d", i, ++m->lives[i]);
	r = reserve(f->l, id, names[account], asked, 0);
	assert_int_equal(r, model_fits(m, account, asked) ? 0 : -EDQUOT);
	if (r == 0) {
		m->sandboxes[i].open = true;
		m->sandboxes[i].account = account;
		m->sandboxes[i].ceiling = asked;
		m->sandboxes[i].settled = 0;
	}
}

/* A request to a model: its reservation, or what it has used; now and then one without. */
static void do_tokens(struct fixture *f, struct model *m, unsigned *seed)
{
	static const char *const models[MODELS] = {"first", "second"};
	int i = pick(seed, SANDBOXES), j = pick(seed, REQUESTS), model = pick(seed, MODELS);
	int64_t n = pick(seed, 40), in = n / 3, money;
	bool open = m->sandboxes[i].requests[j].open, alone = pick(seed, 8) == 0;
	char id[24], request[8];
	struct err e = {};
	int r;

	(void)snprintf(id, sizeof(id), "s-%d-%d", i, m->lives[i]);
	(void)snprintf(request, sizeof(request), "r-%d", j);
	if (!m->sandboxes[i].open) {
		assert_int_equal(ledger_tokens_reserve(f->l, id, request, models[model], 1, 1, &e),
				 -ESTALE);
		return;
	}
	if (!open && !alone) {
		r = ledger_tokens_reserve(f->l, id, request, models[model], in, n - in, &e);
		assert_int_equal(
			r, model_fits_tokens(m, m->sandboxes[i].account, model, n) ? 0 : -EDQUOT);
		m->sandboxes[i].requests[j].open = r == 0;
		m->sandboxes[i].requests[j].model = model;
		m->sandboxes[i].requests[j].n = n;
		return;
	}
	if (!alone) {
		/* Most use less than they might. */
		int64_t most = m->sandboxes[i].requests[j].n;

		model = m->sandboxes[i].requests[j].model;
		n = n > most && pick(seed, 10) ? most : n;
		in = n / 3;
		m->sandboxes[i].requests[j].open = false;
	}
	r = ledger_tokens_tell(f->l, id, alone ? NULL : request, models[model], "1", in, n - in,
			       &money, &e);
	assert_true(r == 0 || r == -EDQUOT);
	m->accounts[m->sandboxes[i].account].tokens_used[model] += n;
}

static void do_something(struct fixture *f, struct model *m, unsigned *seed)
{
	int i = pick(seed, SANDBOXES), what = pick(seed, 10);
	int64_t so_far = m->sandboxes[i].settled + pick(seed, 20) - 3;
	struct ledger_usage u;
	enum ledger_answer answer;
	struct err e = {};
	char id[24], why[256];

	so_far = so_far < 0 ? 0 : so_far;
	/* Most stay within what they reserved. */
	so_far = so_far > m->sandboxes[i].ceiling && what != 1 ? m->sandboxes[i].ceiling : so_far;
	u = used(so_far, 0);
	if (!m->sandboxes[i].open) {
		do_reserve(f, m, i, seed);
		return;
	}
	(void)snprintf(id, sizeof(id), "s-%d-%d", i, m->lives[i]);
	if (what < 6) {
		assert_int_equal(ledger_settle(f->l, id, &u, &answer, why, &e), 0);
		model_use(m, i, so_far);
		if (m->sandboxes[i].settled > m->sandboxes[i].ceiling &&
		    (m->accounts[0].total >= 0)) {
			assert_int_equal(answer, LEDGER_EXHAUSTED);
		}
		return;
	}
	m->sandboxes[i].open = false;
	model_end_requests(m, i);
	if (what < 8) {
		assert_int_equal(ledger_release(f->l, id, &u, NULL, &e), 0);
		model_use(m, i, so_far);
	} else {
		int64_t left = m->sandboxes[i].ceiling - m->sandboxes[i].settled;

		assert_int_equal(ledger_return(f->l, id, &e), 1);
		left = left < 0 ? 0 : left > 10 ? 10 : left;
		model_use(m, i, m->sandboxes[i].settled + left);
	}
}

/* A clock that goes on, stands, and is set back. */
static void move_clock(struct fixture *f, struct model *m, unsigned *seed)
{
	int64_t day;

	if (pick(seed, 15) != 0) {
		return;
	}
	f->now_ms += (pick(seed, 6) - 2) * DAY_MS / 2;
	day = f->now_ms / DAY_MS - NOON / DAY_MS;
	if (day >= DAYS) {
		f->now_ms = NOON;
		day = 0;
	}
	m->today = day > m->today ? day : m->today;
}

static int check_one(const struct model *m, const json_t *b)
{
	const char *account = json_string_value(json_object_get(b, "account"));
	bool day = strcmp(json_string_value(json_object_get(b, "period")), "day") == 0;
	int a = 0;

	while (strcmp(names[a], account) != 0) {
		a++;
	}
	if (strcmp(json_string_value(json_object_get(b, "dimension")), "tokens") == 0) {
		int model = json_is_string(json_object_get(b, "model")) ? 0 : MODELS;

		assert_int_equal(json_integer_value(json_object_get(b, "spent")),
				 model_tokens(m, a, model, false));
		assert_int_equal(json_integer_value(json_object_get(b, "reserved")),
				 model_tokens(m, a, model, true));
		return 1;
	}
	assert_int_equal(json_integer_value(json_object_get(b, "spent")),
			 model_spent(m, a, day ? m->today : 0));
	assert_int_equal(json_integer_value(json_object_get(b, "reserved")), model_held(m, a));
	return 1;
}

static void test_random_operations(void **state)
{
	struct fixture *f = *state;
	struct model m = {.accounts = {{-1, 150, 4000, {}, 9000, -1, {}},
				       {0, 250, -1, {}, -1, 2500, {}},
				       {0, -1, 4000, {}, 5000, -1, {}},
				       {1, 120, -1, {}, 4000, 1500, {}}}};
	unsigned seed = 20261130;
	struct store *s = fixture_store(f);

	for (int a = 0; a < ACCOUNTS; a++) {
		create(f->l, names[a],
		       m.accounts[a].parent < 0 ? NULL : names[m.accounts[a].parent]);
		if (m.accounts[a].day >= 0) {
			budget(f->l, names[a], "wall", "day", m.accounts[a].day);
		}
		if (m.accounts[a].total >= 0) {
			budget(f->l, names[a], "wall", "total", m.accounts[a].total);
		}
		if (m.accounts[a].tokens >= 0) {
			budget(f->l, names[a], "tokens", "total", m.accounts[a].tokens);
		}
		if (m.accounts[a].first >= 0) {
			do_call(f->l, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "op",
						"set-budget", "account", names[a], "dimension",
						"tokens", "period", "total", "model", "first",
						"amount", (json_int_t)m.accounts[a].first));
		}
	}
	for (int i = 0; i < 3000; i++) {
		move_clock(f, &m, &seed);
		/* The ledger sees a time when something is written. */
		do_call(f->l, json_pack("{s:s, s:s}", "op", "return", "sandbox", "s-none"));
		do_something(f, &m, &seed);
		do_tokens(f, &m, &seed);
		if (i % 50 == 0) {
			json_t *reply = NULL, *b;
			size_t j;
			int checked = 0;

			assert_int_equal(ledger_call(f->l,
						     json_pack("{s:s, s:s}", "op", "show",
							       "account", "a.sub"),
						     &reply, NULL),
					 0);
			json_array_foreach(json_object_get(reply, "budgets"), j, b)
			{
				checked += check_one(&m, b);
			}
			assert_int_equal(checked, 8);
			json_decref(reply);
			check_sums(s, "org");
		}
	}
	print_message("# spent %ld on %ld days, and %ld tokens\n", (long)model_spent(&m, 0, 0),
		      (long)m.today, (long)model_tokens(&m, 0, MODELS, false));
	s->ops->close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_parallel_starts),
		ON_BOTH(test_killed_at_every_write),
		ON_BOTH(test_random_operations),
	};

	return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
