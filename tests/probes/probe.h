/* SPDX-License-Identifier: Apache-2.0 */
/* How a probe reports: one JSON object a line, on standard output, before anything can end it. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A probe asks for something that must be refused and says what it saw. Its word is evidence
 * only; the verdict comes from outside.
 */
static inline void probe_say(const char *name, long result, int error)
{
	const char *word = result >= 0 ? "OK" : strerrorname_np(error);
	char line[512];
	int len = snprintf(line, sizeof(line), "{\"probe\": \"%s\", \"errno\": \"%s\"}\n", name,
			   word ? word : "unknown");

	if (len > 0 && (size_t)len < sizeof(line)) {
		(void)!write(STDOUT_FILENO, line, (size_t)len);
	}
}

/* For calls that return -1 and set errno. */
static inline void probe_call(const char *name, long result)
{
	probe_say(name, result, errno);
}

/* As probe_call() with a composed name. */
__attribute__((format(printf, 2, 3))) static inline void probe_callf(long result, const char *fmt,
								     ...)
{
	int error = errno;
	char name[384];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	probe_say(name, result, error);
}
