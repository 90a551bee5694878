/* SPDX-License-Identifier: Apache-2.0 */
/* What a payload changed in its copy of a workspace: the list. */
#include "workspace/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "workspace/change-internal.h"

static const struct {
	const char *word;
	char letter;
} kinds[] = {
	[CHANGE_ADDED] = {"added", 'A'},       [CHANGE_DELETED] = {"deleted", 'D'},
	[CHANGE_MODIFIED] = {"modified", 'M'}, [CHANGE_MODE] = {"mode", 'M'},
	[CHANGE_TYPE] = {"type", 'T'},         [CHANGE_RENAMED] = {"renamed", 'R'},
};

const char *change_word(enum change_kind kind)
{
	return kinds[kind].word;
}

char change_letter(enum change_kind kind)
{
	return kinds[kind].letter;
}

void changes_done(struct changes *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->list[i].path);
		free(c->list[i].from);
		free(c->list[i].before.target);
		free(c->list[i].after.target);
	}
	free(c->list);
	for (i = 0; i < c->n_withheld; i++) {
		free(c->withheld[i]);
	}
	free(c->withheld);
	*c = (struct changes){};
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int changes_find(int original, int upper, const struct change_view *view, bool renames,
		 struct changes *ret, struct err *e)
{
	int r;

	*ret = (struct changes){};
	r = changes_walk(original, upper, view, ret, e);
	if (r >= 0 && renames) {
		r = changes_rename(ret, original, upper);
		r = r < 0 ? err_sys(e, -r, "cannot look for renames among the changes") : r;
	}
	if (r < 0) {
		changes_done(ret);
		return r;
	}
	if (ret->n > 0) {
		qsort(ret->list, ret->n, sizeof(*ret->list), by_path);
	}
	if (ret->n_withheld > 0) {
		qsort(ret->withheld, ret->n_withheld, sizeof(*ret->withheld), by_text);
	}
	return 0;
}

bool changes_none(int upper)
{
	DIR *list = entry_list(upper, true);
	const struct dirent *entry;
	bool none = list != NULL;

	errno = 0;
	while (none && (entry = readdir(list))) {
		none = entry_is_dot(entry->d_name);
	}
	none = none && errno == 0;
	if (list) {
		(void)closedir(list);
	}
	return none;
}
