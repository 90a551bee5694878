/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll policy new: a first policy from answers to four groups of questions: containment, access,
 * governance, ephemerality. An answer is an option, or is typed when there is a terminal to ask on.
 * Before anything is written the document is read as any other one is, so that what is written is
 * known to be right.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/policy-internal.h"
#include "front/cli/policy-new.h"
#include "policy/load.h"
#include "policy/policy.h"
#include "policy/setting.h"
#include "policy/settle.h"

#define COMMAND "policy new"

extern char **environ;

/* The answers stand first: they own memory. */
struct new_options {
	struct new_policy policy;
	bool yes;
	bool force;
	bool json;
};

/* ---- answers ---- */

/* An answer, checked as an option of `run` is: of a scalar the last counts, a list grows. */
static int answer(struct new_policy *n, enum key_id key, const char *option, const char *text,
		  struct err *e)
{
	const struct origin at = {.layer = LAYER_OPTION, .option = option};
	const struct schema_key *k = &schema_keys[key];
	int r = setting_check_text(k->path, &at, text, strlen(text), e);

	if (r < 0) {
		return r;
	}
	if (!schema_is_list(k)) {
		value_done(&n->answers.v[key]);
	}
	return setting_take(k, &at, text, &n->answers.v[key], e);
}

static int take(void *into, const struct cli_option *option, char *value)
{
	const char *key = option->value.key;
	struct new_options *o = into;
	struct err e = {};

	return answer(&o->policy, schema_id(schema_find(key, strlen(key))), option->name, value,
		      &e) < 0
		       ? -cli_complain(COMMAND, "%s", e.msg)
		       : 0;
}

static int take_workspace(void *into, const struct cli_option *option, char *value)
{
	const char *mode = cli_cut_mode(value);
	struct new_options *o = into;
	struct err e = {};

	if ((mode && answer(&o->policy, KEY_WORKSPACE_MODE, option->name, mode, &e) < 0) ||
	    (*value && answer(&o->policy, KEY_WORKSPACE_PATH, option->name, value, &e) < 0)) {
		return -cli_complain(COMMAND, "%s", e.msg);
	}
	return 0;
}

#define ANSWERS(key_)  CLI_OF_KEY(key_), .take = take
#define MEMBER(field_) .offset = offsetof(struct new_options, field_)

static const struct cli_option options[] = {
	CLI_TAKES("--provenance", "WORD", CLI_WORDS, "where the code comes from",
		  ANSWERS("provenance")),
	CLI_TAKES("--trust", "LEVEL", CLI_WORDS, "how far it is trusted", ANSWERS("trust")),
	CLI_TAKES("--tier", "TIER", CLI_WORDS, "depth of the wall (default by trust)",
		  ANSWERS("tier")),
	CLI_TAKES("--limits", "WORD", CLI_WORDS, "what may arm the limits",
		  ANSWERS("execution.limits.mechanism")),
	CLI_TAKES("--workspace", "PATH[:MODE]", CLI_WORKSPACE, "what is worked on, seen from FILE",
		  CLI_OF_KEY("filesystem.workspace.mode"), .take = take_workspace),
	CLI_TAKES("--read", "PATH", CLI_FILE, "what else it may read", ANSWERS("filesystem.read"),
		  .repeat = true),
	CLI_TAKES("--allow", "HOST:PORT", CLI_TEXT, "what it must reach", ANSWERS("network.allow"),
		  .repeat = true),
	CLI_TAKES("--allow-program", "NAME", CLI_PROGRAM, "the only programs it may execute",
		  ANSWERS("execution.allow"), .repeat = true),
	CLI_TAKES("--env", "NAME[=VALUE]", CLI_VARIABLE, "a variable, or a secret of the caller's",
		  ANSWERS("data.env"), .repeat = true),
	CLI_TAKES("--name", "NAME", CLI_TEXT, "what records call it", ANSWERS("name")),
	CLI_TAKES("--owner", "TEXT", CLI_TEXT, "who answers for it", ANSWERS("governance.owner")),
	CLI_TAKES("--account", "NAME", CLI_TEXT, "the account that it belongs to",
		  ANSWERS("governance.account")),
	CLI_TAKES("--purpose", "TEXT", CLI_TEXT, "what it is for", ANSWERS("governance.purpose")),
	CLI_TAKES("--wall", "DURATION", CLI_TEXT, "the longest that it may run",
		  ANSWERS("time.wall")),
	CLI_TAKES("--idle", "DURATION", CLI_TEXT, "the longest that it may do nothing",
		  ANSWERS("time.idle")),
	CLI_TAKES("--scratch", "SIZE", CLI_TEXT, "room for files that are gone afterwards",
		  ANSWERS("execution.limits.scratch")),
	CLI_FLAG("--yes", "ask nothing: defaults for what is not given", MEMBER(yes)),
	CLI_FLAG("--force", "replace FILE where it is there", MEMBER(force)),
	CLI_FLAG("--json", "answers, findings and document as JSON", MEMBER(json)),
	{},
};

