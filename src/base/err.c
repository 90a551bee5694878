/* SPDX-License-Identifier: Apache-2.0 */
/* Errors with inline storage. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

static void err_format(struct err *e, const char *fmt, va_list ap)
{
	if (vsnprintf(e->msg, sizeof(e->msg), fmt, ap) < 0) {
		e->msg[0] = '\0';
	}
}

int err_set(struct err *e, enum err_kind kind, int code, const char *fmt, ...)
{
	if (code <= 0) {
		code = EIO;
	}
	if (e) {
		va_list ap;

		e->code = code;
		e->kind = kind;
		va_start(ap, fmt);
		err_format(e, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	if (code <= 0) {
		code = EIO;
	}
	if (e) {
		va_list ap;
		size_t used;

		e->code = code;
		e->kind = ERR_SYSTEM;
		va_start(ap, fmt);
		err_format(e, fmt, ap);
		va_end(ap);
		used = strlen(e->msg);
		(void)snprintf(e->msg + used, sizeof(e->msg) - used, ": %s", strerror(code));
	}
	return -code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	va_list ap;
	size_t used;

	if (!e) {
		return -EIO;
	}
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	err_format(e, fmt, ap);
	va_end(ap);
	used = strlen(e->msg);
	(void)snprintf(e->msg + used, sizeof(e->msg) - used, ": %s", old);
	return -e->code;
}

int err_advise(struct err *e, const char *remedy)
{
	size_t used;

	if (!e) {
		return -EIO;
	}
	used = strlen(e->msg);
	if (!strchr(e->msg, ';')) {
		(void)snprintf(e->msg + used, sizeof(e->msg) - used, "; %s", remedy);
	}
	return -e->code;
}

const char *err_kind_name(enum err_kind kind)
{
	static const char *const names[] = {
		[ERR_NONE] = "none",   [ERR_USER] = "user",     [ERR_POLICY] = "policy",
		[ERR_GUEST] = "guest", [ERR_SYSTEM] = "system", [ERR_BUG] = "bug",
	};

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "bug";
}
