/* SPDX-License-Identifier: Apache-2.0 */
/* The trail: its chain, resuming after a crash, and what a full disk does to it. */
#include "unit.h"

#include <sys/resource.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "record/reader.h"
#include "record/trail.h"

#define NAME "s-unit"

static int open_dir(void **state)
{
	int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	return dir;
}

static void append_raw(int dir, const char *bytes, size_t len)
{
	_cleanup_fd_ int fd =
		openat(dir, NAME ".jsonl", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, bytes, len), len);
}

/* Verifies the whole file; `cut` lines of it, in a row, may be no JSON. Returns its lines. */
static size_t verify(int dir, size_t cut)
{
	_cleanup_fd_ int fd = openat(dir, NAME ".jsonl", O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {};
	char prev[DIGEST_HEX_SIZE];
	const char *line, *end;
	size_t n = 0;

	memset(prev, '0', sizeof(prev) - 1);
	prev[sizeof(prev) - 1] = '\0';
	buf_init(&b, 64 << 20);
	assert_int_equal(buf_read_fd(&b, fd), 0);
	for (line = buf_str(&b); *line; line = end + 1, n++) {
		_cleanup_json_ json_t *j = NULL;

		end = strchr(line, '\n');
		assert_non_null(end);
		j = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
		if (!j) {
			assert_true(cut-- > 0);
		} else {
			_cleanup_free_ char *text = json_canonical(j, NULL);

			assert_int_equal(strlen(text), end - line);
			assert_memory_equal(text, line, end - line);
			assert_string_equal(json_string_value(json_object_get(j, "prev")), prev);
			assert_int_equal(json_integer_value(json_object_get(j, "seq")), n);
			assert_string_equal(json_string_value(json_object_get(j, "sandbox")), NAME);
		}
		digest_hex(line, (size_t)(end - line), prev);
	}
	return n;
}

static void test_chain(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct trail t, again;
	struct err e = {};
	int i;

	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	for (i = 0; i < 20; i++) {
		assert_int_equal(trail_add(&t, "started", json_pack("{s:i}", "n", i), &e), 0);
	}
	assert_int_equal(trail_add(&t, "paused", NULL, &e), 0);
	assert_int_equal(e.code, 0);
	assert_int_equal(trail_create(&again, dir, NAME, &e), -EEXIST);
	trail_done(&t);
	trail_done(&t);
	assert_int_equal(verify(dir, 0), 21);
}

static void resume_and_end(int dir)
{
	struct trail t;
	struct err e = {};

	assert_int_equal(trail_resume(&t, dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "reaped", NULL, &e), 0);
	trail_done(&t);
}

static void test_resume(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct trail t;
	struct err e = {};

	assert_int_equal(trail_resume(&t, dir, NAME, &e), -ENOENT);
	assert_int_equal(e.code, 0);
	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	trail_done(&t);
	resume_and_end(dir); /* it died before its first event */
	assert_int_equal(verify(dir, 0), 1);
	resume_and_end(dir);
	resume_and_end(dir);
	assert_int_equal(verify(dir, 0), 3);
}

/* However short the line was cut, the chain goes on over the bytes as they stand. */
static void test_cut_line(void **state)
{
	static const char stump[] = "{\"data\":{\"plan\":\"half of";
	_cleanup_fd_ int dir = open_dir(state);
	size_t len, lines = 1;

	append_raw(dir, "", 0);
	resume_and_end(dir);
	for (len = 1; len < sizeof(stump); len++) {
		append_raw(dir, stump, len);
		resume_and_end(dir);
		lines += 2;
		assert_int_equal(verify(dir, len), lines);
	}
}

/* A first line that was cut: everything before it is nothing. */
static void test_cut_first_line(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);

	append_raw(dir, "{", 1);
	resume_and_end(dir);
	assert_int_equal(verify(dir, 1), 2);
}

/* Arguments may fill megabytes; a trail that holds them can still be resumed. */
static void test_large_events(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	_cleanup_free_ char *text = malloc(8 << 20);
	struct trail t;
	struct err e = {};

	memset(text, 'x', 8 << 20);
	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "started", json_pack("{s:s%}", "argv", text, 8 << 20), &e),
			 0);
	trail_done(&t);
	resume_and_end(dir);
	assert_int_equal(verify(dir, 0), 2);
}

static off_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

/* No room for a line, or only for a part of it: an error, and the chain goes on without it. */
static void test_no_room(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct rlimit limit, tight;
	struct trail t;
	struct err e = {};
	rlim_t room;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "created", NULL, &e), 0);
	for (room = 0; room < 100; room += 33) {
		off_t before = size_of(t.fd);

		tight = (struct rlimit){(rlim_t)before + room, limit.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
		assert_true(trail_add(&t, "paused", NULL, &e) < 0);
		assert_non_null(strstr(e.msg, "cannot write the trail"));
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_int_equal(size_of(t.fd), before);
		assert_int_equal(trail_add(&t, "resumed", NULL, &e), 0);
	}
	trail_done(&t);
	assert_int_equal(verify(dir, 0), 5);
}

