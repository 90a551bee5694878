/* SPDX-License-Identifier: Apache-2.0 */
/* A diff and an apply where the policy denies something: what is shown, refused and left. */
#include "unit.h"

#include <limits.h>
#include <sys/xattr.h>

#include "linux/tree.h"
#include "policy/deny.h"
#include "workspace/apply.h"
#include "workspace/change.h"

struct trees {
	char path[PATH_MAX];
	int top, original, upper, journal;
};

/* d: directory, f: file, w: whiteout, y: opaque directory; below the top. */
static void make(const struct trees *t, const char *items)
{
	char *copy = strdup(items), *rest = copy, *item;

	while ((item = strsep(&rest, " "))) {
		const char *path = item + 1;
		int r = item[0] == 'f'   ? mknodat(t->top, path, S_IFREG | 0644, 0)
			: item[0] == 'w' ? mknodat(t->top, path, S_IFCHR, 0)
					 : mkdirat(t->top, path, 0755);

		assert_int_equal(r, 0);
		if (item[0] == 'y') {
			int fd = openat(t->top, path, O_RDONLY | O_CLOEXEC);

			if (fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0) {
				print_message("no extended attributes of users in /tmp\n");
				skip();
			}
			(void)close(fd);
		}
	}
	free(copy);
}

static struct trees plant(const char *items)
{
	struct trees t = {};
	char dir[] = "/tmp/atoll-denied-XXXXXX";

