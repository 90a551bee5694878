/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as file systems see them that fold names, and their comparison with patterns.
 *
 * Whether the host's file system folds is not asked: the changes may be copied to one that does.
 * Components are compared after these rules, which err on the side of a match:
 *
 *   case, form and ignorable code   vfat, NTFS, HFS+, APFS, ext4 with casefold (base/fold.h;
 *   points are no difference        CVE-2014-9390, CVE-2021-21300, CVE-2024-32002)
 *   dots and spaces at the end go   NTFS and vfat (CVE-2014-9390, CVE-2019-1353)
 *   `:` ends a name                 NTFS streams: .git::$INDEX_ALLOCATION (CVE-2019-1352)
 *   `\` separates components        Windows and its shares (CVE-2019-1354)
 *   short names of NTFS             those that git's path.c knows: git~1, gitmod~1, gi7eba~1, ...
 *
 * Bytes that are not UTF-8 stand for themselves.
 */
#include "workspace/hazard-internal.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fold.h"

/* Names that git protects on NTFS; `hash` begins the short name when the plain ones are taken. */
static const struct short_name {
	const char *name, *hash;
} short_names[] = {
	{".gitmodules", "gi7eba"},
	{".gitattributes", "gi7d29"},
};

/* Not tolower(3): no locale has a say. */
static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* git's is_ntfs_dot_generic(), for a folded name. */
static bool is_short_name(const char *s, const struct short_name *of)
{
	const char *tilde = strchr(s, '~');
	size_t stem = tilde ? (size_t)(tilde - s) : 0;

	if (!tilde || strlen(s) != 8 || stem > 6 || tilde[1] < '1' || tilde[1] > '9' ||
	    tilde[1 + strspn(tilde + 1, "0123456789")] != '\0') {
		return false;
	}
	return strncmp(s, of->hash, stem) == 0 ||
	       (stem == 6 && tilde[1] <= '4' && strncmp(s, of->name + 1, 6) == 0);
}

static const char *long_name(const char *s)
{
	if (strcmp(s, "git~1") == 0) {
		return ".git";
	}
	for (size_t i = 0; i < ARRAY_SIZE(short_names); i++) {
		if (is_short_name(s, &short_names[i])) {
			return short_names[i].name;
		}
	}
	return s;
}

/* One component; `out` holds len * FOLD_GROWTH + 1. */
static const char *fold(const char *s, size_t len, char *out)
{
	const char *stream = memchr(s, ':', len);
	size_t n = fold_name(s, stream ? (size_t)(stream - s) : len, out);

	while (n > 0 && (out[n - 1] == '.' || out[n - 1] == ' ')) {
		n--;
	}
	out[n] = '\0';
	return long_name(out);
}

static int reserve(struct hazard_name *name, size_t room)
{
	char *text;
	const char **parts;

	if (room <= name->room) {
		return 0;
	}
	text = fault_hit() ? NULL : realloc(name->text, room);
	if (!text) {
		return -ENOMEM;
	}
	name->text = text;
	parts = fault_hit() ? NULL : reallocarray(name->parts, room, sizeof(*parts));
	if (!parts) {
		return -ENOMEM;
	}
	name->parts = parts;
	name->room = room;
	return 0;
}

static void add_part(struct hazard_name *name, const char *part)
{
	unsigned char c = (unsigned char)part[0];

	name->parts[name->n++] = part;
	name->last = c == '\0' ? '\0' : part[strlen(part) - 1];
	name->initials[c / 8] |= (unsigned char)(1U << c % 8);
}

/* Most rows are not about a path, and most of these end here. */
static bool may_hold(const struct hazard_name *name, const char *dir)
{
	unsigned char c = (unsigned char)lower(dir[0]);

	return c == '\0' || c == '*' || (name->initials[c / 8] >> c % 8 & 1) != 0;
}

int hazard_name_set(struct hazard_name *name, const char *path)
{
	int r = reserve(name, (strlen(path) + 1) * FOLD_GROWTH);
	char *out = name->text;

	name->n = 0;
	memset(name->initials, 0, sizeof(name->initials));
	while (r >= 0 && *path) {
		size_t len = strcspn(path, "/\\");

		if (len > 0) {
			add_part(name, fold(path, len, out));
			out += len * FOLD_GROWTH + 1;
		}
		path += len + (path[len] != '\0');
	}
	return r;
}

void hazard_name_done(struct hazard_name *name)
{
	free(name->text);
	free(name->parts);
	*name = (struct hazard_name){};
}

/* Only the last `*` is ever tried again, as in dirs_match(). */
static bool part_matches(const char *pattern, size_t len, const char *part)
{
	const char *end = pattern + len, *again = NULL, *from = NULL;

	while (*part) {
		if (pattern < end && *pattern == '*') {
			again = ++pattern;
			from = part;
		} else if (pattern < end && lower(*pattern) == *part) {
			pattern++;
			part++;
		} else if (again) {
			pattern = again;
			part = ++from;
		} else {
			return false;
		}
	}
	while (pattern < end && *pattern == '*') {
		pattern++;
	}
	return pattern == end;
}

static bool is_deep(const char *pattern, size_t len)
{
	return len == 2 && pattern[0] == '*' && pattern[1] == '*';
}

/*
 * How many of the first components cannot matter to a pattern that has to use up all of them: all
 * but as many of the last ones as it has itself. None, where it has a `**`.
 */
static size_t leading(size_t n, const char *dir, const char *end)
{
	size_t k = dir < end;

	for (const char *at = dir; at < end; at++) {
		if (*at == '/') {
			k++;
		} else if (is_deep(at, (size_t)(end - at < 2 ? end - at : 2))) {
			return 0;
		}
	}
	return n > k ? n - k : 0;
}

/*
 * Components against the pattern of directories from `dir` to `end`, beginning anywhere. They all
 * have to be used up by it; `below`: at least one has to be left instead. Only the last `**` is
 * ever tried again, so the time is at most that of the one times the other.
 */
static bool dirs_match(const char *const *parts, size_t n, const char *dir, const char *end,
		       bool below)
{
	const char *at = dir, *again = dir;
	/* A path can have thousands, and there are hundreds of patterns. */
	size_t i = below ? 0 : leading(n, dir, end), from = i;

	while (i < n) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t len = (size_t)((slash ? slash : end) - at);
		const char *next = slash ? slash + 1 : end;

		if (is_deep(at, len)) {
			at = again = next;
			from = i;
		} else if (len > 0 && part_matches(at, len, parts[i])) {
			at = next;
			i++;
		} else if (len == 0 && below) {
			return true;
		} else {
			at = again;
			i = ++from;
		}
	}
	return !below && (at == end || is_deep(at, (size_t)(end - at)));
}

/* Most rows end at the first letter, most of the others at the last. */
static bool base_matches(const char *base, const char *part, char last)
{
	size_t len;

	if (base[0] != '*') {
		return lower(base[0]) == part[0] && part_matches(base, strlen(base), part);
	}
	len = strlen(base);
	return (base[len - 1] == '*' || lower(base[len - 1]) == last) &&
	       part_matches(base, len, part);
}

bool hazard_name_matches(const struct hazard_name *name, const char *dir, const char *base)
{
	bool below = base[0] == '*' && base[1] == '*';

	if (name->n == 0 || !may_hold(name, dir) ||
	    (!below && !base_matches(base, name->parts[name->n - 1], name->last))) {
		return false;
	}
	return dirs_match(name->parts, name->n - !below, dir, dir + strlen(dir), below);
}

bool hazard_name_leads(const struct hazard_name *name, const char *dir)
{
	for (const char *end = dir; *end; end += *end == '/') {
		end += strcspn(end, "/");
		if (dirs_match(name->parts, name->n, dir, end, false)) {
			return true;
		}
	}
	return false;
}

bool hazard_name_in_git(const struct hazard_name *name)
{
	for (size_t i = 0; i < name->n; i++) {
		if (strcmp(name->parts[i], ".git") == 0) {
			return true;
		}
	}
	return false;
}
