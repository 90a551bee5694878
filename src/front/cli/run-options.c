/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options of `atoll run` and `atoll create`. */
#include "front/cli/run-options.h"

#include <stdint.h>
#include <string.h>

#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "keeper/name.h"

static int take_setting(void *into, const struct cli_option *option, char *value);
static int take_workspace(void *into, const struct cli_option *option, char *value);
static int take_name(void *into, const struct cli_option *option, char *value);
static int take_label(void *into, const struct cli_option *option, char *value);

/* An option sets a key of the policy (the rows with SETS), or a member of the request. */
#define SETS          .take = take_setting
#define MEMBER(field) .offset = offsetof(struct run_options, field)

static const struct cli_option options[] = {
	CLI_TAKES("--policy", "FILE", CLI_FILE, "take the policy from FILE", MEMBER(file)),
	CLI_TAKES("--template", "NAME|FILE", CLI_TEMPLATE,
		  "stay within a template: what follows can only tighten it", MEMBER(template)),
	CLI_TAKES("--profile", "NAME", CLI_PROFILE,
		  "start from a built-in profile (atoll policy show)", CLI_OF_KEY("profile"), SETS),
	CLI_TAKES("--trust", "LEVEL", CLI_WORDS, "how far it is trusted (default medium)",
		  CLI_OF_KEY("trust"), SETS),
	CLI_TAKES("--provenance", "WORD", CLI_WORDS, "where the code comes from",
		  CLI_OF_KEY("provenance"), SETS),
	CLI_TAKES("--tier", "TIER", CLI_WORDS, "depth of the wall (default by trust)",
		  CLI_OF_KEY("tier"), SETS),
	CLI_TAKES("--accept-tier", "TIER", CLI_WORDS, "accept a weaker tier by name",
		  CLI_OF_KEY("tier"), MEMBER(accept_tier)),
	CLI_TAKES("--workspace", "PATH[:MODE]", CLI_WORKSPACE, "what is worked on",
		  CLI_OF_KEY("filesystem.workspace.mode"), .take = take_workspace),
	CLI_TAKES("--copy-by", "WORD", CLI_WORDS, "how a copy of it is made (default overlay)",
		  CLI_OF_KEY("filesystem.workspace.copy_by"), SETS),
	CLI_TAKES("--copy-of", "PATH", CLI_FILE, "work on a copy of PATH, too",
		  CLI_OF_KEY("filesystem.copies"), SETS, .repeat = true),
	CLI_TAKES("--write", "PATH", CLI_FILE,
		  "let it change the files below PATH, such as a cache",
		  CLI_OF_KEY("filesystem.write"), SETS, .repeat = true),
	CLI_TAKES("--read", "PATH", CLI_FILE, "show PATH read-only", CLI_OF_KEY("filesystem.read"),
		  SETS, .repeat = true),
	CLI_TAKES("--allow", "HOST[:PORT]", CLI_TEXT,
		  "let it connect there: a.example, *.b.example:8443", CLI_OF_KEY("network.allow"),
		  SETS, .repeat = true),
	CLI_TAKES("--network", "WORD", CLI_WORDS, "what happens to what no rule names",
		  CLI_OF_KEY("network.default"), SETS),
	CLI_TAKES("--deny-host", "HOST", CLI_TEXT, "never connect there, whatever allows it",
		  CLI_OF_KEY("network.deny"), SETS, .repeat = true),
	CLI_FLAG("--learn", "say at the end which hosts it would need", MEMBER(learn)),
	CLI_TAKES("--connections", "N", CLI_TEXT, "connections at one time",
		  CLI_OF_KEY("network.limits.connections"), SETS),
	CLI_TAKES("--requests", "N", CLI_TEXT, "connections and requests in a minute",
		  CLI_OF_KEY("network.limits.requests"), SETS),
	CLI_TAKES("--cooldown", "DURATION", CLI_TEXT, "how long too many of them shut the door",
		  CLI_OF_KEY("time.cooldown"), SETS),
	CLI_TAKES("--net-bytes", "SIZE", CLI_TEXT, "what all connections may carry",
		  CLI_OF_KEY("network.limits.bytes"), SETS),
	CLI_TAKES("--host-bytes", "SIZE", CLI_TEXT, "what those to one host may carry",
		  CLI_OF_KEY("network.limits.host_bytes"), SETS),
	CLI_TAKES("--env", "NAME[=VALUE]", CLI_VARIABLE, "set a variable, or pass the caller's",
		  CLI_OF_KEY("data.env"), SETS, .repeat = true),
	CLI_TAKES("--allow-program", "NAME", CLI_PROGRAM, "guard-rail: execute only these",
		  CLI_OF_KEY("execution.allow"), SETS, .repeat = true),
	CLI_TAKES("--syscalls", "PROFILE", CLI_WORDS, "which system calls it has",
		  CLI_OF_KEY("execution.syscalls"), SETS),
	CLI_TAKES("--denials", "WORD", CLI_WORDS,
		  "whether the first refusal ends it (default record)",
		  CLI_OF_KEY("execution.denials"), SETS),
	CLI_TAKES("--escape", "WORD", CLI_WORDS, "what a suspicion leads to (default note)",
		  CLI_OF_KEY("governance.escape"), SETS),
	CLI_TAKES("--agent", "NAME", CLI_AGENT, "the agent that runs in it",
		  CLI_OF_KEY("governance.agent"), SETS),
	CLI_TAKES("--durability", "WORD", CLI_WORDS, "what its record survives",
		  CLI_OF_KEY("governance.durability"), SETS),
	CLI_TAKES("--memory", "SIZE", CLI_TEXT, "memory with swap, such as 2GiB",
		  CLI_OF_KEY("execution.limits.memory"), SETS),
	CLI_TAKES("--cpus", "N", CLI_TEXT, "CPUs, such as 2 or 0.5",
		  CLI_OF_KEY("execution.limits.cpus"), SETS),
	CLI_TAKES("--processes", "N", CLI_TEXT, "processes and threads at once",
		  CLI_OF_KEY("execution.limits.processes"), SETS),
	CLI_TAKES("--open-files", "N", CLI_TEXT, "descriptors of one process",
		  CLI_OF_KEY("execution.limits.open_files"), SETS),
	CLI_TAKES("--file-size", "SIZE", CLI_TEXT, "size of one file",
		  CLI_OF_KEY("execution.limits.file_size"), SETS),
	CLI_TAKES("--scratch", "SIZE", CLI_TEXT, "all of /tmp, HOME and /dev/shm",
		  CLI_OF_KEY("execution.limits.scratch"), SETS),
	CLI_TAKES("--deny", "PATTERN", CLI_TEXT, "hide this, such as .env or '**/*.pem'",
		  CLI_OF_KEY("filesystem.deny"), SETS, .repeat = true),
	CLI_TAKES("--copy", "SIZE", CLI_TEXT, "what a copy may hold beyond the original",
		  CLI_OF_KEY("execution.limits.copy"), SETS),
	CLI_TAKES("--output", "SIZE", CLI_TEXT, "standard output and error together",
		  CLI_OF_KEY("execution.limits.output"), SETS),
	CLI_TAKES("--log", "SIZE", CLI_TEXT, "how much of it 'atoll logs' can show",
		  CLI_OF_KEY("data.log"), SETS),
	CLI_TAKES("--starts", "N", CLI_TEXT, "new processes and threads in a second",
		  CLI_OF_KEY("execution.limits.starts"), SETS),
	CLI_TAKES("--io", "SIZE/s", CLI_TEXT, "reading, and writing, of each disk",
		  CLI_OF_KEY("execution.limits.io"), SETS),
	CLI_TAKES("--limits", "WORD", CLI_WORDS,
		  "what may arm the limits, control groups or sampling, too",
		  CLI_OF_KEY("execution.limits.mechanism"), SETS),
	CLI_TAKES("--wall", "DURATION", CLI_TEXT, "wall-clock time, such as 10m",
		  CLI_OF_KEY("time.wall"), SETS),
	CLI_TAKES("--cpu-time", "DURATION", CLI_TEXT, "CPU time of all processes together",
		  CLI_OF_KEY("time.cpu"), SETS),
	CLI_TAKES("--idle", "DURATION", CLI_TEXT, "time in which it does nothing",
		  CLI_OF_KEY("time.idle"), SETS),
	CLI_TAKES("--idle-signal", "WORD", CLI_WORDS, "what counts as busy",
		  CLI_OF_KEY("time.idle_signals"), SETS, .repeat = true),
	CLI_TAKES("--session", "DURATION", CLI_TEXT, "how long the sandbox may live",
		  CLI_OF_KEY("time.session"), SETS),
	CLI_TAKES("--pauses", "N", CLI_TEXT, "how often it may be paused",
		  CLI_OF_KEY("time.pauses"), SETS),
	CLI_TAKES("--paused", "DURATION", CLI_TEXT, "how long it may be paused in all",
		  CLI_OF_KEY("time.paused"), SETS),
	CLI_TAKES("--keep", "DURATION", CLI_TEXT, "how long a copy waits after the end",
		  CLI_OF_KEY("time.keep"), SETS),
	CLI_TAKES("--owner", "TEXT", CLI_TEXT, "who answers for it", CLI_OF_KEY("governance.owner"),
		  SETS),
	CLI_TAKES("--account", "NAME", CLI_ACCOUNT, "the account that it spends from",
		  CLI_OF_KEY("governance.account"), SETS),
	CLI_TAKES("--purpose", "TEXT", CLI_TEXT, "what it is for", CLI_OF_KEY("governance.purpose"),
		  SETS),
	CLI_TAKES("--scope", "NAME", CLI_TEXT, "a kind of data that it is for",
		  CLI_OF_KEY("governance.scopes"), SETS, .repeat = true),
	CLI_TAKES("--expires", "DURATION", CLI_TEXT, "until it ends, and its copy goes",
		  CLI_OF_KEY("governance.expires"), SETS),
	CLI_TAKES("--review", "WORD", CLI_WORDS, "how often it is reviewed",
		  CLI_OF_KEY("governance.review"), SETS),
	CLI_TAKES("--name", "NAME", CLI_TEXT, "what to call the sandbox", .take = take_name),
	CLI_TAKES("--label", "KEY=VALUE", CLI_TEXT, "a label, for 'atoll ps --filter'",
		  .take = take_label, .repeat = true),
	CLI_FLAG("--plan-only", "print the plan as JSON and run nothing", MEMBER(plan_only)),
	CLI_TAKES("--json", "FILE|-", CLI_FILE, "write the result as JSON (- is standard output)",
		  MEMBER(json)),
	CLI_TAKES("--receipt", "FILE", CLI_FILE, "write what the kernel says is enforced",
		  MEMBER(receipt)),
	CLI_TAKES("--lock", "FILE", CLI_FILE, "write what it depended on", MEMBER(lock)),
	CLI_TAKES("--locked", "FILE", CLI_FILE, "refuse it where that is not as in this lock file",
		  MEMBER(locked)),
	CLI_FLAG("--quiet", "say nothing but errors", MEMBER(quiet)),
	{},
};

