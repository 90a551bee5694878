/* SPDX-License-Identifier: Apache-2.0 */
/* Changes that the host would obey: every row of the table, and what names cannot tell. */
#include "unit.h"

#include "linux/tree.h"
#include "workspace/change.h"
#include "workspace/hazard-internal.h"
#include "workspace/hazard.h"

#define FILE_MODE (S_IFREG | 0644)
#define EXEC_MODE (S_IFREG | 0755)
#define LINK_MODE (S_IFLNK | 0777)
#define DIR_MODE  (S_IFDIR | 0755)

/* The hazards of one change. */
static struct hazards find_at(int upper, const char *search, const struct change *change)
{
	const struct changes c = {.list = (struct change *)change, .n = 1, .room = 1};
	struct hazards h = {};
	struct err e = {};

	assert_int_equal(hazards_find(&c, upper, search, &h, &e), 0);
	assert_int_equal(e.code, 0);
	for (size_t i = 0; i < h.n; i++) {
		assert_int_equal(h.list[i].change, 0);
	}
	return h;
}

/* True if the change is a hazard with that code; NULL: if it is one at all. */
static bool has(const struct change *change, const char *code)
{
	struct hazards h = find_at(FD_NONE, NULL, change);
	bool found = false;

	for (size_t i = 0; i < h.n; i++) {
		found = found || !code || strcmp(h.list[i].code, code) == 0;
	}
	hazards_done(&h);
	return found;
}

static struct change added(const char *path, mode_t mode)
{
	return (struct change){.path = (char *)path, .kind = CHANGE_ADDED, .after = {.mode = mode}};
}

static struct change deleted(const char *path, mode_t mode)
{
	return (struct change){
		.path = (char *)path, .kind = CHANGE_DELETED, .before = {.mode = mode}};
}

static struct change modified(const char *path, mode_t before, mode_t after)
{
	return (struct change){.path = (char *)path,
			       .kind = CHANGE_MODIFIED,
			       .before = {.mode = before},
			       .after = {.mode = after}};
}

static struct change linked(const char *path, const char *target)
{
	return (struct change){.path = (char *)path,
			       .kind = CHANGE_ADDED,
			       .after = {.mode = LINK_MODE, .target = (char *)target}};
}

static bool file_has(const char *path, const char *code)
{
	const struct change c = added(path, FILE_MODE);

	return has(&c, code);
}

static bool link_has(const char *path, const char *target, const char *code)
{
	const struct change c = linked(path, target);

	return has(&c, code);
}

static bool matches(const char *path, const struct hazard_row *row)
{
	struct hazard_name name = {};
	bool found;

	assert_int_equal(hazard_name_set(&name, path), 0);
	found = hazard_name_matches(&name, row->dir, row->base);
	hazard_name_done(&name);
	return found;
}

/* The example of row n is found by it before all others; what is close to it is not. */
static void check_row(size_t n)
{
	const struct hazard_row *row = &hazard_rows[n];
	const bool gone = row->when & ROW_GONE;
	const mode_t mode = row->when & ROW_EXEC ? EXEC_MODE : FILE_MODE;
	const struct change c = gone ? deleted(row->example, FILE_MODE) : added(row->example, mode);
	const enum hazard_reason reason = gone ? GUARD_REMOVED : row->reason;
	struct hazards h = find_at(FD_NONE, NULL, &c);

	if (!matches(row->example, row) || matches(row->miss, row)) {
		fail_msg("row %zu: example '%s', miss '%s'", n, row->example, row->miss);
	}
	for (size_t i = 0; i < n; i++) {
		if (matches(row->example, &hazard_rows[i]) && !(hazard_rows[i].when & ROW_GONE)) {
			fail_msg("row %zu (%s) is hidden by row %zu", n, row->example, i);
		}
	}
	assert_int_equal(h.n, reason == ORDINARY ? 0 : 1);
	if (h.n > 0) {
		assert_ptr_equal(h.list[0].code, hazard_reasons[reason].code);
		assert_ptr_equal(h.list[0].why, hazard_reasons[reason].why);
	}
	hazards_done(&h);
}

static void test_rows(void **state)
{
	(void)state;
	assert_true(hazard_rows_count > 100);
	for (size_t i = 0; i < hazard_rows_count; i++) {
		check_row(i);
	}
}

