/* SPDX-License-Identifier: Apache-2.0 */
/* What rules hide in a tree: by name, through links, by other names, and where nothing is. */
#include "unit.h"

#include <limits.h>

#include "linux/tree.h"
#include "policy/deny.h"
#include "workspace/hide.h"

struct tree {
	char path[PATH_MAX];
	int top, root, other;
};

/* d: directory, f: file, l: link=target, h: other name=of; below the top. */
static void make(const struct tree *t, const char *items)
{
	char *copy = strdup(items), *rest = copy, *item;

	while ((item = strsep(&rest, " "))) {
		char *text = strchr(item, '='), *path = item + 1;
		int r = -1;

		if (text) {
			*text++ = '\0';
		}
		switch (item[0]) {
		case 'd':
			r = mkdirat(t->top, path, 0755);
			break;
		case 'f':
			r = mknodat(t->top, path, S_IFREG | 0644, 0);
			break;
		case 'l':
			r = symlinkat(text, t->top, path);
			break;
		case 'h':
			r = linkat(t->top, text, t->top, path, 0);
			break;
		}
		if (r < 0) {
			fail_msg("%s: %s", item, strerror(errno));
		}
	}
	free(copy);
}

static struct tree plant(const char *items)
{
	struct tree t = {};
	char dir[] = "/tmp/atoll-hide-XXXXXX";

	assert_non_null(mkdtemp(dir));
	assert_non_null(realpath(dir, t.path));
	t.top = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make(&t, "dw dr");
	make(&t, items);
	t.root = openat(t.top, "w", O_PATH | O_CLOEXEC);
	t.other = openat(t.top, "r", O_PATH | O_CLOEXEC);
	assert_true(t.root >= 0 && t.other >= 0);
	return t;
}

static void uproot(struct tree *t)
{
	struct err e = {};

	(void)close(t->root);
	(void)close(t->other);
	(void)close(t->top);
	assert_int_equal(tree_remove(AT_FDCWD, t->path, &e), 0);
}

/* Rules are separated by spaces, relative to the top. */
static int find(const struct tree *t, const char *rules, struct deny_layers *ret, struct err *e)
{
	static char w[PATH_MAX + 64], r[PATH_MAX + 64];
	const struct hide_place places[] = {
		{.path = w,
		 .root = t->root,
		 .owner = geteuid(),
		 .group = getegid(),
		 .others = true},
		{.path = r,
		 .root = t->other,
		 .owner = geteuid(),
		 .group = getegid(),
		 .others = true},
	};
	char *copy = strdup(rules), *rest = copy, *item, *texts[16];
	size_t n = 0;
	int result;

	(void)snprintf(w, sizeof(w), "%s/w", t->path);
	(void)snprintf(r, sizeof(r), "%s/r", t->path);
	while ((item = strsep(&rest, " "))) {
		assert_true(asprintf(&texts[n++], "%s/%s", t->path, item) > 0);
	}
	result = hide_find(places, ARRAY_SIZE(places), texts, n, ret, e);
	while (n > 0) {
		free(texts[--n]);
	}
	free(copy);
	return result;
}

/* "w: dir/ dir/x; r: y": directories on the way end with a slash. */
static char *shown(const struct tree *t, const struct deny_layers *l)
{
	size_t size = 65536, n = 0;
	char *text = calloc(1, size);

	for (size_t i = 0; i < l->n; i++) {
		n += (size_t)snprintf(text + n, size - n, "%s%s:", i ? "; " : "",
				      l->list[i].place + strlen(t->path) + 1);
		for (size_t j = 0; j < l->list[i].n; j++) {
			const struct deny_hide *h = &l->list[i].list[j];

			n += (size_t)snprintf(text + n, size - n, " %s%s", h->path,
					      h->mode ? "/" : "");
		}
	}
	return text;
}

