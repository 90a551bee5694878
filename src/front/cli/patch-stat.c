/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines each change adds and removes. */
#include "front/cli/patch-stat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "front/cli/columns.h"
#include "front/cli/compare.h"
#include "front/cli/patch.h"
#include "workspace/change.h"
#include "workspace/memory.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024)

/* ---- counting ---- */

static bool count_line(void *arg, const char *line, size_t len)
{
	struct patch_count *n = arg;

	n->added += len > 0 && *line == '+';
	n->removed += len > 0 && *line == '-';
	return true;
}

/* The file on that side, where it has lines. */
static const char *file_of(const struct change *c, const struct change_side *side)
{
	return S_ISREG(side->mode) && side->size > 0 ? c->path : NULL;
}

static int count_files(const struct patch_source *s, const struct change *c, struct patch_count *n,
		       struct err *e)
{
	const char *before = file_of(c, &c->before), *after = file_of(c, &c->after);
	_cleanup_fd_ int old = FD_NONE, new = FD_NONE;

	if (!before && !after) {
		return 0;
	}
	old = memory_of_file(s->original, before, false, PATCH_SIDE_MAX, e);
	new = old < 0 ? FD_NONE : memory_of_file(s->upper, after, true, PATCH_SIDE_MAX, e);
	if (old < 0 || new < 0) {
		return old < 0 ? old : new;
	}
	return compare_lines((int[]){old, new}, count_line, n, e);
}

static int count_change(const struct patch_source *s, const struct change *c, struct patch_count *n,
			struct err *e)
{
	n->counted = patch_has(c);
	n->binary = n->counted && !patch_is_text(c);
	if (!n->counted || n->binary || c->kind == CHANGE_RENAMED || c->kind == CHANGE_MODE) {
		return 0;
	}
	n->removed = c->before.target ? patch_link_lines(c->before.target) : 0;
	n->added = c->after.target ? patch_link_lines(c->after.target) : 0;
	return count_files(s, c, n, e);
}

int patch_stat_count(const struct patch_source *s, const struct changes *c, struct patch_stat *ret,
		     struct err *e)
{
	int r = 0;

	*ret = (struct patch_stat){.list = calloc(c->n + 1, sizeof(*ret->list))};
	if (!ret->list) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	for (size_t i = 0; r >= 0 && i < c->n; i++) {
		struct patch_count *n = &ret->list[i];

		r = count_change(s, &c->list[i], n, e);
		ret->files += n->counted;
		ret->added += n->added;
		ret->removed += n->removed;
	}
	return r;
}

void patch_stat_done(struct patch_stat *t)
{
	free(t->list);
	*t = (struct patch_stat){};
}

/* ---- the layout: git's, show_stats() of its diff.c ---- */

struct layout {
	const struct patch_source *s;
	uint64_t most; /* lines of one change */
	int name, number, graph;
};

static int digits(uint64_t n)
{
	int width = 1;

	while (n >= 10) {
		n /= 10;
		width++;
	}
	return width;
}

/* "src/old => src/new", safe to show. */
static void add_path(const struct change *c, struct buf *out)
{
	buf_clear(out);
	if (c->from) {
		(void)utf8_neutralise(out, c->from, strlen(c->from));
		(void)buf_adds(out, " => ");
	}
	(void)utf8_neutralise(out, c->path, strlen(c->path));
}

/* What stands behind the number where that is no graph. */
static void add_words(const struct change *c, const struct patch_count *n, struct buf *out)
{
	buf_clear(out);
	if (n->binary && c->kind != CHANGE_RENAMED && c->kind != CHANGE_MODE) {
		(void)buf_addf(out, "%llu -> %llu bytes", (unsigned long long)c->before.size,
			       (unsigned long long)c->after.size);
	} else if (c->kind == CHANGE_MODE) {
		(void)buf_adds(out, c->after.mode & 0111 ? "mode +x" : "mode -x");
	}
}