/* A row that has to be executable, or gone, is none without. */
static void test_row_conditions(void **state)
{
	struct change c = added("Report.desktop", FILE_MODE);

	(void)state;
	assert_false(has(&c, NULL));
	c = added("Makefile", DIR_MODE);
	assert_false(has(&c, NULL));
	c = added("lib/.git", DIR_MODE);
	assert_true(has(&c, "git-repository"));
	c = deleted("Makefile", FILE_MODE);
	assert_false(has(&c, NULL));
	c = deleted(".npmrc", FILE_MODE);
	assert_true(has(&c, "guard-removed"));
	c = deleted(".git", DIR_MODE);
	assert_true(has(&c, "guard-removed"));
	c = modified(".git/HEAD", FILE_MODE, FILE_MODE);
	assert_false(has(&c, NULL));
	c = deleted(".git/HEAD", FILE_MODE);
	assert_true(has(&c, "guard-removed"));
	c = modified("Makefile", FILE_MODE, S_IFREG | 0600);
	c.kind = CHANGE_MODE;
	assert_false(has(&c, NULL));
	c = modified(".git/hooks/pre-commit", FILE_MODE, EXEC_MODE);
	c.kind = CHANGE_MODE;
	assert_true(has(&c, "git-hook"));
	c = modified("configure", FILE_MODE, EXEC_MODE);
	c.kind = CHANGE_MODE;
	assert_true(has(&c, "build-script"));
	c = modified(".npmrc", FILE_MODE, DIR_MODE);
	c.kind = CHANGE_TYPE;
	assert_true(has(&c, "guard-removed"));
	c = modified("Makefile", DIR_MODE, FILE_MODE);
	c.kind = CHANGE_TYPE;
	assert_true(has(&c, "build-script"));
}

static void test_renames(void **state)
{
	struct change c = modified("notes.txt", FILE_MODE, FILE_MODE);

	(void)state;
	c.kind = CHANGE_RENAMED;
	c.from = "other.txt";
	assert_false(has(&c, NULL));
	c.from = ".git/hooks/pre-push";
	assert_true(has(&c, "guard-removed"));
	c.from = "notes.txt";
	c.path = ".git/hooks/pre-push";
	assert_true(has(&c, "git-hook"));
}

static void test_texts(void **state)
{
	bool used[HAZARD_REASONS] = {};

	(void)state;
	for (size_t i = 0; i < hazard_rows_count; i++) {
		used[hazard_rows[i].reason] = true;
	}
	for (size_t i = ORDINARY + 1; i < HAZARD_REASONS; i++) {
		const struct hazard_text *t = &hazard_reasons[i];

		assert_true(used[i] || i == GIT_BARE || i >= GUARD_REMOVED);
		assert_non_null(t->code);
		assert_int_equal(t->code[strspn(t->code, "abcdefghijklmnopqrstuvwxyz-")], '\0');
		assert_true(t->why[0] >= 'A' && t->why[0] <= 'Z');
		assert_int_equal(t->why[strlen(t->why) - 1], '.');
		assert_null(strchr(t->why, '\n'));
	}
}

