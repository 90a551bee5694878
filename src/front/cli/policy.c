/* SPDX-License-Identifier: Apache-2.0 */
/* `atoll policy`: its tables; check, explain and schema. Reads documents; starts nothing. */
#include <stdio.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/policy-internal.h"
#include "policy/plan.h"
#include "policy/policy.h"

extern char **environ;

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
static bool check_file(const struct policy_options *o, const char *file, json_t *list)
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
		(void)policy_fail("%s", e.msg);
		return false;
	}
	(void)printf("%s: ok\n", file);
	if (note[0] != '\0') {
		(void)printf("%s: note: it cannot run: %s\n", file, note);
	}
	return true;
}

static int run_check(const struct policy_options *o)
{
	_cleanup_json_ json_t *list = o->json ? json_array() : NULL;
	bool all = true;
	int r;

	if (o->files.n == 0) {
		return policy_fail("policy check: which file? see 'atoll policy check --help'");
	}
	for (size_t i = 0; i < o->files.n; i++) {
		all = check_file(o, o->files.words[i], list) && all;
	}
	if (o->json && json_array_size(list) != o->files.n) {
		return policy_fail("out of memory");
	}
	r = o->json ? cli_print_json(TAKE_PTR(list)) : cli_written();
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
	return cli_written();
}

static bool is_for(const struct policy_options *o, const char *trust, const char *line)
{
	struct policy_profile p;

	return (o->trust && strcmp(o->trust, trust) == 0) ||
	       (o->profile && policy_profile_find(o->profile, &p) &&
		memmem(p.text, p.len, line, strlen(line)) != NULL);
}

/* Explaining a level that has to be said or vouched for assumes that it was. */
static void add_needed(const struct policy_options *o, struct policy_request *req,
		       struct policy_override *overrides)
{
	const char *option = o->trust ? "--trust" : "--profile";

	if (is_for(o, "high", "\ntrust: high")) {
		overrides[req->n_overrides++] = (struct policy_override){
			.key = "provenance", .value = "reviewed", .option = option};
	}
	if (o->profile && is_for(o, "full", "\ntrust: full")) {
		overrides[req->n_overrides++] =
			(struct policy_override){.key = "trust", .value = "full", .option = option};
	}
}

static int run_explain(const struct policy_options *o)
{
	struct policy_override overrides[3];
	struct policy_request req = {.floor = o->floor,
				     .template = o->template,
				     .file = o->files.n > 0 ? o->files.words[0] : NULL,
				     .overrides = overrides,
				     .accept_tier = o->accept_tier,
				     .environ = environ};
	_cleanup_json_ json_t *list = NULL;
	struct err e = {};

	if ((o->trust != NULL) + (o->profile != NULL) + (o->files.n > 0) > 1) {
		return policy_fail(
			"policy explain: FILE, --trust and --profile exclude each other");
	}
	if (o->trust || o->profile) {
		overrides[req.n_overrides++] =
			(struct policy_override){.key = o->trust ? "trust" : "profile",
						 .value = o->trust ? o->trust : o->profile,
						 .option = o->trust ? "--trust" : "--profile"};
	}
	add_needed(o, &req, overrides);
	if (policy_explain(&req, &list, &e) < 0) {
		return policy_fail("%s", e.msg);
	}
	return o->json ? cli_print_json(TAKE_PTR(list)) : print_sentences(list);
}

/* ---- schema ---- */

static int run_schema(const struct policy_options *o)
{
	(void)o; /* it is JSON either way */
	return cli_print_json(policy_json_schema());
}

/* ---- the tables ---- */

#define MEMBER(field) .offset = offsetof(struct policy_options, field)
#define TRUST_OPTION(help) \
	CLI_TAKES("--trust", "LEVEL", CLI_WORDS, help, CLI_OF_KEY("trust"), MEMBER(trust))
#define PROFILE_OPTION(help) CLI_TAKES("--profile", "NAME", CLI_PROFILE, help, MEMBER(profile))
#define FLOOR_OPTION                                                                       \
	CLI_TAKES("--floor", "FILE", CLI_FILE, "a floor other than /etc/atoll/floor.yaml", \
		  MEMBER(floor))
#define TEMPLATE_OPTION \
	CLI_TAKES("--template", "NAME|FILE", CLI_TEMPLATE, "as with atoll run", MEMBER(template))
#define ACCEPT_OPTION                                                                          \
	CLI_TAKES("--accept-tier", "TIER", CLI_WORDS, "as with atoll run", CLI_OF_KEY("tier"), \
		  MEMBER(accept_tier))
#define JSON_OPTION CLI_FLAG("--json", "as JSON", MEMBER(json))

static int run(const struct cli_command *c, int argc, char **argv,
	       int (*act)(const struct policy_options *o))
{
	struct policy_options o = {};
	int r = cli_parse(c, argc, argv, &o, &o.files);

	return r != 0 ? (r > 0 ? CLI_OK : -r) : act(&o);
}

