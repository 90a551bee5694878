/* SPDX-License-Identifier: Apache-2.0 */
/* How the command line speaks to people. */
#include "front/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
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

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	cli_say("see 'atoll %s --help'", command);
	return CLI_FAILED;
}

void cli_reap(const struct state *s)
{
	struct err e = {};
	int r = state_reap(s, &e);

	if (r < 0) {
		cli_say("cannot remove what a killed keeper left: %s", e.msg);
	}
	if (r > 0) {
		cli_say("removed what %d sandbox%s left when %s keeper was killed", r,
			r == 1 ? "" : "es", r == 1 ? "its" : "their");
	}
}
