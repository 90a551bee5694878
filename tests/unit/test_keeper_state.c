/* SPDX-License-Identifier: Apache-2.0 */
/* State directories: whose they may be, birth, removal, and which ones are orphans. */
#include "unit.h"

#include <dirent.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "keeper/name.h"
#include "keeper/reap.h"
#include "keeper/state.h"
#include "record/trail.h"

#define PATH_SIZE 256

static const char *below(void **state, const char *name, char path[PATH_SIZE])
{
	(void)snprintf(path, PATH_SIZE, "%s/%s", (const char *)*state, name);
	return path;
}

/* HOME/state, which does not exist yet. */
static int state_setup(void **state)
{
	char path[PATH_SIZE];
	int r = unit_dir_setup(state);

	return r == 0 ? setenv("ATOLL_HOME", below(state, "deep/state", path), 1) : r;
}

/* How many sandboxes had no keeper any more, or the error. */
static int reap(const struct state *s, struct err *e)
{
	struct reaped n;
	int r = reap_run(s, REAP_ALL, &n, e);

	assert_int_equal(n.expired, 0);
	return r < 0 ? r : n.orphans;
}

static void open_state(struct state *s)
{
	struct err e = {};

	assert_int_equal(state_open(s, &e), 0);
}

static int count(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fdopendir(copy);
	const struct dirent *entry;

	while ((entry = readdir(d))) {
		n += entry->d_name[0] != '.' ||
		     (entry->d_name[1] != '\0' && entry->d_name[1] != '.');
	}
	(void)closedir(d);
	return n;
}