/* Sources, documents and data of many languages, and names close to those of the table. */
static const char *const sources[] = {
	"README.md",
	"LICENSE",
	"CHANGELOG.md",
	"docs/index.rst",
	"src/main.c",
	"src/main.h",
	"src/git/config.c",
	"src/git/hooks.c",
	"src/hooks/useState.ts",
	"src/config.ts",
	"src/config/index.ts",
	"src/environment.ts",
	"src/env.py",
	"src/app.tsx",
	"src/app.module.css",
	"public/index.html",
	"static/logo.png",
	"package-lock.json",
	"yarn.lock",
	"pnpm-lock.yaml",
	"Cargo.lock",
	"Gemfile.lock",
	"poetry.lock",
	"uv.lock",
	"composer.lock",
	"go.sum",
	"go.mod",
	"flake.lock",
	"requirements.txt",
	"tests/test_main.py",
	"tests/__init__.py",
	"lib/main.rs",
	"src/lib.rs",
	"src/bin/tool.rs",
	"cmd/tool/main.go",
	"internal/git/git.go",
	"app/models/user.rb",
	"spec/user_spec.rb",
	"src/Main.java",
	"src/Main.kt",
	"src/main/resources/application.yml",
	"src/Program.cs",
	"lib/mix.ex",
	"x.hs",
	".gitignore",
	".dockerignore",
	".editorconfig",
	".npmignore",
	".gitkeep",
	".nvmrc",
	".mailmap",
	".clang-format",
	".clang-tidy",
	".prettierignore",
	".env.example",
	"data/table.csv",
	"data/config.json",
	"data/settings.json",
	"tasks.json",
	"settings.json",
	"launch.json",
	"extensions.json",
	"k8s/deployment.yaml",
	"charts/x/values.yaml",
	"migrations/0001_init.sql",
	"schema.graphql",
	"x.proto",
	"refs/x",
	"objects/x",
	"src/objects/HEADER",
	"src/refs/mod.rs",
	"git",
	"gitlab.md",
	".gitbook.txt",
	"a.git.txt",
	"docs/claude.md.txt",
	"scripts/deploy.sh",
	"bin/tool",
	"vim/x.vim",
	"emacs/x.el",
	"vscode/tasks.json",
	"github/workflows/ci.yml",
	"x.sh",
	"src/makefile.c",

	"cmake/readme",
	"build/readme",
	"notes.ini",
	"rust/toolchain",
	"java/gradle.java",
	"profile",
	"bashrc",
	"ssh/config.md",
	"x.wasm",
	"node_modules.md",
	"site-packages.md",
	"x.service.md",
	"x.txt",
	"a/b/c/d/e/f/g.txt",
	"caf\xc3\xa9.txt",
	"\xff\xfe",
	"...",
	" ",
	"a\nb",
	"x~1",
	"git~2",
	"gitmod",
	".gi",
	"..git",
	".git-blame-ignore-revs",
	".github/ISSUE_TEMPLATE/bug.md",
	".github/PULL_REQUEST_TEMPLATE.md",
	".github/FUNDING.yml",
	".husky.md",
};

static void test_ordinary_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (file_has(sources[i], NULL)) {
			fail_msg("'%s' is no hazard", sources[i]);
		}
	}
}

static const char *const commit[] = {
	".git/COMMIT_EDITMSG",
	".git/HEAD",
	".git/ORIG_HEAD",
	".git/FETCH_HEAD",
	".git/index",
	".git/packed-refs",
	".git/logs/HEAD",
	".git/logs/refs/heads/main",
	".git/refs/heads/main",
	".git/refs/heads/hooks/update",
	".git/refs/remotes/origin/HEAD",
	".git/refs/tags/v1",
	".git/refs/stash",
	".git/objects/ab/0123456789",
	".git/objects/pack/pack-1.pack",
	".git/objects/pack/pack-1.idx",
	".git/objects/info/commit-graph",
	".git/objects/info/packs",
	".git/info/refs",
	".git/MERGE_HEAD",
	".git/MERGE_MSG",
	".git/gc.log",
	"sub/.git/objects/ab/0123456789",
	"sub/.git/index",
	".git/modules/lib/objects/ab/01",
	".git/modules/lib/index",
	".git/worktrees/fix/index",
	".git/worktrees/fix/logs/HEAD",
};

