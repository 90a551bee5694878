/* SPDX-License-Identifier: Apache-2.0 */
/* Changes for a record. TRUST: names and contents are the payload's; contents are only hashed. */
#include "workspace/summary.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/utf8.h"
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

json_t *changes_summary(const struct changes *c, int upper)
{
	_cleanup_json_ json_t *list = json_array();
	uint64_t room = SUMMARY_READ_MAX;
	size_t n = c->n < SUMMARY_MAX ? c->n : SUMMARY_MAX;

	for (size_t i = 0; i < n; i++) {
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
	return json_pack("{s:O, s:o*}", "files", list, "more",
			 c->n > n ? json_integer((json_int_t)(c->n - n)) : NULL);
}
