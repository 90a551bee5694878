/* SPDX-License-Identifier: Apache-2.0 */
/* Patches. */
#include "front/cli/patch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "front/cli/compare.h"
#include "workspace/change.h"
#include "workspace/memory.h"

#define LINE_SHOWN ((size_t)1 << 20)

/* ---- names ---- */

static bool needs_quotes(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	while (*p && *p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\') {
		p++;
	}
	return *p != '\0';
}

/* As git writes a name: in C's quotes where it holds what a line cannot. */
static void add_name(struct buf *out, const char *prefix, const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	if (!needs_quotes(name)) {
		(void)buf_addf(out, "%s%s", prefix, name);
		return;
	}
	(void)buf_addf(out, "\"%s", prefix);
	for (; *p; p++) {
		if (*p == '"' || *p == '\\') {
			(void)buf_addf(out, "\\%c", *p);
		} else if (*p < ' ' || *p >= 0x7f) {
			(void)buf_addf(out, "\\%03o", *p);
		} else {
			(void)buf_addc(out, (char)*p);
		}
	}
	(void)buf_addc(out, '"');
}

/* ---- lines ---- */

static const char *colour_of(const char *line, bool in_hunk)
{
	if (!in_hunk) {
		return "\033[1m";
	}
	return *line == '+'   ? "\033[32m"
	       : *line == '-' ? "\033[31m"
	       : *line == '@' ? "\033[36m"
			      : "";
}

/* Tabs are kept, everything else that a terminal would obey is not. */
static void add_safely(struct buf *out, const char *line, size_t len)
{
	const char *tab;

	while ((tab = memchr(line, '\t', len))) {
		(void)utf8_neutralise(out, line, (size_t)(tab - line));
		(void)buf_addc(out, '\t');
		len -= (size_t)(tab - line) + 1;
		line = tab + 1;
	}
	(void)utf8_neutralise(out, line, len);
}

/* One line, without its end. */
static void put_line(const struct patch_source *s, const char *line, size_t len, bool in_hunk)
{
	const char *colour = s->colours ? colour_of(line, in_hunk) : "";
	_cleanup_buf_ struct buf shown = {};

	(void)fputs(colour, s->out);
	if (s->safe) {
		buf_init(&shown, 8 * LINE_SHOWN);
		add_safely(&shown, line, len < LINE_SHOWN ? len : LINE_SHOWN);
		(void)fwrite(buf_str(&shown), 1, shown.len, s->out);
	} else {
		(void)fwrite(line, 1, len, s->out);
	}
	(void)fputs(*colour ? "\033[0m\n" : "\n", s->out);
}

static void put_head(const struct patch_source *s, struct buf *line)
{
	put_line(s, buf_str(line), line->len, false);
	buf_clear(line);
}

/* "--- a/name", or /dev/null where that side is not there. */
static void put_side(const struct patch_source *s, struct buf *line, const char *mark,
		     const char *prefix, const char *name)
{
	(void)buf_adds(line, mark);
	if (name) {
		add_name(line, prefix, name);
		/* Behind a name with blanks git puts a tab, and takes it for the name's end. */
		(void)buf_adds(line, strchr(name, ' ') && !needs_quotes(name) ? "\t" : "");
	} else {
		(void)buf_adds(line, "/dev/null");
	}
	put_head(s, line);
}

/* ---- one change ---- */

bool patch_is_text(const struct change *c)
{
	return !c->binary && c->before.size <= PATCH_SIDE_MAX && c->after.size <= PATCH_SIDE_MAX;
}

static bool put_compared(void *arg, const char *line, size_t len)
{
	const struct patch_source *s = arg;

	put_line(s, line, len, true);
	return !ferror(s->out);
}

unsigned patch_mode(mode_t mode)
{
	return S_ISLNK(mode) ? 0120000 : mode & 0111 ? 0100755 : 0100644;
}

static void put_mode(const struct patch_source *s, const char *what, mode_t mode, struct buf *line)
{
	(void)buf_addf(line, "%s %06o", what, patch_mode(mode));
	put_head(s, line);
}

/* The lines of one file; `before` or `after` is NULL where it is not there. */
static int put_content(const struct patch_source *s, const struct change *c, const char *before,
		       const char *after, struct buf *line, struct err *e)
{
	_cleanup_fd_ int old = FD_NONE, new = FD_NONE;

	if (!patch_is_text(c)) {
		if (before && after) {
			/* git-apply(1) does not see a heading of one line. No hash: it is refused.
			 */
			put_mode(s, "index 0000000..0000000", c->after.mode, line);
		}
		(void)buf_adds(line, "Binary files ");
		add_name(line, before ? "a/" : "", before ? before : "/dev/null");
		(void)buf_adds(line, " and ");
		add_name(line, after ? "b/" : "", after ? after : "/dev/null");
		(void)buf_adds(line, " differ");
		put_head(s, line);
		return 0;
	}
	if ((!before || c->before.size == 0) && (!after || c->after.size == 0)) {
		return 0;
	}
	old = memory_of_file(s->original, before, false, PATCH_SIDE_MAX, e);
	new = old < 0 ? FD_NONE : memory_of_file(s->upper, after, true, PATCH_SIDE_MAX, e);
	if (old < 0 || new < 0) {
		return old < 0 ? old : new;
	}
	put_side(s, line, "--- ", "a/", before);
	put_side(s, line, "+++ ", "b/", after);
	return compare_lines((int[]){old, new}, put_compared, (void *)s, e);
}

