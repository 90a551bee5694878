/* SPDX-License-Identifier: Apache-2.0 */
/* Trees as streams: there and back, streams that lie, and links that somebody moves meanwhile. */
#include "unit.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "linux/parcel.h"

/* What was said, one line each: the problem and the path. */
struct said {
	struct buf text;
};

static void note(void *data, const char *path, enum parcel_problem why, int error)
{
	static const char *const words[] = {[PARCEL_FAILED] = "failed",
					    [PARCEL_SPECIAL] = "special",
					    [PARCEL_OUT] = "out",
					    [PARCEL_DEEP] = "deep"};
	struct said *s = data;

	(void)error;
	(void)buf_addf(&s->text, "%s %s\n", words[why], path);
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void make_file(int at, const char *name, const char *text, mode_t mode)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void expect_file(int at, const char *name, const char *wanted)
{
	char text[64] = {};
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (!wanted) {
		assert_int_equal(fd, -1);
		return;
	}
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, wanted);
	(void)close(fd);
}

static int count_entries(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = -2;
	DIR *d = fdopendir(copy);

	assert_non_null(d);
	while (readdir(d)) {
		n++;
	}
	(void)closedir(d);
	return n;
}

/* ---- there and back ---- */

/* Sends `from` in a child; receives it here. */
static int move(const char *from, int dir, const char *name, bool links_stay, struct said *s,
		struct parcel_count *ret)
{
	struct parcel_rules rules = {.links_stay = links_stay, .say = note, .data = s};
	int ends[2], r, status = 0;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		_exit(parcel_send(ends[1], parcel_open(from, false)) < 0);
	}
	(void)close(ends[1]);
	r = parcel_receive(ends[0], dir, name, &rules, ret);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return r;
}

