/* SPDX-License-Identifier: Apache-2.0 */
/* Taking changes over: all or nothing, whatever fails, and whoever dies in the middle. */
#include "unit.h"

#include <dirent.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#include "linux/tree.h"
#include "workspace/apply-internal.h"
#include "workspace/apply.h"
#include "workspace/change.h"
#include "workspace/select.h"

#define OTHER_GROUP 65533
#define EVER        INT64_MAX /* begun so late that nothing was changed since */

struct trees {
	int top;
	struct apply a;
};

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

/* Things with spaces between them: a letter that says what, the path, "=" and the text; "m" sets a
 * mode. */
static void make_all(const char *items)
{
	char *copy = strdup(items), *rest = copy, *item;

	while ((item = strsep(&rest, " ")) && *item) {
		char *text = strchr(item, '='), *path = item + 1;

		if (text) {
			*text++ = '\0';
		}
		switch (item[0]) {
		case 'f':
			put(path, text ? text : "");
			break;
		case 'd':
			assert_int_equal(mkdir(path, 0755), 0);
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
		case 'm':
			assert_int_equal(chmod(path, (mode_t)strtoul(text, NULL, 8)), 0);
			break;
		default:
			fail_msg("'%s'", item);
		}
	}
	free(copy);
}

/* The workspace, the copy and the sandbox's directory: o, u and j of the current directory. */
static struct trees begin(void **state, const char *items)
{
	struct trees t = {.top = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	(void)umask(022);
	(void)alarm(60);
	assert_int_equal(fchdir(t.top), 0);
	make_all("do du dj");
	make_all(items);
	t.a = (struct apply){.original = open("o", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			     .upper = open("u", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			     .journal = open("j", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			     .id = "s-test",
			     .begun_ns = EVER};
	assert_true(t.a.original >= 0 && t.a.upper >= 0 && t.a.journal >= 0);
	return t;
}

static void end(struct trees *t)
{
	(void)close(t->a.original);
	(void)close(t->a.upper);
	(void)close(t->a.journal);
	assert_int_equal(tree_remove(t->top, "o", NULL), 0);
	assert_int_equal(tree_remove(t->top, "u", NULL), 0);
	assert_int_equal(tree_remove(t->top, "j", NULL), 0);
	(void)close(t->top);
	(void)alarm(0);
}

/* Text of what is below a directory: name, permissions and, behind "=" or "->", what it holds. */
static void draw(FILE *to, const char *dir, size_t skip)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort), i;

	assert_true(n >= 0);
	for (i = 0; i < n; i++) {
		char path[512], text[64] = "";
		struct stat st;
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
			assert_int_equal(lstat(path, &st), 0);
			if (S_ISLNK(st.st_mode)) {
				assert_true(readlink(path, text, sizeof(text) - 1) >= 0);
				(void)fprintf(to, "%s->%s ", path + skip, text);
			} else if (S_ISREG(st.st_mode)) {
				fd = open(path, O_RDONLY | O_CLOEXEC);
				assert_true(fd < 0 || read(fd, text, sizeof(text) - 1) >= 0);
				(void)fd_close(fd);
				(void)fprintf(to, "%s:%o=%s ", path + skip, st.st_mode & 07777,
					      text);
			} else {
				(void)fprintf(to, "%s:%o ", path + skip, st.st_mode & 07777);
			}
			if (S_ISDIR(st.st_mode) && access(path, R_OK | X_OK) == 0) {
				draw(to, path, skip);
			}
		}
		free(names[i]);
	}
	free(names);
}

static char *picture(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	draw(f, "o", 2);
	(void)fclose(f);
	return text;
}

static void expect(const char *wanted)
{
	char *text = picture();

	assert_string_equal(text, wanted);
	free(text);
}

static struct changes find(const struct trees *t)
{
	struct changes c;
	struct err e = {};

