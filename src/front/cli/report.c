/* SPDX-License-Identifier: Apache-2.0 */
/* How a command ended, said to people and to shells. */
#include "front/cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "front/cli/cli.h"
#include "front/session.h"
#include "policy/path.h"

static bool is_theirs(const char *path, const json_t *written)
{
	const json_t *dir;
	bool theirs = false;
	size_t i;

	json_array_foreach((json_t *)written, i, dir)
	{
		theirs = theirs || path_passes(path, json_string_value(dir)) > 0;
	}
	return theirs;
}

/*
 * Opens a report's file. Where the payload could write it may have left a link to a file of the
 * caller's, or a pipe that nobody reads: there nothing but a plain file, reached without links,
 * will do.
 */
static int open_report(const char *path, const json_t *written, struct err *e)
{
	struct open_how how = {.flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, .mode = 0644};
	bool theirs = is_theirs(path, written);
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;

	how.flags |= theirs ? O_NONBLOCK : O_TRUNC;
	how.resolve = theirs ? RESOLVE_NO_SYMLINKS : 0;
	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (fd >= 0 && !theirs) {
		return TAKE_FD(fd);
	}
	if (fd < 0 && (!theirs || (errno != ELOOP && errno != ENXIO))) {
		return err_sys(e, errno, "cannot write '%s'", path);
	}
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    ftruncate(fd, 0) < 0) {
		return err_set(e, ERR_USER, ELOOP,
			       "'%s' is not written: it leads through the workspace, where the "
			       "payload may have made it a link; name a place outside",
			       path);
	}
	return TAKE_FD(fd);
}

