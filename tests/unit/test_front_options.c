/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `atoll run`: every option, both spellings, what is refused, where it ends. */
#include "unit.h"

#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/run-options.h"

#define MAX_WORDS 16

/* The parser cuts strings in place: it gets copies. */
struct words {
	char *argv[MAX_WORDS + 1];
	char text[MAX_WORDS][128];
	int argc;
};

static void split(struct words *w, const char *line)
{
	*w = (struct words){};
	for (; *line; line += *line == ' ') {
		size_t len = strcspn(line, " ");

		assert_true(w->argc < MAX_WORDS && len < sizeof(w->text[0]));
		/* A lone underscore stands for an empty word. */
		if (len != 1 || *line != '_') {
			memcpy(w->text[w->argc], line, len);
		}
		w->argv[w->argc] = w->text[w->argc];
		w->argc++;
		line += len;
	}
}

static int parse(struct run_options *o, struct words *w, const char *line)
{
	split(w, line);
	return run_options_parse(o, &cli_run_command, w->argc, w->argv);
}

static void test_settings(void **state)
{
	static const struct {
		const char *option, *value, *key;
	} rows[] = {
		{"--profile", "strict", "profile"},
		{"--trust", "low", "trust"},
		{"--provenance", "agent", "provenance"},
		{"--tier", "container", "tier"},
		{"--read", "/opt/x", "filesystem.read"},
		{"--env", "A=b=c", "data.env"},
		{"--allow-program", "git", "execution.allow"},
		{"--syscalls", "strict", "execution.syscalls"},
		{"--denials", "end", "execution.denials"},
		{"--memory", "2GiB", "execution.limits.memory"},
		{"--cpus", "0.5", "execution.limits.cpus"},
		{"--processes", "9", "execution.limits.processes"},
		{"--open-files", "9", "execution.limits.open_files"},
		{"--file-size", "1MB", "execution.limits.file_size"},
		{"--scratch", "1MB", "execution.limits.scratch"},
		{"--output", "1MB", "execution.limits.output"},
		{"--starts", "9", "execution.limits.starts"},
		{"--io", "20MiB/s", "execution.limits.io"},
		{"--limits", "any", "execution.limits.mechanism"},
		{"--wall", "10m", "time.wall"},
		{"--cpu-time", "10m", "time.cpu"},
		{"--idle", "10m", "time.idle"},
		{"--pauses", "3", "time.pauses"},
		{"--paused", "1h", "time.paused"},
		{"--idle-signal", "cpu", "time.idle_signals"},
	};
	struct run_options o;
	struct words w;
	char line[256];
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (j = 0; j < 2; j++) {
			(void)snprintf(line, sizeof(line), "run %s%c%s true", rows[i].option,
				       j ? '=' : ' ', rows[i].value);
			assert_int_equal(parse(&o, &w, line), 0);
			assert_int_equal(o.n_overrides, 1);
			assert_string_equal(o.overrides[0].key, rows[i].key);
			assert_string_equal(o.overrides[0].value, rows[i].value);
			assert_string_equal(o.overrides[0].option, rows[i].option);
			assert_string_equal(o.command[0], "true");
		}
	}
}

static void test_request(void **state)
{
	struct run_options o;
	struct words w;

	(void)state;
	assert_int_equal(parse(&o, &w,
			       "run --policy p.yaml --template ci --accept-tier container --json=- "
			       "--receipt r --plan-only --quiet -- cmd -x"),
			 0);
	assert_string_equal(o.file, "p.yaml");
	assert_string_equal(o.template, "ci");
	assert_string_equal(o.accept_tier, "container");
	assert_string_equal(o.json, "-");
	assert_string_equal(o.receipt, "r");
	assert_true(o.plan_only && o.quiet);
	assert_int_equal(o.n_overrides, 0);
	assert_string_equal(o.command[0], "cmd");
	assert_string_equal(o.command[1], "-x");
	assert_null(o.command[2]);
	assert_int_equal(parse(&o, &w, "run true"), 0);
	assert_null(o.file);
	assert_null(o.template);
	assert_null(o.json);
	assert_false(o.plan_only || o.quiet);
}