static const struct cli_option show_options[] = {
	TRUST_OPTION("the profile of a trust level"),
	PROFILE_OPTION("a profile by its name"),
	JSON_OPTION,
	{},
};

static const struct cli_example show_examples[] = {
	CLI_EXAMPLE("atoll policy show"),
	CLI_EXAMPLE("atoll policy show --trust medium"),
	CLI_EXAMPLE("atoll policy show --profile dev-assistant > my-policy.yaml"),
	{},
};

static int show(const struct cli_command *c, int argc, char **argv)
{
	return run(c, argc, argv, policy_show);
}

static const struct cli_command show_command = {
	.name = "policy show",
	.summary = "print a built-in profile, or list them",
	.about =
		"Print a built-in profile as the YAML document that it is; without an option, the\n"
		"list.\n",
	.options = show_options,
	.examples = show_examples,
	.run = show,
};

static const struct cli_option check_options[] = {
	FLOOR_OPTION, TEMPLATE_OPTION, ACCEPT_OPTION, JSON_OPTION, {},
};

static const struct cli_example check_examples[] = {
	CLI_EXAMPLE("atoll policy check policy.yaml"),
	CLI_EXAMPLE("atoll policy check --json policies/*.yaml"),
	CLI_EXAMPLE("atoll policy check --floor new-floor.yaml policies/*.yaml"),
	CLI_EXAMPLE("atoll policy check --template ci policies/*.yaml"),
	{},
};

static int check(const struct cli_command *c, int argc, char **argv)
{
	return run(c, argc, argv, run_check);
}

static const struct cli_command check_command = {
	.name = "policy check",
	.summary = "check policy documents",
	.operands = "FILE...",
	.operand.kind = CLI_FILE,
	.max_operands = SIZE_MAX,
	.about = "Check policy documents: form, precedence under the organisation floor and a\n"
		 "template, trust. Paths and programs are not looked up, so a policy for another\n"
		 "machine can be checked here.\n",
	.notes = "exit: 0 all are good, 125 not\n",
	.options = check_options,
	.examples = check_examples,
	.run = check,
};

static const struct cli_option explain_options[] = {
	TRUST_OPTION("the defaults of a trust level"),
	PROFILE_OPTION("the defaults of a profile"),
	FLOOR_OPTION,
	TEMPLATE_OPTION,
	ACCEPT_OPTION,
	JSON_OPTION,
	{},
};

static const struct cli_example explain_examples[] = {
	CLI_EXAMPLE("atoll policy explain"),
	CLI_EXAMPLE("atoll policy explain policy.yaml"),
	CLI_EXAMPLE("atoll policy explain --template ci"),
	CLI_EXAMPLE("atoll policy explain --profile public-chat --json"),
	{},
};

static int explain(const struct cli_command *c, int argc, char **argv)
{
	return run(c, argc, argv, run_explain);
}

static const struct cli_command explain_command = {
	.name = "policy explain",
	.summary = "say what a policy means, sentence by sentence",
	.operands = "[FILE]",
	.operand.kind = CLI_FILE,
	.max_operands = 1,
	.about = "Say what a policy means, one sentence for each consequence, walls told apart "
		 "from\n"
		 "guard-rails, with the place that each follows from. Without FILE, --trust or\n"
		 "--profile, the default policy.\n",
	.options = explain_options,
	.examples = explain_examples,
	.run = explain,
};

static const struct cli_option schema_options[] = {
	CLI_FLAG("--json", "as JSON, which it is anyway", MEMBER(json)),
	{},
};

static const struct cli_example schema_examples[] = {
	CLI_EXAMPLE("atoll policy schema > atoll-policy.schema.json"),
	{},
};

static int schema(const struct cli_command *c, int argc, char **argv)
{
	return run(c, argc, argv, run_schema);
}

static const struct cli_command schema_command = {
	.name = "policy schema",
	.summary = "print the JSON Schema of a policy document",
	.about = "Print the JSON Schema (2020-12) of a policy document, for editors and other\n"
		 "checkers.\n",
	.options = schema_options,
	.examples = schema_examples,
	.run = schema,
};

static const struct cli_example policy_examples[] = {
	CLI_EXAMPLE("atoll policy new --yes"),
	CLI_EXAMPLE("atoll policy show --trust medium"),
	CLI_EXAMPLE("atoll policy check policy.yaml"),
	CLI_EXAMPLE("atoll policy explain policy.yaml"),
	{},
};

static const struct cli_command *const policy_commands[] = {
	&cli_policy_new_command, &show_command,   &check_command,
	&explain_command,        &schema_command, NULL,
};

const struct cli_command cli_policy_command = {
	.name = "policy",
	.summary = "make, show, check and explain policies",
	.about = "Policies: the documents that say what a sandbox may do.\n",
	.notes = "'atoll policy COMMAND --help' tells more.\n",
	.examples = policy_examples,
	.commands = policy_commands,
};
