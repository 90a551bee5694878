/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors of trails, in the ledger and outside. */
#include "keeper/anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "keeper/account.h"
#include "keeper/state.h"
#include "policy/config.h"
#include "record/checkpoint.h"
#include "record/key.h"
#include "record/ledger-anchor.h"
#include "record/ledger.h"
#include "record/pending.h"
#include "record/trail.h"
#include "record/verify.h"

extern char **environ;

/* How long somebody outside may take. */
#define OUTSIDE_NS 15000000000LL
#define OUTSIDE_S  "15"
#define LOOK_MS    5

/* One that was on its way, or is. */
static int put_in_ledger(void *arg, const struct pending *p, struct err *e)
{
	char signature[2 * SIGN_SIZE + 1];
	int64_t n;

	hex_encode(p->checkpoint.signature, SIGN_SIZE, signature);
	return ledger_anchor(arg, p->checkpoint.sandbox, (int64_t)p->size, p->head,
			     p->checkpoint.root, signature, &n, e);
}

int anchor_pending(const struct state *s, struct err *e)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	struct key_list keys;
	int r = 0;

	if (faccessat(s->home, "ledger/pending.jsonl", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		return 0;
	}
	r = key_list(s->home, &keys, e);
	r = r < 0 ? r : account_open_ledger(s->home, &l, NULL, e);
	return r < 0 ? r : pending_take(s->home, &keys, put_in_ledger, l, e);
}

int anchor_in_ledger(const struct state *s, const struct trail *t, const struct checkpoint *c,
		     int ms, struct err *e)
{
	_cleanup_(config_done) struct config config = {};
	_cleanup_ledger_ struct ledger *l = NULL;
	struct pending p = {.checkpoint = *c, .size = t->seq};
	bool many = false;
	int r = config_load(environ, &config, e);

	hex_encode(t->prev, DIGEST_SIZE, p.head);
	if (r < 0) {
		return r;
	}
	if (strcmp(config.ledger, "sqlite") == 0) {
		r = pending_add(s->home, &p, &many, e);
		return r >= 0 && many ? anchor_pending(s, e) : r;
	}
	r = account_open_ledger_in(s->home, ms, &l, e);
	return r < 0 ? r : put_in_ledger(l, &p, e);
}

struct known {
	struct verify_anchor *list;
	size_t n;
};

static int add_known(void *arg, const struct ledger_anchor_row *row, struct err *e)
{
	struct known *k = arg;
	struct verify_anchor *more;

	if (row->retired) {
		return 0;
	}
	more = realloc(k->list, (k->n + 1) * sizeof(*more));
	if (!more) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	k->list = more;
	k->list[k->n].size = (uint64_t)row->size;
	(void)snprintf(k->list[k->n++].head, DIGEST_HEX_SIZE, "%s", row->head);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	const struct verify_anchor *x = a, *y = b;

	return (x->size > y->size) - (x->size < y->size);
}

int anchor_known(const struct state *s, const char *sandbox, struct verify_anchor **ret,
		 size_t *ret_n, struct err *e)
{
	_cleanup_(config_done) struct config config = {};
	_cleanup_ledger_ struct ledger *l = NULL;
	struct known known = {};
	int r = config_load(environ, &config, e);

	*ret = NULL;
	*ret_n = 0;
	r = r < 0 ? r : anchor_pending(s, e);
	if (r < 0 || (strcmp(config.ledger, "sqlite") == 0 &&
		      faccessat(s->home, "ledger/ledger.db", F_OK, AT_SYMLINK_NOFOLLOW) < 0)) {
		return r < 0 ? r : 0;
	}
	r = account_open_ledger(s->home, &l, NULL, e);
	r = r < 0 ? r : ledger_anchors(l, sandbox, add_known, &known, e);
	if (r < 0) {
		free(known.list);
		return r;
	}
	if (known.n > 0) {
		qsort(known.list, known.n, sizeof(*known.list), by_size);
	}
	*ret = known.list;
	*ret_n = known.n;
	return 0;
}

static char *anchor_line(const struct trail *t, const struct checkpoint *c)
{
	char signature[2 * SIGN_SIZE + 1], head[DIGEST_HEX_SIZE];
	_cleanup_json_ json_t *doc = NULL;

	hex_encode(c->signature, SIGN_SIZE, signature);
	hex_encode(t->prev, DIGEST_SIZE, head);
	doc = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "sandbox", t->sandbox, "size",
			(json_int_t)t->seq, "head", head, "root", c->root, "time", c->time, "key",
			c->key, "signature", signature);
	return doc ? json_canonical(doc, NULL) : NULL;
}