static const struct cli_example examples[] = {
	CLI_EXAMPLE("atoll run -- python3 script.py"),
	CLI_EXAMPLE("atoll run --workspace .:direct --wall 5m -- make test"),
	CLI_EXAMPLE("atoll run --policy agent.yaml --json result.json -- ./agent"),
	CLI_EXAMPLE("atoll run --template ci --memory 1GiB -- make test"),
	CLI_EXAMPLE("atoll run --plan-only -- true"),
	CLI_EXAMPLE("atoll run --lock run.lock -- make test", .why = "and later --locked run.lock"),
	{},
};

const struct cli_command cli_run_command = {
	.name = "run",
	.summary = "run a command behind walls",
	.operands = "[--] COMMAND [ARG...]",
	.operand.kind = CLI_COMMAND,
	.max_operands = SIZE_MAX,
	.ends_at_operand = true,
	.about = "Run a command behind walls. The exit status is the command's own; 124: a time\n"
		 "limit, 125: Atoll could not do it, 126: found but not executable, 127: not "
		 "found,\n"
		 "137: killed by a limit or a refusal that ends the run.\n",
	.notes = "A template that is named without a slash is NAME.yaml in\n"
		 "~/.config/atoll/templates ($XDG_CONFIG_HOME), else in /etc/atoll/templates; for\n"
		 "root only in the latter.\n",
	.options = options,
	.examples = examples,
	.run = cmd_run,
};