static const struct {
	const char *items, *rules, *want;
} rows[] = {
	/* plain paths, there or not, and what is missing on the way */
	{"fw/x", "w/x", "w: x"},
	{"", "w/x", "w: x"},
	{"", "w/a/b/c", "w: a"},
	{"dw/a dw/a/b", "w/a/b/c", "w: a/ a/b/ a/b/c"},
	{"dw/a fw/a/x fw/a/y", "w/a/x w/a/y", "w: a/ a/x a/y"},
	{"dw/a fw/a/x", "w/a w/a/x", "w: a"},
	{"fw/a", "w/a/b", ""},
	/* however it is spelled there; and as it is spelled in the rule */
	{"fw/.ENV", "w/.env", "w: .ENV .env"},
	{"dw/A fw/A/x dw/a", "w/a/x", "w: A/ A/x a/ a/x"},
	/* patterns hide what is there */
	{"", "w/*.pem", ""},
	{"fw/1.pem fw/2.PEM fw/3.p", "w/*.pem", "w: 1.pem 2.PEM"},
	{"fw/.env dw/a dw/a/b fw/a/b/.env dw/a/c", "w/**/.env", "w: .env a/ a/b/ a/b/.env"},
	{"dw/a fw/a/.env dw/a-b fw/a-b/.env fw/a.env", "w/**/.env", "w: a-b/ a-b/.env a/ a/.env"},
	{"dw/.env fw/.env/.env", "w/**/.env", "w: .env"},
	{"fr/.env fw/.env", "**/.env", "w: .env; r: .env"},
	{"fr/.env fw/.env", "w/**/.env", "w: .env"},
	/* a link that is denied: what it leads to is, too; one on the way */
	{"fw/t lw/l=t", "w/l", "w: l t"},
	{"fr/t lw/l=../r/t", "w/l", "w: l; r: t"},
	{"dw/d fw/d/x lw/a=b lw/b=d", "w/a/x", "w: d/ d/x"},
	{"dw/d lw/a=d", "w/a/x", "w: d/ d/x"},
	{"dw/d dw/d/e fw/d/e/k lw/s=d", "w/s/**/k", "w: d/ d/e/ d/e/k"},
	{"dw/d dw/d/e fw/d/e/k lw/s=d", "w/**/k", "w: d/ d/e/ d/e/k"},
	{"dr/d fr/d/k lw/s=../r/d", "w/**/k", "r: d/ d/k"},
	{"lw/l=nothing", "w/l", "w: l nothing"},
	{"lw/a=b lw/b=a", "w/a", "w: a"},
	{"lw/l=/etc/passwd", "w/l", "w: l"},
	/* other names of a file that is denied, or lies in what is */
	{"fw/x hw/y=w/x dw/d hw/d/z=w/x", "w/x", "w: d/ d/z x y"},
	{"dw/s fw/s/k hw/y=w/s/k fw/z hw/zz=w/z", "w/s", "w: s y"},
	{"dw/s dw/s/t fw/s/t/k hr/y=w/s/t/k", "w/s", "w: s; r: y"},
	{"fw/x hw/y=w/x", "w/z", "w: z"},
	{"fr/x hw/y=r/x lw/l=../r/x", "w/l", "w: l y; r: x"},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tree t = plant(rows[i].items[0] ? rows[i].items : "dr/empty");
		struct deny_layers l;
		struct err e = {};
		char *text;

		if (find(&t, rows[i].rules, &l, &e) < 0) {
			fail_msg("'%s': %s", rows[i].rules, e.msg);
		}
		text = shown(&t, &l);
		if (strcmp(text, rows[i].want) != 0) {
			fail_msg("'%s' in '%s':\n%s\nnot\n%s", rows[i].rules, rows[i].items, text,
				 rows[i].want);
		}
		free(text);
		deny_layers_done(&l);
		uproot(&t);
	}
}

/* What a diff must know of afterwards, beyond the rules themselves. */
static void test_extra(void **state)
{
	struct tree t = plant("fw/x hw/y*=w/x fw/t lw/l=t");
	struct deny_layers l;
	struct err e = {};
	char path[PATH_MAX + 64];

	(void)state;
	assert_int_equal(find(&t, "w/x w/l", &l, &e), 0);
	assert_int_equal(l.n_extra, 2);
	(void)snprintf(path, sizeof(path), "%s/w/t", t.path);
	assert_string_equal(l.extra[0], path);
	(void)snprintf(path, sizeof(path), "%s/w/y[*]", t.path);
	assert_string_equal(l.extra[1], path);
	deny_layers_done(&l);
	uproot(&t);
}

