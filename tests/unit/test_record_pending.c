/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors on their way into the ledger: only what was signed here arrives, and nothing is lost. */
#include "unit.h"

#include "base/err.h"
#include "record/key.h"
#include "record/pending.h"
#include "record/trail.h"

static int open_dir(void **state)
{
	int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	return dir;
}

/* One of a trail that is signed with the directory's own key. */
static struct pending make(int dir, const char *name)
{
	struct pending p = {};
	struct sign_key key;
	struct trail t;
	struct err e = {};

	assert_int_equal(key_need(dir, &e), 0);
	assert_int_equal(key_load(dir, &key, &e), 0);
	assert_int_equal(trail_create(&t, dir, name, &e), 0);
	assert_int_equal(trail_add(&t, "paused", NULL, &e), 0);
	assert_int_equal(checkpoint_add(&t, &key, &p.checkpoint, &e), 0);
	p.size = t.seq;
	hex_encode(t.prev, DIGEST_SIZE, p.head);
	trail_done(&t);
	return p;
}

struct told {
	struct pending list[8];
	int n, fail_at;
};

static int tell(void *arg, const struct pending *p, struct err *e)
{
	struct told *t = arg;

	if (t->n == t->fail_at) {
		return err_set(e, ERR_SYSTEM, EIO, "no");
	}
	t->list[t->n++] = *p;
	return 0;
}

static int take(int dir, struct told *t, struct err *e)
{
	struct key_list keys;

	assert_int_equal(key_list(dir, &keys, e), 0);
	return pending_take(dir, &keys, tell, t, e);
}

static void test_round_trip(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct pending one, two;
	struct told told = {.fail_at = -1};
	struct err e = {};
	bool many = true;

	assert_int_equal(take(dir, &told, &e), 0);
	one = make(dir, "s-one");
	two = make(dir, "s-two");
	assert_int_equal(pending_add(dir, &one, &many, &e), 0);
	assert_int_equal(pending_add(dir, &two, &many, &e), 0);
	assert_false(many);
	assert_int_equal(take(dir, &told, &e), 2);
	assert_string_equal(told.list[0].head, one.head);
	assert_int_equal(told.list[1].size, 2);
	assert_memory_equal(&told.list[1].checkpoint, &two.checkpoint, sizeof(two.checkpoint));
	assert_int_equal(take(dir, &told, &e), 0);
	assert_int_equal(e.code, 0);
}

/* Whoever cannot take one leaves all of them: twice is better than never. */
static void test_nothing_is_lost(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct pending one, two;
	struct told told = {.fail_at = 1};
	struct err e = {};
	bool many;

	one = make(dir, "s-one");
	two = make(dir, "s-two");
	assert_int_equal(pending_add(dir, &one, &many, &e), 0);
	assert_int_equal(pending_add(dir, &two, &many, &e), 0);
	assert_int_equal(take(dir, &told, &e), -EIO);
	told = (struct told){.fail_at = -1};
	e = (struct err){};
	assert_int_equal(take(dir, &told, &e), 2);
}

/* A byte of any member changed: what it says is not what was signed. The digest of the checkpoint
 * itself is covered by nothing but the line that it is of. */
static void test_every_byte(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	_cleanup_fd_ int fd = FD_NONE;
	struct pending one = make(dir, "s-one");
	char line[2048], *head;
	struct err e = {};
	bool many;
	ssize_t n;

	assert_int_equal(pending_add(dir, &one, &many, &e), 0);
	fd = openat(dir, "ledger/pending.jsonl", O_RDWR | O_CLOEXEC);
	n = pread(fd, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = '\0';
	head = strstr(line, "\"head\":\"") + strlen("\"head\":\"");
	for (ssize_t i = 0; i + 1 < n; i++) {
		struct told told = {.fail_at = -1};

		line[i] ^= 1;
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, line, (size_t)n, 0), n);
		assert_int_equal(take(dir, &told, &e),
				 line + i >= head && line + i < head + DIGEST_HEX_SIZE - 1);
		line[i] ^= 1;
	}
}

static void test_no_room(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct pending one = make(dir, "s-one");
	struct told told = {.fail_at = -1};
	struct err e = {};
	bool many;

	assert_int_equal(mkdirat(dir, "ledger", 0700), 0);
	assert_int_equal(symlinkat("/dev/full", dir, "ledger/pending.jsonl"), 0);
	assert_int_equal(pending_add(dir, &one, &many, &e), -ELOOP);
	e = (struct err){};
	assert_int_equal(take(dir, &told, &e), -ELOOP);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, unit_dir_setup, unit_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(test_round_trip),
		IN_DIR(test_nothing_is_lost),
		IN_DIR(test_every_byte),
		IN_DIR(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