size_t patch_link_lines(const char *target)
{
	size_t n = 0;

	for (; *target; target += strcspn(target, "\n"), target += *target == '\n') {
		n++;
	}
	return n;
}

/* "1", "1,3", "0,0": where the lines of a side are, and how many. */
static void add_range(struct buf *line, const char *target)
{
	size_t n = target ? patch_link_lines(target) : 0;

	(void)buf_addf(line, n == 1 ? "1" : n == 0 ? "0,0" : "1,%zu", n);
}

/* The target's lines. TRUST: it may hold line ends, behind which anything could stand. */
static void put_target(const struct patch_source *s, char mark, const char *target,
		       struct buf *line)
{
	const char *end;

	for (; *target; target = *end ? end + 1 : end) {
		end = target + strcspn(target, "\n");
		(void)buf_addf(line, "%c%.*s", mark, (int)(end - target), target);
		put_line(s, buf_str(line), line->len, true);
		buf_clear(line);
		if (!*end) {
			put_line(s, "\\ No newline at end of file", 27, true);
		}
	}
}

/* A link's target is the content of a file without an end, as git has it. */
static void put_link(const struct patch_source *s, const struct change *c, const char *before,
		     const char *after, struct buf *line)
{
	const char *targets[] = {before ? c->before.target : NULL, after ? c->after.target : NULL};
	int i;

	put_side(s, line, "--- ", "a/", before);
	put_side(s, line, "+++ ", "b/", after);
	(void)buf_adds(line, "@@ -");
	add_range(line, targets[0]);
	(void)buf_adds(line, " +");
	add_range(line, targets[1]);
	(void)buf_adds(line, " @@");
	put_line(s, buf_str(line), line->len, true);
	buf_clear(line);
	for (i = 0; i < 2; i++) {
		if (targets[i]) {
			put_target(s, "-+"[i], targets[i], line);
		}
	}
}

static bool has_place(mode_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode);
}

/* Of permissions the format knows but one bit. */
bool patch_has(const struct change *c)
{
	return (has_place(c->before.mode) || has_place(c->after.mode)) &&
	       (c->kind != CHANGE_MODE || patch_mode(c->before.mode) != patch_mode(c->after.mode));
}

static void put_names(const struct patch_source *s, const struct change *c, struct buf *line)
{
	(void)buf_adds(line, "diff --git ");
	add_name(line, "a/", c->from ? c->from : c->path);
	(void)buf_addc(line, ' ');
	add_name(line, "b/", c->path);
	put_head(s, line);
}

/* What is gone and what has come are two entries; everything else is one. */
static int put_entry(const struct patch_source *s, const struct change *c, bool before, bool after,
		     struct err *e)
{
	mode_t mode = after ? c->after.mode : c->before.mode;
	const char *old = before ? c->path : NULL, *new = after ? c->path : NULL;
	_cleanup_buf_ struct buf line = {};

	buf_init(&line, 1 << 20);
	put_names(s, c, &line);
	if (!before || !after) {
		put_mode(s, after ? "new file mode" : "deleted file mode", mode, &line);
	} else if (patch_mode(c->before.mode) != patch_mode(c->after.mode)) {
		put_mode(s, "old mode", c->before.mode, &line);
		put_mode(s, "new mode", c->after.mode, &line);
	}
	if (c->kind == CHANGE_RENAMED) {
		(void)buf_adds(&line, "similarity index 100%");
		put_head(s, &line);
		(void)buf_adds(&line, "rename from ");
		add_name(&line, "", c->from);
		put_head(s, &line);
		(void)buf_adds(&line, "rename to ");
		add_name(&line, "", c->path);
		put_head(s, &line);
		return 0;
	}
	if (c->kind == CHANGE_MODE) {
		return 0;
	}
	if (S_ISLNK(mode)) {
		put_link(s, c, old, new, &line);
		return 0;
	}
	return put_content(s, c, old, new, &line, e);
}

/* A link that leads elsewhere is another one: patch(1) knows no other way to say it. */
static bool is_replaced(const struct change *c)
{
	return c->kind == CHANGE_TYPE || (c->kind == CHANGE_MODIFIED && S_ISLNK(c->after.mode));
}

/* `removals`: what makes room for the rest, else the rest. */
static int put_change(const struct patch_source *s, const struct change *c, bool removals,
		      struct err *e)
{
	bool before = has_place(c->before.mode), after = has_place(c->after.mode);

	if (!patch_has(c)) {
		return 0;
	}
	if (c->kind == CHANGE_DELETED || is_replaced(c)) {
		before = before && removals;
		after = after && !removals;
	} else if (removals) {
		return 0;
	}
	return before || after ? put_entry(s, c, before, after, e) : 0;
}

int patch_print(const struct patch_source *s, const struct changes *c, struct err *e)
{
	size_t i;
	int r = 0, pass;

	for (pass = 0; r >= 0 && pass < 2; pass++) {
		for (i = 0; r >= 0 && i < c->n && !ferror(s->out); i++) {
			r = put_change(s, &c->list[i], pass == 0, e);
		}
	}
	return r;
}