static void test_ordinary_commit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commit); i++) {
		struct change c = modified(commit[i], FILE_MODE, FILE_MODE);

		assert_false(has(&c, NULL));
		assert_false(file_has(commit[i], NULL));
		c = added(commit[i], EXEC_MODE);
		assert_true(has(&c, "git-internals"));
		c = added(commit[i], LINK_MODE);
		c.after.target = "x";
		assert_true(has(&c, "git-internals"));
		c = added(commit[i], S_IFIFO | 0644);
		assert_true(has(&c, "git-internals") && has(&c, "special-file"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(commit); i++) {
		const struct change c = deleted(commit[i], FILE_MODE);

		assert_int_equal(has(&c, NULL), strcmp(commit[i], ".git/HEAD") == 0);
	}
}

static void test_other_git_state(void **state)
{
	(void)state;
	assert_true(file_has(".git/anything", "git-internals"));
	assert_true(file_has(".git/index.lock", "git-internals"));
	assert_true(file_has(".git/info/exclude", "git-internals"));
	assert_true(file_has(".git/modules/objects/config", "git-config"));
	assert_true(file_has(".git/modules/a/refs/b/hooks/x", "git-hook"));
	assert_true(file_has(".git/modules/config", "git-config"));
	assert_true(file_has("a/b/.git", "git-repository"));
	assert_true(file_has(".git/refs/heads/x/commondir", "git-pointer"));
	assert_true(link_has("a/.git", "x", "git-repository"));
	assert_true(link_has(".git/hooks", "x", "git-internals"));
}

/* Spellings of one name on file systems that fold names. */
static const struct {
	const char *path, *code;
} spelled[] = {
	{".GIT/config", "git-config"},
	{".Git/Hooks/Pre-Commit", "git-hook"},
	{".git /config", "git-config"},
	{".git./config", "git-config"},
	{".git. . ./config", "git-config"},
	{"git~1/config", "git-config"},
	{"GIT~1/HOOKS/x", "git-hook"},
	{"a/git~1", "git-repository"},
	{".git::$INDEX_ALLOCATION/config", "git-config"},
	{".git:$i30:$INDEX_ALLOCATION/hooks/x", "git-hook"},
	{".g\xe2\x80\x8cit/config", "git-config"}, /* U+200C */
	{".git\xe2\x80\x8c/config", "git-config"},
	{"\xe2\x80\x8d.git", "git-repository"},        /* U+200D */
	{".gi\xef\xbb\xbft", "git-repository"},        /* U+FEFF */
	{".gi\xe2\x81\xaft", "git-repository"},        /* U+206F */
	{".g\xc2\xadit/config", "git-config"},         /* U+00AD */
	{".g\xf3\xa0\x80\x81it/config", "git-config"}, /* U+E0001 */
	{".git\\config", "git-config"},
	{"a\\.git\\hooks\\x", "git-hook"},
	{"gitmod~1", "git-modules"},
	{"GITMOD~4 .", "git-modules"},
	{"gi7eba~1", "git-modules"},
	{"gi7e~123", "git-modules"},
	{"gi7d29~1", "git-attributes"},
	{".GitModules ", "git-modules"},
	{".g\xe2\x80\x8citmodules", "git-modules"},
	{".gitattributes:x", "git-attributes"},
	{".vscode/TASKS.json", "editor-settings"},
	{".v\305\277code/tasks.json", "editor-settings"}, /* long s */
	{"ma\342\204\252efile", "build-script"},          /* Kelvin sign */
	{".con\xef\xac\x81g/fish/x", "shell-start-up"},   /* ligature fi */
	{"PACKAGE.JSON", "package-scripts"},
	{"package.json.", "package-scripts"},
	{"makefile", "build-script"},
	{"claude.MD", "agent-instructions"},
};

static const char *const not_spelled[] = {
	"git~2",    ".gitx",     ".gi",      "gi7eba~0",     "gi7eba~x", "gitmod~9",
	"gix~1234", "gitmod~12", ".g\377it", ".g\xe2\x80it", ".gi t",    "x.git",
};

static void test_spellings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spelled); i++) {
		if (!file_has(spelled[i].path, spelled[i].code)) {
			fail_msg("'%s' is a %s", spelled[i].path, spelled[i].code);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_spelled); i++) {
		if (file_has(not_spelled[i], NULL)) {
			fail_msg("'%s' is no hazard", not_spelled[i]);
		}
	}
	/* Other spellings of ordinary state are no reason to stop an ordinary commit either. */
	assert_false(file_has(".GIT/index", NULL));
}

