/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of filesystem.deny: how they may be spelled, and what they hit. */
#include "unit.h"

#include <limits.h>

#include "base/buf.h"
#include "policy/deny.h"

static void test_spelling(void **state)
{
	static const char *const good[] = {
		".env",
		"**/.env",
		"**/*.pem",
		"secrets/",
		"~/proj/key",
		"/srv/x",
		"a/b/c",
		"*",
		"a?b",
		"[abc]",
		"[a-z]x",
		"[]x]",
		"[[]",
		"[*]",
		"a/**/b",
		"a/**",
		"[!]",
		"[^]",
		"...",
		"..x",
		".x.",
		"caf\u00e9",
		"[\u4e2d\u6587]",
		"-x",
		"a b",
		"[-a]",
		"[a-]",
		"[~]",
	};
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"..", "'..'"},
		{"../x", "'..'"},
		{"a/../b", "'..'"},
		{".", "'.'"},
		{"./a", "'.'"},
		{"a/.", "'.'"},
		{"a//b", "empty"},
		{"//a", "empty"},
		{"a//", "empty"},
		{"/", "all there is"},
		{"**", "all there is"},
		{"**/**", "all there is"},
		{"**/", "all there is"},
		{"~", "~/"},
		{"~x", "~/"},
		{"~/", "all there is"},
		{"a**", "stands alone"},
		{"**a/b", "stands alone"},
		{"[a", "no ']'"},
		{"a[", "no ']'"},
		{"[]", "no ']'"},
		{"[a/b]", "no ']'"},
		{"[!a]", "what is not"},
		{"[^a]", "what is not"},
		{"[z-a]", "upwards"},
		{"[A-z]", "one case"},
		{"[0-B]", "one case"},
		{"[\u00e9]", "several"},
		{"[a-\u00e9]", "ASCII"},
		{"a\\*", "quotes nothing"},
		{"/proc/1", "/proc"},
		{"/dev/null", "/dev"},
		{"/sys", "/sys"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (deny_wrong(good[i])) {
			fail_msg("'%s': %s", good[i], deny_wrong(good[i]));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *why = deny_wrong(bad[i].text);

		if (!why || !strstr(why, bad[i].why)) {
			fail_msg("'%s': %s", bad[i].text, why ? why : "nothing is wrong");
		}
	}
}

/* What a rule makes of a path below a workspace /w: h hits it, b may hit something below, n not. */
static const struct {
	const char *rule, *path;
	char verdict;
} matches[] = {
	{".env", ".env", 'h'},
	{".env", ".env/x/y", 'h'},
	{".env", "a/.env", 'n'},
	{".env", ".envx", 'n'},
	{".env", ".en", 'n'},
	{".env", ".ENV", 'h'},
	{".ENV", ".env", 'h'},
	{".env", ".env.", 'h'},
	{".env", ".env .", 'h'},
	{".env/", ".env", 'h'},
	{"a/b", "a", 'b'},
	{"a/b", "A/B", 'h'},
	{"a/b", "a/c", 'n'},
	{"a/b", "b", 'n'},
	{"/w/a", "a", 'h'},
	{"/x/a", "a", 'n'},
	{"/w", "a", 'h'},
	{"~/k", "k", 'n'},
	{"**/.env", ".env", 'h'},
	{"**/.env", "a", 'b'},
	{"**/.env", "a/b/c/.Env", 'h'},
	{"**/.env", "a/b/c/env", 'b'},
	{"a/**/b", "a/b", 'h'},
	{"a/**/b", "a/x/y/b/z", 'h'},
	{"a/**/b", "b", 'n'},
	{"a/**/b/**/c", "a/b/x/b/c", 'h'},
	{"a/**/b/**/c", "a/c/b", 'b'},
	{"a/**", "a", 'b'},
	{"a/**", "a/x", 'h'},
	{"*", "x", 'h'},
	{"*.pem", "x.pem", 'h'},
	{"*.pem", "X.PEM", 'h'},
	{"*.pem", ".pem", 'h'},
	{"*.pem", "x.pem.", 'h'},
	{"*.pem", "x.pemx", 'n'},
	{"*.pem", "a/x.pem", 'n'},
	{"**/*.pem", "a/x.pem", 'h'},
	{"a*b*c", "axxbyyc", 'h'},
	{"a*b*c", "abc", 'h'},
	{"a*b*c", "axxbyy", 'n'},
	{"a*b*c", "abcbc", 'h'},
	{"?", "x", 'h'},
	{"?", "xy", 'n'},
	{"?", "\u00e9", 'h'},
	{"?", "e\u0301", 'h'},
	{"?", "\u00df", 'h'},
	{"?", "\ud55c", 'h'},
	{"?", "\u1112\u1161\u11ab", 'h'},
	{"?", "\u0bca", 'h'},
	{"?", "\u0bc6\u0bbe", 'h'},
	{"?", "\xff", 'h'},
	{"a?c", "a\u00e9c", 'h'},
	{"a?c", "ae\u0301c", 'h'},
	{"[ab]x", "Bx", 'h'},
	{"[AB]x", "bx", 'h'},
	{"[ab]x", "cx", 'n'},
	{"[a-c]", "B", 'h'},
	{"[A-C]", "b", 'h'},
	{"[0-_]", "q", 'h'},
	{"[0-9]", "a", 'n'},
	{"[]-]", "]", 'h'},
	{"[]-]", "-", 'h'},
	{"[[]x", "[x", 'h'},
	{"[*]x", "*x", 'h'},
	{"[*]x", "yx", 'n'},
	{"[e]", "\u00e9", 'n'},
	{"[ef]", "\u00e9", 'h'},
	{"[\u4e2d]", "\u4e2d", 'h'},
	{"[\u4e2d]", "\u6587", 'n'},
	{"caf\u00e9", "cafe\u0301", 'h'},
	{"cafe\u0301", "CAF\u00c9", 'h'},
	{"caf\u00e9*", "cafe\u0301.txt", 'h'},
	{"stra\u00dfe", "STRASSE", 'h'},
	{"*\u00e9", "xe\u0301", 'h'},
	{"a\u200db", "ab", 'h'},
	{"ab", "a\u200db", 'h'},
	{"a b", "a b", 'h'},
};