	assert_non_null(mkdtemp(dir));
	assert_non_null(realpath(dir, t.path));
	t.top = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make(&t, "do du dj");
	make(&t, items);
	t.original = openat(t.top, "o", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t.upper = openat(t.top, "u", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t.journal = openat(t.top, "j", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t;
}

static void uproot(struct trees *t)
{
	struct err e = {};

	(void)close(t->original);
	(void)close(t->upper);
	(void)close(t->journal);
	(void)close(t->top);
	assert_int_equal(tree_remove(AT_FDCWD, t->path, &e), 0);
}

/* The workspace is called /w; rules are separated by spaces. */
static int find(const struct trees *t, const char *rules, struct changes *ret, struct err *e)
{
	struct deny_rules list = {};
	const struct change_view deny = {.rules = &list, .workspace = "/w"};
	char *copy = strdup(rules), *rest = copy, *item;
	int r = 0;

	*ret = (struct changes){};
	while (r >= 0 && (item = strsep(&rest, " "))) {
		r = deny_add(&list, item);
	}
	r = r < 0 ? err_set(e, ERR_SYSTEM, -r, "no rule")
		  : changes_find(t->original, t->upper, &deny, true, ret, e);
	deny_done(&list);
	free(copy);
	return r;
}

/* "A!x D y -z": what is denied has a !, what is withheld a -. */
static void shown(const struct changes *c, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < c->n; i++) {
		n += (size_t)snprintf(out + n, size - n, "%s%c%s%s", n ? " " : "",
				      change_letter(c->list[i].kind), c->list[i].denied ? "!" : "",
				      c->list[i].path);
	}
	for (size_t i = 0; i < c->n_withheld; i++) {
		n += (size_t)snprintf(out + n, size - n, "%s-%s", n ? " " : "", c->withheld[i]);
	}
}

static const struct {
	const char *items, *rules, *want;
} rows[] = {
	/* made where something is, where nothing is, and in what is denied */
	{"fo/x fu/x", "/w/x", "A!x"},
	{"fu/x", "/w/x", "A!x"},
	{"do/d fo/d/k du/d fu/d/n", "/w/d", "A!d A!d/n"},
	{"fo/X fu/X", "/w/x", "A!X"},
	{"fo/x fu/y", "/w/x", "Ay"},
	/* a whiteout there is nobody's deletion */
	{"fo/x wu/x", "/w/x", ""},
	{"fo/x wu/x fo/y wu/y", "/w/x", "Dy"},
	/* what is above it goes, or is made anew */
	{"do/d fo/d/k fo/d/a wu/d", "/w/d/k", "Dd Dd/a -d/k"},
	{"do/d fo/d/k fo/d/a yu/d", "/w/d/k", "Dd/a -d/k"},
	{"do/d fo/d/k fu/d", "/w/**/k", "Td -d/k"},
	{"do/d do/d/e fo/d/e/k wu/d", "/w/**/k", "Dd Dd/e -d/e/k"},
	{"do/d fo/d/k yu/d fu/d/k", "/w/d/k", "A!d/k -d/k"},
	/* the rules of elsewhere */
	{"fo/x fu/y", "/v/y /w/z", "Ay"},
};

static void test_rows(void **state)
{
	char text[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct trees t = plant(rows[i].items);
		struct changes c;
		struct err e = {};

		assert_int_equal(find(&t, rows[i].rules, &c, &e), 0);
		shown(&c, text, sizeof(text));
		if (strcmp(text, rows[i].want) != 0) {
			fail_msg("'%s' in '%s': '%s', not '%s'", rows[i].rules, rows[i].items, text,
				 rows[i].want);
		}
		for (size_t j = 0; j < c.n; j++) {
			assert_true(!c.list[j].denied || c.list[j].before.mode == 0);
		}
		changes_done(&c);
		uproot(&t);
	}
}

static struct apply apply_of(const struct trees *t)
{
	return (struct apply){.original = t->original,
			      .upper = t->upper,
			      .journal = t->journal,
			      .id = "s-test",
			      .begun_ns = INT64_MAX};
}

/* What stands in the way of each; a denied change is not taken even by who does not look. */
static void test_apply(void **state)
{
	struct trees t = plant("fo/x fu/x do/d fo/d/k fo/d/a wu/d do/e fo/e/k fu/e fu/n");
	struct apply a = apply_of(&t);
	struct conflicts found;
	struct changes c;
	struct err e = {};
	struct stat st;

	(void)state;
	assert_int_equal(find(&t, "/w/x /w/**/k", &c, &e), 0);
	assert_int_equal(apply_check(&a, &c, &found, &e), 0);
	assert_int_equal(found.n, 3);
	for (size_t i = 0; i < found.n; i++) {
		const char *path = c.list[found.list[i].change].path;

		assert_non_null(strstr("d e x", path));
		assert_non_null(strstr(found.list[i].why, strcmp(path, "x") == 0
								  ? "the policy denies"
								  : "the policy hides"));
	}
	conflicts_done(&found);
	assert_int_equal(apply_changes(&a, &c, &e), -EPERM);
	assert_int_equal(fstatat(t.original, "n", &st, 0), -1);
	assert_int_equal(fstatat(t.original, "d/a", &st, 0), 0);
	/* Nor is a directory removed that holds something, whatever the list says. */
	for (size_t i = 0; i < c.n; i++) {
		c.list[i].denied = false;
	}
	e = (struct err){};
	assert_true(apply_changes(&a, &c, &e) < 0);
	assert_int_equal(fstatat(t.original, "d/k", &st, 0), 0);
	assert_int_equal(fstatat(t.original, "e/k", &st, 0), 0);
	changes_done(&c);
	uproot(&t);
}

static struct trees faulty;

static void find_faulty(bool may_fail)
{
	char text[4096];
	struct changes c;
	struct err e = {};

	if (find(&faulty, "/w/x /w/**/k", &c, &e) < 0) {
		assert_true(may_fail);
		assert_int_equal(c.n, 0);
		assert_int_equal(c.n_withheld, 0);
		return;
	}
	shown(&c, text, sizeof(text));
	assert_string_equal(text, "Dd Dd/a An A!x -d/k");
	changes_done(&c);
}

static void test_faults(void **state)
{
	(void)state;
	faulty = plant("fo/x fu/x do/d fo/d/k fo/d/a wu/d fu/n");
	unit_faults(find_faulty);
	uproot(&faulty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
