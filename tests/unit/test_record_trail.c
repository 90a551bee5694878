/* SPDX-License-Identifier: Apache-2.0 */
/* The trail: its chain, resuming after a crash, and what a full disk does to it. */
#include "unit.h"

#include <sys/resource.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
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
		assert_int_equal(trail_add(&t, "event", json_pack("{s:i}", "n", i), &e), 0);
	}
	assert_int_equal(trail_add(&t, "bare", NULL, &e), 0);
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
		assert_true(trail_add(&t, "lost", NULL, &e) < 0);
		assert_non_null(strstr(e.msg, "cannot write the trail"));
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_int_equal(size_of(t.fd), before);
		assert_int_equal(trail_add(&t, "kept", NULL, &e), 0);
	}
	trail_done(&t);
	assert_int_equal(verify(dir, 0), 5);
}

static void test_full_device(void **state)
{
	struct trail t = {.fd = open("/dev/full", O_WRONLY | O_APPEND | O_CLOEXEC)};
	struct err e = {};

	(void)state;
	assert_int_equal(trail_add(&t, "created", NULL, &e), -ENOSPC);
	assert_int_equal(t.seq, 0);
	assert_string_equal(t.prev, "");
	trail_done(&t);
	assert_int_equal(trail_add(&t, "created", NULL, &e), -EBADF);
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
	struct trail t = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
	struct err e = {};
	int r = trail_add(&t, "event", json_pack("{s:s}", "k", "v"), &e);

	assert_true(r == 0 || (may_fail && r == -ENOMEM && e.code == ENOMEM));
	assert_int_equal(t.seq, r == 0);
	trail_done(&t);
}

/* ---- copying ---- */

/* What was told of: the names, each behind a blank. */
static int note_event(void *arg, const char *name, const json_t *data, struct err *e)
{
	struct buf *b = arg;

	assert_true(json_is_object(data));
	if (strcmp(name, "refuse") == 0) {
		return err_set(e, ERR_USER, ECANCELED, "refused");
	}
	return buf_addf(b, " %s", name);
}

/* The errno of a copy to nowhere, with what it says in *e. */
static int copy_to_nowhere(int dir, struct err *e)
{
	_cleanup_buf_ struct buf told = {};
	char head[DIGEST_HEX_SIZE];

	buf_init(&told, 4096);
	*e = (struct err){};
	return trail_copy(dir, NAME, FD_NONE, note_event, &told, head, e);
}

static void make_trail(int dir, const char *third)
{
	struct trail t;
	struct err e = {};

	(void)unlinkat(dir, NAME ".jsonl", 0);
	assert_int_equal(trail_create(&t, dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "created", json_pack("{s:s}", "a", "b"), &e), 0);
	assert_int_equal(trail_add(&t, "receipt", NULL, &e), 0);
	assert_int_equal(trail_add(&t, third, NULL, &e), 0);
	trail_done(&t);
}

static void test_copy(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	_cleanup_fd_ int to = openat(dir, "copy", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_fd_ int from = FD_NONE;
	_cleanup_buf_ struct buf told = {}, one = {}, two = {};
	char head[DIGEST_HEX_SIZE], last[DIGEST_HEX_SIZE];
	struct err e = {};

	buf_init(&told, 4096);
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	make_trail(dir, "ended");
	assert_int_equal(trail_copy(dir, NAME, to, note_event, &told, head, &e), 0);
	assert_string_equal(buf_str(&told), " created receipt ended");
	from = openat(dir, NAME ".jsonl", O_RDONLY | O_CLOEXEC);
	assert_int_equal(buf_read_fd(&one, from), 0);
	assert_int_equal(lseek(to, 0, SEEK_SET), 0);
	assert_int_equal(buf_read_fd(&two, to), 0);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	one.data[one.len - 1] = '\0';
	digest_hex(strrchr(one.data, '\n') + 1, strlen(strrchr(one.data, '\n') + 1), last);
	assert_string_equal(head, last);
	make_trail(dir, "refuse");
	assert_int_equal(copy_to_nowhere(dir, &e), -ECANCELED);
	assert_int_equal(trail_copy(dir, "s-none", FD_NONE, note_event, &told, head, &e), -ENOENT);
}

/* Any byte changed, any line missing, the end cut anywhere but behind a line. */
static void test_copy_finds_damage(void **state)
{
	_cleanup_fd_ int dir = open_dir(state);
	_cleanup_buf_ struct buf whole = {};
	struct err e = {};
	size_t i;

	buf_init(&whole, 1 << 20);
	make_trail(dir, "ended");
	{
		_cleanup_fd_ int fd = openat(dir, NAME ".jsonl", O_RDONLY | O_CLOEXEC);

		assert_int_equal(buf_read_fd(&whole, fd), 0);
	}
	for (i = 0; i < whole.len; i++) {
		_cleanup_fd_ int fd = openat(dir, NAME ".jsonl", O_WRONLY | O_TRUNC | O_CLOEXEC);
		size_t last = whole.len - 1;
		bool in_last;

		while (whole.data[last - 1] != '\n') {
			last--;
		}
		in_last = i >= last;
		whole.data[i] ^= 1;
		assert_int_equal(write(fd, whole.data, whole.len), whole.len);
		whole.data[i] ^= 1;
		/* In the last line only what the others do not fix can be another one unnoticed:
		 * its event, its time, its data. */
		if (copy_to_nowhere(dir, &e) == 0) {
			assert_true(in_last);
			continue;
		}
		assert_int_equal(e.code, EBADMSG);
		assert_non_null(strstr(e.msg, "the record of sandbox " NAME " is broken: line "));
	}
	for (i = 0; i < whole.len; i++) {
		_cleanup_fd_ int fd = openat(dir, NAME ".jsonl", O_WRONLY | O_TRUNC | O_CLOEXEC);

		assert_int_equal(write(fd, whole.data, i), i);
		assert_int_equal(copy_to_nowhere(dir, &e),
				 i > 0 && whole.data[i - 1] == '\n' ? 0 : -EBADMSG);
	}
}

/* A line that a death cut short stands before the event of whoever found it, and nowhere else. */
static void test_copy_of_a_cut_line(void **state)
{
	static const char stump[] = "{\"data\":{";
	_cleanup_fd_ int dir = open_dir(state);
	struct trail t;
	struct err e = {};

	make_trail(dir, "started");
	append_raw(dir, stump, strlen(stump));
	assert_int_equal(copy_to_nowhere(dir, &e), -EBADMSG);
	resume_and_end(dir);
	assert_int_equal(copy_to_nowhere(dir, &e), 0);
	append_raw(dir, stump, strlen(stump));
	assert_int_equal(trail_resume(&t, dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "ended", NULL, &e), 0);
	trail_done(&t);
	assert_int_equal(copy_to_nowhere(dir, &e), -EBADMSG);
	assert_non_null(strstr(e.msg, "line 7 stands behind one that was cut short"));
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
		IN_DIR(test_planted_link),
		IN_DIR(test_copy),
		IN_DIR(test_copy_finds_damage),
		IN_DIR(test_copy_of_a_cut_line),
		cmocka_unit_test(test_full_device),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