static void test_full_device(void **state)
{
	struct trail t = {.first = FD_NONE,
			  .fd = open("/dev/full", O_WRONLY | O_APPEND | O_CLOEXEC),
			  .line.max = TRAIL_MAX_LINE};
	static const uint8_t none[DIGEST_SIZE];
	struct err e = {};

	(void)state;
	assert_int_equal(trail_add(&t, "created", NULL, &e), -ENOSPC);
	assert_int_equal(t.seq, 0);
	assert_memory_equal(t.prev, none, sizeof(none));
	trail_done(&t);
	assert_int_equal(trail_add(&t, "created", NULL, &e), -EIO);
}

/* What is in no table is in no trail. */
static void test_unknown_event(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct trail t;
	struct err e = {};

	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "create", NULL, &e), -EINVAL);
	assert_int_equal(trail_add(&t, "createdx", NULL, &e), -EINVAL);
	assert_int_equal(trail_add(&t, "", NULL, &e), -EINVAL);
	assert_int_equal(trail_add(&t, "a\"b", NULL, &e), -EINVAL);
	assert_int_equal(e.kind, ERR_BUG);
	trail_done(&t);
	assert_int_equal(verify(dir, 0), 0);
}

/* A second segment, and a third: the chain goes on over both, and so does who resumes. */
static void test_segments(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	_cleanup_free_ char *text = malloc(8 << 20);
	struct reader in;
	struct trail t;
	struct err e = {};
	const char *line;
	size_t len = 0, n;
	struct line l;

	memset(text, 'x', 8 << 20);
	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	for (n = 0; n < 17; n++) {
		assert_int_equal(
			trail_add(&t, "started", json_pack("{s:s%}", "argv", text, 8 << 20), &e),
			0);
	}
	assert_int_equal(t.segment, 3);
	trail_done(&t);
	resume_and_end(dir);
	assert_int_equal(trail_resume(&t, dir, NAME, &e), 0);
	assert_int_equal(t.segment, 3);
	assert_int_equal(t.seq, 18);
	trail_done(&t);
	assert_int_equal(reader_open(&in, dir, NAME, &e), 0);
	for (n = 0; reader_next(&in, &line, &len, &e) > 0; n++) {
		assert_true(line_parse(line, len, &l));
		assert_int_equal(l.seq, n);
		assert_string_equal(l.event, n < 17 ? "started" : "reaped");
	}
	assert_int_equal(n, 18);
	assert_int_equal(e.code, 0);
	reader_close(&in);
}

/* Who resumes waits for who writes. */
static void test_lock(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct reader in;
	struct trail t;
	struct err e = {};

	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	assert_int_equal(reader_open(&in, dir, NAME, &e), 0);
	assert_false(reader_wait(&in, 20000000));
	trail_done(&t);
	assert_true(reader_wait(&in, 0));
	reader_close(&in);
}

/* The file of a trail is never followed elsewhere. */
static void test_planted_link(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	struct trail t;
	struct err e = {};

	assert_int_equal(symlinkat("elsewhere", dir, NAME ".jsonl"), 0);
	assert_int_equal(trail_create(&t, dir, NAME, &e), -EEXIST);
	assert_int_equal(trail_resume(&t, dir, NAME, &e), -ELOOP);
	assert_int_equal(faccessat(dir, "elsewhere", F_OK, 0), -1);
}

static void add_under_faults(bool may_fail)
{
	struct trail t = {.first = FD_NONE,
			  .fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
			  .line.max = TRAIL_MAX_LINE};
	struct err e = {};
	int r = trail_add(&t, "started", json_pack("{s:s}", "k", "v"), &e);

	assert_true(r == 0 || (may_fail && r == -ENOMEM && e.code == ENOMEM));
	assert_int_equal(t.seq, r == 0);
	trail_done(&t);
}

static void test_faults(void **state)
{
	(void)state;
	json_set_alloc_funcs(unit_malloc, free);
	unit_faults(add_under_faults);
	json_set_alloc_funcs(malloc, free);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, unit_dir_setup, unit_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(test_chain),
		IN_DIR(test_resume),
		IN_DIR(test_cut_line),
		IN_DIR(test_cut_first_line),
		IN_DIR(test_large_events),
		IN_DIR(test_no_room),
		IN_DIR(test_unknown_event),
		IN_DIR(test_segments),
		IN_DIR(test_lock),
		IN_DIR(test_planted_link),
		cmocka_unit_test(test_full_device),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