/* ---- outside ---- */

static int to_file(const char *path, const char *line, struct err *e)
{
	_cleanup_fd_ int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	_cleanup_buf_ struct buf b = {};
	struct stat st;

	buf_init(&b, 65536);
	(void)buf_addf(&b, "%s\n", line);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot open the file of anchors '%s'", path);
	}
	if (!S_ISREG(st.st_mode)) {
		return err_set(e, ERR_USER, EINVAL, "'%s' is no file to add anchors to", path);
	}
	return write(fd, b.data, b.len) == (ssize_t)b.len && fdatasync(fd) == 0
		       ? 0
		       : err_sys(e, errno ? errno : EIO, "cannot write an anchor to '%s'", path);
}

/* The line is its standard input; what it says goes nowhere. */
static _Noreturn void become(char *const *argv, int input)
{
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *const env[] = {path, NULL};
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < 32; i++) {
		(void)signal(i, SIG_DFL);
	}
	if (null < 0 || dup2(input, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    setpgid(0, 0) < 0) {
		_exit(127);
	}
	(void)close_range(3, ~0U, 0);
	execve(argv[0], argv, env);
	_exit(127);
}

/* False: its time was up, and it is dead. */
static bool await(pid_t pid, int *ret_status)
{
	int64_t until = clock_now_ns() + OUTSIDE_NS;

	while (clock_now_ns() < until) {
		pid_t n = waitpid(pid, ret_status, WNOHANG);

		if (n == pid) {
			return true;
		}
		if (n < 0 && errno != EINTR) {
			return false;
		}
		(void)poll(NULL, 0, LOOK_MS);
	}
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, ret_status, 0);
	return false;
}

static int to_program(const char *what, char *const *argv, const char *line, struct err *e)
{
	_cleanup_fd_ int input = memfd_create("anchor", MFD_CLOEXEC);
	int status = 0, r = input < 0 ? -errno : buf_write_fd(input, line, strlen(line));
	pid_t pid = -1;

	if (r >= 0 && (write(input, "\n", 1) != 1 || lseek(input, 0, SEEK_SET) < 0)) {
		r = -errno;
	}
	if (r >= 0) {
		pid = fork();
		r = pid < 0 ? -errno : 0;
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot anchor by %s", what);
	}
	if (pid == 0) {
		become(argv, input);
	}
	if (!await(pid, &status)) {
		return err_set(e, ERR_SYSTEM, ETIMEDOUT, "%s did not take an anchor in %s s", what,
			       OUTSIDE_S);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : err_set(e, ERR_SYSTEM, EIO, "%s did not take an anchor (exit status %d)",
				 what, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static int outside(const char *where, const char *line, struct err *e)
{
	char sh[] = "/bin/sh", c[] = "-c", curl[] = "/usr/bin/curl", quiet[] = "-fsS",
	     time[] = "--max-time", seconds[] = OUTSIDE_S, data[] = "--data-binary", in[] = "@-",
	     header[] = "-H", type[] = "Content-Type: application/json", end[] = "--";
	char *rest = (char *)where;

	if (strncmp(where, "file:", 5) == 0) {
		return to_file(where + 5, line, e);
	}
	if (strncmp(where, "command:", 8) == 0) {
		char *argv[] = {sh, c, rest + 8, NULL};

		return to_program("the command", argv, line, e);
	}
	char *argv[] = {curl, quiet, time, seconds, data, in, header, type, end, rest, NULL};

	return access(curl, X_OK) < 0 ? err_set(e, ERR_SYSTEM, ENOENT,
						"an anchor that is sent by HTTP needs curl, which "
						"is not installed; install it, or use command:")
				      : to_program("the server", argv, line, e);
}

int anchor_place(char **ret, struct err *e)
{
	_cleanup_(config_done) struct config config = {};
	int r = config_load(environ, &config, e);

	*ret = r < 0 ? NULL : TAKE_PTR(config.anchor);
	return r;
}

int anchor_outside(const char *place, const struct trail *t, const struct checkpoint *c,
		   struct err *e)
{
	_cleanup_free_ char *line = anchor_line(t, c);

	return line ? outside(place, line, e) : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}
