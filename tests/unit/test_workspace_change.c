/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile upper layer makes of an original, and what finding that out may not do. */
#include "unit.h"

#include <grp.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>

#include "linux/tree.h"
#include "workspace/change-internal.h"
#include "workspace/change.h"

#define KEEP 0xffff /* the mode it is born with */

struct trees {
	int top, original, upper;
};

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_true(mode == KEEP || fchmod(fd, mode) == 0);
	(void)close(fd);
}

static void bind_socket(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	(void)close(fd);
}

static void mark(const char *path, const char *value)
{
	if (setxattr(path, "user.overlay.opaque", value, strlen(value), 0) < 0) {
		assert_int_equal(errno, EOPNOTSUPP);
		print_message("the file system of /tmp has no extended attributes of users\n");
		skip();
	}
}

static mode_t mode_of(int dir, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

/*
 * One thing: a letter that says what it is, its path below o/ or u/, and "=" before its text. File,
 * dir, link, whiteout, pipe, socket; 'x' and 'y' are directories marked like that.
 */
static void make(char *item)
{
	char *text = strchr(item, '='), *path = item + 1;

	if (text) {
		*text++ = '\0';
	}
	switch (item[0]) {
	case 'f':
		put(path, text ? text : "", KEEP);
		break;
	case 'l':
		assert_int_equal(symlink(text, path), 0);
		break;
	case 'w':
		assert_int_equal(mknod(path, S_IFCHR, 0), 0);
		break;
	case 'p':
		assert_int_equal(mkfifo(path, 0644), 0);
		break;
	case 's':
		bind_socket(path);
		break;
	default:
		assert_int_equal(mkdir(path, 0755), 0);
		if (item[0] != 'd') {
			mark(path, item[0] == 'y' ? "y" : "x");
		}
	}
}

/* All of a list, with spaces between them. */
static void make_all(const char *items)
{
	char *copy = strdup(items), *rest = copy, *item;

	while ((item = strsep(&rest, " "))) {
		make(item);
	}
	free(copy);
}

#define MODES_MAX 8

/* A list of path:octal, from the outside in. */
static size_t parse_modes(char *text, const char *paths[MODES_MAX], mode_t modes[MODES_MAX])
{
	size_t n = 0;
	char *item;

	while (text[0] && (item = strsep(&text, " "))) {
		char *octal = strrchr(item, ':');

		assert_true(n < MODES_MAX);
		modes[n] = (mode_t)strtoul(octal + 1, NULL, 8);
		*octal = '\0';
		paths[n++] = item;
		if (!text) {
			break;
		}
	}
	return n;
}

static void set_modes(const char *list)
{
	_cleanup_free_ char *text = strdup(list);
	const char *paths[MODES_MAX];
	mode_t modes[MODES_MAX];
	size_t n = parse_modes(text, paths, modes);

	while (n-- > 0) {
		assert_int_equal(chmod(paths[n], modes[n]), 0);
	}
}

/* All are as they were set; they get others, with which everything can be removed. */
static void assert_modes(const char *list)
{
	_cleanup_free_ char *text = strdup(list);
	const char *paths[MODES_MAX];
	mode_t modes[MODES_MAX];
	size_t i, n = parse_modes(text, paths, modes);

	for (i = 0; i < n; i++) {
		assert_int_equal(mode_of(AT_FDCWD, paths[i]), modes[i]);
		assert_int_equal(chmod(paths[i], 0700), 0);
	}
}

/* Two empty trees, as the current directory's o and u. */
static struct trees begin(void **state)
{
	struct trees t = {.top = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	(void)umask(022);
	(void)alarm(60); /* for what must never block */
	assert_int_equal(fchdir(t.top), 0);
	assert_int_equal(mkdir("o", 0755), 0);
	assert_int_equal(mkdir("u", 0755), 0);
	t.original = open("o", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t.upper = open("u", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t.original >= 0 && t.upper >= 0);
	return t;
}

static void end(struct trees *t)
{
	(void)close(t->original);
	(void)close(t->upper);
	assert_int_equal(fchdir(t->top), 0);
	assert_int_equal(tree_remove(t->top, "o", NULL), 0);
	assert_int_equal(tree_remove(t->top, "u", NULL), 0);
	(void)close(t->top);
	(void)alarm(0);
}

static struct changes find(const struct trees *t, bool renames)
{
	int fds = unit_count_fds();
	struct changes c;
	struct err e = {};

	if (changes_find(t->original, t->upper, NULL, renames, &c, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	assert_int_equal(unit_count_fds(), fds);
	return c;
}

/* The list as text: "word path" or "renamed from path", one a line. */
static char *text_of(const struct changes *c)
{
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	for (i = 0; i < c->n; i++) {
		(void)fprintf(f, "%s %s%s%s\n", change_word(c->list[i].kind),
			      c->list[i].from ? c->list[i].from : "", c->list[i].from ? " " : "",
			      c->list[i].path);
	}
	(void)fclose(f);
	return text;
}

static void expect(const struct trees *t, bool renames, const char *text)
{
	struct changes c = find(t, renames);
	char *found = text_of(&c);

	assert_string_equal(found, text);
	free(found);
	changes_done(&c);
}

struct example {
	const char *name;
	const char *items, *modes; /* make_all(), set_modes() */
	const char *expected;
};

static const struct example examples[] = {
	{"nothing", "fo/a=x", "", ""},
	{"added", "fu/a=x lu/b=x pu/c su/d", "", "added a\nadded b\nadded c\nadded d\n"},
	{"an added directory with all that is in it", "du/a du/a/b fu/a/b/c wu/a/gone", "",
	 "added a\nadded a/b\nadded a/b/c\n"},
	{"sorted by bytes", "du/a fu/a/b fu/a.c fu/B", "",
	 "added B\nadded a\nadded a.c\nadded a/b\n"},
	{"a whiteout", "fo/a=x wu/a", "", "deleted a\n"},
	{"a whiteout for a directory", "do/a do/a/b fo/a/b/c lo/a/l=/etc wu/a", "",
	 "deleted a\ndeleted a/b\ndeleted a/b/c\ndeleted a/l\n"},
	{"a whiteout for nothing", "wu/a", "", ""},
	{"a whiteout for a whiteout", "wo/a wu/a", "", ""},
	{"a whiteout of the original's", "wo/a fu/a", "", "added a\n"},
	{"copied up", "fo/a=x fu/a=x fo/e fu/e", "", ""},
	{"other content", "fo/a=x fu/a=y", "", "modified a\n"},
	{"other size", "fo/a=x fu/a=xx", "", "modified a\n"},
	{"now empty", "fo/a=x fu/a", "", "modified a\n"},
	{"other mode", "fo/a=x fu/a=x do/d du/d", "u/a:755 u/d:700", "mode a\nmode d\n"},
	{"setuid", "fo/a=x fu/a=x", "u/a:4644", "mode a\n"},
	{"setgid", "fo/a=x fu/a=x", "u/a:2644", "mode a\n"},
	{"sticky", "do/a du/a", "u/a:1755", "mode a\n"},
	{"other mode and content", "fo/a=x fu/a=y", "u/a:755", "modified a\n"},
	{"the same mode of a directory", "do/a du/a fo/a/b", "", ""},
	{"the root's mode", "fo/a", "u:700", ""},
	{"links", "lo/a=x lu/a=x lo/b=x lu/b=y", "", "modified b\n"},
	{"a directory over a file", "fo/a=x du/a fu/a/b", "", "type a\nadded a/b\n"},
	{"a file over a directory", "do/a fo/a/b do/a/c po/a/c/d fu/a=x", "",
	 "type a\ndeleted a/b\ndeleted a/c\ndeleted a/c/d\n"},
	{"a link over a directory", "do/a fo/a/b lu/a=.", "", "type a\ndeleted a/b\n"},
	{"a directory over a link", "do/b fo/b/f lo/a=b du/a fu/a/f", "", "type a\nadded a/f\n"},
	{"pipes", "po/a pu/a po/b pu/b", "u/b:600", "mode b\n"},
	{"a pipe over a file", "fo/a=x pu/a po/b fu/b=x", "", "type a\ntype b\n"},
	{"a pipe and a socket", "so/a su/a so/b pu/b", "", "type b\n"},
	{"names", "fu/a\nb fu/\xff\xfe du/\x1b[31m fu/\x1b[31m/\x01", "",
	 "added \x1b[31m\nadded \x1b[31m/\x01\nadded a\nb\nadded \xff\xfe\n"},
	{"what denies us in the upper layer", "fo/a=x fu/a=x du/d du/d/e fu/d/e/f=x du/w fu/w/f",
	 "u:0 u/a:0 u/d:2300 u/d/e:0 u/d/e/f:0 u/w:400",
	 "mode a\nadded d\nadded d/e\nadded d/e/f\nadded w\nadded w/f\n"},
	{"what denies us in the original", "fo/a=x fu/a=x fo/b=x fu/b=xx",
	 "o/a:0 u/a:0 o/b:0 u/b:0", "modified a\nmodified b\n"},
	{"where we may not look in the original",
	 "do/d fo/d/x=x fo/d/y=x du/d fu/d/x=x wu/d/y du/d/z", "o/d:0",
	 "mode d\nadded d/x\ndeleted d/y\nadded d/z\n"},
	{"what we may not list in the original", "do/d fo/d/x=x wu/d do/e fo/e/x=x du/e fu/e/x=x",
	 "o/d:300 o/e:100 u/e:100", "deleted d\n"},
	{"names alone in the original", "do/d fo/d/x=x wu/d", "o/d:400",
	 "deleted d\ndeleted d/x\n"},
	{"not asked for", "fo/a=text wu/a fu/b=text", "", "deleted a\nadded b\n"},
};

/* What needs extended attributes of users in /tmp. */
static const struct example opaque[] = {
	{"opaque", "do/a fo/a/gone=x fo/a/same=x fo/a/new=x yu/a fu/a/same=x fu/a/new=y fu/a/more",
	 "", "deleted a/gone\nadded a/more\nmodified a/new\n"},
	{"opaque over nothing", "yu/a fu/a/b", "", "added a\nadded a/b\n"},
	{"opaque, with whiteouts that say nothing", "do/a fo/a/b=x yu/a wu/a/b wu/a/c", "",
	 "deleted a/b\n"},
	{"a directory in an opaque one has nothing of the original's either",
	 "do/a do/a/b fo/a/b/gone do/a/b/c fo/a/b/c/gone yu/a du/a/b du/a/b/c fu/a/b/c/new", "",
	 "deleted a/b/c/gone\nadded a/b/c/new\ndeleted a/b/gone\n"},
	{"a directory beside an opaque one has", "do/a fo/a/gone do/b fo/b/kept yu/a du/b", "",
	 "deleted a/gone\n"},
	{"the mark x merges", "do/a fo/a/kept xu/a fu/a/new", "", "added a/new\n"},
};

static const struct example renames[] = {
	{"renamed", "fo/a=text wu/a fu/b=text", "", "renamed a b\n"},
	{"of one size only", "fo/a=text wu/a fu/b=texT", "", "deleted a\nadded b\n"},
	{"empty ones", "fo/a wu/a fu/b", "", "deleted a\nadded b\n"},
	{"a copy is no rename", "fo/a=text fu/b=text", "", "added b\n"},
	{"one for each", "fo/a=text wu/a fu/b=text fu/c=text", "", "renamed a b\nadded c\n"},
	{"a renamed directory: last names belong together",
	 "do/a fo/a/x=t fo/a/y=t fo/a/z=t wu/a du/b fu/b/y=t fu/b/z=t fu/b/zz=t", "",
	 "deleted a\nadded b\nrenamed a/y b/y\nrenamed a/z b/z\nrenamed a/x b/zz\n"},
	{"two that cannot be read are not alike", "fo/a=text wu/a du/d fu/d/b=text", "o/a:0 u/d:0",
	 "deleted a\nadded d\nadded d/b\n"},
	{"links are not renamed", "lo/a=text wu/a lu/b=text", "", "deleted a\nadded b\n"},
	{"renamed and denied", "fo/a=text wu/a fu/b=text", "u/b:0", "renamed a b\n"},
	{"renamed, of which we cannot know", "fo/a=text wu/a fu/b=text", "o/a:0",
	 "deleted a\nadded b\n"},
};

static void try_examples(void **state, const struct example *list, size_t n, bool with_renames)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct trees t = begin(state);

		print_message("# %s\n", list[i].name);
		make_all(list[i].items);
		assert_true(changes_none(t.upper) == !strstr(list[i].items, "u/"));
		set_modes(list[i].modes);
		expect(&t, with_renames, list[i].expected);
		assert_modes(list[i].modes);
		end(&t);
	}
}

static void test_examples(void **state)
{
	try_examples(state, examples, ARRAY_SIZE(examples), false);
}

static void test_opaque(void **state)
{
	try_examples(state, opaque, ARRAY_SIZE(opaque), false);
}

static void test_renames(void **state)
{
	try_examples(state, renames, ARRAY_SIZE(renames), true);
}

static void test_none(void **state)
{
	struct trees t = begin(state);
	int path;

	assert_int_equal(chmod("u", 0), 0);
	path = open("u", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(changes_none(t.upper));
	assert_true(changes_none(path));
	assert_int_equal(mode_of(AT_FDCWD, "u"), 0);
	assert_int_equal(chmod("u", 0700), 0);
	assert_int_equal(mknod("u/.a", S_IFCHR, 0), 0);
	assert_false(changes_none(t.upper));
	assert_false(changes_none(t.upper)); /* and again: nobody's place in it is moved */
	assert_int_equal(chmod("u", 0), 0);
	assert_false(changes_none(path));
	(void)close(path);
	path = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_false(changes_none(path)); /* not known is not none */
	(void)close(path);
	end(&t);
}

static void test_words(void **state)
{
	static const char *const words[] = {"added", "deleted", "modified",
					    "mode",  "type",    "renamed"};
	static const char letters[] = "ADMMTR";
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		assert_string_equal(change_word((enum change_kind)i), words[i]);
		assert_int_equal(change_letter((enum change_kind)i), letters[i]);
	}
}

static void put_bytes(const char *path, const void *data, size_t size, off_t at)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(pwrite(fd, data, size, at), size);
	(void)close(fd);
}

/* What stands in a change beside its kind. */
static void test_sides(void **state)
{
	struct trees t = begin(state);
	struct changes c;

	assert_int_equal(symlink("old", "o/link"), 0);
	assert_int_equal(symlink("\n\xff", "u/link"), 0);
	put("o/size", "12", 0640);
	put("u/size", "123456", 04755);
	put("o/was", "", KEEP);
	put_bytes("o/was", "", 1, 0);
	put("u/was", "text", KEEP);
	put_bytes("u/late", "", 1, 8000);
	put_bytes("u/late", "aaaaaaaa", 8, 0);
	put("o/gone", "12345", KEEP);
	assert_int_equal(mknod("u/gone", S_IFCHR, 0), 0);
	c = find(&t, false);
	assert_int_equal(c.n, 5);
	assert_string_equal(c.list[0].path, "gone");
	assert_int_equal(c.list[0].before.size, 5);
	assert_int_equal(c.list[0].before.mode, S_IFREG | 0644);
	assert_int_equal(c.list[0].after.mode, 0);
	assert_false(c.list[0].binary);
	assert_true(c.list[1].binary); /* late: a hole is NULs */
	assert_int_equal(c.list[1].before.mode, 0);
	assert_int_equal(c.list[1].after.size, 8001);
	assert_string_equal(c.list[2].before.target, "old");
	assert_string_equal(c.list[2].after.target, "\n\xff");
	assert_true(S_ISLNK(c.list[2].after.mode));
	assert_int_equal(c.list[3].before.mode, S_IFREG | 0640);
	assert_int_equal(c.list[3].after.mode, S_IFREG | 04755);
	assert_int_equal(c.list[3].before.size, 2);
	assert_int_equal(c.list[3].after.size, 6);
	assert_null(c.list[3].before.target);
	assert_null(c.list[3].from);
	assert_false(c.list[3].binary);
	assert_true(c.list[4].binary); /* was */
	changes_done(&c);
	assert_null(c.list);
	end(&t);
}

static void test_binary_edge(void **state)
{
	struct trees t = begin(state);
	char text[8001];
	struct changes c;

	memset(text, 'a', sizeof(text));
	text[8000] = '\0';
	put_bytes("u/text", text, sizeof(text), 0);
	text[7999] = '\0';
	put_bytes("u/binary", text, sizeof(text), 0);
	c = find(&t, false);
	assert_int_equal(c.n, 2);
	assert_true(c.list[0].binary);
	assert_false(c.list[1].binary);
	changes_done(&c);
	end(&t);
}

/* Differences anywhere in a file, at the borders of what is read at once. */
static void test_content(void **state)
{
	static const off_t places[] = {0, 1, 8000, 32767, 32768, 65535, 65536, 99999};
	struct trees t = begin(state);
	size_t i;
	char *data = calloc(1, 100000);

	memset(data, 'x', 100000);
	put_bytes("o/f", data, 100000, 0);
	put_bytes("u/f", data, 100000, 0);
	expect(&t, false, "");
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		put_bytes("u/f", "y", 1, places[i]);
		expect(&t, false, "modified f\n");
		assert_int_equal(rename("u/f", "u/g"), 0);
		assert_int_equal(mknod("u/f", S_IFCHR, 0), 0);
		expect(&t, true, "deleted f\nadded g\n");
		put_bytes("u/g", "x", 1, places[i]);
		expect(&t, true, "renamed f g\n");
		assert_int_equal(rename("u/g", "u/f"), 0);
	}
	expect(&t, false, "");
	free(data);
	end(&t);
}

/* A tebibyte of nothing takes no time; a byte in it is found on either side. */
static void test_sparse(void **state)
{
	const off_t size = (off_t)1 << 40;
	struct trees t = begin(state);

	put("o/f", "", KEEP);
	put("u/f", "", KEEP);
	assert_int_equal(truncate("o/f", size), 0);
	assert_int_equal(truncate("u/f", size), 0);
	expect(&t, true, "");
	put_bytes("u/f", "x", 1, size / 2);
	expect(&t, true, "modified f\n");
	put_bytes("o/f", "x", 1, size / 2);
	expect(&t, true, "");
	put_bytes("o/f", "", 1, size / 3); /* a zero that is written is one that is not */
	expect(&t, true, "");
	put_bytes("o/f", "x", 1, size - 1);
	expect(&t, true, "modified f\n");
	/* Too much to read for a rename. */
	assert_int_equal(rename("u/f", "u/g"), 0);
	assert_int_equal(mknod("u/f", S_IFCHR, 0), 0);
	expect(&t, true, "deleted f\nadded g\n");
	assert_int_equal(unlink("u/f"), 0);
	/* One by one not, but together. */
	put("u/f", "", KEEP);
	put("u/h", "", KEEP);
	put("o/g", "", KEEP);
	assert_int_equal(unlink("u/g"), 0);
	assert_int_equal(mknod("u/g", S_IFCHR, 0), 0);
	assert_int_equal(truncate("o/f", 1), 0);
	assert_int_equal(truncate("u/f", CHANGES_RENAME_MAX / 5 * 2), 0);
	assert_int_equal(truncate("u/h", CHANGES_RENAME_MAX / 5 * 2), 0);
	assert_int_equal(truncate("o/g", CHANGES_RENAME_MAX / 5 * 2), 0);
	assert_int_equal(rename("u/f", "u/i"), 0);
	expect(&t, true, "deleted g\nadded h\nadded i\n");
	end(&t);
}

static void test_hard_links(void **state)
{
	struct trees t = begin(state);

	put("o/a", "text", KEEP);
	put("u/a", "text", KEEP);
	assert_int_equal(link("u/a", "u/b"), 0);
	put("o/c", "other", KEEP);
	put("o/d", "other", KEEP);
	assert_int_equal(mknod("u/c", S_IFCHR, 0), 0);
	assert_int_equal(link("u/c", "u/d"), 0);
	expect(&t, false, "added b\ndeleted c\ndeleted d\n");
	end(&t);
}

#define OUTSIDE                                                                                   \
	"dout fout/secret=text do/d fo/d/secret=x lu/d=../out lo/e=../out du/e fu/e/secret=text " \
	"fo/f=text lu/f=../out/secret lo/g=../out/secret fu/g=text lu/h=../out lo/i=../out wu/i " \
	"lu/j=../../../../../../../../../etc/passwd"

/* Nothing outside is reported, and nothing there is opened. */
static void test_links_out(void **state)
{
	struct trees t = begin(state);
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char event[512];

	make_all(OUTSIDE);
	assert_true(inotify_add_watch(watch, "out", IN_OPEN | IN_ACCESS) >= 0);
	assert_true(inotify_add_watch(watch, "out/secret", IN_OPEN | IN_ACCESS) >= 0);
	expect(&t, true,
	       "type d\ndeleted d/secret\ntype e\nadded e/secret\ntype f\ntype g\nadded h\n"
	       "deleted i\nadded j\n");
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(entry_open_file(t.upper, "f", true), -EINVAL);
	assert_int_equal(entry_open_file(t.upper, "d/secret", true), -ELOOP);
	assert_int_equal(entry_open_file(t.upper, "../o/f", true), -EXDEV);
	assert_true(entry_open(t.upper, "d", O_PATH | O_DIRECTORY) < 0);
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	(void)close(open("out/secret", O_RDONLY | O_CLOEXEC)); /* the watch would have seen it */
	assert_true(read(watch, event, sizeof(event)) > 0);
	(void)close(watch);
	assert_int_equal(tree_remove(t.top, "out", NULL), 0);
	end(&t);
}

/* Whoever opens a pipe waits for ever, or does harm. */
static void test_pipes(void **state)
{
	struct trees t = begin(state);
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	static const char *const pipes[] = {"o/a", "u/a", "o/b", "u/c", "o/d/x", "u/e", "o/f"};
	char event[512];
	size_t i;

	make_all("po/a pu/a po/b wu/b pu/c do/d po/d/x wu/d fo/e=x pu/e po/f fu/f=x");
	for (i = 0; i < ARRAY_SIZE(pipes); i++) {
		assert_true(inotify_add_watch(watch, pipes[i], IN_OPEN) >= 0);
	}
	expect(&t, true, "deleted b\nadded c\ndeleted d\ndeleted d/x\ntype e\ntype f\n");
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	assert_int_equal(entry_open_file(t.upper, "a", true),
			 -EINVAL); /* whatever was seen before */
	assert_int_equal(entry_open_file(t.original, "d", false), -EINVAL);
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	(void)close(watch);
	end(&t);
}

#define DEEP 3000

/* A chain below `at`, with a file at every 250th level; leaves us at `top`. */
static void dig(int top, const char *at, const char *name, const char *text, mode_t mode)
{
	int i;

	assert_int_equal(chdir(at), 0);
	for (i = 1; i <= DEEP; i++) {
		assert_int_equal(mkdir(name, 0755), 0);
		assert_int_equal(chdir(name), 0);
		if (i % 250 == 0) {
			put("f", text, KEEP);
		}
	}
	while (mode != KEEP && i-- > 1) {
		int up = open("..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(chmod(".", mode), 0);
		assert_int_equal(fchdir(up), 0);
		(void)close(up);
	}
	assert_int_equal(fchdir(top), 0);
}

/* With few descriptors, whatever the depth. */
static struct changes find_with_few(const struct trees *t)
{
	struct rlimit before, few;
	struct changes c;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){100, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	c = find(t, true);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	return c;
}

static void test_deep_added(void **state)
{
	struct trees t = begin(state);
	struct changes c;
	size_t i, longest = 0;

	dig(t.top, "u", "d", "text", KEEP);
	c = find_with_few(&t);
	assert_int_equal(c.n, DEEP + DEEP / 250);
	for (i = 0; i < c.n; i++) {
		longest = strlen(c.list[i].path) > longest ? strlen(c.list[i].path) : longest;
	}
	assert_int_equal(longest, 2 * DEEP - 1 + strlen("/f"));
	changes_done(&c);
	end(&t);
}

/* Both trees, changes at many depths of both, and the way back up in both. */
static void test_deep_both(void **state)
{
	struct trees t = begin(state);
	struct changes c;
	size_t i, modified = 0;

	dig(t.top, "o", "d", "old", KEEP);
	dig(t.top, "u", "d", "new", KEEP);
	dig(t.top, "o", "e", "old", KEEP);
	assert_int_equal(mknod("u/e", S_IFCHR, 0), 0);
	assert_int_equal(mkdir("o/a", 0755), 0);
	put("o/a/f", "old", KEEP);
	assert_int_equal(mkdir("u/a", 0755), 0);
	put("u/a/f", "new", KEEP);
	c = find_with_few(&t);
	assert_int_equal(c.n, DEEP / 250 * 2 + DEEP + 1);
	for (i = 0; i < c.n; i++) {
		modified += c.list[i].kind == CHANGE_MODIFIED;
	}
	assert_int_equal(modified, DEEP / 250 + 1);
	assert_string_equal(c.list[0].path, "a/f");
	changes_done(&c);
	end(&t);
}

/* A comb: at each level of both trees another directory waits to be entered on the way back. */
static void test_comb(void **state)
{
	static const char *const roots[] = {"o", "u"};
	struct trees t = begin(state);
	struct changes c;
	size_t i;
	int n;

	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		assert_int_equal(chdir(roots[i]), 0);
		for (n = 0; n < 200; n++) {
			assert_int_equal(mkdir("a", 0755), 0);
			assert_int_equal(mkdir("d", 0755), 0);
			assert_int_equal(mkdir("z", 0755), 0);
			put("a/f", roots[i], KEEP);
			put("z/f", roots[i], KEEP);
			assert_int_equal(chdir("d"), 0);
		}
		assert_int_equal(fchdir(t.top), 0);
	}
	c = find_with_few(&t);
	assert_int_equal(c.n, 400);
	for (i = 0; i < c.n; i++) {
		assert_int_equal(c.list[i].kind, CHANGE_MODIFIED);
	}
	changes_done(&c);
	end(&t);
}

/* The way back up leads to where it came from, or nowhere: not to where somebody moved it. */
static void test_moved(void **state)
{
	struct trees t = begin(state);
	struct cursor c;
	struct stat here, there;
	int i;

	assert_int_equal(mkdir("u/other", 0755), 0);
	assert_int_equal(chdir("o"), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(mkdir("d", 0755), 0);
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(fchdir(t.top), 0);
	assert_int_equal(cursor_init(&c, t.original, false), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(cursor_enter(&c, "d"), 0);
	}
	assert_true(cursor_enter(&c, "d") < 0);
	assert_int_equal(cursor_leave(&c, 50), 0);
	for (i = 50; i < 100; i++) {
		assert_int_equal(cursor_enter(&c, "d"), 0);
	}
	assert_int_equal(rename("o/d/d/d", "u/other/d"), 0);
	assert_int_equal(cursor_leave(&c, 3), 0);
	assert_int_equal(cursor_leave(&c, 2), -ESTALE);
	cursor_done(&c);

	/* The directories that are held are left without that. */
	assert_int_equal(mkdir("o/d/d/d", 0755), 0);
	assert_int_equal(cursor_init(&c, t.original, false), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(cursor_enter(&c, "d"), 0);
	}
	assert_int_equal(rename("o/d/d/d", "u/other/e"), 0);
	assert_int_equal(cursor_leave(&c, 2), 0);
	assert_int_equal(fstat(cursor_fd(&c), &here), 0);
	assert_int_equal(stat("o/d/d", &there), 0);
	assert_int_equal(here.st_ino, there.st_ino);
	cursor_done(&c);
	end(&t);
}

static void assert_deep_modes(int top, mode_t mode)
{
	int fd = openat(top, "u", O_PATH | O_DIRECTORY | O_CLOEXEC), i;

	for (i = 0; i < DEEP; i++) {
		char link[48];
		int next;

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		assert_int_equal(mode_of(fd, "d"), mode);
		next = openat(fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(i == 0 || chmod(link, mode) == 0);
		(void)close(fd);
		fd = next;
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		assert_int_equal(chmod(link, 0700), 0);
	}
	(void)close(fd);
}

static void test_deep_denied(void **state)
{
	struct trees t = begin(state);
	struct changes c;

	dig(t.top, "u", "d", "text", 0);
	c = find_with_few(&t);
	assert_int_equal(c.n, DEEP + DEEP / 250);
	changes_done(&c);
	assert_deep_modes(t.top, 0);
	end(&t);
}

/* Renames stop where one call cannot reach: both are listed. */
static void test_deep_rename(void **state)
{
	struct trees t = begin(state);
	struct changes c;
	size_t i, deleted = 0;

	put("o/f", "text", KEEP);
	assert_int_equal(mknod("u/f", S_IFCHR, 0), 0);
	assert_int_equal(chdir("u"), 0);
	for (i = 0; i < DEEP; i++) {
		assert_int_equal(mkdir("d", 0755), 0);
		assert_int_equal(chdir("d"), 0);
	}
	put("f", "text", KEEP);
	assert_int_equal(fchdir(t.top), 0);
	c = find(&t, true);
	assert_int_equal(c.n, DEEP + 2);
	for (i = 0; i < c.n; i++) {
		deleted += c.list[i].kind == CHANGE_DELETED;
	}
	assert_int_equal(deleted, 1);
	changes_done(&c);
	end(&t);
}

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#define MANY 20000

/* All of one size, the worst for renames: half of them was renamed, half is only alike. */
static void test_many(void **state)
{
	struct trees t = begin(state);
	struct changes c;
	size_t i, renamed = 0;
	double start;

	assert_int_equal(mkdir("o/d", 0755), 0);
	assert_int_equal(mkdir("u/e", 0755), 0);
	assert_int_equal(mknod("u/d", S_IFCHR, 0), 0);
	for (i = 0; i < MANY; i++) {
		char path[32], text[32];

		(void)snprintf(text, sizeof(text), "%06zu", i);
		(void)snprintf(path, sizeof(path), "o/d/%zu", i);
		put(path, text, KEEP);
		(void)snprintf(text, sizeof(text), "%06zu", i % 2 ? i : i + MANY);
		(void)snprintf(path, sizeof(path), "u/e/%zu", i);
		put(path, text, KEEP);
	}
	start = seconds();
	c = find(&t, true);
	print_message("# %d files and %d files: %.2f s\n", MANY, MANY, seconds() - start);
	assert_true(seconds() - start < 10);
	for (i = 0; i < c.n; i++) {
		renamed += c.list[i].kind == CHANGE_RENAMED;
		assert_true(i == 0 || strcmp(c.list[i - 1].path, c.list[i].path) < 0);
	}
	assert_int_equal(renamed, MANY / 2);
	assert_int_equal(c.n, 2 + MANY + MANY / 2);
	changes_done(&c);
	end(&t);
}

/* What cannot be lent without losing a bit of the mode is a failure that names it. */
static void test_other_group(void **state)
{
	struct trees t = begin(state);
	struct err e = {};
	struct changes c;
	gid_t group;

	if (getgroups(1, &group) != 1 || group == getegid()) {
		end(&t);
		print_message("# needs root\n");
		skip();
	}
	make_all("du/d\x1b fu/d\x1b/f");
	assert_int_equal(chown("u/d\x1b", (uid_t)-1, group), 0);
	set_modes("u/d\x1b:2070");
	assert_int_equal(changes_find(t.original, t.upper, NULL, true, &c, &e), -EACCES);
	assert_string_equal(e.msg, "cannot read 'd\\x1b' of the copy: Permission denied");
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_null(c.list);
	assert_modes("u/d\x1b:2070");
	end(&t);
}

#define FAULTY_MODES "u:0 u/a:200 u/\x1b\n:2100 u/\x1b\n/\xff:0 u/\x1b\n/\xff/d/d/\x07:0"

static void make_faulty(void)
{
	make_all("fo/a=text fu/a=text do/d fo/d/x=x yu/d lu/d/l=t lo/d/l=s du/\x1b\n "
		 "du/\x1b\n/\xff du/\x1b\n/\xff/d du/\x1b\n/\xff/d/d fu/\x1b\n/\xff/d/d/\x07=text "
		 "fo/b=old wu/b fu/c=old");
	set_modes(FAULTY_MODES);
}

#define FAULTY_LIST                                                                     \
	"added \x1b\n\nadded \x1b\n/\xff\nadded \x1b\n/\xff/d\nadded \x1b\n/\xff/d/d\n" \
	"added \x1b\n/\xff/d/d/\x07\nmode a\nrenamed b c\n"                             \
	"modified d/l\ndeleted d/x\n"

static void assert_faulty_modes(void)
{
	assert_modes(FAULTY_MODES);
	set_modes(FAULTY_MODES);
}

/* A failure leaves nothing: no list, no descriptor, no mode, no raw byte in the message. */
static void assert_failed(const struct changes *c, const struct err *e, int r)
{
	size_t i;

	assert_int_equal(r, -e->code);
	assert_null(c->list);
	assert_int_equal(c->n, 0);
	assert_true(e->msg[0]);
	for (i = 0; e->msg[i]; i++) {
		assert_in_range(e->msg[i], 0x20, 0x7e);
	}
	assert_faulty_modes();
}

/* Out of descriptors, at each place in turn. */
static void test_no_descriptors(void **state)
{
	struct trees t = begin(state);
	int fds, r = -1, spare, named = 0;
	struct rlimit before, few;

	make_faulty();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	fds = dup(0);
	(void)close(fds);
	for (spare = 0; r < 0; spare++) {
		struct changes c;
		struct err e = {};

		few = (struct rlimit){(rlim_t)(fds + spare), before.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = changes_find(t.original, t.upper, NULL, true, &c, &e);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (r < 0) {
			assert_int_equal(r, -EMFILE);
			assert_failed(&c, &e, r);
			named += strstr(e.msg, "\\x1b\\x0a/\\xff") != NULL;
		}
		changes_done(&c);
		assert_true(spare < 50);
	}
	assert_true(spare > 4 && named > 0);
	assert_faulty_modes();
	end(&t);
}

static struct trees faulty; /* global: unit_faults() passes nothing on */

static void find_faulty(bool may_fail)
{
	int fds = unit_count_fds(), r;
	struct changes c;
	struct err e = {};
	char *text;

	r = changes_find(faulty.original, faulty.upper, NULL, true, &c, &e);
	assert_int_equal(unit_count_fds(), fds);
	if (r < 0) {
		assert_true(may_fail && (r == -ENOMEM || r == -EMFILE));
		assert_failed(&c, &e, r);
		return;
	}
	text = text_of(&c);
	assert_string_equal(text, FAULTY_LIST);
	free(text);
	changes_done(&c);
	assert_faulty_modes();
}

static void test_faults(void **state)
{
	faulty = begin(state);
	make_faulty();
	unit_faults(find_faulty);
	end(&faulty);
}

/* Root passes every mode; what is tested here is what everybody else meets. */
static void become_nobody(void)
{
	const gid_t other = 65533;

	if (geteuid() == 0 &&
	    (setgroups(1, &other) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	     setresuid(65534, 65534, 65534) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)) {
		abort();
	}
}

int main(void)
{
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, unit_dir_setup, unit_dir_teardown)
	const struct CMUnitTest tests[] = {
		IN_DIR(test_examples),    IN_DIR(test_opaque),          IN_DIR(test_renames),
		IN_DIR(test_none),        cmocka_unit_test(test_words), IN_DIR(test_sides),
		IN_DIR(test_binary_edge), IN_DIR(test_content),         IN_DIR(test_sparse),
		IN_DIR(test_hard_links),  IN_DIR(test_links_out),       IN_DIR(test_pipes),
		IN_DIR(test_deep_added),  IN_DIR(test_deep_both),       IN_DIR(test_comb),
		IN_DIR(test_moved),       IN_DIR(test_deep_denied),     IN_DIR(test_deep_rename),
		IN_DIR(test_many),        IN_DIR(test_other_group),     IN_DIR(test_no_descriptors),
		IN_DIR(test_faults),
	};

	become_nobody();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