static void test_open(void **state)
{
	char path[PATH_SIZE];
	struct stat st;
	struct state s;

	open_state(&s);
	assert_int_equal(stat(below(state, "deep/state", path), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstat(s.sandboxes, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	state_done(&s);
	state_done(&s);
	open_state(&s);
	state_done(&s);
}

static void refused(const char *home)
{
	struct err e = {};
	struct state s;

	assert_int_equal(setenv("ATOLL_HOME", home, 1), 0);
	assert_int_equal(state_open(&s, &e), -EPERM);
	assert_non_null(strstr(e.msg, home));
	assert_non_null(strstr(e.msg, "ATOLL_HOME"));
	state_done(&s);
}

/* A directory that somebody else could change is no place for state. */
static void test_foreign_home(void **state)
{
	static const mode_t modes[] = {0720, 0702, 0770, 0777, 01777};
	char path[PATH_SIZE];
	size_t i;

	below(state, "home", path);
	assert_int_equal(mkdir(path, 0700), 0);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		refused(path);
	}
	assert_int_equal(chmod(path, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 4242, 4242), 0);
		refused(path);
	} else {
		refused("/usr");
	}
}

static void test_home_that_is_none(void **state)
{
	char path[PATH_SIZE];
	struct err e = {};
	struct state s;

	assert_int_equal(setenv("ATOLL_HOME", "/dev/null", 1), 0);
	assert_int_equal(state_open(&s, &e), -ENOTDIR);
	state_done(&s);
	assert_int_equal(setenv("ATOLL_HOME", "/proc/1/no/such", 1), 0);
	assert_true(state_open(&s, &e) < 0);
	state_done(&s);
	/* A link in place of a directory of ours is not followed. */
	below(state, "home", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(setenv("ATOLL_HOME", path, 1), 0);
	assert_int_equal(symlink("/tmp", below(state, "home/sandboxes", path)), 0);
	assert_true(state_open(&s, &e) < 0);
	state_done(&s);
}

static void test_create(void **state)
{
	struct state_sandbox a, b;
	struct err e = {};
	struct state s;

	(void)state;
	open_state(&s);
	assert_int_equal(state_name(&a, &e), 0);
	assert_int_equal(state_create(&s, &a, &e), 0);
	assert_int_equal(state_name(&b, &e), 0);
	assert_int_equal(state_create(&s, &b, &e), 0);
	assert_string_not_equal(a.id, b.id);
	assert_int_equal(strlen(a.id), 12);
	assert_memory_equal(a.id, "s-", 2);
	assert_int_equal(count(s.sandboxes), 2);
	assert_int_equal(state_remove(&s, &a, &e), 0);
	state_sandbox_done(&a);
	assert_int_equal(state_remove(&s, &b, &e), 0);
	assert_int_equal(state_remove(&s, &b, &e), 0);
	state_sandbox_done(&b);
	assert_int_equal(count(s.sandboxes), 0);
	state_done(&s);
}

static void test_write(void **state)
{
	_cleanup_fd_ int fd = FD_NONE;
	_cleanup_buf_ struct buf b = {};
	struct state_sandbox sb;
	struct err e = {};
	struct state s;

	(void)state;
	open_state(&s);
	assert_int_equal(state_name(&sb, &e), 0);
	assert_int_equal(state_create(&s, &sb, &e), 0);
	assert_int_equal(state_write(&sb, "sandbox.json", "first", 5, &e), 0);
	assert_int_equal(state_write(&sb, "sandbox.json", "second", 6, &e), 0);
	assert_int_equal(count(sb.dir), 1);
	fd = openat(sb.dir, "sandbox.json", O_RDONLY | O_CLOEXEC);
	buf_init(&b, 100);
	assert_int_equal(buf_read_fd(&b, fd), 0);
	assert_string_equal(buf_str(&b), "second");
	assert_int_equal(state_remove(&s, &sb, &e), 0);
	state_sandbox_done(&sb);
	state_done(&s);
}

/* Beside many, whoever starts one looks for the dead now and then; others always. A name is free
 * at once. */
static void test_many(void **state)
{
	enum { MANY = REAP_FEW + 6 };
	struct state_sandbox live[MANY], dead[2];
	struct err e = {};
	struct reaped n;
	struct state s;
	size_t i;

	(void)state;
	open_state(&s);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(state_name(&live[i], &e), 0);
		assert_int_equal(state_create(&s, &live[i], &e), 0);
	}
	assert_int_equal(reap_run(&s, REAP_PASSING, &n, &e), 0); /* looks, and it is noted */
	for (i = 0; i < 2; i++) {
		assert_int_equal(state_name(&dead[i], &e), 0);
		assert_int_equal(state_create(&s, &dead[i], &e), 0);
	}
	assert_int_equal(name_claim(&s, &dead[0], "work", &e), 0);
	assert_int_equal(name_claim(&s, &live[0], "work", &e), -EEXIST);
	state_sandbox_done(&dead[0]);
	state_sandbox_done(&dead[1]);
	assert_int_equal(reap_run(&s, REAP_PASSING, &n, &e), 0);
	assert_int_equal(n.orphans, 0);
	assert_int_equal(name_claim(&s, &live[0], "work", &e), 0);
	assert_int_equal(reap_run(&s, REAP_SANDBOXES, &n, &e), 0);
	assert_int_equal(n.orphans, 1);
	/* Few: at once. */
	for (i = 10; i < MANY; i++) {
		assert_int_equal(state_remove(&s, &live[i], &e), 0);
		state_sandbox_done(&live[i]);
	}
	state_sandbox_done(&live[0]);
	assert_int_equal(reap_run(&s, REAP_PASSING, &n, &e), 0);
	assert_int_equal(n.orphans, 1);
	for (i = 1; i < 10; i++) {
		assert_int_equal(state_remove(&s, &live[i], &e), 0);
		state_sandbox_done(&live[i]);
	}
	state_done(&s);
}

/* Its keeper holds the lock: nobody may touch it. */
static void test_the_living(void **state)
{
	struct state_sandbox sb;
	struct err e = {};
	struct state s, other;

	(void)state;
	open_state(&s);
	open_state(&other);
	assert_int_equal(state_name(&sb, &e), 0);
	assert_int_equal(state_create(&s, &sb, &e), 0);
	assert_int_equal(state_write(&sb, "sandbox.json", "{}", 2, &e), 0);
	assert_int_equal(reap(&other, &e), 0);
	assert_int_equal(count(sb.dir), 1);
	state_sandbox_done(&sb); /* dies */
	assert_int_equal(reap(&other, &e), 1);
	assert_int_equal(reap(&other, &e), 0);
	assert_int_equal(count(s.sandboxes), 0);
	state_done(&other);
	state_done(&s);
}

static void test_the_dead(void **state)
{
	static const char note[] = "{\"groups\":[\"/proc/no-such-group\",7],\"keeper\":1}";
	struct state_sandbox sb;
	struct trail t;
	struct err e = {};
	struct state s;

	(void)state;
	open_state(&s);
	assert_int_equal(state_name(&sb, &e), 0);
	assert_int_equal(state_create(&s, &sb, &e), 0);
	assert_int_equal(trail_create(&t, s.trail, sb.id, &e), 0);
	assert_int_equal(trail_add(&t, "created", NULL, &e), 0);
	trail_done(&t);
	assert_int_equal(state_write(&sb, "sandbox.json", note, strlen(note), &e), 0);
	state_sandbox_done(&sb);
	assert_int_equal(reap(&s, &e), 1);
	assert_int_equal(count(s.sandboxes), 0);
	assert_int_equal(trail_resume(&t, s.trail, sb.id, &e), 0);
	assert_int_equal(t.seq, 3); /* with its seal */
	trail_done(&t);
	state_done(&s);
}

/* It died between any two steps of its birth. */
static void test_half_created(void **state)
{
	struct err e = {};
	struct state s;
	int fd;

	(void)state;
	open_state(&s);
	assert_int_equal(mkdirat(s.sandboxes, "s-bare", 0700), 0);
	assert_int_equal(mkdirat(s.sandboxes, "s-file", 0700), 0);
	fd = openat(s.sandboxes, "s-file/.sandbox.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(mkdirat(s.sandboxes, "s-garbage", 0700), 0);
	fd = openat(s.sandboxes, "s-garbage/sandbox.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "{\"groups\":", 10), 10);
	(void)close(fd);
	assert_int_equal(reap(&s, &e), 3);
	assert_int_equal(count(s.sandboxes), 0);
	assert_int_equal(count(s.trail), 0);
	state_done(&s);
}

/* What is no directory of ours stays. */
static void test_strangers(void **state)
{
	struct err e = {};
	struct state s;
	int fd;

	(void)state;
	open_state(&s);
	assert_int_equal(symlinkat("..", s.sandboxes, "s-link"), 0);
	assert_int_equal(mkdirat(s.sandboxes, "a-name-that-is-longer-than-any-id", 0700), 0);
	fd = openat(s.sandboxes, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)close(fd);
	assert_int_equal(reap(&s, &e), 0);
	assert_int_equal(count(s.sandboxes), 3);
	state_done(&s);
}

/* A group that cannot be removed keeps the directory, so that the next command tries again. */
static void test_undo_fails(void **state)
{
	char path[PATH_SIZE], note[PATH_SIZE + 32];
	struct state_sandbox sb;
	struct err e = {};
	struct state s;

	open_state(&s);
	(void)close(openat(s.home, "no-group", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	(void)snprintf(note, sizeof(note), "{\"groups\":[\"%s\"]}",
		       below(state, "deep/state/no-group", path));
	assert_int_equal(state_name(&sb, &e), 0);
	assert_int_equal(state_create(&s, &sb, &e), 0);
	assert_int_equal(state_write(&sb, "sandbox.json", note, strlen(note), &e), 0);
	state_sandbox_done(&sb);
	/* Whichever comes first in the directory, the one that can be removed is. */
	assert_int_equal(mkdirat(s.sandboxes, "s-bare", 0700), 0);
	assert_int_equal(reap(&s, &e), -ENOTDIR);
	assert_non_null(strstr(e.msg, path));
	assert_int_equal(faccessat(s.sandboxes, "s-bare", F_OK, 0), -1);
	assert_int_equal(count(s.sandboxes), 1);
	state_done(&s);
}

/* Births and searches at the same time: nobody is disturbed, nobody living is reaped. */
static void test_births_during_searches(void **state)
{
	struct err e = {};
	struct state s;
	int i, status = 0;
	pid_t reaper;

	(void)state;
	open_state(&s);
	reaper = fork();
	if (reaper == 0) {
		struct state mine;
		int r = state_open(&mine, NULL);

		while (r >= 0 && getppid() != 1 && faccessat(mine.home, "stop", F_OK, 0) < 0) {
			r = reap(&mine, NULL);
			if (r > 0) {
				_exit(1);
			}
		}
		_exit(r < 0 ? 2 : 0);
	}
	assert_true(reaper > 0);
	for (i = 0; i < 2000; i++) {
		struct state_sandbox sb;

		if (state_name(&sb, &e) < 0 || state_create(&s, &sb, &e) < 0) {
			print_error("%d: %s\n", i, e.msg);
			status = -1;
			break;
		}
		(void)state_remove(&s, &sb, &e);
		state_sandbox_done(&sb);
	}
	(void)close(openat(s.home, "stop", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(reaper, &status, 0), reaper);
	assert_int_equal(status, 0);
	state_done(&s);
}

static void test_host_id(void **state)
{
	struct err e = {};
	uid_t id = 0;
	int r = state_host_id(true, &id, &e);

	(void)state;
	if (r == 0) {
		assert_true(id >= 0x70000000U && id <= 0x7fffffffU);
	} else {
		assert_int_equal(r, -EADDRNOTAVAIL);
		assert_non_null(strstr(e.msg, "ordinary user"));
	}
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, state_setup, unit_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(test_open),
		IN_DIR(test_foreign_home),
		IN_DIR(test_home_that_is_none),
		IN_DIR(test_create),
		IN_DIR(test_write),
		IN_DIR(test_many),
		IN_DIR(test_the_living),
		IN_DIR(test_the_dead),
		IN_DIR(test_half_created),
		IN_DIR(test_strangers),
		IN_DIR(test_undo_fails),
		IN_DIR(test_births_during_searches),
		cmocka_unit_test(test_host_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
