/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Precedence, generated from the table: for each key and each pair of layers a lower value that
 * tightens passes, the same value passes, a wider one fails and the message names both places.
 */
#include "policy-fixture.h"

#include "base/buf.h"
#include "policy/merge.h"
#include "policy/scalar.h"
#include "policy/setting.h"
#include "policy/toolchain.h"

struct samples {
	char tight[PATH_MAX];
	char loose[PATH_MAX]; /* equal to tight where the rule allows one value only */
	char other[PATH_MAX]; /* neither within the other; "" where there is none */
};

static void show_number(const struct schema_key *k, uint64_t n, char *out)
{
	_cleanup_buf_ struct buf b = {};
	struct value v = {.num = n};

	buf_init(&b, 100);
	assert_true(setting_show(k, &v, &b) >= 0);
	(void)snprintf(out, PATH_MAX, "%s", buf_str(&b));
}

static void sample_words(const struct schema_key *k, struct samples *s)
{
	size_t last = k->n_words - 1;
	bool raise = k->rule == MERGE_RAISE;

	(void)snprintf(s->tight, PATH_MAX, "%s", k->words[raise ? last : 0].word);
	(void)snprintf(s->loose, PATH_MAX, "%s", k->words[raise ? 0 : last].word);
}

static void set(struct samples *s, const char *tight, const char *loose, const char *other)
{
	(void)snprintf(s->tight, PATH_MAX, "%s", tight);
	(void)snprintf(s->loose, PATH_MAX, "%s", loose);
	(void)snprintf(s->other, PATH_MAX, "%s", other);
}

/* False for keys that do not merge. */
static bool sample(const struct fixture *f, const struct schema_key *k, struct samples *s)
{
	*s = (struct samples){};
	switch (k->type) {
	case TYPE_SECTION:
		return false;
	case TYPE_INT:
	case TYPE_SIZE:
	case TYPE_RATE:
	case TYPE_DURATION:
	case TYPE_CPUS:
		show_number(k, k->rule == MERGE_RAISE ? k->max : k->min, s->tight);
		show_number(k, k->rule == MERGE_RAISE ? k->min : k->max, s->loose);
		return k->rule != MERGE_NONE;
	case TYPE_WORD:
		if (k->rule == MERGE_FREE) {
			set(s, k->words[0].word, k->words[0].word, k->words[1].word);
		} else {
			sample_words(k, s);
		}
		return true;
	case TYPE_NAME:
	case TYPE_TEXT:
		set(s, "one", "one", "two");
		return true;
	case TYPE_PATH:
	case TYPE_PATHS:
		set(s, at(f, "ws/sub"), f->ws, at(f, "other"));
		return true;
	case TYPE_PATTERNS:
	case TYPE_HOSTS:
		return false; /* test_union() */
	case TYPE_NAMES:
		set(s, k->n_words > 0 ? k->words[0].word : "one",
		    k->n_words > 0 ? k->words[0].word : "one",
		    k->n_words > 0 ? k->words[1].word : "two");
		return k->rule != MERGE_UNION;
	case TYPE_PROGRAMS:
		set(s, "/usr/bin/env", "/usr/bin/*", "/usr/sbin/*");
		return true;
	case TYPE_RULES:
		set(s, "a.example.com:443", "*.example.com:443", "example.com:443");
		return true;
	case TYPE_ENV:
		set(s, "NAME=1", "NAME", "OTHER=1");
		return true;
	}
	return false;
}

struct pair {
	struct origin high, low;
};

/* Who can say something, highest first. */
static const struct origin levels[] = {
	{.layer = LAYER_FLOOR, .file = "floor.yaml", .line = 3, .column = 5},
	{.layer = LAYER_TEMPLATE, .file = "template.yaml", .line = 5, .column = 7},
	{.layer = LAYER_FILE, .file = "policy.yaml", .line = 7, .column = 9},
	{.layer = LAYER_OPTION, .option = "--option"},
};

static int merge(const struct fixture *f, const struct schema_key *k, const struct pair *pair,
		 const char *high, const char *low, struct value *ret, struct err *e)
{
	struct plan scratch = {.identity.home = (char *)f->home};
	struct search_path search = {};
	struct merge_context ctx = {.home = f->home, .search = &search};
	struct policy layers[2] = {};
	int r;

	*ret = (struct value){};
	assert_int_equal(search_path_init(SYSTEM_PATH, f->home, &scratch, &search, e), 0);
	assert_int_equal(setting_take(k, &pair->high, high, &layers[0].v[schema_id(k)], e), 0);
	assert_int_equal(setting_take(k, &pair->low, low, &layers[1].v[schema_id(k)], e), 0);
	r = merge_key(k, layers, 2, &ctx, ret, e);
	policy_done(&layers[0]);
	policy_done(&layers[1]);
	search_path_done(&search);
	return r;
}

