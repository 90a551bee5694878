/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options of `atoll run`. */
#include "front/cli/run-options.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "front/cli/cli.h"

/*
 * An option either sets a key of the policy, or a member of the request. Every one with an argument
 * can be written `--name VALUE` or `--name=VALUE`.
 */
static const struct option {
	const char *name;
	const char *key;      /* of the policy's schema, or NULL */
	const char *argument; /* its name in the help; NULL: a flag */
	const char *help;
} options[] = {
	{"--policy", NULL, "FILE", "take the policy from FILE"},
	{"--template", NULL, "NAME|FILE",
	 "stay within a template: what follows can only tighten it"},
	{"--profile", "profile", "NAME", "start from a built-in profile (atoll policy show)"},
	{"--trust", "trust", "LEVEL", "none, low, medium (default) or high"},
	{"--provenance", "provenance", "WORD",
	 "where the code comes from: reviewed, agent, external"},
	{"--tier", "tier", "TIER", "depth of the wall; follows from the trust level"},
	{"--accept-tier", NULL, "TIER", "accept a weaker tier than the trust level asks for"},
	{"--workspace", NULL, "PATH[:MODE]", "what is worked on; MODE is read-only or direct"},
	{"--read", "filesystem.read", "PATH", "show PATH read-only (may be repeated)"},
	{"--env", "data.env", "NAME[=VALUE]", "set a variable, or pass the caller's (repeatable)"},
	{"--allow-program", "execution.allow", "NAME",
	 "guard-rail: execute only these (repeatable)"},
	{"--syscalls", "execution.syscalls", "PROFILE", "default, strict, file or nested"},
	{"--denials", "execution.denials", "WORD",
	 "record: go on after a refusal (default); end: kill"},
	{"--memory", "execution.limits.memory", "SIZE", "memory with swap, such as 2GiB"},
	{"--cpus", "execution.limits.cpus", "N", "CPUs, such as 2 or 0.5"},
	{"--processes", "execution.limits.processes", "N", "processes and threads at once"},
	{"--open-files", "execution.limits.open_files", "N", "descriptors of one process"},
	{"--file-size", "execution.limits.file_size", "SIZE", "size of one file"},
	{"--scratch", "execution.limits.scratch", "SIZE", "all of /tmp, HOME and /dev/shm"},
	{"--output", "execution.limits.output", "SIZE", "standard output and error together"},
	{"--starts", "execution.limits.starts", "N", "new processes and threads in a second"},
	{"--io", "execution.limits.io", "SIZE/s", "reading, and writing, of each disk"},
	{"--limits", "execution.limits.mechanism", "WORD", "group: only by control group; any"},
	{"--wall", "time.wall", "DURATION", "wall-clock time, such as 10m"},
	{"--cpu-time", "time.cpu", "DURATION", "CPU time of all processes together"},
	{"--idle", "time.idle", "DURATION", "time without output and CPU use"},
	{"--plan-only", NULL, NULL, "print the plan as JSON and run nothing"},
	{"--json", NULL, "FILE|-", "write the result as JSON (- is standard output)"},
	{"--receipt", NULL, "FILE", "write what the kernel says is enforced"},
	{"--quiet", NULL, NULL, "say nothing but errors"},
	{"--help", NULL, NULL, "this text"},
};

static void help(void)
{
	size_t i;

	printf("Run a command behind walls. The exit status is the command's own; 124: a time "
	       "limit, "
	       "125: Atoll\ncould not do it, 126: found but not executable, 127: not found, 137: "
	       "killed "
	       "by a limit\nor a refusal that ends the run.\n\n"
	       "usage: atoll run [options] [--] COMMAND [ARG...]\n\n");
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		char left[48];

		(void)snprintf(left, sizeof(left), "%s %s", options[i].name,
			       options[i].argument ? options[i].argument : "");
		printf("  %-28s %s\n", left, options[i].help);
	}
	printf("\nA template that is named without a slash is NAME.yaml in "
	       "~/.config/atoll/templates "
	       "($XDG_CONFIG_HOME),\nelse in /etc/atoll/templates; for root only in the latter.\n"
	       "\nexamples:\n"
	       "  atoll run -- python3 script.py\n"
	       "  atoll run --workspace .:direct --wall 5m -- make test\n"
	       "  atoll run --policy agent.yaml --json result.json -- ./agent\n"
	       "  atoll run --template ci --memory 1GiB -- make test\n"
	       "  atoll run --plan-only -- true\n");
}