int report_write(const char *path, const json_t *written, const json_t *doc, struct err *e)
{
	_cleanup_free_ char *text =
		json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	_cleanup_fd_ int fd = FD_NONE;
	size_t len, done = 0;

	if (!text) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	len = strlen(text);
	text[len] = '\n';
	fd = strcmp(path, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
				    : open_report(path, written, e);
	if (fd < 0 && strcmp(path, "-") != 0) {
		return fd;
	}
	while (fd >= 0 && done <= len) {
		ssize_t n = write(fd, text + done, len + 1 - done);

		if (n < 0 && errno != EINTR) {
			break;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	return fd < 0 || done <= len ? err_sys(e, errno, "cannot write '%s'", path) : 0;
}

/* The denial that ended the run is the first one; it is said as the reason. */
static bool ended_by_denial(const json_t *result)
{
	const char *reason = json_string_value(json_object_get(result, "reason"));

	return reason && strncmp(reason, "denied:", 7) == 0;
}

/* Where it ended before the sandbox did, what came later failed for no reason of its own. */
static void say_gateway(const json_t *result)
{
	const char *gateway = json_string_value(json_object_get(result, "gateway"));
	const char *sandbox = json_string_value(json_object_get(result, "sandbox"));

	if (gateway && strcmp(gateway, "ended") == 0) {
		cli_say("the gateway ended before the sandbox did, which had no network from then "
			"on; 'atoll events %s' says why",
			sandbox ? sandbox : "");
	}
}

/* What --learn was for. */
static void say_learned(const json_t *result)
{
	const json_t *learned = json_object_get(result, "learned");
	_cleanup_buf_ struct buf text = {};
	json_t *rule;
	size_t i;

	if (!json_is_array(learned) || json_is_object(json_object_get(result, "error"))) {
		return;
	}
	if (json_array_size(learned) == 0) {
		cli_say("learned: it tried to reach no host that no rule names");
		return;
	}
	buf_init(&text, 128 * 1024);
	json_array_foreach(learned, i, rule)
	{
		const char *s = json_string_value(rule), *quote = strpbrk(s, ",[*") ? "\"" : "";

		(void)buf_addf(&text, "%s%s%s%s", i > 0 ? ", " : "", quote, s, quote);
	}
	cli_say("learned: it would need network: {allow: [%s]}%s", buf_str(&text),
		json_is_true(json_object_get(result, "learned_more")) ? ", and others" : "");
}

static void say_denials(const json_t *result)
{
	json_t *denial;
	size_t i;

	json_array_foreach(json_object_get(result, "denials"), i, denial)
	{
		if (i == 0 && ended_by_denial(result)) {
			continue;
		}
		cli_say("refused: %s (%s, %lld times); to widen: %s",
			json_string_value(json_object_get(denial, "what")),
			json_string_value(json_object_get(denial, "code")),
			(long long)json_integer_value(json_object_get(denial, "count")),
			json_string_value(json_object_get(denial, "remedy")));
	}
}

/* It was let go on. */
static void say_suspicion(const json_t *result)
{
	const char *reason = json_string_value(json_object_get(result, "reason"));

	if (json_is_true(json_object_get(result, "escape_suspected")) &&
	    !(reason && strcmp(reason, "escape") == 0)) {
		cli_say("so much was refused that an escape is suspected; 'atoll audit show %s "
			"--class denial' tells, and --escape stop ends such a sandbox",
			json_string_value(json_object_get(result, "sandbox")));
	}
}

static void say_denied(const json_t *result)
{
	const json_t *denial = json_array_get(json_object_get(result, "denials"), 0);

	cli_say("stopped by the first refusal: %s (%s); to widen: %s; to go on after refusals: "
		"execution: {denials: record} or --denials record",
		json_string_value(json_object_get(denial, "what")),
		json_string_value(json_object_get(denial, "code")),
		json_string_value(json_object_get(denial, "remedy")));
}

/* The value and mechanism of a limit as it was armed, for people. */
static void say_limit(const json_t *result, const char *name)
{
	const json_t *list = json_object_get(result, "limits");
	size_t len = strlen(name), i;
	const char *why =
		json_string_value(json_object_get(json_object_get(result, "account"), "why"));
	json_t *limit;

	if (strcmp(name, "account") == 0) {
		cli_say("stopped for its account: %s", why ? why : "nothing is left");
		return;
	}
	json_array_foreach(list, i, limit)
	{
		const char *n = json_string_value(json_object_get(limit, "name"));

		if (n && strncmp(n, name, len) == 0 && (!n[len] || strcmp(n + len, "_ms") == 0)) {
			cli_say("stopped by the %s limit of %lld%s (armed by %s)", name,
				(long long)json_integer_value(json_object_get(limit, "value")),
				strstr(n, "_ms") ? " ms" : "",
				json_string_value(json_object_get(limit, "mechanism")));
			return;
		}
	}
}

/* What the disk had no place for, of a copy that was on a tmpfs. */
static void say_reduced(const json_t *result)
{
	const json_t *lost = json_object_get(result, "copy_reduced");

	if (json_is_object(lost)) {
		cli_say("not all of the copy could be brought to the disk: files left out: %lld, "
			"attributes left out: %lld, names that are files of their own now: %lld; "
			"the first of them: '%s'",
			(long long)json_integer_value(json_object_get(lost, "files")),
			(long long)json_integer_value(json_object_get(lost, "attributes")),
			(long long)json_integer_value(json_object_get(lost, "names")),
			json_string_value(json_object_get(lost, "first")));
	}
}

/* As whoever waits for us expects of what was ended by a signal. */
static void die_of(int sig)
{
	const struct rlimit no_core = {0, 0};
	sigset_t set;

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, sig);
	(void)raise(sig);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int report_result(const json_t *result, bool quiet, const struct session *s, const char *program)
{
	const char *reason = json_string_value(json_object_get(result, "reason"));
	const json_t *exit = json_object_get(result, "exit");
	const json_t *error = json_object_get(result, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	int status, sig;

	if (!quiet) {
		say_denials(result);
		say_suspicion(result);
		say_gateway(result);
		say_learned(result);
	}
	say_reduced(result); /* even then: it is a change that nobody will see */
	if (!reason) {
		cli_say("the keeper's result has no reason");
		return CLI_FAILED;
	}
	if (strcmp(reason, "error:exec") == 0) {
		status = (int)json_integer_value(json_object_get(exit, "status"));
		cli_say(status == CLI_NOT_FOUND
				? "%s: not found in the sandbox; programs outside /usr need "
				  "--read with their directory and --env PATH"
				: "%s: cannot be executed: %s",
			program, message ? message : "");
		return status;
	}
	if (strncmp(reason, "error:", 6) == 0) {
		cli_say("%s", message ? message : reason);
		return CLI_FAILED;
	}
	if (strncmp(reason, "limit:", 6) == 0) {
		say_limit(result, reason + 6);
		return strcmp(reason, "limit:wall") == 0 || strcmp(reason, "limit:idle") == 0 ||
				       strcmp(reason, "limit:session") == 0 ||
				       strcmp(reason, "limit:paused") == 0
			       ? CLI_TIME_LIMIT
			       : CLI_LIMIT;
	}
	if (ended_by_denial(result)) {
		say_denied(result);
		return CLI_LIMIT;
	}
	if (strcmp(reason, "escape") == 0) {
		cli_say("stopped: so much was refused that an escape is suspected "
			"(governance.escape)");
		return CLI_LIMIT;
	}
	if (strcmp(reason, "stopped") == 0) {
		cli_say("the sandbox was stopped");
		if (s->signal > 0 && !s->begun) {
			die_of(s->signal); /* the start was, by what we passed on */
		}
		return CLI_LIMIT;
	}
	if (s->lost) {
		cli_say("output was lost: cannot write it: %s", strerror(s->lost));
		return CLI_FAILED;
	}
	sig = (int)json_integer_value(json_object_get(exit, "signal"));
	if (sig > 0 && sig == s->signal) {
		die_of(sig); /* we passed it on and it died of it */
	}
	return sig > 0 ? 128 + sig : (int)json_integer_value(json_object_get(exit, "status"));
}

void report_suspicion(const char *sandbox)
{
	cli_say("paused: so much was refused that an escape is suspected; 'atoll audit show %s "
		"--class denial' tells, 'atoll resume %s' goes on, 'atoll stop %s' ends it",
		sandbox, sandbox, sandbox);
}