static void test_modes(void **state)
{
	struct tree t = plant("dw/a dw/a/b");
	struct deny_layers l;
	struct err e = {};
	struct stat st;

	(void)state;
	assert_int_equal(fchmodat(t.top, "w/a", 02751, 0), 0);
	assert_int_equal(fstatat(t.top, "w/a", &st, 0), 0);
	assert_int_equal(find(&t, "w/a/b/c", &l, &e), 0);
	assert_int_equal(l.list[0].list[0].mode, st.st_mode);
	assert_int_equal(l.list[0].list[0].time.tv_nsec, st.st_mtim.tv_nsec);
	deny_layers_done(&l);
	if (geteuid() == 0) { /* who is not the owner has the rights of others, and no more */
		assert_int_equal(fchownat(t.top, "w/a", 12345, 12345, 0), 0);
		assert_int_equal(find(&t, "w/a/b/c", &l, &e), 0);
		assert_int_equal(l.list[0].list[0].mode, S_IFDIR | 0111);
		deny_layers_done(&l);
	}
	uproot(&t);
}

static void test_refused(void **state)
{
	static const struct {
		const char *items, *rules, *why;
	} bad[] = {
		{"lw/l=.", "w/l", "hide all of"},
		{"lw/l=..", "w/l", "hide all of"},
		{"dw/d lw/d/l=../../r", "w/d/l", "hide all of"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tree t = plant(bad[i].items);
		struct deny_layers l;
		struct err e = {};

		assert_true(find(&t, bad[i].rules, &l, &e) < 0);
		assert_non_null(strstr(e.msg, bad[i].why));
		assert_int_equal(l.n, 0);
		uproot(&t);
	}
}

/* Too many names, and a tree that is too deep: an end, and no half of it. */
static void test_bounds(void **state)
{
	struct tree t = plant("dw/d");
	struct deny_layers l;
	struct err e = {};
	char name[256];
	int at;

	(void)state;
	for (int i = 0; i <= HIDE_MAX; i++) {
		(void)snprintf(name, sizeof(name), "w/d/%d.x", i);
		assert_int_equal(mknodat(t.top, name, S_IFREG | 0600, 0), 0);
	}
	assert_int_equal(find(&t, "w/**/*.x", &l, &e), -E2BIG);
	assert_int_equal(find(&t, "w/d", &l, &e), 0);
	deny_layers_done(&l);
	memset(name, 'n', 250);
	name[250] = '\0';
	at = openat(t.top, "w", O_PATH | O_CLOEXEC);
	for (int i = 0; i < 30; i++) {
		int next;

		assert_int_equal(mkdirat(at, name, 0755), 0);
		next = openat(at, name, O_PATH | O_CLOEXEC);
		(void)close(at);
		at = next;
	}
	(void)close(at);
	e = (struct err){};
	assert_int_equal(find(&t, "w/**/.env", &l, &e), -ENAMETOOLONG);
	assert_non_null(strstr(e.msg, "too deep"));
	assert_int_equal(find(&t, "w/.env", &l, &e), 0);
	deny_layers_done(&l);
	uproot(&t);
}

static struct tree faulty;

static void find_faulty(bool may_fail)
{
	struct deny_layers l;
	struct err e = {};
	int r = find(&faulty, "w/**/k w/l", &l, &e);
	char *text;

	if (r < 0) {
		assert_true(may_fail);
		assert_int_equal(l.n, 0);
		return;
	}
	text = shown(&faulty, &l);
	assert_string_equal(text, "w: a/ a/k l t y");
	free(text);
	deny_layers_done(&l);
}

static void test_faults(void **state)
{
	(void)state;
	faulty = plant("dw/a fw/a/k hw/y=w/a/k fw/t lw/l=t");
	unit_faults(find_faulty);
	uproot(&faulty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),   cmocka_unit_test(test_extra),
		cmocka_unit_test(test_modes),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