static void expect_pass(const struct fixture *f, const struct schema_key *k,
			const struct pair *pair, const char *high, const char *low)
{
	_cleanup_(value_done) struct value v = {};
	struct err e = {};

	if (merge(f, k, pair, high, low, &v, &e) < 0) {
		fail_msg("%s: '%s' under '%s': %s", k->path, low, high, e.msg);
	}
	assert_true(v.set);
	assert_int_equal(v.at.layer, pair->low.layer); /* the lower one counts */
}

static void expect_fail(const struct fixture *f, const struct schema_key *k,
			const struct pair *pair, const char *high, const char *low)
{
	char place_high[ORIGIN_TEXT_SIZE], place_low[ORIGIN_TEXT_SIZE];
	_cleanup_(value_done) struct value v = {};
	struct err e = {};

	if (merge(f, k, pair, high, low, &v, &e) != -EINVAL) {
		fail_msg("%s: '%s' passes under '%s'", k->path, low, high);
	}
	(void)origin_text(&pair->high, place_high);
	(void)origin_text(&pair->low, place_low);
	if (strncmp(e.msg, place_low, strlen(place_low)) != 0 || !strstr(e.msg, place_high) ||
	    !strstr(e.msg, k->path)) {
		fail_msg("%s: %s", k->path, e.msg);
	}
}

/* All that the rule of a key promises, for one pair of levels. */
static void expect_rule(const struct fixture *f, const struct schema_key *k,
			const struct pair *pair, const struct samples *s)
{
	expect_pass(f, k, pair, s->tight, s->tight);
	expect_pass(f, k, pair, s->loose, s->loose);
	expect_pass(f, k, pair, s->loose, s->tight);
	if (strcmp(s->tight, s->loose) != 0) {
		expect_fail(f, k, pair, s->tight, s->loose);
	}
	if (s->other[0] && k->rule == MERGE_FREE) {
		expect_pass(f, k, pair, s->tight, s->other);
	} else if (s->other[0]) {
		expect_fail(f, k, pair, s->loose, s->other);
	}
}

static void test_matrix(void **state)
{
	const struct fixture *f = *state;
	size_t checked = 0;

	make_dir(f, "ws/sub");
	make_dir(f, "other");
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct schema_key *k = &schema_keys[i];
		struct samples s;

		if (!sample(f, k, &s)) {
			continue;
		}
		for (size_t high = 0; high < ARRAY_SIZE(levels); high++) {
			for (size_t low = high + 1; low < ARRAY_SIZE(levels); low++) {
				expect_rule(f, k, &(struct pair){levels[high], levels[low]}, &s);
				checked++;
			}
		}
	}
	assert_int_equal(checked, 6 * 53);
}

/* A link inside the allowed directory that leads out of it is wider. */
static void test_links(void **state)
{
	const struct fixture *f = *state;
	const struct pair pair = {levels[0], levels[2]};

	make_dir(f, "allowed");
	make_dir(f, "outside");
	assert_int_equal(symlink(at(f, "outside"), at(f, "allowed/link")), 0);
	expect_fail(f, &schema_keys[KEY_READ], &pair, at(f, "allowed"), at(f, "allowed/link"));
	expect_fail(f, &schema_keys[KEY_WORKSPACE_PATH], &pair, at(f, "allowed"),
		    at(f, "allowed/link"));
	assert_int_equal(symlink("/usr/bin/env", at(f, "allowed/env")), 0);
	expect_fail(f, &schema_keys[KEY_EXEC_ALLOW], &pair,
		    (make_file(f, "allowed/tool", 0755, "x"), at(f, "allowed/*")),
		    at(f, "allowed/env"));
}

/* What a higher layer names and this host does not have holds nothing. */
static void test_missing_ceiling(void **state)
{
	const struct fixture *f = *state;
	const struct pair pair = {levels[0], levels[2]};

	expect_fail(f, &schema_keys[KEY_READ], &pair, "/no/such/place", f->ws);
	expect_fail(f, &schema_keys[KEY_EXEC_ALLOW], &pair, "no-such-program", "env");
}

/* What one level says about memory; 0 is the floor, 3 the command line. */
static void say_memory(struct asked *a, const struct fixture *f, size_t level, const char *size)
{
	static const char *const names[] = {"floor.yaml", "template.yaml", "policy.yaml"};
	char text[100];

	if (level == 3) {
		option(a, "execution.limits.memory", size);
		return;
	}
	(void)snprintf(text, sizeof(text), "version: 1\nexecution: {limits: {memory: %s}}\n", size);
	make_file(f, names[level], 0644, text);
}

/* The four levels empty, for say_memory() to fill. */
static void ask_levels(struct asked *a, const struct fixture *f, char *template)
{
	make_file(f, "floor.yaml", 0644, "version: 1\n");
	make_file(f, "template.yaml", 0644, "version: 1\n");
	ask(a, f, make_file(f, "policy.yaml", 0644, "version: 1\n"));
	(void)snprintf(template, PATH_MAX, "%s", at(f, "template.yaml"));
	a->req.template = template;
}

