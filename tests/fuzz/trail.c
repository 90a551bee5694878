/* SPDX-License-Identifier: Apache-2.0 */
/* Records: what is no record is never taken for one, and every verdict names a record that is
 * there. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "record/checkpoint.h"
#include "record/line.h"
#include "record/reader.h"
#include "record/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good) {
		abort();
	}
}

/* Its parts are where they are said to be, and are what they must be. */
static void check_line(const char *text, size_t len)
{
	struct checkpoint c;
	struct line l;

	if (!line_parse(text, len, &l)) {
		return;
	}
	must(l.data >= text && l.data + l.data_len <= text + len && l.data_len >= 2);
	must(l.data[0] == '{' && l.data[l.data_len - 1] == '}');
	must(l.time > l.data && l.time + LINE_TIME_LEN <= text + len && l.time[10] == 'T');
	must(strlen(l.event) > 0 && strlen(l.event) < LINE_EVENT_SIZE);
	must(strlen(l.sandbox) > 0 && strlen(l.sandbox) < TRAIL_ID_SIZE);
	if (checkpoint_parse(&l, &c)) {
		must(c.size == l.seq && strcmp(c.sandbox, l.sandbox) == 0);
		must(strcmp(l.event, "checkpoint") == 0);
	}
}

static int count_line(void *arg, const struct line *l, const char *text, size_t len,
		      const uint8_t digest[DIGEST_SIZE], struct err *e)
{
	uint64_t *n = arg;

	(void)digest;
	(void)e;
	(*n)++;
	must(!l || (l->data >= text && l->data + l->data_len <= text + len));
	return 0;
}

static void check_file(const uint8_t *data, size_t size)
{
	static const uint8_t key[1][SIGN_KEY_SIZE] = {{1, 2, 3}};
	const struct verify_anchor anchor = {.size = size % 5 + 1};
	const struct verify_trust trust = {
		.keys = key, .n_keys = 1, .anchors = &anchor, .n_anchors = size % 2};
	int fd = memfd_create("record", MFD_CLOEXEC);
	struct verify_report report;
	struct reader in;
	struct err e = {};
	uint64_t told = 0;

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	must(reader_open_file(&in, fd, &e) >= 0);
	must(verify_run(&in, &trust, count_line, &told, &report, &e) == 0);
	reader_close(&in);
	must(told <= report.records && report.sealed == 0 && report.anchored <= report.records);
	/* The record that is missing may be the one behind the last. */
	must(report.good || (report.bad <= report.records && report.why[0]));
	must(!report.good || report.records > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_line((const char *)data, size > 0 && data[size - 1] == '\n' ? size - 1 : size);
	check_file(data, size);
	return 0;
}
