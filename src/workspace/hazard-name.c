/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as file systems see them that fold names, and their comparison with patterns.
 *
 * Whether the host's file system folds is not asked: the changes may be copied to one that does.
 * Components are compared after these rules, which err on the side of a match:
 *
 *   case of ASCII is ignored        vfat, NTFS, HFS+, APFS, ext4 with casefold (CVE-2014-9390,
 *                                   CVE-2021-21300, CVE-2024-32002); with it the few other
 *                                   characters that Unicode folds to ASCII letters alone
 *   ignorable code points are none  HFS+ as git's utf8.c has it (CVE-2014-9390), and what ext4
 *                                   with casefold ignores: Default_Ignorable_Code_Point
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
#include "base/utf8.h"

static const struct range {
	uint32_t first, last;
} ignorable[] = {
	{0xad, 0xad},       {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},
	{0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f},   {0x202a, 0x202e},
	{0x2060, 0x206f},   {0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
	{0xffa0, 0xffa0},   {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
};

/* No text is longer than the character is in UTF-8. */
static const struct letters {
	uint32_t rune;
	const char *text;
} letters[] = {
	{0xdf, "ss"},    {0x17f, "s"},   {0x1e9e, "ss"}, {0x212a, "k"},
	{0xfb00, "ff"},  {0xfb01, "fi"}, {0xfb02, "fl"}, {0xfb03, "ffi"},
	{0xfb04, "ffl"}, {0xfb05, "st"}, {0xfb06, "st"},
};

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

/* The code point of a valid sequence. */
static uint32_t rune(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	uint32_t value = len == 1 ? u[0] : u[0] & (0x7fU >> len);

	for (size_t i = 1; i < len; i++) {
		value = value << 6 | (u[i] & 0x3fU);
	}
	return value;
}

/* Writes what a sequence of two to four bytes is folded to, no longer than it; its length. */
static size_t fold_rune(const char *s, size_t len, char *out)
{
	uint32_t value = rune(s, len);

	for (size_t i = 0; i < ARRAY_SIZE(ignorable); i++) {
		if (value >= ignorable[i].first && value <= ignorable[i].last) {
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		if (value == letters[i].rune) {
			s = letters[i].text;
			len = strlen(s);
		}
	}
	memcpy(out, s, len);
	return len;
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

/* One component; `out` holds len + 1. */
static const char *fold(const char *s, size_t len, char *out)
{
	size_t n = 0, step;

	for (size_t i = 0; i < len && s[i] != ':'; i += step) {
		step = utf8_sequence(s + i, len - i);
		if (step > 1) {
			n += fold_rune(s + i, step, out + n);
		} else {
			step = 1;
			out[n++] = lower(s[i]);
		}
	}
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
	int r = reserve(name, strlen(path) + 1);
	char *out = name->text;

	name->n = 0;
	memset(name->initials, 0, sizeof(name->initials));
	while (r >= 0 && *path) {
		size_t len = strcspn(path, "/\\");

		if (len > 0) {
			add_part(name, fold(path, len, out));
			out += len + 1;
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