	if (changes_find(t->a.original, t->a.upper, NULL, false, &c, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	return c;
}

static void expect_nothing_left(const struct trees *t)
{
	assert_false(apply_pending(t->a.journal));
	assert_int_equal(access("o/.atoll-apply-s-test", F_OK), -1);
	assert_int_equal(access("j/.apply.json", F_OK), -1);
}

/* ---- every kind of step ---- */

static const struct {
	const char *name, *items, *expected;
} examples[] = {
	{"nothing", "fo/a=x", "a:644=x "},
	{"added", "fu/a=x lu/l=a du/d fu/d/f=y", "a:644=x d:755 d/f:644=y l->a "},
	{"deleted", "fo/a=x do/d do/d/e fo/d/e/f=x lo/l=a wu/a wu/d wu/l", ""},
	{"modified", "fo/a=x fu/a=yy lo/l=a lu/l=b", "a:644=yy l->b "},
	{"another mode", "fo/a=x fu/a=x mu/a=755 do/d du/d mu/d=700", "a:755=x d:700 "},
	{"content and mode", "fo/a=x fu/a=y mu/a=600", "a:600=y "},
	{"a directory for a file", "fo/a=x du/a fu/a/b=y", "a:755 a/b:644=y "},
	{"a file for a directory", "do/a fo/a/b=x do/a/c fo/a/c/d=x fu/a=y", "a:644=y "},
	{"a link for a directory", "do/a fo/a/b=x lu/a=/etc", "a->/etc "},
	{"a directory for a link", "lo/a=/etc du/a fu/a/passwd=mine", "a:755 a/passwd:644=mine "},
	{"no set-id bits", "fu/a=x mu/a=6755 du/d mu/d=3777", "a:755=x d:777 "},
	{"denied modes", "du/d fu/d/f=x mu/d/f=200 mu/d=500 du/z mu/z=0", "d:500 d/f:200= z:0 "},
	{"behind a directory that denies even us", "du/d fu/d/f=x mu/d=600", "d:600 "},
	{"into a read-only directory", "do/d fo/d/a=x mo/d=555 du/d fu/d/b=y mu/d=555",
	 "d:555 d/a:644=x d/b:644=y "},
	{"into one that is not read-only any more", "do/d fo/d/a=x mo/d=555 du/d fu/d/b=y mu/d=755",
	 "d:755 d/a:644=x d/b:644=y "},
	{"into one that is read-only now", "do/d fo/d/a=x du/d fu/d/b=y mu/d=555",
	 "d:555 d/a:644=x d/b:644=y "},
	{"out of read-only directories", "do/d do/d/e fo/d/e/f=x fo/d/a=x mo/d/e=555 mo/d=555 wu/d",
	 ""},
	{"a file for a read-only directory", "do/d fo/d/a=x mo/d=555 fu/d=now", "d:644=now "},
	{"a read-only directory in one", "do/d mo/d=555 du/d du/d/e fu/d/e/f=x mu/d/e=555 mu/d=555",
	 "d:555 d/e:555 d/e/f:644=x "},
};

static void test_examples(void **state)
{
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(examples); i++) {
		struct trees t = begin(state, examples[i].items);
		struct changes c = find(&t);
		struct conflicts none;
		struct err e = {};
		int fds = unit_count_fds();

		print_message("# %s\n", examples[i].name);
		assert_int_equal(apply_check(&t.a, &c, &none, &e), 0);
		assert_int_equal(none.n, 0);
		if (apply_changes(&t.a, &c, &e) < 0) {
			fail_msg("%s", e.msg);
		}
		assert_int_equal(unit_count_fds(), fds);
		expect_nothing_left(&t);
		expect(examples[i].expected);
		changes_done(&c);
		c = find(&t);
		for (k = 0; k < c.n;
		     k++) { /* but for what is not taken over, or not to be compared */
			assert_true(strstr(examples[i].items, "mu/"));
		}
		changes_done(&c);
		end(&t);
	}
}

/* The file behind it is there all the same. */
static void test_behind(void **state)
{
	struct trees t = begin(state, "du/d fu/d/f=x mu/d=0");
	struct changes c = find(&t);
	struct err e = {};

	assert_int_equal(apply_changes(&t.a, &c, &e), 0);
	make_all("mo/d=755");
	expect("d:755 d/f:644=x ");
	changes_done(&c);
	end(&t);
}

static void test_attributes(void **state)
{
	struct trees t = begin(state, "fo/a=x fu/a=y");
	struct changes c = find(&t);
	struct err e = {};
	char value[8] = "";

	if (setxattr("o/a", "user.note", "kept", 4, 0) == 0) {
		assert_int_equal(setxattr("u/a", "user.theirs", "no", 2, 0), 0);
		assert_int_equal(apply_changes(&t.a, &c, &e), 0);
		assert_int_equal(getxattr("o/a", "user.note", value, sizeof(value)), 4);
		assert_string_equal(value, "kept");
		assert_int_equal(getxattr("o/a", "user.theirs", value, sizeof(value)), -1);
	} else {
		assert_int_equal(errno, EOPNOTSUPP);
	}
	changes_done(&c);
	end(&t);
}

/* The group of what is replaced, where it is one of ours. */
static void test_group(void **state)
{
	struct trees t = begin(state, "fo/a=x fu/a=y fu/b=new");
	struct changes c = find(&t);
	struct err e = {};
	struct stat st;

	if (chown("o/a", (uid_t)-1, OTHER_GROUP) < 0) {
		print_message("this user has one group only\n");
		changes_done(&c);
		end(&t);
		skip();
	}
	assert_int_equal(apply_changes(&t.a, &c, &e), 0);
	assert_int_equal(stat("o/a", &st), 0);
	assert_int_equal(st.st_gid, OTHER_GROUP);
	assert_int_equal(stat("o/b", &st), 0);
	assert_int_equal(st.st_gid, getegid());
	changes_done(&c);
	end(&t);
}

/* ---- what stands in the way ---- */

static const struct {
	const char *items, *later, *path, *why; /* why: NULL, none */
	bool changed;                           /* since it was begun */
} conflicts[] = {
	{"fo/a=x fu/a=y", "", "a", NULL, false},
	{"fo/a=x fu/a=y", "", "a", "it was changed outside since the sandbox started", true},
	{"fo/a=x wu/a", "", "a", "it was changed outside since the sandbox started", true},
	{"fo/a=x fu/a=x mu/a=600", "", "a", "it was changed outside since the sandbox started",
	 true},
	{"do/d wu/d", "", "d", NULL, true},
	{"fu/a=y", "fo/a=x", "a", "something is there by now", false},
	{"du/d fu/d/f", "fo/d=x", "d", "something is there by now", false},
	{"du/d fu/d/f", "fo/d=x", "d/f", "a directory above it is a link or a file by now", false},
	{"du/d fu/d/f", "lo/d=..", "d/f", "a directory above it is a link or a file by now", false},
	{"pu/p", "", "p", "only files, directories and links can be taken over", false},
	{"fo/a=x pu/a", "", "a", "only files, directories and links can be taken over", false},
	{"fu/.atoll-apply-s-test", "", ".atoll-apply-s-test",
	 "the name is one that apply itself uses", false},
	{"fo/a=x du/a fu/a/b", "", "a/b", NULL, false},
};

static void test_conflicts(void **state)
{
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(conflicts); i++) {
		struct trees t = begin(state, conflicts[i].items);
		struct changes c = find(&t);
		struct conflicts found;
		struct err e = {};
		const char *why = NULL;

		print_message("# %s, %s\n", conflicts[i].items, conflicts[i].later);
		make_all(conflicts[i].later);
		t.a.begun_ns = conflicts[i].changed ? 0 : EVER;
		assert_int_equal(apply_check(&t.a, &c, &found, &e), 0);
		for (k = 0; k < found.n; k++) {
			if (strcmp(c.list[found.list[k].change].path, conflicts[i].path) == 0) {
				why = found.list[k].why;
			}
		}
		if (conflicts[i].why) {
			assert_non_null(why);
			assert_string_equal(why, conflicts[i].why);
		} else {
			assert_null(why);
		}
		conflicts_done(&found);
		changes_done(&c);
		end(&t);
	}
}

/* Nobody asked for the conflicts: then too it is all or nothing. */
static void test_nothing_of_it(void **state)
{
	static const char *const later[] = {"fo/new=x", "fo/gone/2=x", "mo/a=600 fo/sub/x=changed",
					    "lo/new=/etc"};
	const char *items = "fo/a=x do/gone fo/gone/1=1 do/sub fo/sub/x=x "
			    "fu/a=y wu/gone du/new fu/new/f=x du/sub fu/sub/x=yy";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(later); i++) {
		struct trees t = begin(state, items);
		struct changes c = find(&t);
		char *before;
		struct err e = {};

		make_all(later[i]);
		before = picture();
		t.a.begun_ns = strchr(later[i], 'm') ? 0 : EVER;
		assert_true(apply_changes(&t.a, &c, &e) < 0);
		assert_int_equal(e.kind, ERR_USER);
		assert_non_null(strstr(e.msg, "it changed meanwhile"));
		expect(before);
		expect_nothing_left(&t);
		free(before);
		changes_done(&c);
		end(&t);
	}
}

