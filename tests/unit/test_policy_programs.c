/* SPDX-License-Identifier: Apache-2.0 */
/* The search path, tool chains outside /usr, and execution.allow. */
#include "policy-fixture.h"

#define SCRIPT "#!/bin/sh\n"

static bool plan_executes(const struct plan *p, const char *path)
{
	for (size_t i = 0; i < p->n_exec; i++) {
		if (strcmp(p->exec[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

/* A home as version managers leave it. */
static void make_toolchains(struct fixture *f)
{
	static const char *const dirs[] = {
		"home/.cargo",
		"home/.cargo/bin",
		"home/.cargo/registry",
		"home/.rustup",
		"home/.nvm",
		"home/.nvm/versions",
		"home/.nvm/v",
		"home/.volta",
		"home/.volta/bin",
		"home/.volta/tools",
		"home/bin",
		"home/open",
		"ws/bin",
		"home/.nvm/versions/x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		make_dir(f, dirs[i]);
	}
	make_file(f, "home/.cargo/credentials.toml", 0600, "token");
	make_file(f, "home/.cargo/bin/cargo", 0755, SCRIPT);
	make_file(f, "home/.nvm/versions/x/node", 0755, SCRIPT);
	make_file(f, "home/.volta/bin/yarn", 0755, SCRIPT);
	assert_int_equal(chmod(at(f, "home/open"), 0777), 0);
	assert_int_equal(symlink(at(f, "ws/bin"), at(f, "home/.volta/bin/ws")), 0);
}

/* PATH of the fixture with these directories of it in front. */
static void prepend(struct fixture *f, const char *const *dirs, size_t n)
{
	char path[PATH_MAX] = "";
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		used += (size_t)snprintf(path + used, sizeof(path) - used,
					 "%s:", dirs[i][0] == '=' ? dirs[i] + 1 : at(f, dirs[i]));
	}
	(void)snprintf(path + used, sizeof(path) - used, "%s", SYSTEM_PATH);
	set_path(f, path);
}

static void test_toolchains(void **state)
{
	static const char *const dirs[] = {
		"home/.cargo/bin",
		"home/.nvm/versions/x",
		"home/.volta/bin",
		"home/bin",
		"home/open",
		"ws/bin",
		"no/such",
		"=relative/bin",
		"=",
		"=.",
		"home/.cargo/bin",
		"home/.volta/bin/ws",
	};
	struct fixture *f = *state;
	char expected[PATH_MAX];
	struct asked a;
	struct plan p;

	make_toolchains(f);
	prepend(f, dirs, ARRAY_SIZE(dirs));
	ask(&a, f, NULL);
	p = planned(&a);
	(void)snprintf(expected, sizeof(expected),
		       "%s:%s:%s:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
		       at(f, "home/.cargo/bin"), at(f, "home/.nvm/versions/x"),
		       at(f, "home/.volta/bin"));
	assert_string_equal(plan_variable(&p, "PATH"), expected);
	assert_int_equal(p.n_read, 5);
	assert_true(plan_reads(&p, at(f, "home/.cargo/bin")));
	assert_true(plan_reads(&p, at(f, "home/.rustup")));
	assert_true(plan_reads(&p, at(f, "home/.nvm/versions")));
	assert_true(plan_reads(&p, at(f, "home/.volta/bin")));
	assert_true(plan_reads(&p, at(f, "home/.volta/tools")));
	assert_true(plan_notes(&p, "is left out of PATH because everybody may write there"));
	plan_done(&p);
}

/* At low trust nothing of the user's home is shown. */
static void test_no_toolchains_at_low_trust(void **state)
{
	static const char *const dirs[] = {"home/.cargo/bin"};
	struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_toolchains(f);
	prepend(f, dirs, ARRAY_SIZE(dirs));
	ask(&a, f, NULL);
	a.req.accept_tier = "container";
	option(&a, "trust", "low");
	p = planned(&a);
	assert_int_equal(p.n_read, 0);
	assert_null(strstr(plan_variable(&p, "PATH"), ".cargo"));
	plan_done(&p);
}

static void test_declared_path(void **state)
{
	struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_toolchains(f);
	ask(&a, f, NULL);
	option(&a, "data.env", "PATH=/custom/bin:/usr/bin");
	p = planned(&a);
	assert_string_equal(plan_variable(&p, "PATH"), "/custom/bin:/usr/bin");
	plan_done(&p);
	/* Inherited, it is filtered as always. */
	set_path(f, ".:/usr/bin");
	ask(&a, f, NULL);
	option(&a, "data.env", "PATH");
	p = planned(&a);
	assert_string_equal(plan_variable(&p, "PATH"),
			    "/usr/bin:/usr/local/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
	plan_done(&p);
}

/* Only the tool chains that an allowed program lives in are shown. */
static void test_allowed_toolchain(void **state)
{
	static const char *const dirs[] = {"home/.cargo/bin", "home/.volta/bin"};
	struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_toolchains(f);
	prepend(f, dirs, ARRAY_SIZE(dirs));
	ask(&a, f, NULL);
	option(&a, "execution.allow", "yarn");
	p = planned(&a);
	assert_false(p.exec_any);
	assert_int_equal(p.n_exec, 1);
	assert_string_equal(p.exec[0].path, at(f, "home/.volta/bin/yarn"));
	assert_int_equal(p.n_read, 2);
	assert_true(plan_reads(&p, at(f, "home/.volta/bin")));
	assert_true(plan_notes(&p, "is a script for '/bin/sh', which execution.allow does not"));
	plan_done(&p);
	option(&a, "execution.allow", "sh");
	p = planned(&a);
	assert_int_equal(p.n_notes, 0); /* its interpreter is listed now */
	plan_done(&p);
}

static void test_allow(void **state)
{
	struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_dir(f, "tools");
	make_dir(f, "tools/dir");
	make_file(f, "tools/one", 0755, SCRIPT);
	make_file(f, "tools/other", 0755, SCRIPT);
	make_file(f, "tools/plain", 0644, "x");
	make_file(f, "tools/.hidden", 0755, SCRIPT);
	assert_int_equal(symlink("one", at(f, "tools/onelink")), 0);
	ask(&a, f, NULL);
	option(&a, "execution.allow", at(f, "tools/o*"));
	p = planned(&a);
	assert_int_equal(p.n_exec, 2); /* the link is the file that it names */
	assert_true(plan_executes(&p, at(f, "tools/one")));
	assert_true(plan_executes(&p, at(f, "tools/other")));
	plan_done(&p);

	ask(&a, f, NULL);
	option(&a, "execution.allow", at(f, "tools/*"));
	option(&a, "execution.allow", at(f, "tools/one")); /* inside the former */
	option(&a, "execution.allow", "../tools/plain");
	p = planned(&a);
	assert_int_equal(p.n_exec, 1);
	assert_true(p.exec[0].is_dir);
	assert_string_equal(p.exec[0].path, at(f, "tools"));
	plan_done(&p);

	make_file(f, "ws/mine", 0755, "x");
	ask(&a, f, NULL);
	option(&a, "execution.allow", "./mine");
	p = planned(&a);
	assert_true(plan_notes(&p, "the payload may replace it by any program"));
	plan_done(&p);
	option(&a, "filesystem.workspace.mode", "read-only");
	p = planned(&a);
	assert_int_equal(p.n_notes, 0);
	plan_done(&p);
	option(&a, "filesystem.workspace.mode", "direct");
	p = planned(&a);
	assert_true(plan_notes(&p, "the payload may replace it by any program"));
	plan_done(&p);

	ask(&a, f, NULL);
	option(&a, "execution.allow", "/bin/s?");
	p = planned(&a);
	assert_true(p.n_exec >= 1);
	plan_done(&p);
}

static void test_allow_refused(void **state)
{
	static const struct {
		const char *element, *refusal;
	} rows[] = {
		{"no-such-program", "there is no program 'no-such-program' in PATH"},
		{"/no/such", "No such file or directory"},
		{"/usr/bin/no-such-*", "no program matches '/usr/bin/no-such-*'"},
		{"no-such-*", "no program matches 'no-such-*'"},
		{"/usr/*/env", "only the last part may be a pattern"},
		{"/proc/self/status", "it belongs to the kernel"},
		{"/dev/null", "it is no file and no directory"},
		{"", "an element is empty"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;

		ask(&a, f, NULL);
		option(&a, "execution.allow", rows[i].element);
		refused(&a, rows[i].refusal);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_toolchains),    TEST(test_no_toolchains_at_low_trust),
		TEST(test_declared_path), TEST(test_allowed_toolchain),
		TEST(test_allow),         TEST(test_allow_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
