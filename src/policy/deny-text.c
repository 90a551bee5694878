/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of filesystem.deny as people write them. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fold.h"
#include "base/utf8.h"
#include "policy/deny.h"
#include "policy/path.h"

static char folded_byte(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* A range is one of ASCII, and goes upwards however letters are folded. */
static const char *range_wrong(const char *at)
{
	if ((at[0] & 0x80) || (at[2] & 0x80)) {
		return "a range in [ ] goes from one ASCII character to another; list the others";
	}
	return folded_byte(at[0]) > folded_byte(at[2]) ||
			       (folded_byte(at[0]) != at[0]) != (folded_byte(at[2]) != at[2])
		       ? "a range in [ ] goes upwards and has letters of one case; write two"
		       : NULL;
}

/* `at` is behind the `[`; *ret is then behind the `]`. */
static const char *class_wrong(const char *at, const char *end, const char **ret)
{
	if (at < end && (*at == '!' || *at == '^') && !(at + 1 < end && at[1] == ']')) {
		return "a class of characters that begins with '!' or '^' would say what is not "
		       "denied; list what is";
	}
	for (bool first = true; at < end && (first || *at != ']'); first = false) {
		char folded[4 * FOLD_GROWTH + 1];
		size_t len = utf8_sequence(at, (size_t)(end - at));

		if (end - at > 2 && at[1] == '-' && at[2] != ']') {
			const char *why = range_wrong(at);

			if (why) {
				return why;
			}
			len = 3;
		} else if (len > 1 &&
			   utf8_sequence(folded, fold_name(at, len, folded)) != strlen(folded)) {
			return "a character in [ ] is one that may be several; write ? for it";
		}
		at += len > 0 ? len : 1;
	}
	if (at >= end) {
		return "a '[' has no ']'; for the character itself write [[]";
	}
	*ret = at + 1;
	return NULL;
}

static const char *part_wrong(const char *at, size_t len)
{
	const char *end = at + len;

	if (len == 0) {
		return "it has an empty part; write one '/' between two names";
	}
	if ((len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.')) {
		return "it has a part '.' or '..'; write the path without it";
	}
	if (len > NAME_MAX) {
		return "a part of it is longer than a name may be";
	}
	if (len == 2 && at[0] == '*' && at[1] == '*') {
		return NULL;
	}
	while (at < end) {
		const char *next = at + 1, *why = NULL;

		if (*at == '\\') {
			return "a '\\' quotes nothing here; put the character into [ ]";
		}
		if (*at == '*' && next < end && *next == '*') {
			return "'**' stands alone between two '/'; in a name write one '*'";
		}
		why = *at == '[' ? class_wrong(next, end, &next) : NULL;
		if (why) {
			return why;
		}
		at = next;
	}
	return NULL;
}

static const char *place_wrong(const char *text)
{
	static const char *const own[] = {"/proc", "/dev", "/sys"};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (path_within(text, own[i])) {
			return "the sandbox has a /proc, /dev and /sys of its own; there is "
			       "nothing of the host's in them to deny";
		}
	}
	return NULL;
}

const char *deny_wrong(const char *text)
{
	const char *at = text + (text[0] == '/');
	bool everything = true;
	size_t n = 0;

	if (text[0] == '~' && text[1] != '/') {
		return "only ~/ at the start stands for HOME; for a name write [~]";
	}
	if (text[0] == '~') {
		at = text + 2;
	}
	if (*at == '\0') {
		return "it denies all there is; use filesystem.workspace.mode none, or name what "
		       "is to be hidden";
	}
	do {
		size_t len = strcspn(at, "/");
		const char *why = part_wrong(at, len);

		if (why) {
			return why;
		}
		everything = everything && len == 2 && at[0] == '*' && at[1] == '*';
		at += len;
		at += *at == '/';
		n++;
	} while (*at);
	if (everything) {
		return "it denies all there is; use filesystem.workspace.mode none, or name what "
		       "is to be hidden";
	}
	return n > DENY_MAX_PARTS ? "it has too many parts" : place_wrong(text);
}

int deny_quote(const char *path, struct buf *out)
{
	for (; *path; path++) {
		(void)(strchr("*?[\\", *path) ? buf_addf(out, "[%c]", *path)
					      : buf_addc(out, *path));
	}
	return out->failed ? -ENOMEM : 0;
}

int deny_absolute(const char *text, const char *workspace, const char *home, struct buf *out)
{
	if (text[0] == '~') {
		(void)deny_quote(home, out);
		text++;
	} else if (text[0] != '/') {
		if (!workspace) {
			return -ENOENT;
		}
		(void)deny_quote(workspace, out);
		(void)(strcmp(workspace, "/") != 0 ? buf_addc(out, '/') : 0);
	}
	(void)buf_adds(out, text);
	while (!out->failed && out->len > 1 && out->data[out->len - 1] == '/') {
		out->data[--out->len] = '\0';
	}
	return out->failed ? -ENOMEM : 0;
}

int deny_prefix(const char *text, char *out, const char **ret_rest)
{
	const char *last = strrchr(text, '/'), *at = text;
	size_t n = 0, whole = 0;

	*ret_rest = text;
	while (at < last) {
		if (*at == '/') {
			whole = n;
			*ret_rest = at;
		}
		if (*at == '[' && at + 2 < last && at[2] == ']') {
			at++;
			out[n++] = *at;
			at += 2;
		} else if (strchr("*?[", *at)) {
			out[whole] = '\0';
			return 0;
		} else {
			out[n++] = *at++;
		}
		if (n >= PATH_MAX - 1) {
			return -ENAMETOOLONG;
		}
	}
	out[n] = '\0';
	*ret_rest = last;
	return 0;
}