static void test_there_and_back(void **state)
{
	struct parcel_count n;
	struct said s = {};
	char from[256];
	int top = open_dir(*state), src, dst, sub;
	struct stat st;

	buf_init(&s.text, 65536);
	assert_int_equal(mkdirat(top, "src", 0755) | mkdirat(top, "src/sub", 0711) |
				 mkdirat(top, "dst", 0755),
			 0);
	src = openat(top, "src", O_RDONLY | O_DIRECTORY);
	dst = openat(top, "dst", O_RDONLY | O_DIRECTORY);
	make_file(src, "a", "text", 0755);
	make_file(src, "empty", "", 0600);
	make_file(src, "odd \n\xff name", "x", 0644);
	assert_int_equal(fchmodat(src, "a", 04755, 0), 0);
	assert_int_equal(symlinkat("a", src, "link") | symlinkat("../a", src, "sub/up") |
				 symlinkat("/etc/passwd", src, "away"),
			 0);
	assert_int_equal(mkfifoat(src, "pipe", 0600), 0);
	(void)snprintf(from, sizeof(from), "%s/src", (const char *)*state);
	assert_int_equal(move(from, dst, "got", true, &s, &n), 0);
	sub = openat(dst, "got", O_RDONLY | O_DIRECTORY);
	expect_file(sub, "a", "text");
	expect_file(sub, "empty", "");
	expect_file(sub, "odd \n\xff name", "x");
	assert_int_equal(fstatat(sub, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(sub, "sub/up", &st, 0), 0);
	assert_int_equal(fstatat(sub, "away", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(sub, "pipe", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(n.files, 3);
	assert_int_equal(n.links, 2);
	assert_int_equal(n.directories, 2);
	assert_int_equal(n.bytes, 5);
	assert_int_equal(n.left_out, 2);
	assert_non_null(strstr(buf_str(&s.text), "out away\n"));
	assert_non_null(strstr(buf_str(&s.text), "special pipe\n"));
	/* Once more, over what is there, and into a directory itself, with links as they are. */
	assert_int_equal(move(from, dst, "got", false, &s, &n), 0);
	assert_int_equal(fstatat(sub, "away", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(move(from, dst, NULL, true, &s, &n), 0);
	expect_file(dst, "a", "text");
	assert_int_equal(count_entries(dst), 6);
	buf_done(&s.text);
	(void)close(sub);
	(void)close(dst);
	(void)close(src);
	(void)close(top);
}

/* What is in the way: a directory where a file is to be, a file where a directory is, a link. */
static void test_in_the_way(void **state)
{
	struct parcel_count n;
	struct said s = {};
	char from[256];
	int top = open_dir(*state);

	buf_init(&s.text, 65536);
	assert_int_equal(mkdirat(top, "src", 0755) | mkdirat(top, "src/d", 0755) |
				 mkdirat(top, "src/e", 0755) | mkdirat(top, "dst", 0755) |
				 mkdirat(top, "dst/f", 0755) | mkdirat(top, "outside", 0755),
			 0);
	make_file(top, "src/f", "new", 0644);
	make_file(top, "src/g", "new", 0644);
	make_file(top, "src/d/in", "new", 0644);
	make_file(top, "src/e/in", "new", 0644);
	make_file(top, "dst/d", "old", 0644);
	make_file(top, "outside/g", "old", 0644);
	assert_int_equal(
		symlinkat("../outside", top, "dst/e") | symlinkat("../outside/g", top, "dst/g"), 0);
	(void)snprintf(from, sizeof(from), "%s/src", (const char *)*state);
	{
		int dst = openat(top, "dst", O_RDONLY | O_DIRECTORY);

		assert_int_equal(move(from, dst, NULL, true, &s, &n), 0);
		(void)close(dst);
	}
	assert_int_equal(n.left_out, 3);
	assert_non_null(strstr(buf_str(&s.text), "failed d\n"));
	assert_non_null(strstr(buf_str(&s.text), "failed e\n"));
	assert_non_null(strstr(buf_str(&s.text), "failed f\n"));
	expect_file(top, "dst/d", "old");
	expect_file(top, "dst/g", "new");
	expect_file(top, "outside/g", "old");
	expect_file(top, "outside/in", NULL);
	buf_done(&s.text);
	(void)close(top);
}

/* ---- streams that lie ---- */

struct stream {
	struct buf b;
};

static void entry(struct stream *t, char op, const char *name, size_t name_len, uint64_t len)
{
	struct parcel_entry e = {
		.op = (uint8_t)op, .name_len = (uint16_t)name_len, .mode = 0777, .len = len};

	(void)buf_add(&t->b, (const char *)&e, sizeof(e));
	(void)buf_add(&t->b, name, name_len);
}

static void chunk(struct stream *t, const char *text, uint32_t len)
{
	(void)buf_add(&t->b, (const char *)&len, sizeof(len));
	(void)buf_add(&t->b, text, strlen(text));
}

static int receive(const struct stream *t, int dir, struct said *s)
{
	struct parcel_rules rules = {.links_stay = true, .say = note, .data = s};
	int fd = memfd_create("stream", MFD_CLOEXEC), r;
	struct parcel_count n;

	assert_int_equal(write(fd, t->b.data, t->b.len), t->b.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = parcel_receive(fd, dir, "got", &rules, &n);
	(void)close(fd);
	return r;
}

#define NAMED(text) text, sizeof(text) - 1

static void test_lies(void **state)
{
	/* After D "": one entry and its end, then U, Z. */
	static const struct {
		const char *name;
		size_t len;
		bool good;
	} names[] = {
		{NAMED("fine"), true},    {NAMED(""), false},     {NAMED("."), false},
		{NAMED(".."), false},     {NAMED("../x"), false}, {NAMED("a/b"), false},
		{NAMED("/etc/x"), false}, {NAMED("a\0b"), false}, {NAMED("x/"), false},
		{NAMED("..."), true},     {NAMED("-rf"), true},
	};
	int top = open_dir(*state), i;
	struct said s = {};

	buf_init(&s.text, 65536);
	for (i = 0; i < (int)ARRAY_SIZE(names) * 3; i++) {
		const char op = "FDL"[i % 3];
		struct stream t = {};
		char below[16];
		int dir, r;

		(void)snprintf(below, sizeof(below), "%d", i);
		assert_int_equal(mkdirat(top, below, 0755), 0);
		dir = openat(top, below, O_RDONLY | O_DIRECTORY);
		buf_init(&t.b, 65536);
		entry(&t, 'D', "", 0, 0);
		entry(&t, op, names[i / 3].name, names[i / 3].len, op == 'L' ? 1 : 0);
		if (op == 'L') {
			(void)buf_adds(&t.b, "t");
		} else if (op == 'F') {
			chunk(&t, "x", 1);
			chunk(&t, "", 0);
		} else {
			entry(&t, 'U', "", 0, 0);
		}
		entry(&t, 'U', "", 0, 0);
		entry(&t, 'Z', "", 0, 0);
		r = receive(&t, dir, &s);
		assert_int_equal(r, names[i / 3].good ? 0 : -EPROTO);
		buf_done(&t.b);
		(void)close(dir);
	}
	assert_int_equal(count_entries(top), (int)ARRAY_SIZE(names) * 3);
	buf_done(&s.text);
	(void)close(top);
}

/* No more than the rules allow, whatever it is; what is left out counts for nothing. */
static void test_many(void **state)
{
	int top = open_dir(*state), i;
	struct said s = {};

	buf_init(&s.text, 65536);
	for (i = 0; i < 3; i++) {
		struct parcel_rules rules = {
			.links_stay = true, .most = 3, .say = note, .data = &s};
		int fd = memfd_create("stream", MFD_CLOEXEC), made;
		struct parcel_count n;
		struct stream t = {};
		char below[16], name[16];

		(void)snprintf(below, sizeof(below), "%d", i);
		buf_init(&t.b, 65536);
		entry(&t, 'D', "", 0, 0);
		for (made = 1; made < 4; made++) {
			(void)snprintf(name, sizeof(name), "n%d", made);
			entry(&t, 'S', "special", 7, 0);
			entry(&t, "FDL"[i], name, strlen(name), i == 2 ? 1 : 0);
			if (i == 0) {
				chunk(&t, "", 0);
			} else if (i == 1) {
				entry(&t, 'U', "", 0, 0);
			} else {
				(void)buf_adds(&t.b, "t");
			}
		}
		assert_int_equal(write(fd, t.b.data, t.b.len), t.b.len);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(parcel_receive(fd, top, below, &rules, &n), -E2BIG);
		assert_int_equal(n.files + n.directories + n.links, 3);
		(void)snprintf(name, sizeof(name), "%d/n2", i);
		assert_int_equal(faccessat(top, name, F_OK, AT_SYMLINK_NOFOLLOW), 0);
		(void)snprintf(name, sizeof(name), "%d/n3", i);
		assert_int_equal(faccessat(top, name, F_OK, AT_SYMLINK_NOFOLLOW), -1);
		buf_done(&t.b);
		(void)close(fd);
	}
	buf_done(&s.text);
	(void)close(top);
}

/* Each byte of a good stream left out behind it, or changed, or too much of it. */
static void test_damage(void **state)
{
	struct stream good = {};
	struct said s = {};
	int top = open_dir(*state);
	size_t i;

	buf_init(&s.text, 1 << 20);
	buf_init(&good.b, 65536);
	entry(&good, 'D', "", 0, 0);
	entry(&good, 'F', NAMED("f"), 0);
	chunk(&good, "text", 4);
	chunk(&good, "", 0);
	entry(&good, 'L', NAMED("l"), 1);
	(void)buf_adds(&good.b, "f");
	entry(&good, 'U', "", 0, 0);
	entry(&good, 'Z', "", 0, 0);
	assert_int_equal(receive(&good, top, &s), 0);
	for (i = 0; i < good.b.len; i++) {
		struct stream cut = {};
		int bit;

		buf_init(&cut.b, 65536);
		(void)buf_add(&cut.b, good.b.data, i);
		assert_int_equal(receive(&cut, top, &s), -EPROTO);
		for (bit = 0; bit < 8; bit++) {
			buf_clear(&cut.b);
			(void)buf_add(&cut.b, good.b.data, good.b.len);
			cut.b.data[i] = (char)(cut.b.data[i] ^ 1 << bit);
			(void)receive(&cut, top, &s);
		}
		buf_done(&cut.b);
		buf_clear(&s.text);
	}
	/* A second thing, and files that are no end. */
	{
		struct stream two = {};

		buf_init(&two.b, 65536);
		entry(&two, 'F', "", 0, 0);
		chunk(&two, "", 0);
		entry(&two, 'F', NAMED("more"), 0);
		chunk(&two, "", 0);
		entry(&two, 'Z', "", 0, 0);
		assert_int_equal(receive(&two, top, &s), -EPROTO);
		expect_file(top, "more", NULL);
		buf_clear(&two.b);
		entry(&two, 'F', "", 0, 0);
		chunk(&two, "x", PARCEL_CHUNK + 1);
		assert_int_equal(receive(&two, top, &s), -EPROTO);
		buf_clear(&two.b);
		entry(&two, 'Z', "", 0, 0);
		assert_int_equal(receive(&two, top, &s), -EPROTO);
		buf_done(&two.b);
	}
	buf_done(&good.b);
	buf_done(&s.text);
	(void)close(top);
}

static void test_links(void **state)
{
	static const struct {
		const char *target;
		bool top, below; /* stays, as a link in the first directory and in one below it */
	} links[] = {
		{"a", true, true},        {"a/b", true, true},
		{"./a", true, true},      {"..", false, true},
		{"../a", false, true},    {"../../a", false, false},
		{"a/..", false, false},   {"a/../..", false, false},
		{"/", false, false},      {"/etc/passwd", false, false},
		{"..a", true, true},      {"..//a", false, true},
		{"./../a", false, false}, {"a/../b", false, false},
		{"//a", false, false},    {"../..", false, false},
		{".", true, true},
	};
	int top = open_dir(*state);
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(links); i++) {
		for (j = 0; j < 2; j++) {
			struct stream t = {};
			struct said s = {};

			buf_init(&t.b, 65536);
			buf_init(&s.text, 65536);
			entry(&t, 'D', "", 0, 0);
			if (j == 1) {
				entry(&t, 'D', NAMED("sub"), 0);
			}
			entry(&t, 'L', NAMED("link"), strlen(links[i].target));
			(void)buf_adds(&t.b, links[i].target);
			for (size_t k = 0; k <= j; k++) {
				entry(&t, 'U', "", 0, 0);
			}
			entry(&t, 'Z', "", 0, 0);
			assert_int_equal(receive(&t, top, &s), 0);
			if ((j == 0 ? links[i].top : links[i].below) != (s.text.len == 0)) {
				fail_msg("'%s' at depth %zu: %s", links[i].target, j,
					 buf_str(&s.text));
			}
			buf_done(&t.b);
			buf_done(&s.text);
		}
	}
	(void)close(top);
}

static void test_deep(void **state)
{
	struct stream t = {};
	struct said s = {};
	int top = open_dir(*state), i;

	buf_init(&t.b, 1 << 20);
	buf_init(&s.text, 65536);
	entry(&t, 'D', "", 0, 0);
	for (i = 0; i < 3 * PARCEL_DEPTH; i++) {
		entry(&t, 'D', NAMED("d"), 0);
	}
	entry(&t, 'F', NAMED("f"), 0);
	chunk(&t, "x", 1);
	chunk(&t, "", 0);
	for (i = 0; i <= 3 * PARCEL_DEPTH; i++) {
		entry(&t, 'U', "", 0, 0);
	}
	entry(&t, 'Z', "", 0, 0);
	assert_int_equal(receive(&t, top, &s), 0);
	assert_non_null(strstr(buf_str(&s.text), "deep d/d/"));
	buf_done(&t.b);
	buf_done(&s.text);
	(void)close(top);
}

/* ---- a directory that turns into a link, and back ---- */

#define ROUNDS 100000

struct swapper {
	int top;
	bool stop;
	unsigned long swaps;
};

static void *swap(void *data)
{
	struct swapper *w = data;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		if (renameat2(w->top, "dst/sub", w->top, "dst/link", RENAME_EXCHANGE) == 0) {
			w->swaps++;
		}
	}
	return NULL;
}

/* Files are put through a name that is a directory of ours and a link out of it in turn: they
 * arrive in the directory, or nowhere. */
static void test_swapped(void **state)
{
	struct swapper w = {.top = open_dir(*state)};
	unsigned long arrived = 0, refused = 0, i;
	struct stream t = {};
	pthread_t thread;
	int dst;

	assert_int_equal(mkdirat(w.top, "outside", 0755) | mkdirat(w.top, "dst", 0755) |
				 mkdirat(w.top, "dst/sub", 0755) |
				 symlinkat("../outside", w.top, "dst/link"),
			 0);
	dst = openat(w.top, "dst", O_RDONLY | O_DIRECTORY);
	buf_init(&t.b, 65536);
	entry(&t, 'D', "", 0, 0);
	entry(&t, 'D', NAMED("sub"), 0);
	entry(&t, 'F', NAMED("f"), 0);
	chunk(&t, "x", 1);
	chunk(&t, "", 0);
	entry(&t, 'U', "", 0, 0);
	entry(&t, 'U', "", 0, 0);
	entry(&t, 'Z', "", 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &w), 0);
	{
		int fd = memfd_create("stream", MFD_CLOEXEC);
		struct said s = {};
		struct parcel_rules rules = {.links_stay = true, .say = note, .data = &s};

		assert_int_equal(write(fd, t.b.data, t.b.len), t.b.len);
		for (i = 0; i < ROUNDS; i++) {
			struct parcel_count n;

			buf_init(&s.text, 4096);
			assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
			assert_int_equal(parcel_receive(fd, dst, NULL, &rules, &n), 0);
			arrived += n.files;
			refused += n.left_out;
			buf_done(&s.text);
		}
		(void)close(fd);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	(void)pthread_join(thread, NULL);
	expect_file(w.top, "outside/f", NULL);
	/* Both happened, and often: else the race was none. */
	assert_int_equal(arrived + refused, ROUNDS);
	assert_true(w.swaps > 1000 && arrived > 100 && refused > 100);
	buf_done(&t.b);
	(void)close(dst);
	(void)close(w.top);
}

/* The same where files are read: what lies behind the link is not sent, by the way through the
 * directory above it nor by the file's own path. */
static void test_swapped_source(void **state)
{
	struct swapper w = {.top = open_dir(*state)};
	const unsigned long rounds = getenv("ATOLL_TEST_LONG") ? ROUNDS : ROUNDS / 10;
	unsigned long walked = 0, named = 0, i;
	char path[256], data[4096];
	int out = memfd_create("stream", MFD_CLOEXEC);
	pthread_t thread;

	assert_int_equal(mkdirat(w.top, "outside", 0755) | mkdirat(w.top, "dst", 0755) |
				 mkdirat(w.top, "dst/sub", 0755) |
				 symlinkat("../outside", w.top, "dst/link"),
			 0);
	make_file(w.top, "outside/f", "a secret", 0644);
	make_file(w.top, "dst/sub/f", "a text", 0644);
	(void)snprintf(path, sizeof(path), "%s/dst", (const char *)*state);
	assert_int_equal(pthread_create(&thread, NULL, swap, &w), 0);
	for (i = 0; i < rounds; i++) {
		bool by_name = i % 2;
		int top;
		ssize_t n;

		(void)snprintf(path, sizeof(path), "%s/dst%s", (const char *)*state,
			       by_name ? "/sub/f" : "");
		top = parcel_open(path, true);
		assert_int_equal(ftruncate(out, 0), 0);
		assert_int_equal(lseek(out, 0, SEEK_SET), 0);
		assert_true(top >= 0 || top == -ELOOP);
		assert_int_equal(parcel_send(out, top), 0);
		n = pread(out, data, sizeof(data), 0);
		assert_true(n > 0 && n < (ssize_t)sizeof(data));
		assert_null(memmem(data, (size_t)n, "a secret", 8));
		*(by_name ? &named : &walked) += memmem(data, (size_t)n, "a text", 6) != NULL;
		(void)fd_close(top);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	(void)pthread_join(thread, NULL);
	/* Sent by either way, and not by name; the way through the directory meets it by its other
	 * name where it is not under the one. */
	assert_true(w.swaps > 1000 && walked > 100 && named > 100 && rounds / 2 - named > 100);
	(void)fprintf(stderr, "# %lu rounds, %lu swaps, %lu sent in the directory, %lu by name\n",
		      rounds, w.swaps, walked, named);
	(void)close(out);
	(void)close(w.top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, unit_dir_setup,
						unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_in_the_way, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_lies, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_many, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_damage, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_links, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_deep, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_swapped, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_swapped_source, unit_dir_setup,
						unit_dir_teardown),
	};

	(void)umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
