/* SPDX-License-Identifier: Apache-2.0 */
/* The front's request: a plan and a command, checked member by member. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"
#include "linux/cpu.h"
#include "linux/fdpass.h"

/* Arguments and environment together are bounded by the kernel at about this (execve(2)). */
#define MAX_REQUEST (8 * 1024 * 1024)
#define MAX_ARGS    65536

/* Splits "a\0b\0" in place of the text; every string is copied. */
static int parse_argv(struct keeper *k, const char *text, size_t len, struct err *e)
{
	const char *p = text;
	size_t n = 0, i;

	for (i = 0; i < len; i++) {
		n += text[i] == '\0';
	}
	if (n < 1 || n > MAX_ARGS || text[len - 1] != '\0') {
		return err_set(e, ERR_USER, E2BIG, "a command has 1 to %d arguments", MAX_ARGS);
	}
	k->argv = calloc(n + 1, sizeof(*k->argv));
	for (i = 0; k->argv && i < n; i++) {
		k->argv[i] = strdup(p);
		if (!k->argv[i]) {
			break;
		}
		p += strlen(p) + 1;
	}
	return k->argv && k->argv[n - 1] ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static int parse_request(struct keeper *k, const json_t *doc, struct err *e)
{
	const char *cwd;
	int64_t tty;
	int r = plan_from_json(json_object_get(doc, "plan"), &k->plan, e);

	if (r >= 0) {
		r = json_get_str(doc, "cwd", &cwd, e);
	}
	if (r >= 0) {
		r = json_get_int(doc, "tty", &tty, e);
	}
	if (r >= 0) {
		r = json_get_bool(doc, "one_output", &k->one_output, e);
	}
	if (r < 0) {
		return r;
	}
	if (cwd[0] != '/' || tty < 0 || tty > 7) {
		return err_set(e, ERR_BUG, EINVAL, "the request's cwd or tty is out of range");
	}
	k->tty = (unsigned)tty;
	k->cwd = strdup(cwd);
	return k->cwd ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* The two texts of the request, from the descriptors that carried them. */
static int parse_texts(struct keeper *k, const int fds[2], struct err *e)
{
	_cleanup_free_ char *text = NULL, *argv = NULL;
	_cleanup_json_ json_t *doc = NULL;
	size_t len = 0, argv_len = 0;
	int r;

	text = message_read_fd(fds[0], MAX_REQUEST, &len, e);
	argv = text ? message_read_fd(fds[1], MAX_REQUEST, &argv_len, e) : NULL;
	if (!argv) {
		return -e->code;
	}
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!doc) {
		return err_set(e, ERR_BUG, EINVAL, "the request is not JSON");
	}
	r = parse_argv(k, argv, argv_len, e);
	return r >= 0 ? parse_request(k, doc, e) : r;
}

/* What our parent has pushed away, before it sent the request, goes back where that is. */
static int take_affinity(const struct keeper *k, struct err *e)
{
	cpu_set_t cpus;

	return cpu_affinity(k->parent, &cpus) ? cpu_restore(&cpus, e) : 0;
}

int keeper_receive(struct keeper *k, struct err *e)
{
	int fds[2] = {FD_NONE, FD_NONE};
	struct message m;
	size_t n = 2;
	ssize_t len = fdpass_recv(k->front, &m, sizeof(m), fds, &n);
	int r;

	if (len != (ssize_t)sizeof(m) || m.op != MSG_START || n != 2) {
		r = err_set(e, ERR_SYSTEM, len < 0 ? (int)-len : EPIPE, "the front went away");
	} else {
		k->rows = m.a;
		k->columns = m.b;
		r = parse_texts(k, fds, e);
		r = r >= 0 ? take_affinity(k, e) : r;
	}
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
	return r;
}