/* ---- questions ---- */

const struct new_question new_questions[] = {
	{KEY_PROVENANCE, "--provenance", "Containment: how deep the wall is",
	 "Where does the code come from", NULL, true},
	{KEY_TRUST, "--trust", NULL, "How far is it trusted", NULL, true},
	{KEY_TIER, "--tier", NULL, "Which wall", NULL, false},
	{KEY_MECHANISM, "--limits", NULL, "What may arm the limits", NULL, false},
	{KEY_WORKSPACE_PATH, "--workspace", "Access: what it sees and reaches",
	 "Which directory does it work on, seen from the policy's file", "where it is started",
	 true},
	{KEY_WORKSPACE_MODE, "--workspace", NULL, "May it change that directory", NULL, true},
	{KEY_READ, "--read", NULL, "What else may it read", "nothing", false},
	{KEY_NETWORK_ALLOW, "--allow", NULL, "Which HOST:PORT must it reach", "nothing", false},
	{KEY_EXEC_ALLOW, "--allow-program", NULL, "Which programs alone may it execute", "any",
	 false},
	{KEY_ENV, "--env", NULL, "Which of your variables, secrets included, does it need", "none",
	 false},
	{KEY_NAME, "--name", "Governance: who answers for it", "What do records call it",
	 "its trust level", false},
	{KEY_OWNER, "--owner", NULL, "Who answers for it", "nobody", false},
	{KEY_ACCOUNT, "--account", NULL, "Which account does it belong to", "none", false},
	{KEY_PURPOSE, "--purpose", NULL, "What is it for", "not said", false},
	{KEY_WALL, "--wall", "Ephemerality: when it ends, and what is left",
	 "How long may it run at most", NULL, false},
	{KEY_IDLE, "--idle", NULL, "How long may it do nothing", NULL, false},
	{KEY_SCRATCH, "--scratch", NULL, "How much room for files that are gone afterwards", NULL,
	 false},
};
const size_t new_questions_count = ARRAY_SIZE(new_questions);

/* The question, with its words and what holds when nothing is typed. */
static void put_question(const struct new_policy *n, const struct new_question *q)
{
	const struct schema_key *k = &schema_keys[q->key];
	_cleanup_(settled_done) struct settled s = {};
	_cleanup_buf_ struct buf usual = {};
	char words[128];

	buf_init(&usual, POLICY_TEXT_MAX);
	if (q->usual) {
		(void)buf_adds(&usual, q->usual);
	} else if (new_settle(n, q->key, &s, NULL) >= 0) {
		(void)setting_show(k, &s.policy.v[q->key], &usual);
	}
	(void)fprintf(stderr, "  %s?%s%s%s [%s] ", q->ask, k->n_words > 0 ? " " : "",
		      k->n_words > 0 ? schema_word_list(k, words, sizeof(words)) : "",
		      schema_is_list(k) ? " (one a line)" : "", buf_str(&usual));
}

static void put_help(const struct schema_key *k)
{
	(void)fprintf(stderr, "    %s\n", k->doc);
	for (size_t i = 0; i < k->n_words; i++) {
		(void)fprintf(stderr, "    %s: %s\n", k->words[i].word, k->words[i].say);
	}
}

/* One line without its end; 0 when nothing was typed, -ECANCELED at the end of input. */
static ssize_t read_line(char **line, size_t *size, struct err *e)
{
	ssize_t len = getline(line, size, stdin);

	if (len <= 0) {
		(void)fputc('\n', stderr);
		return err_set(e, ERR_USER, ECANCELED, "the answers ended; nothing is written");
	}
	if ((*line)[len - 1] == '\n') {
		(*line)[--len] = '\0';
	}
	return len;
}

