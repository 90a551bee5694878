/* SPDX-License-Identifier: Apache-2.0 */
/* Changes for a record. TRUST: names and contents are the payload's; contents are only hashed. */
#include "workspace/summary.h"

#include <fcntl.h>
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

static int put_path(json_t *row, const char *path)
{
	size_t len = strlen(path);
	_cleanup_free_ char *hex = NULL;

	if (json_put(row, "path", json_text(path)) < 0) {
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
	return json_put(row, "path_hex", json_string(hex));
}

static json_t *document(json_t *list, size_t n)
{
	return json_pack("{s:O, s:o*}", "files", list, "more",
			 n > SUMMARY_MAX ? json_integer((json_int_t)(n - SUMMARY_MAX)) : NULL);
}

json_t *changes_summary(const struct changes *c, int upper)
{
	_cleanup_json_ json_t *list = json_array();
	uint64_t room = SUMMARY_READ_MAX;

	for (size_t i = 0; i < c->n && i < SUMMARY_MAX; i++) {
		const struct change *change = &c->list[i];
		json_t *row = json_pack("{s:s}", "change", change_word(change->kind));
		char digest[DIGEST_HEX_SIZE];

		if (!row || json_array_append_new(list, row) < 0 ||
		    put_path(row, change->path) < 0) {
			return NULL;
		}
		digest_of(change, upper, &room, digest);
		if (digest[0] && json_put(row, "sha256", json_string(digest)) < 0) {
			return NULL;
		}
	}
	return document(list, c->n);
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

	if (journal_read(a, &steps, e) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < steps.n && i < SUMMARY_MAX; i++) {
		json_t *row = json_pack("{s:s}", "change", change_word(kinds[steps.list[i].kind]));

		if (!row || json_array_append_new(list, row) < 0 ||
		    put_path(row, steps.list[i].path) < 0) {
			(void)err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
			return NULL;
		}
	}
	doc = document(list, steps.n);
	if (!doc) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return TAKE_PTR(doc);
}