static int larger(int a, int b)
{
	return a > b ? a : b;
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

/* Five eighths for the names where not everything has room, the rest for graphs; words are not cut,
 * and of a name ten columns stay. */
static void fit(struct layout *l, int words, int width)
{
	width = larger(width, 16 + 6 + l->number);
	if (l->name + l->number + 6 + l->graph <= width) {
		return;
	}
	l->graph = smaller(l->graph, larger(6, width * 3 / 8 - l->number - 6));
	l->graph = larger(l->graph, words);
	if (l->name > width - l->number - 6 - l->graph) {
		l->name = larger(10, width - l->number - 6 - l->graph);
	} else {
		l->graph = width - l->number - 6 - l->name;
	}
}

static struct layout lay_out(const struct patch_source *s, const struct changes *c,
			     const struct patch_stat *t, int width)
{
	struct layout l = {.s = s, .number = 1};
	_cleanup_buf_ struct buf text = {};
	int words = 0;

	buf_init(&text, LINE_MAX_BYTES);
	for (size_t i = 0; i < c->n; i++) {
		const struct patch_count *n = &t->list[i];

		if (!n->counted) {
			continue;
		}
		add_path(&c->list[i], &text);
		l.name = larger(l.name, (int)columns_of(buf_str(&text), text.len));
		add_words(&c->list[i], n, &text);
		words = larger(words, (int)text.len);
		l.most = n->added + n->removed > l.most ? n->added + n->removed : l.most;
		l.number = larger(l.number, n->binary ? 3 : 1);
	}
	l.number = larger(l.number, digits(l.most));
	l.graph = larger(words, l.most > (uint64_t)width ? width : (int)l.most);
	fit(&l, words, width);
	return l;
}

/* ---- lines ---- */

/* The end of a name that has no room, from a slash on where there is one. */
static void put_name(const struct layout *l, const struct buf *text)
{
	const char *name = buf_str(text), *slash;
	int room = l->name, have = (int)columns_of(name, text->len);

	if (have > room) {
		(void)fputs("...", l->s->out);
		room -= 3;
		name += columns_skip(name, text->len, (size_t)(have - room));
		slash = strchr(name, '/');
		name = slash ? slash : name;
		have = (int)columns_of(name, strlen(name));
	}
	(void)fprintf(l->s->out, "%s%*s", name, larger(0, room - have), "");
}

/* At least one where there is any: as if there were a column less, and one more. */
static uint64_t scale(const struct layout *l, uint64_t n)
{
	return n == 0 || l->most == 0 ? 0 : 1 + n * (uint64_t)(l->graph - 1) / l->most;
}

static void put_marks(const struct layout *l, char mark, uint64_t n)
{
	const char *colour = !l->s->colours ? "" : mark == '+' ? "\033[32m" : "\033[31m";

	if (n == 0) {
		return;
	}
	(void)fputs(colour, l->s->out);
	while (n-- > 0) {
		(void)putc(mark, l->s->out);
	}
	(void)fputs(*colour ? "\033[0m" : "", l->s->out);
}

static void put_graph(const struct layout *l, const struct patch_count *n)
{
	uint64_t added = n->added, removed = n->removed, all;

	if ((uint64_t)l->graph <= l->most) {
		all = scale(l, added + removed);
		all = all < 2 && added > 0 && removed > 0 ? 2 : all;
		if (added < removed) {
			added = scale(l, added);
			removed = all - added;
		} else {
			removed = scale(l, removed);
			added = all - removed;
		}
	}
	put_marks(l, '+', added);
	put_marks(l, '-', removed);
}

static void put_row(const struct layout *l, const struct change *c, const struct patch_count *n,
		    struct buf *text)
{
	uint64_t all = n->added + n->removed;

	add_path(c, text);
	(void)putc(' ', l->s->out);
	put_name(l, text);
	add_words(c, n, text);
	if (n->binary) {
		(void)fprintf(l->s->out, " | %*s", l->number, "Bin");
	} else {
		(void)fprintf(l->s->out, " | %*llu", l->number, (unsigned long long)all);
	}
	(void)fputs(text->len > 0 || all > 0 ? " " : "", l->s->out);
	(void)fputs(buf_str(text), l->s->out);
	put_graph(l, n);
	(void)putc('\n', l->s->out);
}

/* Both numbers where there is neither, too. */
static void put_sum(const struct patch_source *s, const struct patch_stat *t)
{
	bool none = t->added == 0 && t->removed == 0;

	(void)fprintf(s->out, " %zu file%s changed", t->files, t->files == 1 ? "" : "s");
	if (t->files > 0 && (t->added > 0 || none)) {
		(void)fprintf(s->out, ", %llu insertion%s(+)", (unsigned long long)t->added,
			      t->added == 1 ? "" : "s");
	}
	if (t->files > 0 && (t->removed > 0 || none)) {
		(void)fprintf(s->out, ", %llu deletion%s(-)", (unsigned long long)t->removed,
			      t->removed == 1 ? "" : "s");
	}
	(void)putc('\n', s->out);
}

void patch_stat_print(const struct patch_source *s, const struct changes *c,
		      const struct patch_stat *t, int width)
{
	const struct layout l = lay_out(s, c, t, width);
	_cleanup_buf_ struct buf text = {};

	buf_init(&text, LINE_MAX_BYTES);
	for (size_t i = 0; i < c->n && !ferror(s->out); i++) {
		if (t->list[i].counted) {
			put_row(&l, &c->list[i], &t->list[i], &text);
		}
	}
	put_sum(s, t);
}
