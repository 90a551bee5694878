/* SPDX-License-Identifier: Apache-2.0 */
/* `atoll policy`: show, check, explain, schema. Reads documents; starts nothing. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "policy/plan.h"
#include "policy/policy.h"

extern char **environ;

/* Options that the subcommands share; each takes some of them. */
struct options {
	const char *trust;
	const char *profile;
	const char *floor;
	const char *template;
	const char *accept_tier;
	bool json;
	bool help;
	char **files;
	size_t n_files;
};

struct subcommand {
	const char *name;
	const char *takes; /* the short letters of its options */
	size_t max_files;
	int (*run)(const struct options *o);
	const char *help;
};

static const struct option all_options[] = {
	{"trust", required_argument, NULL, 't'},
	{"profile", required_argument, NULL, 'p'},
	{"floor", required_argument, NULL, 'f'},
	{"template", required_argument, NULL, 'm'},
	{"accept-tier", required_argument, NULL, 'a'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{},
};

/* One line on standard error; the exit code of a failure. */
#define complain(...) (cli_say(__VA_ARGS__), CLI_FAILED)

/* Ends a subcommand that wrote to standard output: a full disk is an error, too. */
static int written(void)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		return complain("cannot write to standard output: %s", strerror(errno));
	}
	return 0;
}

/* Prints and releases a document; NULL means out of memory. */
static int print_json(json_t *taken)
{
	_cleanup_json_ json_t *j = taken;

	int r = j ? json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) : -1;

	if (!j || (r < 0 && !ferror(stdout))) {
		return complain("cannot print the result: out of memory");
	}
	(void)putchar('\n');
	return written();
}

/* ---- show ---- */

/* The second comment line of a profile says what it is for. */
static size_t summary_of(const struct policy_profile *p, const char **ret)
{
	const char *line = memchr(p->text, '\n', p->len);

	*ret = "";
	if (!line || strncmp(line + 1, "# ", 2) != 0) {
		return 0;
	}
	*ret = line + 3;
	return strcspn(*ret, "\n");
}

static json_t *profile_json(const struct policy_profile *p, bool text)
{
	_cleanup_json_ json_t *j = json_object();
	const char *summary;
	size_t len = summary_of(p, &summary);

	if (!j || json_put(j, "name", json_string(p->name)) < 0 ||
	    json_put(j, "summary", json_stringn(summary, len)) < 0 ||
	    (text && json_put(j, "text", json_stringn(p->text, p->len)) < 0)) {
		return NULL;
	}
	return TAKE_PTR(j);
}

static int list_profiles(bool json)
{
	_cleanup_json_ json_t *list = json ? json_array() : NULL;
	struct policy_profile p;

	for (size_t i = 0; policy_profile_at(i, &p); i++) {
		const char *summary;
		size_t len = summary_of(&p, &summary);

		if (!json) {
			(void)printf("%-20s %.*s\n", p.name, (int)len, summary);
		} else if (json_array_append_new(list, profile_json(&p, false)) < 0) {
			return complain("out of memory");
		}
	}
	return json ? print_json(TAKE_PTR(list)) : written();
}

static int run_show(const struct options *o)
{
	struct policy_profile p;
	char name[64];

	if (o->trust && o->profile) {
		return complain("policy show: --trust and --profile exclude each other");
	}
	if (!o->trust && !o->profile) {
		return list_profiles(o->json);
	}
	(void)snprintf(name, sizeof(name), "%s%s", o->trust ? "trust-" : "",
		       o->trust ? o->trust : o->profile);
	if (o->trust && strcmp(o->trust, "full") == 0) {
		return complain("trust full has no profile: it runs without any wall, which this "
				"version does not do");
	}
	if (!policy_profile_find(name, &p)) {
		return complain("there is no profile '%s'; 'atoll policy show' lists them", name);
	}
	if (o->json) {
		return print_json(profile_json(&p, true));
	}
	(void)fwrite(p.text, 1, p.len, stdout);
	return written();
}

/* ---- check ---- */

