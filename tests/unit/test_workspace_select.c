/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing changes: by paths, and by answers that have to fit together. */
#include "unit.h"

#include "workspace/change.h"
#include "workspace/select.h"

#define FILE_MODE (S_IFREG | 0644)
#define DIR_MODE  (S_IFDIR | 0755)

/* Sorted as changes_find() does. */
static const struct change rows[] = {
	{.path = "a", .kind = CHANGE_MODIFIED, .before = {FILE_MODE}, .after = {FILE_MODE}},
	{.path = "dir", .kind = CHANGE_TYPE, .before = {FILE_MODE}, .after = {DIR_MODE}},
	{.path = "dir/x", .kind = CHANGE_ADDED, .after = {FILE_MODE}},
	{.path = "gone", .kind = CHANGE_DELETED, .before = {DIR_MODE}},
	{.path = "gone/1", .kind = CHANGE_DELETED, .before = {FILE_MODE}},
	{.path = "gone/in", .kind = CHANGE_DELETED, .before = {DIR_MODE}},
	{.path = "gone/in/2", .kind = CHANGE_DELETED, .before = {FILE_MODE}},
	{.path = "moved", .from = "was/here", .kind = CHANGE_RENAMED, .after = {FILE_MODE}},
	{.path = "new", .kind = CHANGE_ADDED, .after = {DIR_MODE}},
	{.path = "new-", .kind = CHANGE_ADDED, .after = {FILE_MODE}},
	{.path = "new/in", .kind = CHANGE_ADDED, .after = {DIR_MODE}},
	{.path = "new/in/f", .kind = CHANGE_ADDED, .after = {FILE_MODE}},
	{.path = "now", .kind = CHANGE_TYPE, .before = {DIR_MODE}, .after = {FILE_MODE}},
	{.path = "now/was", .kind = CHANGE_DELETED, .before = {FILE_MODE}},
	{.path = "sub", .kind = CHANGE_MODE, .before = {DIR_MODE}, .after = {S_IFDIR | 0700}},
	{.path = "sub/n", .kind = CHANGE_ADDED, .after = {FILE_MODE}},
};

#define N ARRAY_SIZE(rows)

static struct changes all(void)
{
	struct changes c = {.list = calloc(N, sizeof(*c.list)), .n = N, .room = N};
	size_t i;

	for (i = 0; i < N; i++) {
		c.list[i] = rows[i];
		c.list[i].path = strdup(rows[i].path);
		c.list[i].from = rows[i].from ? strdup(rows[i].from) : NULL;
	}
	return c;
}

static void expect(const struct changes *c, const char *paths)
{
	char text[512] = "";
	size_t i, len = 0;

	for (i = 0; i < c->n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
					c->list[i].path);
	}
	assert_string_equal(text, paths);
}

static void test_at(void **state)
{
	struct changes c = all();
	const struct changes none = {};
	size_t i;

	(void)state;
	for (i = 0; i < N; i++) {
		assert_ptr_equal(changes_at(&c, rows[i].path, strlen(rows[i].path)), &c.list[i]);
	}
	assert_ptr_equal(changes_at(&c, "new/in/f", 6), &c.list[10]);
	assert_null(changes_at(&c, "ne", 2));
	assert_null(changes_at(&c, "", 0));
	assert_null(changes_at(&c, "zzz", 3));
	assert_null(changes_at(&none, "a", 1));
	changes_done(&c);
}

