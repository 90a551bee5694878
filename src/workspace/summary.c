/* SPDX-License-Identifier: Apache-2.0 */
/* Changes for a record. TRUST: names and contents are the payload's; contents are only hashed. */
#include "workspace/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "workspace/apply-internal.h"
#include "workspace/change-internal.h"
#include "workspace/change.h"

/* Of a regular file that is not too much to read; "" where there is none. */
static void digest_of(const struct change *c, int upper, uint64_t *room, char out[DIGEST_HEX_SIZE])
{
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;

	out[0] = '\0';
	if (!S_ISREG(c->after.mode) || c->after.size > *room) {
		return;
	}
	fd = entry_open(upper, c->path, O_RDONLY | O_NONBLOCK);
	/* It may have grown since it was looked at: a sandbox that runs writes to it. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > *room) {
		return;
	}
	*room -= (uint64_t)st.st_size;
	if (digest_file(fd, out) < 0) {
		out[0] = '\0';
	}
}

/* As text, and as its bytes where it is none. */
static int put_path(json_t *row, const char *key, const char *path)
{
	size_t len = strlen(path);
	_cleanup_free_ char *hex = NULL;
	char name[16];

	if (json_put(row, key, json_text(path)) < 0) {
		return -ENOMEM;
	}
	if (utf8_valid(path, len)) {
		return 0;
	}
	hex = malloc(2 * len + 1);
	if (!hex) {
		return -ENOMEM;
	}
	hex_encode((const uint8_t *)path, len, hex);
	(void)snprintf(name, sizeof(name), "%s_hex", key);
	return json_put(row, name, json_string(hex));
}

/* A row at the end of the list, which takes of `text` what it is long: 1; 0: there is no room. */
static int add_row(json_t *list, size_t *text, enum change_kind kind, const char *path,
		   const char *from)
{
	size_t len = strlen(path) + (from ? strlen(from) : 0);
	json_t *row;

	if (json_array_size(list) == SUMMARY_MAX || len > *text) {
		return 0;
	}
	*text -= len;
	row = json_pack("{s:s}", "change", change_word(kind));
	if (!row || json_array_append_new(list, row) < 0 || put_path(row, "path", path) < 0 ||
	    (from && put_path(row, "from", from) < 0)) {
		return -ENOMEM;
	}
	return 1;
}

static json_t *document(json_t *list, size_t n)
{
	size_t listed = json_array_size(list);

	return json_pack("{s:O, s:o*}", "files", list, "more",
			 n > listed ? json_integer((json_int_t)(n - listed)) : NULL);
}

json_t *changes_summary(const struct changes *c, int upper)
{
	_cleanup_json_ json_t *list = json_array();
	uint64_t room = SUMMARY_READ_MAX;
	size_t text = SUMMARY_TEXT_MAX;
	int r = list ? 1 : -ENOMEM;

	for (size_t i = 0; r > 0 && i < c->n; i++) {
		const struct change *change = &c->list[i];
		char digest[DIGEST_HEX_SIZE];

		r = add_row(list, &text, change->kind, change->path, change->from);
		if (r > 0) {
			digest_of(change, upper, &room, digest);
		}
		if (r > 0 && digest[0] &&
		    json_put(json_array_get(list, i), "sha256", json_string(digest)) < 0) {
			r = -ENOMEM;
		}
	}
	return r < 0 ? NULL : document(list, c->n);
}

json_t *apply_summary(const struct apply *a, struct err *e)
{
	static const enum change_kind kinds[] = {
		[STEP_REMOVE] = CHANGE_DELETED,
		[STEP_PUT] = CHANGE_ADDED,
		[STEP_REPLACE] = CHANGE_MODIFIED,
		[STEP_MODE] = CHANGE_MODE,
	};
	_cleanup_(steps_done) struct steps steps = {.stage = FD_NONE};
	_cleanup_json_ json_t *list = json_array(), *doc = NULL;
	size_t text = SUMMARY_TEXT_MAX;
	int r = list ? 1 : -ENOMEM;

	if (journal_read(a, &steps, e) < 0) {
		return NULL;
	}
	for (size_t i = 0; r > 0 && i < steps.n; i++) {
		const struct step *step = &steps.list[i];

		r = add_row(list, &text, kinds[step->kind], step->path, NULL);
	}
	doc = r < 0 ? NULL : document(list, steps.n);
	if (!doc) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return TAKE_PTR(doc);
}

json_t *changes_unread(const char *why)
{
	return json_pack("{s:[], s:o}", "files", "failed", json_text(why));
}
