/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying trails: every way to damage one, and which record is named for it. */
#include "unit.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "record/checkpoint.h"
#include "record/key.h"
#include "record/reader.h"
#include "record/trail.h"
#include "record/verify.h"

#define NAME  "s-unit"
#define LINES 8 /* of make(), with its checkpoint */

struct fixture {
	int dir;
	struct sign_key key;
	struct buf bytes;            /* of the whole trail */
	struct verify_anchor anchor; /* of all of it */
};

static void read_all(struct fixture *f)
{
	_cleanup_fd_ int fd = openat(f->dir, NAME ".jsonl", O_RDONLY | O_CLOEXEC);

	buf_clear(&f->bytes);
	assert_int_equal(buf_read_fd(&f->bytes, fd), 0);
}

/* Seven events and their seal. */
static void make(struct fixture *f, const struct sign_key *key)
{
	static const char *const events[] = {"created", "receipt", "started",  "paused",
					     "resumed", "ended",   "torn_down"};
	struct checkpoint c;
	struct trail t;
	struct err e = {};

	(void)unlinkat(f->dir, NAME ".jsonl", 0);
	assert_int_equal(trail_create(&t, f->dir, NAME, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		assert_int_equal(
			trail_add(&t, events[i],
				  json_pack("{s:i, s:s}", "n", (int)i, "t",
					    "\"},\"event\":\"x\",\"prev\":\"0\",\"seq\":7}"),
				  &e),
			0);
	}
	if (key) {
		assert_int_equal(checkpoint_add(&t, key, &c, &e), 0);
	}
	f->anchor.size = t.seq;
	hex_encode(t.prev, DIGEST_SIZE, f->anchor.head);
	trail_done(&t);
	read_all(f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char name[] = "/tmp/atoll-unit-XXXXXX";

	if (!f || !mkdtemp(name)) {
		return -1;
	}
	f->dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	buf_init(&f->bytes, 1 << 20);
	assert_int_equal(sign_generate(&f->key), 0);
	make(f, &f->key);
	*state = f;
	return f->dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char link[64], path[256];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", f->dir);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	(void)close(f->dir);
	buf_done(&f->bytes);
	free(f);
	return nftw(path, unit_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Puts these bytes in the place of the trail. */
static void put(const struct fixture *f, const char *bytes, size_t len)
{
	_cleanup_fd_ int fd =
		openat(f->dir, NAME ".jsonl", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(buf_write_fd(fd, bytes, len), 0);
}

static struct verify_report look(const struct fixture *f, bool anchored)
{
	const struct verify_trust trust = {
		.keys = &f->key.public, .n_keys = 1, .anchors = &f->anchor, .n_anchors = anchored};
	struct verify_report report;
	struct reader in;
	struct err e = {};

	assert_int_equal(reader_open(&in, f->dir, NAME, &e), 0);
	assert_int_equal(verify_run(&in, &trust, NULL, NULL, &report, &e), 0);
	reader_close(&in);
	return report;
}

/* The n-th line, and how long it is with its newline. */
static const char *line_of(const struct fixture *f, size_t n, size_t *ret_len)
{
	const char *p = buf_str(&f->bytes);

	while (n-- > 0) {
		p = strchr(p, '\n') + 1;
	}
	*ret_len = (size_t)(strchr(p, '\n') + 1 - p);
	return p;
}

static void test_whole(void **state)
{
	const struct fixture *f = *state;
	struct verify_report r = look(f, true);

	assert_true(r.good);
	assert_int_equal(r.records, LINES);
	assert_int_equal(r.sealed, LINES);
	assert_int_equal(r.anchored, LINES);
	assert_int_equal(r.checkpoints, 1);
	assert_true(r.over);
	assert_string_equal(r.head, f->anchor.head);
	assert_string_equal(r.sandbox, NAME);
}

/* A bit of every byte, with nothing but the key: the record is named that was changed. */
static void test_every_byte(void **state)
{
	struct fixture *f = *state;
	size_t line = 0;

	for (size_t i = 0; i < f->bytes.len; i++) {
		const char bit = (char)(1 << i % 8);
		struct verify_report r;

		f->bytes.data[i] = (char)(f->bytes.data[i] ^ bit);
		put(f, f->bytes.data, f->bytes.len);
		f->bytes.data[i] = (char)(f->bytes.data[i] ^ bit);
		r = look(f, false);
		assert_false(r.good);
		/* Two lines that became one are missing from the first of them on. */
		assert_int_equal(r.bad, line);
		line += f->bytes.data[i] == '\n';
	}
}

static void test_dropped(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 0; n < LINES; n++) {
		size_t len;
		const char *line = line_of(f, n, &len);
		_cleanup_buf_ struct buf b = {};
		struct verify_report r;

		buf_init(&b, 1 << 20);
		(void)buf_add(&b, f->bytes.data, (size_t)(line - f->bytes.data));
		(void)buf_adds(&b, line + len);
		put(f, b.data, b.len);
		r = look(f, true);
		assert_false(r.good);
		assert_int_equal(r.bad, n);
	}
}

/* Cut behind every byte: what an anchor knows of is missed, or a part of a line is left. */
static void test_cut(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->bytes.len; i++) {
		struct verify_report r;

		put(f, f->bytes.data, i);
		r = look(f, true);
		assert_false(r.good);
		assert_true(r.sealed == 0 && r.anchored == 0);
		/* Without an anchor, only that it has no seal tells. */
		r = look(f, false);
		assert_int_equal(r.good, i > 0 && f->bytes.data[i - 1] == '\n');
		assert_int_equal(r.sealed, 0);
	}
}

static void test_repeated_and_swapped(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 0; n + 1 < LINES; n++) {
		size_t len, next_len;
		const char *line = line_of(f, n, &len), *next = line_of(f, n + 1, &next_len);
		_cleanup_buf_ struct buf twice = {}, swapped = {};
		size_t before = (size_t)(line - f->bytes.data);
		struct verify_report r;

		buf_init(&twice, 1 << 20);
		(void)buf_add(&twice, f->bytes.data, before + len);
		(void)buf_adds(&twice, line);
		put(f, twice.data, twice.len);
		r = look(f, true);
		assert_false(r.good);
		assert_int_equal(r.bad, n + 1);

		buf_init(&swapped, 1 << 20);
		(void)buf_add(&swapped, f->bytes.data, before);
		(void)buf_add(&swapped, next, next_len);
		(void)buf_add(&swapped, line, len);
		(void)buf_adds(&swapped, next + next_len);
		put(f, swapped.data, swapped.len);
		r = look(f, true);
		assert_false(r.good);
		assert_int_equal(r.bad, n);
	}
}

/* All of it made anew, without the key, and with another one. */
static void test_made_anew(void **state)
{
	struct fixture *f = *state;
	struct verify_anchor anchor = f->anchor;
	struct sign_key other;
	struct verify_report r;

	assert_int_equal(sign_generate(&other), 0);
	make(f, &other);
	r = look(f, false);
	assert_false(r.good);
	assert_int_equal(r.bad, LINES - 1);
	assert_non_null(strstr(r.why, "not signed by a key of this installation"));

	make(f, NULL);
	f->anchor = anchor;
	r = look(f, false);
	assert_true(r.good);
	assert_int_equal(r.sealed, 0);
	r = look(f, true);
	assert_false(r.good);

	/* By who has the key: an anchor alone can tell. */
	make(f, &f->key);
	assert_true(look(f, false).good);
	f->anchor = anchor;
	r = look(f, true);
	assert_false(r.good);
	assert_int_equal(r.bad, 0);
}

/* The old checkpoint behind events that were made anew. */
static void test_borrowed_checkpoint(void **state)
{
	struct fixture *f = *state;
	size_t len;
	const char *line = line_of(f, LINES - 1, &len);
	_cleanup_buf_ struct buf old = {}, b = {};
	struct verify_report r;

	buf_init(&old, 1 << 20);
	buf_init(&b, 1 << 20);
	(void)buf_add(&old, line, len);
	make(f, NULL);
	(void)buf_add(&b, f->bytes.data, f->bytes.len);
	(void)buf_add(&b, old.data, old.len);
	put(f, b.data, b.len);
	r = look(f, false);
	assert_false(r.good);
}

/* What comes behind a seal is said to be unsealed, and sealed by the next one. */
static void test_behind_the_seal(void **state)
{
	struct fixture *f = *state;
	struct checkpoint c;
	struct verify_report r;
	struct trail t;
	struct err e = {};

	assert_int_equal(trail_resume(&t, f->dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "graduated", NULL, &e), 0);
	r = look(f, true);
	assert_true(r.good);
	assert_int_equal(r.records, LINES + 1);
	assert_int_equal(r.sealed, LINES);
	assert_int_equal(r.anchored, LINES);
	assert_int_equal(checkpoint_add(&t, &f->key, &c, &e), 0);
	trail_done(&t);
	r = look(f, true);
	assert_true(r.good);
	assert_int_equal(r.sealed, LINES + 2);
}

static void test_other_sandbox(void **state)
{
	struct fixture *f = *state;
	struct verify_report r;
	struct reader in;
	struct err e = {};

	assert_int_equal(linkat(f->dir, NAME ".jsonl", f->dir, "s-other.jsonl", 0), 0);
	assert_int_equal(reader_open(&in, f->dir, "s-other", &e), 0);
	assert_int_equal(verify_run(&in, &(struct verify_trust){}, NULL, NULL, &r, &e), 0);
	reader_close(&in);
	assert_false(r.good);
	assert_int_equal(r.bad, 0);
	assert_int_equal(reader_open(&in, f->dir, "s-none", &e), -ENOENT);
}

/* A part of a line stands before the event of whoever found it, and nowhere else. */
static void test_cut_line(void **state)
{
	static const char stump[] = "{\"data\":{\"a\":1},\"event\":\"sta";
	struct fixture *f = *state;
	_cleanup_buf_ struct buf b = {};
	struct checkpoint c;
	struct trail t;
	struct err e = {};
	struct verify_report r;

	make(f, NULL);
	buf_init(&b, 1 << 20);
	(void)buf_add(&b, f->bytes.data, f->bytes.len);
	(void)buf_adds(&b, stump);
	put(f, b.data, b.len);
	assert_int_equal(trail_resume(&t, f->dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "reaped", NULL, &e), 0);
	assert_int_equal(checkpoint_add(&t, &f->key, &c, &e), 0);
	trail_done(&t);
	r = look(f, false);
	assert_true(r.good);
	assert_int_equal(r.sealed, LINES + 2);

	put(f, b.data, b.len);
	assert_int_equal(trail_resume(&t, f->dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "ended", NULL, &e), 0);
	trail_done(&t);
	r = look(f, false);
	assert_false(r.good);
	assert_int_equal(r.bad, LINES - 1);
}

/* A line that is none, behind one that does not fit, makes nobody forget that. */
static void test_garbage_behind_damage(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf b = {};
	struct verify_report r;
	struct err e = {};
	struct trail t;
	size_t len;
	char *digit;

	/* Two records, the first of which is changed, and what a killed keeper leaves. */
	make(f, NULL);
	(void)line_of(f, 2, &len);
	buf_init(&b, 1 << 20);
	(void)buf_add(&b, f->bytes.data, (size_t)(line_of(f, 2, &len) - buf_str(&f->bytes)));
	digit = strstr(b.data, "\"n\":0");
	assert_non_null(digit);
	digit[4] = '9';
	(void)buf_adds(&b, "{\"data\":");
	put(f, b.data, b.len);
	assert_int_equal(trail_resume(&t, f->dir, NAME, &e), 0);
	assert_int_equal(trail_add(&t, "reaped", NULL, &e), 0);
	trail_done(&t);
	r = look(f, false);
	assert_false(r.good);
	assert_int_equal(r.bad, 0);
}

static void append(const struct fixture *f, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_int_equal(buf_write_fd(fd, text, strlen(text)), 0);
}

static void expect(struct reader *in, const char *line)
{
	const char *text;
	size_t len = 0;
	struct err e = {};

	assert_int_equal(reader_next(in, &text, &len, &e), line ? 1 : 0);
	if (line) {
		assert_int_equal(len, strlen(line));
		assert_memory_equal(text, line, len);
	}
}

/* Who has seen the end of a segment misses nothing that is written to it before the next one. */
static void test_a_segment_is_turned_over(void **state)
{
	const struct fixture *f = *state;
	struct reader in;
	struct err e = {};

	put(f, "", 0);
	assert_int_equal(reader_open(&in, f->dir, NAME, &e), 0);
	append(f, NAME ".jsonl", "one\n");
	expect(&in, "one");
	expect(&in, NULL);
	append(f, NAME ".jsonl", "two\n");
	append(f, NAME ".2.jsonl", "three\n");
	expect(&in, "two");
	expect(&in, "three");
	expect(&in, NULL);
	in.follows = true;
	append(f, NAME ".2.jsonl", "fo");
	expect(&in, NULL);
	append(f, NAME ".2.jsonl", "ur\nfive");
	expect(&in, "four");
	in.follows = false;
	expect(&in, "five");
	assert_true(in.cut);
	reader_close(&in);
}

/* In the place of a file: nobody waits for who would write to it. */
static void test_no_file(void **state)
{
	const struct fixture *f = *state;
	struct reader in;
	struct err e = {};

	assert_int_equal(unlinkat(f->dir, NAME ".jsonl", 0), 0);
	assert_int_equal(mkfifoat(f->dir, NAME ".jsonl", 0600), 0);
	assert_int_equal(reader_open(&in, f->dir, NAME, &e), -EBADMSG);
}

static void test_no_record(void **state)
{
	struct fixture *f = *state;
	struct verify_report r;

	put(f, "", 0);
	r = look(f, false);
	assert_false(r.good);
	put(f, "\n\n", 2);
	assert_false(look(f, false).good);
	put(f, "x\n", 2);
	assert_false(look(f, false).good);
}

static void test_keys(void **state)
{
	const struct fixture *f = *state;
	struct key_list list;
	struct sign_key one, two;
	struct stat st;
	struct err e = {};

	assert_int_equal(key_list(f->dir, &list, &e), 0);
	assert_int_equal(list.n, 0);
	assert_int_equal(key_load(f->dir, &one, &e), -ENOENT);
	e = (struct err){};
	assert_int_equal(key_need(f->dir, &e), 0);
	assert_int_equal(key_need(f->dir, &e), 0);
	assert_int_equal(key_load(f->dir, &one, &e), 0);
	assert_int_equal(fstatat(f->dir, "keys/trail.pem", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(key_rotate(f->dir, &e), 0);
	assert_int_equal(key_load(f->dir, &two, &e), 0);
	assert_memory_not_equal(one.secret, two.secret, SIGN_KEY_SIZE);
	assert_int_equal(key_list(f->dir, &list, &e), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(e.code, 0);

	/* One that others can read is not used. */
	assert_int_equal(fchmodat(f->dir, "keys/trail.pem", 0640, 0), 0);
	assert_int_equal(key_load(f->dir, &two, &e), -EPERM);
	assert_int_equal(unlinkat(f->dir, "keys/trail.pem", 0), 0);
	assert_int_equal(symlinkat("/dev/zero", f->dir, "keys/trail.pem"), 0);
	assert_int_equal(key_load(f->dir, &two, &e), -ELOOP);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_whole),
		CASE(test_every_byte),
		CASE(test_dropped),
		CASE(test_cut),
		CASE(test_repeated_and_swapped),
		CASE(test_made_anew),
		CASE(test_borrowed_checkpoint),
		CASE(test_behind_the_seal),
		CASE(test_other_sandbox),
		CASE(test_cut_line),
		CASE(test_garbage_behind_damage),
		CASE(test_a_segment_is_turned_over),
		CASE(test_no_file),
		CASE(test_no_record),
		CASE(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