static void test_select(void **state)
{
	static const struct {
		const char *paths[3], *expected, *unknown;
	} table[] = {
		{{"a"}, "a", NULL},
		{{"./a"}, "a", NULL},
		{{".//a//"}, "a", NULL},
		{{"new"}, "new new/in new/in/f", NULL},
		{{"new/"}, "new new/in new/in/f", NULL},
		{{"new-"}, "new-", NULL},
		{{"new/in/f"}, "new new/in new/in/f", NULL},
		{{"gone/1"}, "gone/1", NULL},
		{{"gone/in"}, "gone/in gone/in/2", NULL},
		{{"dir/x"}, "dir dir/x", NULL},
		{{"now/was"}, "now/was", NULL},
		{{"sub/n"}, "sub/n", NULL},
		{{"was"}, "moved", NULL},
		{{"moved"}, "moved", NULL},
		{{"a", "new-"}, "a new-", NULL},
		{{"a", "nothing", "nor-this"}, "a", "nothing"},
		{{"ne"}, "", "ne"},
		{{"/a"}, "", "/a"},
		{{"new/../a"}, "", "new/../a"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct changes c = all();
		const char *unknown = "";
		size_t n = 0;

		while (n < 3 && table[i].paths[n]) {
			n++;
		}
		assert_int_equal(changes_select(&c, (char *const *)table[i].paths, n, &unknown), 0);
		expect(&c, table[i].expected);
		if (table[i].unknown) {
			assert_string_equal(unknown, table[i].unknown);
		} else {
			assert_null(unknown);
		}
		changes_done(&c);
	}
}

static void test_whole(void **state)
{
	static const char *const whole[] = {".", "./", ""};
	size_t i;

	(void)state;
	for (i = 0; i <= ARRAY_SIZE(whole); i++) {
		struct changes c = all();
		const char *unknown = "";

		/* The last time with no path at all. */
		assert_int_equal(changes_select(&c, (char *const *)&whole[i % 3],
						i < ARRAY_SIZE(whole), &unknown),
				 0);
		assert_null(unknown);
		assert_int_equal(c.n, N);
		changes_done(&c);
	}
}

static size_t place(const char *path)
{
	size_t i;

	for (i = 0; strcmp(rows[i].path, path) != 0; i++) {
	}
	return i;
}

/* What is in a directory that does not come has no place. */
static void test_homeless(void **state)
{
	struct changes c = all();
	bool chosen[N] = {};

	(void)state;
	assert_true(changes_homeless(&c, place("new/in/f"), chosen));
	chosen[place("new/in")] = true;
	assert_true(changes_homeless(&c, place("new/in/f"), chosen));
	chosen[place("new")] = true;
	assert_false(changes_homeless(&c, place("new/in/f"), chosen));
	assert_true(changes_homeless(&c, place("dir/x"), chosen));
	/* What is in one that is there, or that goes, has. */
	assert_false(changes_homeless(&c, place("sub/n"), chosen));
	assert_false(changes_homeless(&c, place("gone/in/2"), chosen));
	assert_false(changes_homeless(&c, place("now/was"), chosen));
	assert_false(changes_homeless(&c, place("a"), chosen));
	changes_done(&c);
}

/* A directory stays where anything in it does. */
static void test_reconcile(void **state)
{
	static const struct {
		const char *stays, *expected;
		size_t n;
	} table[] = {
		{"gone/in/2", "gone/1", 2},
		{"gone/1", "gone/in gone/in/2", 1},
		{"gone/in", "gone/1 gone/in/2", 1},
		{"gone", "gone/1 gone/in gone/in/2", 0},
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct changes c = all();
		bool chosen[N] = {};

		for (k = place("gone"); k <= place("gone/in/2"); k++) {
			chosen[k] = strcmp(rows[k].path, table[i].stays) != 0;
		}
		assert_int_equal(changes_reconcile(&c, chosen), table[i].n);
		changes_keep(&c, chosen);
		expect(&c, table[i].expected);
		changes_done(&c);
	}
}

/* Also where it would become something else; and what is not chosen below others is no matter. */
static void test_reconcile_type(void **state)
{
	struct changes c = all();
	bool chosen[N];

	(void)state;
	memset(chosen, true, sizeof(chosen));
	chosen[place("now/was")] = chosen[place("sub/n")] = chosen[place("new/in/f")] = false;
	assert_int_equal(changes_reconcile(&c, chosen), 1);
	assert_false(chosen[place("now")]);
	assert_true(chosen[place("sub")] && chosen[place("new/in")]);
	changes_done(&c);
}

static void select_one(bool may_fail)
{
	char *const paths[] = {(char *)"new"};
	struct changes c = all();
	const char *unknown;
	int r = changes_select(&c, paths, 1, &unknown);

	assert_true(r == 0 || (may_fail && r == -ENOMEM));
	assert_int_equal(c.n, r == 0 ? 3 : N);
	changes_done(&c);
}

static void test_faults(void **state)
{
	(void)state;
	unit_faults(select_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at),        cmocka_unit_test(test_select),
		cmocka_unit_test(test_whole),     cmocka_unit_test(test_homeless),
		cmocka_unit_test(test_reconcile), cmocka_unit_test(test_reconcile_type),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