/* Asks until the answer is one, or for a list until a line is empty. */
static int ask(struct new_policy *n, const struct new_question *q, struct err *e)
{
	const struct schema_key *k = &schema_keys[q->key];
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	for (;;) {
		struct err why = {};
		ssize_t len;

		put_question(n, q);
		len = read_line(&line, &size, e);
		if (len <= 0) {
			return (int)len;
		}
		if (strcmp(line, "?") == 0) {
			put_help(k);
		} else if (answer(n, q->key, q->option, line, &why) < 0) {
			cli_say("%s", why.msg);
		} else if (!schema_is_list(k)) {
			return 0;
		}
	}
}

static int ask_all(struct new_policy *n, struct err *e)
{
	int r = 0;

	(void)fputs("An empty line takes what is in brackets; ? says more.\n", stderr);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(new_questions); i++) {
		const struct new_question *q = &new_questions[i];
		size_t found = n->n_findings;

		if (q->group) {
			(void)fprintf(stderr, "%s\n", q->group);
		}
		if (!n->answers.v[q->key].set) {
			r = ask(n, q, e);
		}
		if (r >= 0) {
			r = new_fit_key(n, q->key, e);
		}
		if (n->n_findings > found) {
			(void)fprintf(stderr, "    %s\n", n->findings[found].text);
		}
	}
	return r;
}

/* Without a terminal, what decides must have been given. */
static int check_given(const struct new_policy *n, struct err *e)
{
	_cleanup_buf_ struct buf missing = {};
	const char *last = "";

	buf_init(&missing, 256);
	for (size_t i = 0; i < ARRAY_SIZE(new_questions); i++) {
		const struct new_question *q = &new_questions[i];
		bool given = n->answers.v[q->key].set;

		for (size_t j = 0; j < ARRAY_SIZE(new_questions); j++) {
			given = given || (strcmp(new_questions[j].option, q->option) == 0 &&
					  n->answers.v[new_questions[j].key].set);
		}
		if (q->decides && !given && strcmp(last, q->option) != 0) {
			(void)buf_addf(&missing, "%s%s", missing.len > 0 ? ", " : "", q->option);
			last = q->option;
		}
	}
	return missing.len == 0
		       ? 0
		       : err_set(e, ERR_USER, EINVAL,
				 "standard input is no terminal to ask on: give %s, or --yes for "
				 "the defaults",
				 buf_str(&missing));
}

/* ---- writing ---- */

/* The document as a file that exists in memory only is checked as every other one is. */
static int check(const char *text, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("policy", MFD_CLOEXEC);
	struct policy_request req = {.environ = environ};
	char path[64], note[sizeof(e->msg)];
	size_t len = strlen(text);
	int r;

	if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
		return err_sys(e, errno, "cannot check the document");
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	req.file = path;
	r = policy_check(&req, note, sizeof(note), e);
	if (r < 0 && strncmp(e->msg, path, strlen(path)) == 0) {
		memmove(e->msg, e->msg + strlen(path) + 1, strlen(e->msg + strlen(path)));
	}
	return r < 0 ? err_wrap(e, "the answers make no policy that may be used here") : 0;
}

/* What may be replaced: a plain file; never a device, nor what a link leads to. */
static int check_place(const char *path, bool force, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		return 0; /* not there, or the reason will be said when it is written */
	}
	if (!force) {
		return err_set(e, ERR_USER, EEXIST,
			       "'%s' exists; --force replaces it, another name keeps it", path);
	}
	return S_ISREG(st.st_mode)
		       ? 0
		       : err_set(e, ERR_USER, EINVAL,
				 "'%s' is no plain file and is not replaced; name another one",
				 path);
}

/* Moves it to its place. Without force nothing is replaced, not even what came meanwhile; a file
 * system that cannot promise that of a rename (NFS) can of a link. */
static int move(const char *from, const char *to, bool force)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, force ? 0 : RENAME_NOREPLACE) == 0) {
		return 0;
	}
	if (force || (errno != EINVAL && errno != ENOSYS)) {
		return -errno;
	}
	return link(from, to) < 0 || unlink(from) < 0 ? -errno : 0;
}