static void test_patterns(void **state)
{
	static const struct {
		struct hazard_row row;
		const char *path;
		bool matches;
	} cases[] = {
		{{.dir = "", .base = "a"}, "a", true},
		{{.dir = "", .base = "a"}, "x/y/a", true},
		{{.dir = "", .base = "a"}, "a/x", false},
		{{.dir = "", .base = "a*b"}, "ab", true},
		{{.dir = "", .base = "a*b"}, "a", false},
		{{.dir = "", .base = "a*ba"}, "aba", true},
		{{.dir = "", .base = "ab*ba"}, "aba", false},
		{{.dir = "", .base = "*"}, "\xff", true},
		{{.dir = "", .base = "["}, "[", true},
		{{.dir = "a", .base = "b"}, "a/b", true},
		{{.dir = "a", .base = "b"}, "a/a/b", true},
		{{.dir = "a", .base = "b"}, "a/x/b", false},
		{{.dir = "a", .base = "b"}, "b", false},
		{{.dir = "a/a/c", .base = "b"}, "a/a/a/c/b", true},
		{{.dir = "a/*/c", .base = "b"}, "a/x/c/b", true},
		{{.dir = "a/*/c", .base = "b"}, "a/c/b", false},
		{{.dir = "a/**/c", .base = "b"}, "a/c/b", true},
		{{.dir = "a/**/c", .base = "b"}, "z/a/x/y/c/b", true},
		{{.dir = "a/**/c", .base = "b"}, "c/a/b", false},
		{{.dir = "a/**/c/**/d", .base = "b"}, "a/c/c/d/d/b", true},
		{{.dir = "a/**", .base = "b"}, "a/b", true},
		{{.dir = "a/**", .base = "b"}, "a/x/y/b", true},
		{{.dir = "a/**", .base = "b"}, "x/b", false},
		{{.dir = "a", .base = "**"}, "a", false},
		{{.dir = "a", .base = "**"}, "x/a/b", true},
		{{.dir = "a", .base = "**"}, "a/b/c/d", true},
		{{.dir = "a/b", .base = "**"}, "a/x/b/y", false},
		{{.dir = "a/**/b", .base = "**"}, "a/x/b/y", true},
		{{.dir = "a/**/b", .base = "**"}, "a/x/b", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (matches(cases[i].path, &cases[i].row) != cases[i].matches) {
			fail_msg("%s %s %s", cases[i].row.dir, cases[i].row.base, cases[i].path);
		}
	}
}

static void test_links(void **state)
{
	(void)state;
	assert_true(link_has("x", "/etc/passwd", "link-outside"));
	assert_true(link_has("x", "..", "link-outside"));
	assert_true(link_has("a/x", "../../b", "link-outside"));
	assert_true(link_has("a/b/x", "./.././/../../c", "link-outside"));
	assert_true(link_has("a/b/x", "c/../../../../d", "link-outside"));
	assert_true(link_has("a/b/x", "l/../y", "link-outside")); /* l may lead upwards */
	assert_true(link_has("x", "a/..", "link-outside"));
	assert_false(link_has("x", "y", NULL));
	assert_false(link_has("x", ".", NULL));
	assert_false(link_has("a/x", "..", NULL));
	assert_false(link_has("a/b/x", "../../c/d", NULL));
	assert_false(link_has("x", "..a/...", NULL));
	assert_true(link_has("x", ".git/hooks", "link-into-git"));
	assert_true(link_has("a/x", "../.GIT", "link-into-git"));
	assert_true(link_has("x", "sub/git~1/config", "link-into-git"));
	assert_true(link_has(".vscode", "data", "link-in-place"));
	assert_true(link_has("a/.github", "../data", "link-in-place"));
	assert_true(link_has("a/.github/workflows", "../data", "link-in-place"));
	assert_true(link_has("node_modules", "data", "link-in-place"));
	assert_false(link_has("github", "data", NULL));
	assert_true(link_has("Makefile", "data", "build-script"));
}

static void test_modes(void **state)
{
	struct change c = added("x", S_IFREG | S_ISUID | 0755);

	(void)state;
	assert_true(has(&c, "setid"));
	c = modified("x", S_IFREG | 0755, S_IFREG | S_ISGID | 0755);
	c.kind = CHANGE_MODE;
	assert_true(has(&c, "setid"));
	c = added("x", DIR_MODE | S_ISGID);
	assert_false(has(&c, NULL));
	c = deleted("x", S_IFREG | S_ISUID | 0755);
	assert_false(has(&c, NULL));
	c = added("x", S_IFCHR | 0644);
	assert_true(has(&c, "special-file"));
	c = added("x", S_IFBLK | 0644);
	assert_true(has(&c, "special-file"));
	c = added("x", S_IFIFO | 0644);
	assert_true(has(&c, "special-file"));
	c = added("x", S_IFSOCK | 0644);
	assert_true(has(&c, "special-file"));
	c = deleted("x", S_IFIFO | 0644);
	assert_false(has(&c, NULL));
}

static void put(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, len), len);
	(void)close(fd);
}

static int enter(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fchdir(fd), 0);
	return fd;
}

/* Writes the file into the upper layer, and says if it is a hazard with that code. */
static bool content_has(int upper, const char *path, const char *text, size_t len, const char *code)
{
	const struct change c = modified(path, FILE_MODE, FILE_MODE);
	struct hazards h;
	bool found;

	put(path, text, len);
	h = find_at(upper, NULL, &c);
	found = h.n == 1 && strcmp(h.list[0].code, code) == 0;
	assert_int_equal(h.n, found ? 1 : 0);
	hazards_done(&h);
	return found;
}