/* ---- one step ---- */

static struct steps one_step(const struct trees *t, enum step_kind kind, const char *path)
{
	struct steps s = {.stage = FD_NONE};
	struct step *step = steps_add(&s, kind, path);
	struct stat st;
	struct err e = {};

	assert_int_equal(stage_make(&t->a, &s, &e), 0);
	assert_non_null(step);
	assert_int_equal(step_look(&t->a, path, &st), 0);
	step->before = st.st_ino;
	step->before_ns = step_written(&st);
	if (kind == STEP_REPLACE) {
		const struct change c = {.path = (char *)path, .after = {.mode = S_IFREG | 0644}};

		step->new_mode = 0644;
		assert_int_equal(stage_change(&t->a, &s, 0, &c, &e), 0);
	}
	return s;
}

/* The same file, written to between the look at it and the rename. */
static void test_written_meanwhile(void **state)
{
	static const enum step_kind kinds[] = {STEP_REMOVE, STEP_REPLACE};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct trees t = begin(state, "fo/a=x fu/a=y");
		struct steps s = one_step(&t, kinds[i], "a");
		const struct timespec times[2] = {{1, 0}, {1, 0}};

		put("o/a", "somebody's");
		assert_int_equal(utimensat(AT_FDCWD, "o/a", times, 0), 0);
		assert_int_equal(step_do(&t.a, &s, 0), -ESTALE);
		assert_false(step_done(&t.a, &s, 0));
		assert_int_equal(stage_remove(&t.a, &s, NULL), 0);
		expect("a:644=somebody's ");
		steps_done(&s);
		end(&t);
	}
}