static const struct cli_example create_examples[] = {
	CLI_EXAMPLE("atoll create --name work --workspace .:copy",
		    .why = "then 'atoll exec work -- make test', and more"),
	CLI_EXAMPLE("atoll create --policy agent.yaml --session 2h --label team=a"),
	{},
};

const struct cli_command cli_create_command = {
	.name = "create",
	.summary = "make a sandbox that waits for commands",
	.about = "Make a sandbox that lives until it is stopped, or one of its limits is reached, "
		 "and\n"
		 "print its id. Nothing runs in it until 'atoll exec'. Its walls are those of "
		 "'atoll\n"
		 "run' with the same options.\n",
	.notes =
		"--wall is the time of each command; --session and --idle are the sandbox's own.\n",
	.options = options,
	.examples = create_examples,
	.run = cmd_create,
};

static int override(struct run_options *o, const char *key, const char *value, const char *option)
{
	if (o->n_overrides == RUN_MAX_OVERRIDES) {
		return -cli_complain("", "more than %d settings on the command line",
				     RUN_MAX_OVERRIDES);
	}
	o->overrides[o->n_overrides++] = (struct policy_override){key, value, option};
	return 0;
}

static int take_setting(void *into, const struct cli_option *option, char *value)
{
	return override(into, option->value.key, value, option->name);
}