/* Whole or not at all: made beside its place and moved there. */
static int write_file(const char *path, const char *text, bool force, struct err *e)
{
	_cleanup_free_ char *beside = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	mode_t mask = umask(0);
	int r;

	(void)umask(mask);
	if (asprintf(&beside, "%s.XXXXXX", path) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot write '%s'", path);
	}
	r = buf_write_fd(fd, text, strlen(text));
	if (r >= 0) {
		r = fchmod(fd, 0666 & ~mask) < 0 ? -errno : move(beside, path, force);
	}
	if (r < 0) {
		(void)unlink(beside);
		return err_sys(e, -r, "cannot write '%s'", path);
	}
	return 0;
}

static int count(const struct new_policy *n, bool weaker)
{
	int found = 0;

	for (size_t i = 0; i < n->n_findings; i++) {
		found += n->findings[i].weaker == weaker;
	}
	return found;
}

static int deliver(const struct new_options *o, const char *path, const char *text, struct err *e)
{
	int r = path ? write_file(path, text, o->force, e) : 0;

	if (r < 0) {
		return r;
	}
	if (o->json) {
		return cli_print_json(new_json(&o->policy, text));
	}
	if (path) {
		(void)printf(
			"%s: written; its comments say where a wall is weaker (%d) or stronger "
			"(%d) than asked for\n",
			path, count(&o->policy, true), count(&o->policy, false));
	} else {
		(void)fputs(text, stdout);
	}
	return cli_written();
}

static int make(struct new_options *o, const char *path, struct err *e)
{
	_cleanup_(settled_done) struct settled s = {};
	_cleanup_buf_ struct buf text = {};
	int r = path ? check_place(path, o->force, e) : 0;

	if (r >= 0 && !o->yes) {
		r = isatty(STDIN_FILENO) ? ask_all(&o->policy, e) : check_given(&o->policy, e);
	}
	if (r < 0 || (r = new_fit(&o->policy, &s, e)) < 0) {
		return r;
	}
	buf_init(&text, POLICY_DOCUMENT_MAX);
	if (new_document(&o->policy, &s, &text) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = check(buf_str(&text), e);
	return r < 0 ? r : deliver(o, path, buf_str(&text), e);
}

static int run(const struct cli_command *c, int argc, char **argv)
{
	_cleanup_free_ struct new_options *o = calloc(1, sizeof(*o));
	struct cli_operands files;
	struct err e = {};
	int r;

	if (!o) {
		return cli_complain(c->name, "out of memory");
	}
	r = cli_parse(c, argc, argv, o, &files);
	if (r == 0) {
		bool to_file = files.n > 0 && strcmp(files.words[0], "-") != 0;

		r = make(o, to_file ? files.words[0] : NULL, &e);
		r = r < 0 ? cli_complain(c->name, "%s", e.msg) : r;
	} else {
		r = r > 0 ? CLI_OK : -r;
	}
	new_policy_done(&o->policy);
	return r;
}

static const struct cli_example examples[] = {
	CLI_EXAMPLE("atoll policy new --yes", .why = "the defaults, to look at"),
	CLI_EXAMPLE(
		"atoll policy new --provenance external --trust low --workspace .:none chat.yaml"),
	CLI_EXAMPLE("atoll policy new --yes --env TOKEN --owner 'team a' --wall 5m --json"),
	{},
};

const struct cli_command cli_policy_new_command = {
	.name = COMMAND,
	.summary = "make a policy from answers to a few questions",
	.operands = "[FILE]",
	.operand.kind = CLI_FILE,
	.max_operands = 1,
	.about = "Ask what the sandbox is for - containment, access, governance, ephemerality - "
		 "and\n"
		 "write a policy with comments, to FILE or to standard output. Each answer can be\n"
		 "given as an option; the rest is asked on a terminal. The comments say where a "
		 "wall\n"
		 "is WEAKER or STRONGER than what was asked for, and why.\n",
	.notes = "Without a terminal, --provenance, --trust and --workspace must be given, or "
		 "--yes.\n"
		 "An answer that the rules do not allow is tightened until they do. What is "
		 "written\n"
		 "passes 'atoll policy check' here, or nothing is written.\n",
	.options = options,
	.examples = examples,
	.run = run,
};