static void test_another_file_meanwhile(void **state)
{
	static const enum step_kind kinds[] = {STEP_REMOVE, STEP_REPLACE};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct trees t = begin(state, "fo/a=x fu/a=y");
		struct steps s = one_step(&t, kinds[i], "a");

		put("o/b", "somebody's");
		assert_int_equal(rename("o/b", "o/a"), 0);
		assert_int_equal(step_do(&t.a, &s, 0), -ESTALE);
		assert_int_equal(stage_remove(&t.a, &s, NULL), 0);
		expect("a:644=somebody's ");
		steps_done(&s);
		end(&t);
	}
}

/* What was put and used since is not taken away. */
static void test_used_since(void **state)
{
	struct trees t = begin(state, "fo/a=x fu/a=y");
	struct steps s = one_step(&t, STEP_REPLACE, "a");
	const struct timespec times[2] = {{1, 0}, {1, 0}};

	assert_int_equal(step_do(&t.a, &s, 0), 0);
	assert_true(step_done(&t.a, &s, 0));
	put("o/a", "used");
	assert_int_equal(utimensat(AT_FDCWD, "o/a", times, 0), 0);
	assert_int_equal(step_undo(&t.a, &s, 0), -ESTALE);
	assert_int_equal(stage_remove(&t.a, &s, NULL), 0);
	expect("a:644=used ");
	steps_done(&s);
	end(&t);
}

static void test_parents_are_not_links(void **state)
{
	struct trees t = begin(state, "do/d fo/d/f lo/l=d");
	const char *name;
	struct stat st;
	int fd = step_parent(&t.a, "d/f", &name);

	assert_true(fd >= 0);
	assert_string_equal(name, "f");
	(void)close(fd);
	assert_int_equal(step_look(&t.a, "l/f", &st), -ENOTDIR);
	assert_int_equal(step_look(&t.a, "l/../f", &st), -ELOOP);
	assert_int_equal(step_look(&t.a, "../u", &st), -EXDEV);
	assert_int_equal(step_look(&t.a, "d/none", &st), -ENOENT);
	assert_int_equal(step_look(&t.a, "d/f/x", &st), -ENOTDIR);
	end(&t);
}

/* ---- death in the middle ---- */

#define STORY                                                                                 \
	"fo/a=x do/gone fo/gone/1=1 fo/m=m fo/t=t do/ro fo/ro/x=x mo/ro=555 do/rg fo/rg/x=x " \
	"mo/rg=555 fu/a=yy wu/gone fu/m=m mu/m=755 du/t fu/t/f=f mu/t=555 du/ro wu/ro/x "     \
	"fu/ro/y=y mu/ro=555 wu/rg"
