/* SPDX-License-Identifier: Apache-2.0 */
/* How the command line speaks to people. */
#include "front/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "keeper/state.h"

static void say(const char *fmt, va_list ap)
{
	_cleanup_buf_ struct buf line = {};
	char text[4096];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	buf_init(&line, sizeof(text) * 8);
	/* Names of files and programs can come from a payload: nothing may move the cursor. */
	if (n < 0 || buf_adds(&line, "atoll: ") < 0 ||
	    utf8_neutralise(&line, text, strlen(text)) < 0 || buf_addc(&line, '\n') < 0) {
		return;
	}
	(void)!write(STDERR_FILENO, line.data, line.len);
}

void cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

int cli_fail(const struct err *e)
{
	cli_say("%s", e->msg);
	return CLI_FAILED;
}

int cli_complain(const char *name, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0) {
		cli_say("%s%s%s", name, *name ? ": " : "", text);
	}
	return CLI_FAILED;
}

/* A terminal that does what it is told. */
static bool is_able(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

void cli_progress(const char *line)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "\r\x1b[K%s%s", line ? "atoll: " : "",
			 line ? line : "");

	if (n > 0 && is_able(STDERR_FILENO)) {
		(void)!write(STDERR_FILENO, text,
			     (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	}
}

bool cli_colours(void)
{
	const char *no = getenv("NO_COLOR");

	return is_able(STDOUT_FILENO) && !(no && *no);
}

int cli_written(void)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_say("cannot write to standard output: %s", strerror(errno));
		return CLI_FAILED;
	}
	return CLI_OK;
}

int cli_print_json(json_t *taken)
{
	_cleanup_json_ json_t *j = taken;
	/* On a terminal nothing that a payload or a caller wrote may move the cursor. */
	size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
	int r = j ? json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | ascii) : -1;

	if (!j || (r < 0 && !ferror(stdout))) {
		cli_say("cannot print the result: out of memory");
		return CLI_FAILED;
	}
	(void)putchar('\n');
	return cli_written();
}

void cli_reap(const struct state *s, enum reap how)
{
	struct reaped n;
	struct err e = {};
	int r = reap_run(s, how, &n, &e);

	if (r < 0) {
		cli_say("cannot remove what a killed keeper left: %s", e.msg);
	}
	if (n.orphans > 0) {
		cli_say("removed what %d sandbox%s left when %s keeper was killed", n.orphans,
			n.orphans == 1 ? "" : "es", n.orphans == 1 ? "its" : "their");
	}
	if (n.expired > 0) {
		cli_say("removed %d cop%s that nobody had looked at in time (time.keep), or of "
			"which too "
			"many waited",
			n.expired, n.expired == 1 ? "y" : "ies");
	}
}