static int override(struct run_options *o, const char *key, const char *value, const char *option)
{
	if (o->n_overrides == RUN_MAX_OVERRIDES) {
		return -cli_usage("run", "more than %d settings on the command line",
				  RUN_MAX_OVERRIDES);
	}
	o->overrides[o->n_overrides++] = (struct policy_override){key, value, option};
	return 0;
}

/* PATH:MODE, where the mode is one of the words; a path may hold colons of its own. */
static int take_workspace(struct run_options *o, char *value)
{
	static const char *const modes[] = {"read-only", "direct", "copy", "none"};
	char *colon = strrchr(value, ':');
	size_t i;
	int r;

	for (i = 0; colon && i < ARRAY_SIZE(modes); i++) {
		if (strcmp(colon + 1, modes[i]) == 0) {
			*colon = '\0';
			r = override(o, "filesystem.workspace.mode", colon + 1, "--workspace");
			if (r < 0) {
				return r;
			}
			break;
		}
	}
	return *value ? override(o, "filesystem.workspace.path", value, "--workspace") : 0;
}

static int apply(struct run_options *o, const struct option *option, char *value)
{
	const struct {
		const char *name;
		const char **target;
	} texts[] = {
		{"--policy", &o->file},
		{"--template", &o->template},
		{"--accept-tier", &o->accept_tier},
		{"--json", &o->json},
		{"--receipt", &o->receipt},
	};
	size_t i;

	if (option->key) {
		return override(o, option->key, value, option->name);
	}
	if (strcmp(option->name, "--workspace") == 0) {
		return take_workspace(o, value);
	}
	if (strcmp(option->name, "--plan-only") == 0) {
		o->plan_only = true;
	} else if (strcmp(option->name, "--quiet") == 0) {
		o->quiet = true;
	}
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(option->name, texts[i].name) == 0) {
			*texts[i].target = value;
		}
	}
	return 0;
}

/* Finds the option of a word "--name" or "--name=value". */
static const struct option *find(const char *word, char **ret_value)
{
	size_t len = strcspn(word, "="), i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (strlen(options[i].name) == len && strncmp(word, options[i].name, len) == 0) {
			*ret_value = word[len] ? (char *)word + len + 1 : NULL;
			return &options[i];
		}
	}
	return NULL;
}

int run_options_parse(struct run_options *o, int argc, char **argv)
{
	int i, r;

	*o = (struct run_options){};
	for (i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
		char *value = NULL;
		const struct option *option =
			find(strcmp(argv[i], "-h") == 0 ? "--help" : argv[i], &value);

		if (!option) {
			return -cli_usage("run", "there is no option '%s'", argv[i]);
		}
		if (strcmp(option->name, "--help") == 0) {
			help();
			return 1;
		}
		if (option->argument && !value) {
			value = argv[++i];
		} else if (!option->argument && value) {
			return -cli_usage("run", "%s takes no value", option->name);
		}
		if (option->argument && (!value || !*value)) {
			return -cli_usage("run", "%s needs a value: %s", option->name,
					  option->argument);
		}
		r = apply(o, option, value);
		if (r < 0) {
			return r;
		}
	}
	if (i < argc && strcmp(argv[i], "--") == 0) {
		i++;
	}
	o->command = i < argc ? argv + i : NULL;
	return 0;
}