static int take_workspace(void *into, const struct cli_option *option, char *value)
{
	const char *mode = cli_cut_mode(value);
	int r = mode ? override(into, option->value.key, mode, option->name) : 0;

	return r >= 0 && *value ? override(into, "filesystem.workspace.path", value, option->name)
				: r;
}

static int take_name(void *into, const struct cli_option *option, char *value)
{
	struct run_options *o = into;

	(void)option;
	if (!name_is_valid(value)) {
		return -cli_complain("",
				     "--name: '%s' cannot be a name: lower-case letters, digits, "
				     "'-', '_' and '.', at most %d, and not beginning with 's-'",
				     value, NAME_MAX_LENGTH);
	}
	o->name = value;
	return 0;
}

/* A label is what a file name could be, too: it is printed in tables. */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= NAME_MAX_LENGTH &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789-_./:@") == len;
}

static int take_label(void *into, const struct cli_option *option, char *value)
{
	struct run_options *o = into;
	char *equals = strchr(value, '=');

	(void)option;
	if (equals) {
		*equals = '\0';
	}
	if (!equals || !is_word(value) || !is_word(equals + 1) || o->n_labels == RUN_MAX_LABELS) {
		return -cli_complain("",
				     "--label: KEY=VALUE, each of at most %d letters, digits and "
				     "'-_./:@', and at most %d of them",
				     NAME_MAX_LENGTH, RUN_MAX_LABELS);
	}
	o->labels[o->n_labels++] = (struct run_label){value, equals + 1};
	return 0;
}

int run_options_parse(struct run_options *o, const struct cli_command *c, int argc, char **argv)
{
	struct cli_operands operands;
	int r;

	*o = (struct run_options){};
	r = cli_parse(c, argc, argv, o, &operands);
	o->command = r == 0 && operands.n > 0 ? operands.words : NULL;
	return r;
}