static int judge(const char *rule, const char *path)
{
	_cleanup_buf_ struct buf text = {};
	char whole[PATH_MAX], *list;

	buf_init(&text, PATH_MAX);
	assert_null(deny_wrong(rule));
	assert_int_equal(deny_absolute(rule, "/w", "/home/u", &text), 0);
	(void)snprintf(whole, sizeof(whole), "/w/%s", path);
	list = text.data;
	return deny_judge(&list, 1, whole, NULL);
}

static void test_matching(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
		int v = judge(matches[i].rule, matches[i].path);

		assert_true(v >= 0);
		if ("nbh"[v] != matches[i].verdict) {
			fail_msg("'%s' of '%s': %c, not %c", matches[i].path, matches[i].rule,
				 "nbh"[v], matches[i].verdict);
		}
	}
}

/* The order of rules, and how many there are, make no difference. */
static void test_order(void **state)
{
	char *const one[] = {"/w/a", "/w/**/.env", "/w/*.pem", "/w/a/b"};
	char *const two[] = {"/w/a/b", "/w/*.pem", "/w/a", "/w/**/.env", "/w/a"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "/w/%s", matches[i].path);
		assert_int_equal(deny_judge(one, ARRAY_SIZE(one), path, NULL),
				 deny_judge(two, ARRAY_SIZE(two), path, NULL));
	}
}

/* A place may have any name: nothing in it is taken for a pattern. */
static void test_places(void **state)
{
	static const char *const places[] = {"/w",  "/a*b",         "/[x]/y",
					     "/q?", "/back\\slash", "/a [z]"};
	char prefix[PATH_MAX];
	const char *rest;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_buf_ struct buf text = {};
		char path[PATH_MAX], *list;

		buf_init(&text, PATH_MAX);
		assert_int_equal(deny_absolute("d/*.x", places[i], "/home", &text), 0);
		list = text.data;
		(void)snprintf(path, sizeof(path), "%s/d/1.x", places[i]);
		assert_int_equal(deny_judge(&list, 1, path, NULL), DENY_HIT);
		assert_int_equal(deny_judge(&list, 1, "/axb/d/1.x", NULL), DENY_NONE);
		assert_int_equal(deny_prefix(text.data, prefix, &rest), 0);
		(void)snprintf(path, sizeof(path), "%s/d", places[i]);
		assert_string_equal(prefix, path);
		assert_string_equal(rest, "/*.x");
	}
	assert_int_equal(deny_absolute("x", NULL, "/home", &(struct buf){}), -ENOENT);
}

static void append(char *to, size_t size, const char *text)
{
	size_t len = strlen(to);

	(void)snprintf(to + len, size - len, "%s", text);
}

/* Long names and patterns that try many ways end soon. */
static void test_bounds(void **state)
{
	struct deny_rules r = {};
	char rule[600] = "/w/", path[4096] = "/w/", deep[4096] = "";
	char *list = rule;

	(void)state;
	for (size_t i = 0; i < 120; i++) {
		append(rule, sizeof(rule), "*a");
	}
	memset(path + 3, 'a', 1000);
	path[1002] = 'b';
	assert_int_equal(deny_judge(&list, 1, path, NULL), DENY_NONE);
	for (size_t i = 0; i < DENY_MAX_PARTS; i++) {
		append(deep, sizeof(deep), "/x");
	}
	assert_int_equal(deny_add(&r, deep), 0);
	assert_int_equal(deny_add(&r, deep), 0);
	assert_int_equal(r.n, 1);
	append(deep, sizeof(deep), "/x");
	assert_int_equal(deny_add(&r, deep), -EINVAL);
	assert_int_equal(deny_add(&r, "x"), -EINVAL);
	for (size_t i = 1; i < DENY_MAX_ALL; i++) {
		(void)snprintf(path, sizeof(path), "/%zu", i);
		assert_int_equal(deny_add(&r, path), 0);
	}
	assert_int_equal(deny_add(&r, "/more"), -E2BIG);
	deny_done(&r);
}

static void judge_faulty(bool may_fail)
{
	char *const rules[] = {"/w/**/[a]*", "/w/x"};
	int v = deny_judge(rules, ARRAY_SIZE(rules), "/w/b/abc", NULL);

	assert_true(v == DENY_HIT || (may_fail && v == -ENOMEM));
}

static void test_faults(void **state)
{
	(void)state;
	unit_faults(judge_faulty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spelling), cmocka_unit_test(test_matching),
		cmocka_unit_test(test_order),    cmocka_unit_test(test_places),
		cmocka_unit_test(test_bounds),   cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