#define IS_BARE(text)   content_has(upper, "a/b/HEAD", text, sizeof(text) - 1, "git-repository")
#define IS_CONFIG(text) content_has(upper, "a/b/config", text, sizeof(text) - 1, "git-config")

static void test_bare_repositories(void **state)
{
	int upper = enter(*state);
	struct change c = added("a/b/none/HEAD", FILE_MODE);
	struct hazards h;

	assert_int_equal(mkdir("a", 0700), 0);
	assert_int_equal(mkdir("a/b", 0700), 0);
	assert_true(IS_BARE("ref: refs/heads/main\n"));
	assert_true(IS_BARE("ref:refs/heads/main"));
	assert_true(IS_BARE("ref:\t \nrefs/x"));
	assert_true(IS_BARE("0123456789abcdef0123456789ABCDEF01234567\n"));
	assert_true(IS_BARE("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
	assert_false(IS_BARE(""));
	assert_false(IS_BARE("# Head\n"));
	assert_false(IS_BARE("ref: heads/main\n"));
	assert_false(IS_BARE("0123456789abcdef"));
	assert_true(content_has(upper, "a/b/head", "ref: refs/x", 11, "git-repository"));
	h = find_at(upper, NULL, &c); /* cannot be read */
	assert_int_equal(h.n, 1);
	hazards_done(&h);
	c = linked("a/b/HEAD", "x");
	h = find_at(upper, NULL, &c);
	assert_int_equal(h.n, 1);
	hazards_done(&h);
	(void)close(upper);
}

static void test_git_configurations(void **state)
{
	int upper = enter(*state);
	_cleanup_free_ char *big = calloc(1, 2 * 1024 * 1024);

	assert_int_equal(mkdir("a", 0700), 0);
	assert_int_equal(mkdir("a/b", 0700), 0);
	assert_true(IS_CONFIG("[core]\n\tpager = x\n"));
	assert_true(IS_CONFIG("# x\n\t[CORE] bare = true"));
	assert_true(IS_CONFIG("[x][include]path=y"));
	assert_true(IS_CONFIG("[filter \"x\"]\nclean = y"));
	assert_true(IS_CONFIG("[a]#\0\n[alias]\nx = !y\n"));
	assert_true(IS_CONFIG("[includeIf \"gitdir:x\"]\n"));
	assert_false(IS_CONFIG("[default]\nregion = x\n"));
	assert_false(IS_CONFIG("{\"core\": [1]}\n"));
	assert_false(IS_CONFIG(""));
	assert_true(content_has(upper, "a/b/config.worktree", "[core]", 6, "git-config"));
	assert_int_equal(mkdir(".git", 0700), 0);
	assert_int_equal(mkdir(".git/refs", 0700), 0);
	assert_true(content_has(upper, ".git/refs/config", "[core]", 6, "git-config"));
	assert_false(content_has(upper, ".git/refs/config", "0123456789", 10, "git-config"));
	assert_non_null(big);
	assert_true(content_has(upper, "a/b/config", big, 2 * 1024 * 1024, "git-config"));
	(void)close(upper);
}

/* Nothing is opened by way of a link, and a path may be longer than any. */
static void test_upper_is_walked(void **state)
{
	int upper = enter(*state);
	char path[6001];
	struct hazards h;
	struct change c;

	assert_int_equal(mkdir("real", 0700), 0);
	put("real/HEAD", "text", 4);
	assert_int_equal(symlink("real", "by-link"), 0);
	c = added("real/HEAD", FILE_MODE);
	assert_int_equal((h = find_at(upper, NULL, &c)).n, 0);
	hazards_done(&h);
	c = added("by-link/HEAD", FILE_MODE);
	assert_int_equal((h = find_at(upper, NULL, &c)).n, 1);
	hazards_done(&h);
	for (size_t i = 0; i < 5996; i += 2) {
		assert_int_equal(mkdir("d", 0700), 0);
		assert_int_equal(chdir("d"), 0);
		path[i] = 'd';
		path[i + 1] = '/';
	}
	memcpy(path + 5996, "HEAD", 5);
	put("HEAD", "text", 4);
	c = added(path, FILE_MODE);
	assert_int_equal((h = find_at(upper, NULL, &c)).n, 0);
	hazards_done(&h);
	put("HEAD", "ref: refs/heads/main", 20);
	assert_int_equal((h = find_at(upper, NULL, &c)).n, 1);
	hazards_done(&h);
	assert_int_equal(fchdir(upper), 0);
	assert_int_equal(tree_remove(upper, "d", NULL), 0);
	(void)close(upper);
}

static size_t hiding(const char *search, const struct change *c)
{
	struct hazards h = find_at(FD_NONE, search, c);
	size_t n = h.n;

	assert_true(n == 0 || strcmp(h.list[0].code, "hides-program") == 0);
	hazards_done(&h);
	return n;
}

static void test_programs(void **state)
{
	static const struct {
		const char *path;
		mode_t mode;
		size_t n;
	} cases[] = {
		{"tool", EXEC_MODE, 1},         {"bin/tool", EXEC_MODE, 1},
		{"a/bin/tool", EXEC_MODE, 1},   {"a/.bin/tool", EXEC_MODE, 1},
		{"scripts/tool", EXEC_MODE, 1}, {"sbin/tool", EXEC_MODE, 1},
		{"tool", FILE_MODE, 0},         {"src/tool", EXEC_MODE, 0},
		{"a/cabin/tool", EXEC_MODE, 0}, {"bin/tools", EXEC_MODE, 0},
		{"bin/sub/tool", EXEC_MODE, 0}, {"bin/tool", DIR_MODE, 0},
	};
	int top = enter(*state);
	_cleanup_free_ char *search = NULL;
	struct change c;

	put("tool", "", 0);
	assert_true(asprintf(&search, "relative::/nowhere:%s:%s", (char *)*state, (char *)*state) >
		    0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		c = added(cases[i].path, cases[i].mode);
		assert_int_equal(hiding(search, &c), cases[i].n);
		assert_int_equal(hiding(NULL, &c), 0);
		assert_int_equal(hiding("", &c), 0);
	}
	c = linked("bin/tool", "x");
	assert_int_equal(hiding(search, &c), 1);
	c = modified("bin/tool", EXEC_MODE, EXEC_MODE);
	assert_int_equal(hiding(search, &c), 1);
	c.kind = CHANGE_MODE;
	assert_int_equal(hiding(search, &c), 0);
	c.before.mode = FILE_MODE;
	assert_int_equal(hiding(search, &c), 1);
	c = deleted("bin/tool", EXEC_MODE);
	assert_int_equal(hiding(search, &c), 0);
	(void)close(top);
}

/* Several changes with several hazards each, in their order. */
static void find_many(bool may_fail)
{
	struct change list[] = {
		added(".git/hooks/pre-commit", S_IFREG | S_ISUID | 0755),
		added("bin/sh", EXEC_MODE),
		added("notes.txt", FILE_MODE),
		added("sh", EXEC_MODE),
		linked(".vscode", "/x/.git"),
	};
	static const struct {
		size_t change;
		const char *code;
	} expected[] = {
		{0, "git-hook"},      {0, "setid"},         {1, "hides-program"},
		{3, "hides-program"}, {4, "link-in-place"}, {4, "link-outside"},
		{4, "link-into-git"},
	};
	const struct changes c = {.list = list, .n = ARRAY_SIZE(list), .room = ARRAY_SIZE(list)};
	struct hazards h = {};
	struct err e = {};
	int r = hazards_find(&c, FD_NONE, "/bin:/usr/bin:/bin", &h, &e);

	if (r < 0) {
		assert_true(may_fail);
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(e.code, ENOMEM);
		assert_int_equal(h.n, 0);
		return;
	}
	assert_int_equal(h.n, ARRAY_SIZE(expected));
	for (size_t i = 0; i < h.n; i++) {
		assert_int_equal(h.list[i].change, expected[i].change);
		assert_string_equal(h.list[i].code, expected[i].code);
	}
	hazards_done(&h);
	hazards_done(&h);
}

static void test_many(void **state)
{
	(void)state;
	unit_faults(find_many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_row_conditions),
		cmocka_unit_test(test_renames),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ordinary_paths),
		cmocka_unit_test(test_ordinary_commit),
		cmocka_unit_test(test_other_git_state),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_modes),
		cmocka_unit_test_setup_teardown(test_bare_repositories, unit_dir_setup,
						unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_git_configurations, unit_dir_setup,
						unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_upper_is_walked, unit_dir_setup,
						unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_programs, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