#define STORY_BEFORE \
	"a:644=x gone:755 gone/1:644=1 m:644=m rg:555 rg/x:644=x ro:555 ro/x:644=x t:644=t "
#define STORY_AFTER "a:644=yy m:755=m ro:555 ro/y:644=y t:555 t/f:644=f "

/* What somebody leaves who dies after so many steps. */
static void leave_journal(const struct trees *t, const struct changes *c, size_t steps_to_do)
{
	struct steps s = {.stage = FD_NONE};
	struct err e = {};
	size_t i;

	if (apply_prepare(&t->a, c, &s, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	for (i = 0; i < s.n && i < steps_to_do; i++) {
		assert_int_equal(step_do(&t->a, &s, i), 0);
	}
	steps_done(&s);
}

static size_t count_steps(const struct trees *t)
{
	struct steps s = {.stage = FD_NONE};
	struct err e = {};
	size_t n;

	assert_int_equal(journal_read(&t->a, &s, &e), 0);
	n = s.n;
	steps_done(&s);
	return n;
}

/* Whatever was done by then, one way leads on and the other back. */
static void test_recover(void **state)
{
	size_t done, n = 1, way;

	for (done = 0; done <= n; done++) {
		for (way = 0; way < 2; way++) {
			struct trees t = begin(state, STORY);
			struct changes c = find(&t);
			struct conflicts found;
			struct err e = {};

			leave_journal(&t, &c, done);
			n = count_steps(&t);
			assert_true(apply_pending(t.a.journal) && !apply_lost(&t.a));
			assert_int_equal(apply_changes(&t.a, &c, &e), -EBUSY);
			e = (struct err){};
			if (apply_recover(&t.a, way == 0, &e) < 0) {
				fail_msg("%zu of %zu: %s", done, n, e.msg);
			}
			expect(way == 0 ? STORY_BEFORE : STORY_AFTER);
			expect_nothing_left(&t);
			if (way == 0) {
				/* What was moved to and fro is no change by somebody else. */
				t.a.begun_ns = 0;
				assert_int_equal(apply_check(&t.a, &c, &found, &e), 0);
				assert_int_equal(found.n, 0);
				conflicts_done(&found);
				assert_int_equal(apply_changes(&t.a, &c, &e), 0);
				expect(STORY_AFTER);
			}
			changes_done(&c);
			end(&t);
		}
	}
	assert_true(n > 10);
}

/* Undone as far as it went, then finished all the same. */
static void test_back_and_forth(void **state)
{
	struct trees t = begin(state, STORY);
	struct changes c = find(&t);
	struct err e = {};

	leave_journal(&t, &c, 1000);
	put("o/t/f", "somebody's");
	assert_true(apply_recover(&t.a, true, &e) < 0);
	assert_non_null(strstr(e.msg, "cannot undo"));
	assert_true(apply_pending(t.a.journal));
	e = (struct err){};
	if (apply_recover(&t.a, false, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	expect("a:644=yy m:755=m ro:555 ro/y:644=y t:555 t/f:644=somebody's ");
	expect_nothing_left(&t);
	changes_done(&c);
	end(&t);
}

static void test_lost(void **state)
{
	struct trees t = begin(state, STORY);
	struct changes c = find(&t);
	struct err e = {};

	leave_journal(&t, &c, 3);
	assert_int_equal(tree_remove(t.a.original, ".atoll-apply-s-test", NULL), 0);
	assert_true(apply_pending(t.a.journal) && apply_lost(&t.a));
	assert_int_equal(apply_recover(&t.a, true, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "discard"));
	changes_done(&c);
	end(&t);
}

/* Before there is a journal, what is in the staging directory is nobody's. */
static void test_clean(void **state)
{
	struct trees t = begin(state, "fo/a=x do/.atoll-apply-s-test fo/.atoll-apply-s-test/n0=y");
	struct err e = {};

	assert_int_equal(apply_clean(&t.a, &e), 0);
	expect("a:644=x ");
	make_all("do/.atoll-apply-s-test fo/.atoll-apply-s-test/o0=y fj/apply.json");
	assert_int_equal(apply_clean(&t.a, &e), 0);
	assert_int_equal(access("o/.atoll-apply-s-test/o0", F_OK), 0);
	end(&t);
}

static void test_damaged_journal(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"steps\":{}}",
		"{\"steps\":[1]}",
		"{\"steps\":[{}]}",
		"{\"steps\":[{\"kind\":\"fly\",\"path\":\"61\",\"before\":0,\"before_ns\":0,"
		"\"staged\":0,\"written_ns\":0,\"dir\":false,\"old_mode\":0,\"new_mode\":0}]}",
		"{\"steps\":[{\"kind\":\"put\",\"path\":\"6\",\"before\":0,\"before_ns\":0,"
		"\"staged\":0,\"written_ns\":0,\"dir\":false,\"old_mode\":0,\"new_mode\":0}]}",
		"{\"steps\":[{\"kind\":\"put\",\"path\":\"6100\",\"before\":0,\"before_ns\":0,"
		"\"staged\":0,\"written_ns\":0,\"dir\":false,\"old_mode\":0,\"new_mode\":0}]}",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		struct trees t = begin(state, "fo/a=x do/.atoll-apply-s-test");
		struct err e = {};

		put("j/apply.json", texts[i]);
		assert_true(apply_recover(&t.a, false, &e) < 0);
		assert_true(e.code > 0 && apply_pending(t.a.journal));
		expect(".atoll-apply-s-test:755 a:644=x ");
		end(&t);
	}
}

/* What a person can do about it is said; names are made safe to show. */
static void test_failures(void **state)
{
	static const struct {
		int r;
		const char *message;
	} table[] = {
		{-ESTALE, "cannot do 'a\\x1b': it changed meanwhile"},
		{-ENOTEMPTY, "cannot do 'a\\x1b': it changed meanwhile"},
		{-EACCES, "cannot do 'a\\x1b': Permission denied"},
		{-EXDEV, "remove it by hand and apply again"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = {};

		assert_int_equal(apply_fail("a\x1b", table[i].r, "cannot do", &e), table[i].r);
		assert_non_null(strstr(e.msg, table[i].message));
	}
}

static void test_paths_in_hex(void **state)
{
	static const char *const bad[] = {"", "6", "6g", "00", "6100", "AA"};
	const char *odd = "\xff\x01/new\nline \"";
	json_t *j = journal_path_json(odd);
	char *back = journal_path(json_string_value(j));
	size_t i;

	(void)state;
	assert_string_equal(back, odd);
	free(back);
	json_decref(j);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_null(journal_path(bad[i]));
	}
}

/* ---- each call failing in turn ---- */

static void **state_of_faults;

static void apply_faulty(bool may_fail)
{
	struct trees t;
	struct changes c;
	struct err e = {};
	int r, fds;

	t = begin(state_of_faults, STORY);
	r = changes_find(t.a.original, t.a.upper, NULL, false, &c, &e);
	if (r >= 0) {
		fds = unit_count_fds();
		r = apply_changes(&t.a, &c, &e);
		assert_int_equal(unit_count_fds(), fds);
		changes_done(&c);
	}
	assert_true(r == 0 || (may_fail && e.code > 0));
	if (apply_pending(t.a.journal)) {
		/* The way back may have failed; it is there still. */
		struct err again = {};

		if (apply_recover(&t.a, true, &again) < 0) {
			fail_msg("%s; %s", e.msg, again.msg);
		}
	}
	if (r == 0) {
		expect(STORY_AFTER);
	} else {
		char *now = picture();

		assert_true(strcmp(now, STORY_BEFORE) == 0 ||
			    (strstr(e.msg, "all was taken over") && strcmp(now, STORY_AFTER) == 0));
		free(now);
		assert_false(apply_pending(t.a.journal));
	}
	end(&t);
}

static void test_faults(void **state)
{
	state_of_faults = state;
	unit_faults(apply_faulty);
}

/* Root passes every mode; what is tested here is what everybody else meets. */
static void become_nobody(void)
{
	const gid_t other = OTHER_GROUP;

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
		IN_DIR(test_examples),
		IN_DIR(test_behind),
		IN_DIR(test_attributes),
		IN_DIR(test_group),
		IN_DIR(test_conflicts),
		IN_DIR(test_nothing_of_it),
		IN_DIR(test_written_meanwhile),
		IN_DIR(test_another_file_meanwhile),
		IN_DIR(test_used_since),
		IN_DIR(test_parents_are_not_links),
		IN_DIR(test_recover),
		IN_DIR(test_back_and_forth),
		IN_DIR(test_lost),
		IN_DIR(test_clean),
		IN_DIR(test_damaged_journal),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_paths_in_hex),
		IN_DIR(test_faults),
	};

	become_nobody();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