static json_t *check_json(const char *file, bool ok, const char *message)
{
	_cleanup_json_ json_t *j = json_object();

	if (!j || json_put(j, "file", json_text(file)) < 0 ||
	    json_put(j, "ok", json_boolean(ok)) < 0 ||
	    json_put(j, ok ? "note" : "error", *message ? json_text(message) : json_null()) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

/* Checks one file; true when it is good. Appends to `list` or prints. */
static bool check_file(const struct options *o, const char *file, json_t *list)
{
	const struct policy_request req = {.floor = o->floor,
					   .template = o->template,
					   .file = file,
					   .accept_tier = o->accept_tier,
					   .environ = environ};
	struct err e = {};
	char note[sizeof(e.msg)] = "";
	bool ok = policy_check(&req, note, sizeof(note), &e) >= 0;

	if (list) {
		(void)json_array_append_new(list, check_json(file, ok, ok ? note : e.msg));
		return ok;
	}
	if (!ok) {
		(void)complain("%s", e.msg);
		return false;
	}
	(void)printf("%s: ok\n", file);
	if (note[0] != '\0') {
		(void)printf("%s: note: it cannot run: %s\n", file, note);
	}
	return true;
}

static int run_check(const struct options *o)
{
	_cleanup_json_ json_t *list = o->json ? json_array() : NULL;
	bool all = true;
	int r;

	if (o->n_files == 0) {
		return complain("policy check: which file? see 'atoll policy check --help'");
	}
	for (size_t i = 0; i < o->n_files; i++) {
		all = check_file(o, o->files[i], list) && all;
	}
	if (o->json && json_array_size(list) != o->n_files) {
		return complain("out of memory");
	}
	r = o->json ? print_json(TAKE_PTR(list)) : written();
	return r == 0 && !all ? CLI_FAILED : r;
}

/* ---- explain ---- */

static int print_sentences(const json_t *list)
{
	const json_t *j;
	size_t i;

	(void)puts("wall: the kernel refuses. guard-rail: stops mistakes; code that tries can get "
		   "around it.\n");
	json_array_foreach(list, i, j)
	{
		(void)printf("%-10s  %s  [%s]\n", json_string_value(json_object_get(j, "class")),
			     json_string_value(json_object_get(j, "text")),
			     json_string_value(json_object_get(j, "from")));
	}
	return written();
}

/* Explaining a level that needs reviewed code assumes that it has been reviewed. */
static bool needs_review(const struct options *o)
{
	struct policy_profile p;

	return (o->trust && strcmp(o->trust, "high") == 0) ||
	       (o->profile && policy_profile_find(o->profile, &p) &&
		memmem(p.text, p.len, "\ntrust: high", strlen("\ntrust: high")) != NULL);
}

static int run_explain(const struct options *o)
{
	struct policy_override overrides[2];
	struct policy_request req = {.floor = o->floor,
				     .template = o->template,
				     .file = o->n_files > 0 ? o->files[0] : NULL,
				     .overrides = overrides,
				     .accept_tier = o->accept_tier,
				     .environ = environ};
	_cleanup_json_ json_t *list = NULL;
	struct err e = {};

	if ((o->trust != NULL) + (o->profile != NULL) + (o->n_files > 0) > 1) {
		return complain("policy explain: FILE, --trust and --profile exclude each other");
	}
	if (o->trust || o->profile) {
		overrides[req.n_overrides++] =
			(struct policy_override){.key = o->trust ? "trust" : "profile",
						 .value = o->trust ? o->trust : o->profile,
						 .option = o->trust ? "--trust" : "--profile"};
	}
	if (needs_review(o)) {
		overrides[req.n_overrides++] =
			(struct policy_override){.key = "provenance",
						 .value = "reviewed",
						 .option = o->trust ? "--trust" : "--profile"};
	}
	if (policy_explain(&req, &list, &e) < 0) {
		return complain("%s", e.msg);
	}
	return o->json ? print_json(TAKE_PTR(list)) : print_sentences(list);
}

/* ---- schema ---- */

static int run_schema(const struct options *o)
{
	(void)o; /* it is JSON either way */
	return print_json(policy_json_schema());
}

/* ---- dispatch ---- */

static const struct subcommand subcommands[] = {
	{"show", "tpjh", 0, run_show,
	 "usage: atoll policy show [--trust LEVEL | --profile NAME] [--json]\n"
	 "\n"
	 "Prints a built-in profile as the YAML document that it is; without an option, the list.\n"
	 "\n"
	 "  --trust LEVEL    the profile of a trust level: none, low, medium or high\n"
	 "  --profile NAME   a profile by its name\n"
	 "  --json           as JSON\n"
	 "\n"
	 "examples:\n"
	 "  atoll policy show\n"
	 "  atoll policy show --trust medium\n"
	 "  atoll policy show --profile dev-assistant > my-policy.yaml\n"},
	{"check", "fmajh", SIZE_MAX, run_check,
	 "usage: atoll policy check [--floor FILE] [--template NAME|FILE] [--accept-tier TIER]\n"
	 "                          [--json] FILE...\n"
	 "\n"
	 "Checks policy documents: form, precedence under the organisation floor and a template,\n"
	 "trust. Paths and programs are not looked up, so a policy for another machine can be "
	 "checked\n"
	 "here.\n"
	 "\n"
	 "  --floor FILE          a floor other than /etc/atoll/floor.yaml\n"
	 "  --template NAME|FILE  as with atoll run\n"
	 "  --accept-tier TIER    as with atoll run\n"
	 "  --json                as JSON\n"
	 "\n"
	 "exit: 0 all are good, 125 not\n"
	 "\n"
	 "examples:\n"
	 "  atoll policy check policy.yaml\n"
	 "  atoll policy check --json policies/*.yaml\n"
	 "  atoll policy check --floor new-floor.yaml policies/*.yaml\n"
	 "  atoll policy check --template ci policies/*.yaml\n"},
	{"explain", "tpfmajh", 1, run_explain,
	 "usage: atoll policy explain [FILE | --trust LEVEL | --profile NAME] [--floor FILE]\n"
	 "                            [--template NAME|FILE] [--accept-tier TIER] [--json]\n"
	 "\n"
	 "Says what a policy means, one sentence for each consequence, walls told apart from\n"
	 "guard-rails, with the place that each follows from. Without FILE, the default policy.\n"
	 "\n"
	 "  --trust LEVEL         the defaults of a trust level\n"
	 "  --profile NAME        the defaults of a profile\n"
	 "  --floor FILE          a floor other than /etc/atoll/floor.yaml\n"
	 "  --template NAME|FILE  as with atoll run\n"
	 "  --accept-tier TIER    as with atoll run\n"
	 "  --json                as JSON\n"
	 "\n"
	 "examples:\n"
	 "  atoll policy explain\n"
	 "  atoll policy explain policy.yaml\n"
	 "  atoll policy explain --template ci\n"
	 "  atoll policy explain --profile public-chat --json\n"},
	{"schema", "jh", 0, run_schema,
	 "usage: atoll policy schema [--json]\n"
	 "\n"
	 "Prints the JSON Schema (2020-12) of a policy document, for editors and other checkers.\n"
	 "\n"
	 "examples:\n"
	 "  atoll policy schema > atoll-policy.schema.json\n"},
};

static const char general_help[] = "usage: atoll policy COMMAND [OPTION...]\n"
				   "\n"
				   "  show     print a built-in profile, or list them\n"
				   "  check    check policy documents\n"
				   "  explain  say what a policy means, sentence by sentence\n"
				   "  schema   print the JSON Schema of a policy document\n"
				   "\n"
				   "Each has --help and --json.\n"
				   "\n"
				   "examples:\n"
				   "  atoll policy show --trust medium\n"
				   "  atoll policy check policy.yaml\n"
				   "  atoll policy explain policy.yaml\n";

static bool take_option(int c, const struct subcommand *sub, struct options *o)
{
	if (c == '?' || !strchr(sub->takes, c)) {
		return false;
	}
	switch (c) {
	case 't':
		o->trust = optarg;
		break;
	case 'p':
		o->profile = optarg;
		break;
	case 'f':
		o->floor = optarg;
		break;
	case 'm':
		o->template = optarg;
		break;
	case 'a':
		o->accept_tier = optarg;
		break;
	case 'j':
		o->json = true;
		break;
	default:
		o->help = true;
		break;
	}
	return true;
}

static int run_subcommand(const struct subcommand *sub, int argc, char **argv)
{
	struct options o = {};
	int c;

	opterr = 0;
	optind = 0; /* glibc: start over, whoever used it before */
	while ((c = getopt_long(argc, argv, ":h", all_options, NULL)) != -1) {
		if (c == ':') {
			return complain("policy %s: '%s' needs a value", sub->name,
					argv[optind - 1]);
		}
		if (!take_option(c, sub, &o)) {
			return complain(
				"policy %s: unknown option '%s'; see 'atoll policy %s --help'",
				sub->name, argv[optind - 1], sub->name);
		}
	}
	o.files = argv + optind;
	o.n_files = (size_t)(argc - optind);
	if (o.help) {
		(void)fputs(sub->help, stdout);
		return written();
	}
	if (o.n_files > sub->max_files) {
		return complain("policy %s: unexpected argument '%s'", sub->name,
				o.files[sub->max_files]);
	}
	return sub->run(&o);
}

int cmd_policy(int argc, char **argv)
{
	if (argc < 2) {
		return complain("policy: which command? see 'atoll policy --help'");
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		(void)fputs(general_help, stdout);
		return written();
	}
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0) {
			return run_subcommand(&subcommands[i], argc - 1, argv + 1);
		}
	}
	return complain("policy: there is no command '%s'; see 'atoll policy --help'", argv[1]);
}
