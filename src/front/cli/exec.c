/* SPDX-License-Identifier: Apache-2.0 */
/* atoll exec, atoll shell: a command in a sandbox that lives. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/report.h"
#include "front/cli/sandboxes.h"
#include "front/session.h"
#include "keeper/name.h"
#include "keeper/state.h"
#include "policy/identity.h"
#include "policy/scalar.h"
#include "policy/setting.h"

#define MAX_VARIABLES 256

extern char **environ;

struct exec_options {
	const char *cwd;     /* --cwd */
	const char *timeout; /* --timeout */
	const char *json;    /* --json FILE|- */
	bool detach;
	bool quiet;
	char *env[MAX_VARIABLES + 1]; /* NAME=VALUE, argv's or environ's; NULL-terminated */
	size_t n_env;
};

static int add_variable(struct exec_options *o, char *text)
{
	if (o->n_env == MAX_VARIABLES) {
		return -cli_complain("", "more than %d variables", MAX_VARIABLES);
	}
	if (!utf8_valid(text, strlen(text))) {
		return -cli_complain("", "--env: the value of '%.*s' is not UTF-8",
				     (int)strcspn(text, "="), text);
	}
	o->env[o->n_env++] = text;
	return 0;
}

/* The caller's own NAME=VALUE; NULL: it is not set. */
static char *find_variable(const char *name)
{
	size_t len = strlen(name), i;

	for (i = 0; environ[i]; i++) {
		if (strncmp(environ[i], name, len) == 0 && environ[i][len] == '=') {
			return environ[i];
		}
	}
	return NULL;
}

/* NAME=VALUE, or NAME: the caller's own. */
static int take_variable(void *into, const struct cli_option *option, char *value)
{
	struct exec_options *o = into;
	size_t len = strcspn(value, "=");
	char *own;

	(void)option;
	if (!setting_is_variable(value, len)) {
		return -cli_complain("", "--env: '%s' does not begin with a variable's name",
				     value);
	}
	if (value[len] == '=') {
		return add_variable(o, value);
	}
	own = find_variable(value);
	return own ? add_variable(o, own)
		   : -cli_complain("", "--env: '%s' is not set here; NAME=VALUE sets it", value);
}

#define MEMBER(field) .offset = offsetof(struct exec_options, field)

/* Of every command in a sandbox. */
#define COMMAND_OPTIONS                                                                          \
	CLI_TAKES("--env", "NAME[=VALUE]", CLI_VARIABLE, "set a variable, or pass the caller's", \
		  .take = take_variable, .repeat = true),                                        \
		CLI_TAKES("--cwd", "DIR", CLI_FILE,                                              \
			  "where to start (default: here, or the workspace)", MEMBER(cwd)),      \
		CLI_TAKES("--timeout", "DURATION", CLI_TEXT,                                     \
			  "end the command after this; never later than the policy says",        \
			  MEMBER(timeout)),                                                      \
		CLI_TAKES("--json", "FILE|-", CLI_FILE,                                          \
			  "write the result as JSON (- is standard output)", MEMBER(json)),      \
		CLI_FLAG("--quiet", "say nothing but errors", MEMBER(quiet))

static const struct cli_option exec_table[] = {
	CLI_FLAG("--detach", "do not wait for it, and print its number (atoll logs)",
		 MEMBER(detach)),
	COMMAND_OPTIONS,
	{},
};

static const struct cli_option shell_table[] = {
	COMMAND_OPTIONS,
	{},
};

static const struct cli_example exec_examples[] = {
	CLI_EXAMPLE("atoll exec work -- make test"),
	CLI_EXAMPLE("atoll exec --timeout 30s work -- ./agent --once"),
	CLI_EXAMPLE("atoll exec work -- sh -c 'cat >notes' <Makefile"),
	CLI_EXAMPLE("atoll exec --detach work -- ./agent",
		    .why = "then 'atoll logs --follow work'"),
	{},
};

static const struct cli_example shell_examples[] = {
	CLI_EXAMPLE("atoll shell work"),
	CLI_EXAMPLE("atoll shell --env PS1='work> ' work"),
	{},
};

/* An absolute path; the view is not ours to look at. */
static int make_cwd(const struct exec_options *o, struct buf *b, struct err *e)
{
	_cleanup_free_ char *here = NULL;

	if (!o->cwd) {
		return 0;
	}
	if (o->cwd[0] != '/') {
		here = getcwd(NULL, 0);
		if (!here) {
			return err_sys(e, errno, "cannot say where this is");
		}
		(void)buf_addf(b, "%s/", here);
	}
	return buf_adds(b, o->cwd) < 0 ? err_set(e, ERR_USER, ENAMETOOLONG, "--cwd is too long")
				       : 0;
}

static int take_timeout(const struct exec_options *o, int64_t *ret, struct err *e)
{
	uint64_t ns = 0;

	if (o->timeout && (scalar_duration(o->timeout, &ns) < 0 || ns == 0 || ns > INT64_MAX / 2)) {
		return err_set(e, ERR_USER, EINVAL,
			       "--timeout: '%s' is no duration, such as 500ms, 30s or 1h30m",
			       o->timeout);
	}
	*ret = (int64_t)ns;
	return 0;
}

