/* SPDX-License-Identifier: Apache-2.0 */
/* A layer that was carried is the layer it was. */
#include "unit.h"

#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "linux/tree.h"
#include "policy/deny.h"
#include "workspace/carry.h"
#include "workspace/change.h"
#include "workspace/dirs.h"

#define DEPTH 600

static struct carry_loss loss; /* global: of the last layer that was carried */
static int top;                /* global: the directory of the test, for unit_faults() */

static int open_dir(const char *path)
{
	int fd = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void put(int dir, const char *name, const char *text, mode_t mode)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

/* A mebibyte of nothing, a page, and nothing again. */
static void put_sparse(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char page[4096];

	memset(page, 'x', sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 1 << 20), sizeof(page));
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	(void)close(fd);
}

static void put_pieces(const char *path, size_t size)
{
	static char piece[1 << 16];
	int fd = openat(top, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	memset(piece, 'p', sizeof(piece));
	for (; size > 0; size -= sizeof(piece)) {
		assert_int_equal(write(fd, piece, sizeof(piece)), sizeof(piece));
	}
	(void)close(fd);
}

static void put_deep(int dir)
{
	int at = fcntl(dir, F_DUPFD_CLOEXEC, 0), i;

	for (i = 0; i < DEPTH; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(at);
		at = next;
	}
	put(at, "end", "far down\n", 0644);
	(void)close(at);
}

/* "from/": everything that an overlay and a payload leave in an upper layer. */
static void make_layer(void)
{
	const struct timespec times[2] = {{1000, 5}, {2000, 7}};
	int dir;

	assert_int_equal(mkdirat(top, "from", 0755), 0);
	dir = open_dir("from");
	put(dir, "plain", "text\n", 0640);
	put(dir, "a\nname", "", 0755);
	put(dir, "\xff\xfe", "no UTF-8\n", 0644);
	put(dir, "shut", "nobody reads this\n", 0);
	put(dir, "setid", "", 06755);
	put_sparse(dir, "sparse");
	assert_int_equal(linkat(dir, "plain", dir, "also", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
	assert_int_equal(symlinkat("nowhere", dir, "links"), 0);
	assert_int_equal(mknodat(dir, "gone", S_IFCHR, makedev(0, 0)), 0);
	assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
	assert_int_equal(mkdirat(dir, "opaque", 0755), 0);
	assert_int_equal(mkdirat(dir, "part", 0700), 0);
	put(dir, "part/in", "", 0644);
	assert_int_equal(linkat(dir, "plain", dir, "part/third", 0), 0);
	assert_int_equal(mkdirat(dir, "closed", 0755), 0);
	put(dir, "closed/in", "inside\n", 0600);
	put_deep(dir);
	assert_int_equal(utimensat(dir, "plain", times, 0), 0);
	assert_int_equal(utimensat(dir, "link", times, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(utimensat(dir, "closed", times, 0), 0);
	assert_int_equal(fchmodat(dir, "closed", 0, 0), 0);
	(void)close(dir);
	dir = open_dir("from/opaque");
	if (fsetxattr(dir, "user.overlay.opaque", "y", 1, 0) < 0) {
		assert_int_equal(errno, EOPNOTSUPP);
		print_message("the file system of /tmp has no extended attributes of users\n");
		skip();
	}
	(void)close(dir);
}

static int setup(void **state)
{
	int r = unit_dir_setup(state);

	(void)umask(022);
	(void)alarm(120); /* for what must never block */
	top = r < 0 ? FD_NONE : open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 || mkdirat(top, "original", 0755) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	assert_int_equal(tree_remove(top, "from", NULL), 0);
	assert_int_equal(tree_remove(top, "to", NULL), 0);
	(void)close(top);
	(void)alarm(0);
	return unit_dir_teardown(state);
}

static struct changes changes_of(const char *layer)
{
	int original = open_dir("original"), upper = open_dir(layer);
	struct changes c;
	struct err e = {};

	if (changes_find(original, upper, NULL, false, &c, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	(void)close(original);
	(void)close(upper);
	return c;
}

static struct stat look(const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(top, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void assert_same_times(const char *a, const char *b)
{
	const struct stat x = look(a), y = look(b);

	assert_int_equal(x.st_mtim.tv_sec, y.st_mtim.tv_sec);
	assert_int_equal(x.st_mtim.tv_nsec, y.st_mtim.tv_nsec);
}

static void assert_text(const char *path, const char *want)
{
	char text[64];
	int fd = openat(top, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	assert_string_equal(text, want);
	(void)close(fd);
}

/* Both say the same of the same original. */
static void assert_same_changes(void)
{
	struct changes was = changes_of("from"), is = changes_of("to");

	assert_int_equal(was.n, is.n);
	assert_true(was.n > DEPTH);
	for (size_t i = 0; i < was.n; i++) {
		const struct change *a = &was.list[i], *b = &is.list[i];

		assert_string_equal(a->path, b->path);
		assert_int_equal(a->kind, b->kind);
		if (strcmp(a->path, "setid") != 0) {
			assert_int_equal(a->after.mode, b->after.mode);
		}
		assert_int_equal(a->after.size, b->after.size);
		assert_string_equal(a->after.target ? a->after.target : "",
				    b->after.target ? b->after.target : "");
	}
	changes_done(&was);
	changes_done(&is);
}

static void test_everything(void **state)
{
	struct err e = {};
	char mark[8];
	int from, dir, fds = unit_count_fds();

	(void)state;
	make_layer();
	from = open_dir("from");
	if (carry_layer(from, top, "to", &loss, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	(void)close(from);
	assert_int_equal(unit_count_fds(), fds);
	assert_true(loss.files == 0 && loss.attributes == 0 && loss.names == 0 && !*loss.first);
	assert_same_changes();
	assert_int_equal(faccessat(top, "part", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "links", F_OK, 0), -1);
	assert_int_equal(look("to/gone").st_rdev, makedev(0, 0));
	assert_true(S_ISCHR(look("to/gone").st_mode));
	assert_int_equal(look("to/setid").st_mode & 07777, 0755);
	assert_int_equal(look("to/closed").st_mode & 07777, 0);
	assert_int_equal(look("from/closed").st_mode & 07777, 0);
	assert_int_equal(look("to/plain").st_nlink, 3);
	assert_int_equal(look("to/plain").st_ino, look("to/part/third").st_ino);
	assert_true(look("to/sparse").st_blocks <= look("from/sparse").st_blocks);
	assert_int_equal(look("to/sparse").st_size, 8 << 20);
	assert_same_times("from/plain", "to/plain");
	assert_same_times("from/link", "to/link");
	assert_same_times("from/closed", "to/closed");
	assert_text("to/plain", "text\n");
	dir = open_dir("to/opaque");
	assert_int_equal(fgetxattr(dir, "user.overlay.opaque", mark, sizeof(mark)), 1);
	(void)close(dir);
}

/* What was there before stays, and nothing half made does. */
static void test_a_name_that_is_taken(void **state)
{
	struct err e = {};
	int from;

	(void)state;
	assert_int_equal(mkdirat(top, "from", 0755), 0);
	from = open_dir("from");
	put(from, "file", "text\n", 0644);
	assert_int_equal(mkdirat(top, "to", 0755), 0);
	put(top, "to/mine", "", 0644);
	assert_int_equal(carry_layer(from, top, "to", &loss, &e), -ENOTEMPTY);
	assert_int_equal(faccessat(top, "to/mine", F_OK, 0), 0);
	assert_int_equal(faccessat(top, "part", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "links", F_OK, 0), -1);
	(void)close(from);
}

/* Each fallible call fails once: all of it is there, or nothing. */
static void carry_once(bool may_fail)
{
	int fds = unit_count_fds(), from = open_dir("from"), r;
	struct err e = {};

	r = carry_layer(from, top, "to", &loss, &e);
	(void)close(from);
	assert_true(r == 0 || may_fail);
	assert_int_equal(r < 0, e.code != 0);
	assert_int_equal(faccessat(top, "to", F_OK, 0) == 0, r == 0);
	assert_int_equal(faccessat(top, "part", F_OK, 0), -1);
	assert_int_equal(unit_count_fds(), fds);
	assert_int_equal(tree_remove(top, "to", NULL), 0);
}

static void test_faults(void **state)
{
	int dir;

	(void)state;
	assert_int_equal(mkdirat(top, "from", 0755), 0);
	dir = open_dir("from");
	put(dir, "file", "text\n", 0644);
	assert_int_equal(linkat(dir, "file", dir, "second", 0), 0);
	assert_int_equal(symlinkat("file", dir, "link"), 0);
	assert_int_equal(mkdirat(dir, "sub", 0755), 0);
	put(dir, "sub/file", "more\n", 0644);
	(void)close(dir);
	unit_faults(carry_once);
}

/* A layer on a tmpfs: -1 where there is none. The caller removes it. */
static int tmpfs_layer(char path[64])
{
	struct statfs fs;

	(void)snprintf(path, 64, "/dev/shm/atoll-unit-XXXXXX");
	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC || !mkdtemp(path)) {
		print_message("there is no tmpfs at /dev/shm\n");
		return FD_NONE;
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_layer(int from, const char *path)
{
	(void)close(from);
	from = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(tree_remove(from, path + strlen("/dev/shm/"), NULL), 0);
	(void)close(from);
}

#define NAMES 66000 /* ext4 takes 65,000 of one file */

/* More names than a file may have here: all are there. */
static void test_too_many_names(void **state)
{
	char path[64], name[64];
	int from, i;
	struct err e = {};
	struct stat st;

	(void)state;
	from = tmpfs_layer(path);
	if (from < 0) {
		skip();
	}
	put(from, "0", "text\n", 0640);
	for (i = 1; i < NAMES; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(linkat(from, "0", from, name, 0), 0);
	}
	assert_int_equal(carry_layer(from, top, "to", &loss, &e), 0);
	for (i = 0; i < NAMES; i++) {
		(void)snprintf(name, sizeof(name), "to/%d", i);
		st = look(name);
		assert_true(st.st_size == 5 && (st.st_mode & 0777) == 0640);
	}
	assert_text(name, "text\n");
	assert_true(loss.files == 0 && loss.attributes == 0);
	assert_true(loss.names == (st.st_nlink < NAMES) && !!*loss.first == loss.names);
	remove_layer(from, path);
}

/* What there is no room for beside a file is left out, and what overlayfs says never is. */
static void test_attributes_that_do_not_fit(void **state)
{
	static char large[60000];
	char path[64], value[8];
	struct err e = {};
	int from, fd;

	(void)state;
	from = tmpfs_layer(path);
	if (from < 0) {
		skip();
	}
	assert_int_equal(mkdirat(from, "a", 0755), 0);
	put(from, "a/file", "text\n", 0644);
	fd = openat(from, "a", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(fd, "user.a", large, sizeof(large), 0) < 0) {
		remove_layer(from, path);
		print_message("this tmpfs has no attributes\n");
		skip();
	}
	assert_int_equal(fsetxattr(fd, "user.overlay.opaque", "y", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.z", "small", 5, 0), 0);
	(void)close(fd);
	fd = openat(from, "a/file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "user.a", large, sizeof(large), 0), 0);
	(void)close(fd);
	if (carry_layer(from, top, "to", &loss, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	fd = openat(top, "to/a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(fd, "user.overlay.opaque", value, sizeof(value)), 1);
	assert_int_equal(fgetxattr(fd, "user.z", value, sizeof(value)), 5);
	if (fgetxattr(fd, "user.a", NULL, 0) < 0) {
		assert_true(loss.attributes == 2 && loss.files == 0 && loss.names == 0);
		assert_string_equal(loss.first, "file");
	}
	(void)close(fd);
	assert_text("to/a/file", "text\n");
	remove_layer(from, path);
}

/* One file that is too large for here, by whatever limit, is not all. */
static void test_a_file_that_is_too_large(void **state)
{
	struct rlimit before, limit;
	struct err e = {};
	int from;

	(void)state;
	assert_int_equal(mkdirat(top, "from", 0755), 0);
	from = open_dir("from");
	put(from, "a", "text\n", 0644);
	put_pieces("from/large", 1 << 20);
	put_pieces("from/linked", 1 << 20);
	assert_int_equal(linkat(from, "linked", from, "too", 0), 0);
	put(from, "z", "text\n", 0644);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 1 << 16, .rlim_max = before.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(carry_layer(from, top, "to", &loss, &e), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(loss.files == 3 && loss.attributes == 0 && loss.names == 0);
	assert_true(strlen(loss.first) > 2);
	assert_text("to/a", "text\n");
	assert_text("to/z", "text\n");
	assert_int_equal(faccessat(top, "to/large", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "to/linked", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "to/too", F_OK, 0), -1);
	(void)close(from);
}

/* Where nothing can be made, nothing is. */
static void test_no_place(void **state)
{
	struct err e = {};
	int from, place = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(mkdirat(top, "from", 0755), 0);
	from = open_dir("from");
	assert_true(carry_layer(from, place, "to", &loss, &e) < 0);
	assert_true(e.code != 0);
	(void)close(from);
	(void)close(place);
}

/* Who is told how far it is, and ends it at some point. */
struct listener {
	uint64_t files, bytes, calls;
	uint64_t last;                            /* as many calls are good */
	void (*meddle)(const struct listener *l); /* somebody is at work in the original; or NULL */
};

static int listen_to(void *arg, uint64_t files, uint64_t bytes)
{
	struct listener *l = arg;

	assert_true(files >= l->files && bytes >= l->bytes);
	l->files = files;
	l->bytes = bytes;
	if (l->meddle) {
		l->meddle(l);
	}
	return l->calls++ < l->last ? 0 : -ECANCELED;
}

static struct listener listener; /* global: of the carry that a test begins */

static int carry(const char *const *rules, size_t n, uint64_t room, struct err *e)
{
	struct deny_rules denied = {};
	struct dirs dirs = {};
	const struct carry_original original = {
		.place = "/w",
		.denied = &denied,
		.room = room,
		.owner = geteuid(),
		.as_owner = geteuid() == 0 ? 4711 : geteuid(),
		.group = getegid(),
		.as_group = getegid() == 0 ? 4712 : getegid(),
		.dirs = &dirs,
		.tell = listen_to,
		.arg = &listener,
	};
	int from = open_dir("from"), fds = unit_count_fds(), r;

	listener = (struct listener){.last = listener.last ? listener.last : UINT64_MAX,
				     .meddle = listener.meddle};
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(deny_add(&denied, rules[i]), 0);
	}
	r = carry_original(from, &original, top, "to", e);
	assert_int_equal(unit_count_fds(), fds);
	assert_int_equal(r < 0, e->code != 0);
	assert_int_equal(faccessat(top, "to", F_OK, 0) == 0, r == 0);
	assert_int_equal(faccessat(top, "part", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "links", F_OK, 0), -1);
	if (r == 0 && !listener.meddle) {
		assert_true(dirs_has(&dirs, "sub", NULL, look("from/sub").st_ino));
		assert_true(dirs_has(&dirs, "sub", "deep", look("from/sub/deep").st_ino));
		assert_false(dirs_has(&dirs, "deep", NULL, look("from/sub/deep").st_ino));
	}
	(void)close(from);
	dirs_done(&dirs);
	deny_done(&denied);
	return r;
}

static void make_original(void)
{
	int dir;

	assert_int_equal(mkdirat(top, "from", 0755), 0);
	assert_int_equal(mkdirat(top, "from/sub", 0755), 0);
	assert_int_equal(mkdirat(top, "from/sub/deep", 0755), 0);
	assert_int_equal(mkdirat(top, "from/secrets", 0755), 0);
	dir = open_dir("from");
	put(dir, "file", "text\n", 0640);
	put(dir, ".env", "secret\n", 0600);
	put(dir, "sub/.ENV", "secret\n", 0600);
	put(dir, "sub/deep/kept", "text\n", 06755);
	put(dir, "secrets/key", "secret\n", 0600);
	assert_int_equal(linkat(dir, "file", dir, "second", 0), 0);
	assert_int_equal(fchmodat(dir, "sub", 03775, 0), 0);
	(void)close(dir);
}

/* Without what is denied, by any spelling; and it is the payload's. */
static void test_original(void **state)
{
	static const char *const rules[] = {"/w/**/.env", "/w/secrets"};
	struct err e = {};

	(void)state;
	make_original();
	assert_int_equal(carry(rules, 2, 1 << 20, &e), 0);
	assert_int_equal(faccessat(top, "to/.env", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "to/sub/.ENV", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "to/secrets", F_OK, 0), -1);
	assert_text("to/sub/deep/kept", "text\n");
	assert_int_equal(look("to/sub/deep/kept").st_mode & 07777, 0755);
	assert_int_equal(look("to/sub").st_mode & 07777, 03775);
	assert_int_equal(look("to/file").st_mode & 07777, 0640);
	assert_int_equal(look("to/file").st_ino, look("to/second").st_ino);
	if (geteuid() == 0) {
		assert_int_equal(look("to").st_uid, 4711);
		assert_int_equal(look("to/sub/deep").st_gid, 4712);
		assert_int_equal(look("to/file").st_uid, 4711);
	}
	assert_int_equal(look("from/file").st_uid, geteuid());
	assert_text("from/secrets/key", "secret\n");
}

static void test_more_than_there_is_room(void **state)
{
	struct err e = {};

	(void)state;
	make_original();
	assert_int_equal(carry(NULL, 0, 4096, &e), -EFBIG);
	e = (struct err){};
	assert_int_equal(carry(NULL, 0, 1 << 20, &e), 0);
}

/* A file is charged once, however many names it has. */
static void test_room_for_names(void **state)
{
	struct err e = {};

	(void)state;
	make_original();
	put_pieces("from/large", 1 << 20);
	assert_int_equal(linkat(top, "from/large", top, "from/sub/again", 0), 0);
	assert_int_equal(linkat(top, "from/large", top, "from/sub/third", 0), 0);
	assert_int_equal(carry(NULL, 0, 2 << 20, &e), 0);
	assert_int_equal(look("to/large").st_nlink, 3);
}

/* What is listed, and not entered yet, goes, or becomes something else. */
static void remove_directories(const struct listener *l)
{
	if (l->files == 6 && faccessat(top, "from/sub", F_OK, 0) == 0) {
		assert_int_equal(tree_remove(top, "from/sub", NULL), 0);
		assert_int_equal(tree_remove(top, "from/secrets", NULL), 0);
		assert_int_equal(symlinkat("/etc", top, "from/secrets"), 0);
	}
}

static void test_directories_that_go(void **state)
{
	struct err e = {};

	(void)state;
	make_original();
	assert_int_equal(mkdirat(top, "from/z", 0755), 0);
	listener.meddle = remove_directories;
	assert_int_equal(carry(NULL, 0, 1 << 20, &e), 0);
	listener.meddle = NULL;
	assert_text("to/file", "text\n");
	assert_int_equal(faccessat(top, "to/z", F_OK, 0), 0);
	assert_int_equal(faccessat(top, "to/sub", F_OK, 0), -1);
	assert_int_equal(faccessat(top, "to/secrets", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

/* Appends as much as has just been copied, for long enough. */
static void let_grow(const struct listener *l)
{
	static char piece[1 << 18];
	int fd = openat(top, "from/large", O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	if (l->bytes < 32 << 20) {
		assert_int_equal(write(fd, piece, sizeof(piece)), sizeof(piece));
	}
	(void)close(fd);
}

static void test_a_file_that_grows(void **state)
{
	struct err e = {};
	int r;

	(void)state;
	make_original();
	put_pieces("from/large", 1 << 20);
	listener.meddle = let_grow;
	r = carry(NULL, 0, 4 << 20, &e);
	listener.meddle = NULL;
	/* By reference it is copied at once. */
	assert_true(r == 0 ? look("to/large").st_size <= 4 << 20 : r == -EFBIG);
}

/* Told of each name, and of each piece of a large file; ended at any of them, nothing is there. */
static void test_progress(void **state)
{
	uint64_t calls, last;
	struct err e = {};

	(void)state;
	make_original();
	put_pieces("from/large", 3 << 20);
	assert_int_equal(carry(NULL, 0, 16 << 20, &e), 0);
	assert_int_equal(listener.files, 10);
	assert_int_equal(listener.bytes, (3 << 20) + 3 * 7 + 2 * 5 /* one has two names */);
	calls = listener.calls;
	assert_true(calls >= 10 + 6); /* by reference a file is one piece */
	assert_int_equal(tree_remove(top, "to", NULL), 0);
	for (last = 1; last < calls; last++) {
		listener.last = last;
		e = (struct err){};
		assert_int_equal(carry(NULL, 0, 16 << 20, &e), -ECANCELED);
		assert_int_equal(listener.calls, last + 1);
	}
	listener.last = 0;
}

/* What is not ours to change does not lend its rights. */
static void test_original_that_is_shut(void **state)
{
	struct err e = {};

	(void)state;
	make_original();
	assert_int_equal(fchmodat(top, "from/sub", 0, 0), 0);
	if (geteuid() == 0) {
		assert_int_equal(carry(NULL, 0, 1 << 20, &e), 0);
	} else {
		assert_int_equal(carry(NULL, 0, 1 << 20, &e), -EACCES);
		assert_non_null(strstr(e.msg, "'sub'"));
	}
	assert_int_equal(look("from/sub").st_mode & 07777, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_name_that_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attributes_that_do_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_original, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_there_is_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_for_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directories_that_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress, setup, teardown),
		cmocka_unit_test_setup_teardown(test_original_that_is_shut, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
