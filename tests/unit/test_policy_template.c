/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: where they are looked for, whose they must be, and what they mean. */
#include "policy-fixture.h"

#define HOST_TEMPLATES "/etc/atoll/templates"

/* Somebody who is not root: the template's owner may be root, but the caller's id decides too. */
#define NOBODY 65534

/* Root has no templates of its own: it becomes somebody who has. */
static void lower_rights(void)
{
	if (getuid() == 0) {
		assert_int_equal(seteuid(NOBODY), 0);
	}
}

static void raise_rights(void)
{
	if (getuid() == 0) {
		assert_int_equal(seteuid(0), 0);
	}
}

static void ask_template(struct asked *a, const struct fixture *f, const char *word)
{
	ask(a, f, NULL);
	a->req.template = word;
}

static void planned_memory(const struct asked *a, uint64_t bytes)
{
	struct plan p = planned(a);

	assert_int_equal(p.limits.memory, bytes);
	plan_done(&p);
}

static const char *make_template(const struct fixture *f, const char *name, const char *memory)
{
	char text[100];

	(void)snprintf(text, sizeof(text), "version: 1\nexecution: {limits: {memory: %s}}\n",
		       memory);
	return make_file(f, name, 0644, text);
}

static void test_by_path(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	ask_template(&a, f, make_template(f, "t.yaml", "1GiB"));
	planned_memory(&a, 1 << 30);
	option(&a, "execution.limits.memory", "512MiB");
	planned_memory(&a, 512 << 20);
	option(&a, "execution.limits.memory", "2GiB");
	refused(&a, "t.yaml:2:30, which takes precedence");
	ask_template(&a, f, "../t.yaml");
	planned_memory(&a, 1 << 30);
	option(&a, "execution.limits.memory", "2GiB");
	refused(&a, "by ../t.yaml:2:30, which");
	ask_template(&a, f, "./t.yaml");
	refused(&a, "cannot open the template './t.yaml': No such file or directory");
	ask_template(&a, f, "./");
	refused(&a, "cannot read './': it is no file");
}

/* The same errors with the same places as in every document. */
static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *refusal;
	} rows[] = {
		{"", "t.yaml:1:1: the document is empty"},
		{"version: 1\nnmae: x\n", "t.yaml:2:1: unknown key 'nmae'; did you mean 'name'?"},
		{"version: 1\ntime: {wall: soon}\n", "t.yaml:2:14: time.wall: 'soon'"},
		{"version: 1\ntrust: high\n", "t.yaml:2:8: trust: high is above medium"},
		{"version: 1\ntrust: full\n", "t.yaml:2:8: trust: full may only be named on"},
		{"version: 1\nexecution: {allow: []}\n", "t.yaml:2:20: execution.allow: the list"},
		{"version: 1\nfilesystem: {read: [no/such]}\n", "t.yaml:2:21: filesystem.read"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;

		ask_template(&a, f, make_file(f, "t.yaml", 0644, rows[i].text));
		refused(&a, rows[i].refusal);
	}
}

/* The caller's own configuration comes first, XDG_CONFIG_HOME before HOME. */
static void test_by_name(void **state)
{
	struct fixture *f = *state;
	char variable[PATH_MAX];
	struct asked a;

	make_dir(f, "home/.config");
	make_dir(f, "home/.config/atoll");
	make_dir(f, "home/.config/atoll/templates");
	make_template(f, "home/.config/atoll/templates/ci.yaml", "1GiB");
	make_dir(f, "config");
	make_dir(f, "config/atoll");
	make_dir(f, "config/atoll/templates");
	ask_template(&a, f, "ci");
	lower_rights();
	planned_memory(&a, 1 << 30);
	option(&a, "execution.limits.memory", "2GiB");
	refused(&a, "home/.config/atoll/templates/ci.yaml:2:30, which takes precedence");

	(void)snprintf(variable, sizeof(variable), "XDG_CONFIG_HOME=%s", at(f, "config"));
	add_variable(f, variable);
	ask_template(&a, f, "ci");
	refused(&a, "config/atoll/templates/ci.yaml' and '" HOST_TEMPLATES "/ci.yaml'; a file "
		    "elsewhere is named by a path with a slash");
	raise_rights();
	make_template(f, "config/atoll/templates/ci.yaml", "256MiB");
	lower_rights();
	planned_memory(&a, 256 << 20);

	/* One that is not absolute is as good as none. */
	(void)snprintf(variable, sizeof(variable), "XDG_CONFIG_HOME=config");
	planned_memory(&a, 1 << 30);
	raise_rights();
}

/* What is there and cannot be examined is not passed over. */
static void test_broken_place(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	make_file(f, "home/.config", 0644, "");
	ask_template(&a, f, "ci");
	lower_rights();
	refused(&a, "home/.config/atoll/templates/ci.yaml': Not a directory");
	raise_rights();
	assert_int_equal(unlink(at(f, "home/.config")), 0);
	make_dir(f, "home/.config");
	make_dir(f, "home/.config/atoll");
	make_dir(f, "home/.config/atoll/templates");
	assert_int_equal(symlink("nowhere", at(f, "home/.config/atoll/templates/ci.yaml")), 0);
	lower_rights();
	refused(&a, "cannot open '");
	refused(&a, "home/.config/atoll/templates/ci.yaml': No such file or directory");
	raise_rights();
}

