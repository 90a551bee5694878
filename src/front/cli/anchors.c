/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors of trails. */
#include "front/cli/anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/trails.h"
#include "keeper/account.h"
#include "policy/config.h"
#include "record/ledger-anchor.h"
#include "record/ledger.h"

extern char **environ;

int anchors_add(struct anchor_list *a, const struct anchor_row *row, struct err *e)
{
	if (a->n % 64 == 0) {
		struct anchor_row *more = realloc(a->rows, (a->n + 64) * sizeof(*more));

		if (!more) {
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
		a->rows = more;
	}
	a->rows[a->n++] = *row;
	return 0;
}

/* One line of a file. */
static bool parse_row(const char *line, size_t len, struct anchor_row *ret)
{
	_cleanup_json_ json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *sandbox = json_string_value(json_object_get(j, "sandbox"));
	const char *head = json_string_value(json_object_get(j, "head"));
	json_int_t size = json_integer_value(json_object_get(j, "size"));
	uint8_t raw[DIGEST_SIZE];

	*ret = (struct anchor_row){};
	if (!sandbox || !trail_is_id(sandbox, strlen(sandbox)) || !head ||
	    strlen(head) != DIGEST_HEX_SIZE - 1 || !hex_decode(head, DIGEST_SIZE, raw) ||
	    size <= 0) {
		return false;
	}
	(void)snprintf(ret->sandbox, sizeof(ret->sandbox), "%s", sandbox);
	(void)snprintf(ret->at.head, sizeof(ret->at.head), "%s", head);
	ret->at.size = (uint64_t)size;
	return true;
}

int anchors_read_file(struct anchor_list *a, const char *path, struct err *e)
{
	_cleanup_fclose_ FILE *in = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0, number = 0;
	struct anchor_row row;
	ssize_t n;
	int r = 0;

	if (!in) {
		return err_sys(e, errno, "cannot open '%s'", path);
	}
	while (r >= 0 && (n = getline(&line, &size, in)) > 0) {
		number++;
		if (!parse_row(line, (size_t)n, &row)) {
			return err_set(e, ERR_USER, EBADMSG, "'%s' line %zu is no anchor", path,
				       number);
		}
		r = anchors_add(a, &row, e);
	}
	return r >= 0 && ferror(in) ? err_sys(e, errno, "cannot read '%s'", path) : r;
}

static int add_row(void *arg, const struct ledger_anchor_row *in, struct err *e)
{
	struct anchor_row row = {.retired = in->retired != NULL,
				 .at.size = in->retired ? 0 : (uint64_t)in->size};

	(void)snprintf(row.sandbox, sizeof(row.sandbox), "%s", in->sandbox);
	(void)snprintf(row.at.head, sizeof(row.at.head), "%s", in->head);
	return anchors_add(arg, &row, e);
}

int anchors_read_ledger(struct anchor_list *a, int home, struct err *e)
{
	_cleanup_(config_done) struct config config = {};
	_cleanup_ledger_ struct ledger *l = NULL;
	int r = config_load(environ, &config, e);

	/* Whoever only looks makes no ledger. */
	if (r >= 0 && strcmp(config.ledger, "sqlite") == 0 &&
	    faccessat(home, "ledger/ledger.db", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		return 0;
	}
	r = r < 0 ? r : account_open_ledger(home, &l, NULL, e);
	return r < 0 ? r : ledger_anchors(l, NULL, add_row, a, e);
}

static int by_place(const void *a, const void *b)
{
	const struct anchor_row *x = a, *y = b;
	int order = strcmp(x->sandbox, y->sandbox);

	return order ? order : (x->at.size > y->at.size) - (x->at.size < y->at.size);
}

void anchors_sort(struct anchor_list *a)
{
	if (a->n > 0) {
		qsort(a->rows, a->n, sizeof(*a->rows), by_place);
	}
}

int anchors_of(const struct anchor_list *a, const char *sandbox, struct verify_anchor **ret,
	       size_t *ret_n, struct err *e)
{
	size_t first = 0, n = 0;

	while (first < a->n && strcmp(a->rows[first].sandbox, sandbox) < 0) {
		first++;
	}
	while (first + n < a->n && strcmp(a->rows[first + n].sandbox, sandbox) == 0) {
		n++;
	}
	*ret = malloc((n + 1) * sizeof(**ret));
	if (!*ret) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!a->rows[first + i].retired) {
			(*ret)[(*ret_n)++] = a->rows[first + i].at;
		}
	}
	return 0;
}

void anchors_done(struct anchor_list *a)
{
	free(a->rows);
	*a = (struct anchor_list){};
}