static int attach(const char *word, struct session *s, struct err *e)
{
	_cleanup_fd_ int dir = FD_NONE;
	char id[STATE_ID_SIZE];
	struct state state;
	int r = state_open(&state, e);

	if (r >= 0) {
		r = sandbox_find(&state, word, id, e);
	}
	if (r >= 0) {
		dir = openat(state.sandboxes, id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		session_attach(s, TAKE_FD(dir));
	}
	state_done(&state);
	return r;
}

/* Nobody waits for its end. */
static bool has_begun(const json_t *result)
{
	const char *reason = json_string_value(json_object_get(result, "reason"));

	return reason && strcmp(reason, "started") == 0;
}

/* Where a document goes to standard output, the number is in it. */
static int say_number(const struct exec_options *o, const json_t *result)
{
	if (!o->json || strcmp(o->json, "-") != 0) {
		printf("%lld\n", (long long)json_integer_value(json_object_get(result, "number")));
	}
	return cli_written();
}

static int perform(const struct exec_options *o, const char *word, char *const *argv)
{
	struct session_command command = {.argv = argv, .env = o->env, .detached = o->detach};
	struct session s = {.socket = FD_NONE, .dir = FD_NONE, .on_suspicion = report_suspicion};
	_cleanup_json_ json_t *result = NULL;
	_cleanup_buf_ struct buf cwd = {};
	struct err e = {};
	int r;

	buf_init(&cwd, 8192);
	r = make_cwd(o, &cwd, &e);
	command.cwd = o->cwd ? buf_str(&cwd) : NULL;
	if (r >= 0) {
		r = take_timeout(o, &command.wall, &e);
	}
	if (r >= 0) {
		r = attach(word, &s, &e);
	}
	if (r >= 0) {
		r = session_exec(&s, &command, &result, &e);
		if (r == -ENOENT && e.code == 0) {
			r = sandbox_absent(word, &e);
		}
	}
	session_done(&s);
	if (r >= 0 && o->json) {
		r = sandbox_write_report(o->json, result, result, &e);
	}
	if (r < 0) {
		return cli_fail(&e);
	}
	return has_begun(result) ? say_number(o, result)
				 : report_result(result, o->quiet, &s, argv[0]);
}

/* What a terminal needs to be told of; plain words only, as for `atoll run`. */
static void add_terminal(struct exec_options *o)
{
	static const char *const names[] = {"TERM", "COLORTERM"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names) && isatty(0); i++) {
		char *text = find_variable(names[i]);

		if (text && environ_term_is_plain(text + strlen(names[i]) + 1)) {
			(void)add_variable(o, text);
		}
	}
}

static int cmd_exec(const struct cli_command *c, int argc, char **argv)
{
	struct exec_options o = {};
	struct cli_operands words;
	char **command;
	int r;

	add_terminal(&o);
	r = sandboxes_parse(c, argc, argv, &o, &words);
	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	command = words.words + 1;
	command += command[0] && strcmp(command[0], "--") == 0;
	if (!command[0]) {
		return cli_complain(c->name,
				    "a command is missing; 'atoll shell %s' starts a shell",
				    words.words[0]);
	}
	return perform(&o, words.words[0], command);
}

const struct cli_command cli_exec_command = {
	.name = "exec",
	.summary = "run a command in a sandbox that lives",
	.operands = "SANDBOX [--] COMMAND [ARG...]",
	.operand.kind = CLI_SANDBOX,
	.further.kind = CLI_COMMAND,
	.max_operands = SIZE_MAX,
	.ends_at_operand = true,
	.about =
		"Run a command in a sandbox that 'atoll create' has made, or in one where a "
		"command\n"
		"runs already: behind all of its walls, within its limits. Standard input, output\n"
		"and the terminal are passed on, and so are signals; the exit status is as for\n"
		"'atoll run'.\n",
	.notes =
		"The command ends with its first process. Where it is ended, by its time, a limit "
		"or\n"
		"the end of this one, its process group is, too. What it leaves running ends with\n"
		"the sandbox. With --detach it has no input, and what it puts out is kept alone;\n"
		"'atoll stop --command N' ends it.\n",
	.options = exec_table,
	.examples = exec_examples,
	.run = cmd_exec,
};

static int cmd_shell(const struct cli_command *c, int argc, char **argv)
{
	/* The first that is there: exec leaves nothing of the other. */
	static char *const shell[] = {(char *)"/bin/sh", (char *)"-c",
				      (char *)"exec \"$(command -v bash || command -v sh)\" -i",
				      NULL};
	struct exec_options o = {};
	struct cli_operands words;
	int r;

	add_terminal(&o);
	r = sandboxes_parse(c, argc, argv, &o, &words);
	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	return perform(&o, words.words[0], shell);
}

const struct cli_command cli_shell_command = {
	.name = "shell",
	.summary = "a shell in a sandbox that lives",
	.operands = "SANDBOX",
	.operand.kind = CLI_SANDBOX,
	.max_operands = 1,
	.about = "Start a shell in a sandbox, as 'atoll exec' starts a command: bash where the\n"
		 "sandbox has it, else sh.\n",
	.options = shell_table,
	.examples = shell_examples,
	.run = cmd_shell,
};