static void test_root_has_the_hosts_only(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	if (geteuid() != 0) {
		return; /* test_by_name() is about everybody else */
	}
	ask_template(&a, f, "no-such-template");
	refused(&a,
		"--template: there is no template 'no-such-template': looked for '" HOST_TEMPLATES
		"/no-such-template.yaml'; a file elsewhere");
}

static void test_no_home(void **state)
{
	struct fixture *f = *state;
	struct asked a;

	f->environ[0] = f->environ[1];
	f->environ[1] = NULL;
	ask_template(&a, f, "no-such-template");
	lower_rights();
	refused(&a, "looked for '" HOST_TEMPLATES "/no-such-template.yaml'; a file");
	raise_rights();
}

static void test_names(void **state)
{
	static const char *const names[] = {"",     ".",    "..",    "a b",  "-x",
					    "\xff", "a\nb", "a\033", "~you", ".hidden"};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct asked a;

		ask_template(&a, f, names[i]);
		refused(&a, "--template: template: ");
	}
}

/* What others could have written is no ceiling. */
static void test_owner(void **state)
{
	const struct fixture *f = *state;
	const char *path = make_template(f, "t.yaml", "1GiB");
	struct asked a;

	ask_template(&a, f, path);
	assert_int_equal(chmod(path, 0664), 0);
	refused(&a, "a template must belong to root or to you and be writable by nobody else; look "
		    "at it, then chmod go-w it");
	assert_int_equal(chmod(path, 0646), 0);
	refused(&a, "chmod go-w it");
	assert_int_equal(chmod(path, 0644), 0);
	planned_memory(&a, 1 << 30);
	if (geteuid() != 0) {
		return; /* only root can give files away */
	}
	assert_int_equal(chown(path, 12345, 0), 0);
	refused(&a, "it belongs to user 12345; chown it to root");
	assert_int_equal(chown(path, NOBODY, 0), 0);
	refused(&a, "chown it to root");
	lower_rights();
	planned_memory(&a, 1 << 30);
	raise_rights();
	assert_int_equal(chown(path, 0, 0), 0);
	lower_rights();
	planned_memory(&a, 1 << 30);
	raise_rights();
}

/* As in every document: they start at the document. */
static void test_relative_paths(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_dir(f, "shelf");
	make_dir(f, "shelf/data");
	make_dir(f, "shelf/data/part");
	ask_template(
		&a, f,
		make_file(f, "shelf/t.yaml", 0644, "version: 1\nfilesystem: {read: [data]}\n"));
	p = planned(&a);
	assert_true(plan_reads(&p, at(f, "shelf/data")));
	assert_string_equal(p.workspace.path, f->ws); /* the current directory stays the default */
	plan_done(&p);
	option(&a, "filesystem.read", at(f, "shelf/data/part"));
	p = planned(&a);
	assert_true(plan_reads(&p, at(f, "shelf/data/part")));
	assert_false(plan_reads(&p, at(f, "shelf/data")));
	plan_done(&p);
	option(&a, "filesystem.read", at(f, "shelf"));
	refused(&a, "is the most allowed by ");
}

/* A payload that can write the template chooses its walls. */
static void test_in_a_writable_workspace(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask_template(&a, f, make_file(f, "ws/t.yaml", 0644, "version: 1\n"));
	p = planned(&a);
	plan_done(&p);
	option(&a, "filesystem.workspace.mode", "direct");
	refused(&a, "ws/t.yaml' lies in the workspace '");
	refused(&a, "keep the template outside, or use mode read-only");
	assert_int_equal(symlink("ws/t.yaml", at(f, "link.yaml")), 0);
	a.req.template = at(f, "link.yaml");
	refused(&a, "link.yaml' lies in the workspace '");
}

/* The template's trust bounds what a file below it may choose. */
static void test_trust(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask_template(&a, f, make_file(f, "t.yaml", 0644, "version: 1\ntrust: low\n"));
	a.req.accept_tier = "container";
	option(&a, "profile", "dev-assistant");
	refused(&a, "t.yaml:2:8 says low");
	ask_template(&a, f, at(f, "t.yaml"));
	refused(&a, "trust low needs the microvm tier");
	ask_template(&a, f,
		     make_file(f, "t.yaml", 0644, "version: 1\ntrust: low\ntier: microvm\n"));
	a.req.accept_tier = "container";
	refused(&a, "--accept-tier: 'container' is weaker than tier microvm, which ");
	ask_template(&a, f, make_file(f, "t.yaml", 0644, "version: 1\nprofile: research\n"));
	p = planned(&a);
	assert_string_equal(p.name, "research");
	plan_done(&p);
	option(&a, "profile", "dev-assistant");
	refused(&a, "'research' is fixed by ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_by_path),
		TEST(test_mistakes),
		TEST(test_by_name),
		TEST(test_broken_place),
		TEST(test_root_has_the_hosts_only),
		TEST(test_no_home),
		TEST(test_names),
		TEST(test_owner),
		TEST(test_relative_paths),
		TEST(test_in_a_writable_workspace),
		TEST(test_trust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