/* The documents and options of a request come in the order of precedence. */
static void test_order_of_levels(void **state)
{
	static const char *const places[] = {"floor.yaml:2:30", "template.yaml:2:30",
					     "policy.yaml:2:30", "--option"};
	const struct fixture *f = *state;
	char template[PATH_MAX], message[100];
	struct asked a;
	struct plan p;

	for (size_t high = 0; high < 4; high++) {
		for (size_t low = high + 1; low < 4; low++) {
			ask_levels(&a, f, template);
			say_memory(&a, f, high, "1GiB");
			say_memory(&a, f, low, "512MiB");
			p = planned(&a);
			assert_int_equal(p.limits.memory, 512 << 20);
			plan_done(&p);

			ask_levels(&a, f, template);
			say_memory(&a, f, high, "1GiB");
			say_memory(&a, f, low, "2GiB");
			refused(&a, places[low]);
			(void)snprintf(message, sizeof(message), "%s, which takes precedence",
				       places[high]);
			refused(&a, message);
		}
	}
}

/* Every level lowers the ceiling for the next. */
static void test_all_levels(void **state)
{
	const struct fixture *f = *state;
	char template[PATH_MAX];
	struct asked a;
	struct plan p;

	ask_levels(&a, f, template);
	say_memory(&a, f, 0, "4GiB");
	say_memory(&a, f, 1, "2GiB");
	say_memory(&a, f, 2, "1GiB");
	say_memory(&a, f, 3, "512MiB");
	p = planned(&a);
	assert_int_equal(p.limits.memory, 512 << 20);
	plan_done(&p);
	option(&a, "execution.limits.memory", "2GiB");
	refused(&a, "--option: execution.limits.memory: '2GiB' is refused: '1GiB' is the most "
		    "allowed by ");
	refused(&a, "policy.yaml:2:30, which takes precedence");
	say_memory(&a, f, 2, "4GiB");
	refused(&a, "template.yaml:2:30, which takes precedence");
	say_memory(&a, f, 1, "8GiB");
	refused(&a, "floor.yaml:2:30, which takes precedence");
}

/* What nobody gave comes from the profile, and may be overridden either way. */
static void test_defaults_are_no_ceiling(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask(&a, f, NULL);
	option(&a, "execution.limits.memory", "64GiB");
	option(&a, "time.wall", "5s");
	p = planned(&a);
	assert_int_equal(p.limits.memory, 64ULL << 30);
	assert_int_equal(p.limits.wall, 5000000000);
	plan_done(&p);
}

/* Variables join by name; the rest of the higher layer's stay. */
static void test_variables_join(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask(&a, f,
	    make_file(f, "policy.yaml", 0644,
		      "version: 1\ndata: {env: {A: {inherit: true}, B: fixed}}\n"));
	option(&a, "data.env", "A=mine");
	p = planned(&a);
	assert_string_equal(plan_variable(&p, "A"), "mine");
	assert_string_equal(plan_variable(&p, "B"), "fixed");
	plan_done(&p);
	option(&a, "data.env", "B=other");
	refused(&a, "data.env: 'B' is refused");
}

/* What one layer denies, no other takes away; each adds to it. */
static void test_denials_add_up(void **state)
{
	const struct fixture *f = *state;
	const char *names[] = {".env", "key", "more"};
	struct asked a;
	struct plan p;

	(void)make_file(f, "floor.yaml", 0644, "version: 1\nfilesystem: {deny: [.env]}\n");
	ask(&a, f,
	    make_file(f, "policy.yaml", 0644, "version: 1\nfilesystem: {deny: [key, .env]}\n"));
	option(&a, "filesystem.deny", "more");
	option(&a, "filesystem.workspace.path", f->ws);
	option(&a, "filesystem.workspace.mode", "read-only");
	p = planned(&a);
	assert_int_equal(p.n_deny, ARRAY_SIZE(names));
	for (size_t i = 0; i < p.n_deny; i++) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%s/%s", f->ws, names[i]);
		assert_string_equal(p.deny[i], path);
	}
	plan_done(&p);
	ask(&a, f, make_file(f, "policy.yaml", 0644, "version: 1\nfilesystem: {deny: []}\n"));
	option(&a, "filesystem.workspace.path", f->ws);
	option(&a, "filesystem.workspace.mode", "read-only");
	p = planned(&a);
	assert_int_equal(p.n_deny, 1);
	plan_done(&p);
}

static void test_unsafe_floor(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	ask(&a, f, NULL);
	assert_int_equal(chmod(f->floor, 0664), 0);
	refused(&a, "the floor must belong to root");
	assert_int_equal(unlink(f->floor), 0);
	refused(&a, "cannot open");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_matrix, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_links, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_missing_ceiling, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_order_of_levels, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_all_levels, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_defaults_are_no_ceiling, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_variables_join, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_denials_add_up, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unsafe_floor, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