static void test_workspace(void **state)
{
	static const struct {
		const char *value, *path, *mode;
	} rows[] = {
		{".", ".", NULL},
		{".:direct", ".", "direct"},
		{"/a/b:read-only", "/a/b", "read-only"},
		{"/a:b", "/a:b", NULL},
		{"/a:b:copy", "/a:b", "copy"},
		{"/a:direct/b", "/a:direct/b", NULL},
		{":none", NULL, "none"},
		{"/a:", "/a:", NULL},
	};
	struct run_options o;
	struct words w;
	char line[256];
	size_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(line, sizeof(line), "run --workspace %s true", rows[i].value);
		assert_int_equal(parse(&o, &w, line), 0);
		n = 0;
		if (rows[i].mode) {
			assert_string_equal(o.overrides[n].key, "filesystem.workspace.mode");
			assert_string_equal(o.overrides[n++].value, rows[i].mode);
		}
		if (rows[i].path) {
			assert_string_equal(o.overrides[n].key, "filesystem.workspace.path");
			assert_string_equal(o.overrides[n++].value, rows[i].path);
		}
		assert_int_equal(o.n_overrides, n);
	}
}

/* Options end at the first word that is none, or at the first "--"; what follows is the payload's.
 */
static void test_where_options_end(void **state)
{
	static const struct {
		const char *line, *first;
		int words;
	} rows[] = {
		{"run", NULL, 0},
		{"run --", NULL, 0},
		{"run --quiet", NULL, 0},
		{"run true", "true", 1},
		{"run -- true", "true", 1},
		{"run -- --quiet", "--quiet", 1},
		{"run -- -- x", "--", 2},
		{"run cmd --quiet -- x", "cmd", 4},
		{"run --env A -- cmd", "cmd", 1},
		{"run --wall=1s cmd --wall 2s", "cmd", 3},
		{"run _ x", "", 2},
		{"run -- _", "", 1},
	};
	struct run_options o;
	struct words w;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(&o, &w, rows[i].line), 0);
		if (!rows[i].first) {
			assert_null(o.command);
			continue;
		}
		assert_string_equal(o.command[0], rows[i].first);
		for (n = 0; o.command[n]; n++) {
		}
		assert_int_equal(n, rows[i].words);
	}
}

static void test_refused(void **state)
{
	static const char *const lines[] = {
		"run --no-such true", "run - true",          "run -x true",
		"run --wal 1s true",  "run --walls 1s true", "run --wall",
		"run --wall= true",   "run --wall _ true",   "run --policy",
		"run --quiet=yes x",  "run --plan-only= x",  "run --workspace _ x",
		"run --json",         "run --=x y",          "run ---quiet x",
		"run --template",     "run --template= x",
	};
	struct run_options o;
	struct words w;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		if (parse(&o, &w, lines[i]) != -CLI_FAILED) {
			fail_msg("not refused: %s", lines[i]);
		}
	}
}

static void test_help(void **state)
{
	static const char *const lines[] = {"run --help", "run -h", "run --quiet --help x"};
	struct run_options o;
	struct words w;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC), r;

		/* The results of these tests are on standard output. */
		(void)fflush(stdout);
		(void)dup2(null, STDOUT_FILENO);
		r = parse(&o, &w, lines[i]);
		(void)fflush(stdout);
		(void)dup2(out, STDOUT_FILENO);
		(void)close(out);
		(void)close(null);
		assert_int_equal(r, 1);
	}
}

static void test_too_many(void **state)
{
	_cleanup_free_ char **argv = calloc(2 * RUN_MAX_OVERRIDES + 4, sizeof(*argv));
	struct run_options o;
	char name[] = "--read", value[] = "/x", command[] = "true";
	int argc = 1, i;

	(void)state;
	argv[0] = command;
	for (i = 0; i < RUN_MAX_OVERRIDES; i++) {
		argv[argc++] = name;
		argv[argc++] = value;
	}
	argv[argc] = command;
	assert_int_equal(run_options_parse(&o, &cli_run_command, argc + 1, argv), 0);
	assert_int_equal(o.n_overrides, RUN_MAX_OVERRIDES);
	argv[argc++] = name;
	argv[argc++] = value;
	assert_int_equal(run_options_parse(&o, &cli_run_command, argc, argv), -CLI_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),  cmocka_unit_test(test_request),
		cmocka_unit_test(test_workspace), cmocka_unit_test(test_where_options_end),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_help),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
