/* SPDX-License-Identifier: Apache-2.0 */
/* Program starts in the record, and the process that looks at them. */
#include "keeper/starts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mutant.h"
#include "keeper/keeper-internal.h"
#include "linux/clone.h"
#include "linux/seccomp.h"

/* How long the end waits for a reader that was killed. */
#define REST_MS 1000

/* ---- the reader ---- */

void starts_init(struct starts *s)
{
	*s = (struct starts){.reader = FD_NONE, .reader_pidfd = FD_NONE};
}

void starts_rest(struct starts *s)
{
	struct pollfd dead = {.fd = s->reader_pidfd, .events = POLLIN};

	if (!s->facts) {
		return;
	}
	(void)syscall(SYS_pidfd_send_signal, s->reader_pidfd, SIGKILL, NULL, 0);
	/* One that waits for a file system may take its time to die, and is collected with us. */
	if (poll(&dead, 1, s->hangs ? 0 : REST_MS) == 1) {
		(void)waitid((idtype_t)P_PIDFD, (id_t)s->reader_pidfd, NULL, WEXITED | WNOHANG);
	}
	s->reader = fd_close(s->reader);
	s->reader_pidfd = fd_close(s->reader_pidfd);
	/* Not used again: what the kernel had begun to do for the reader may still go on in it. */
	(void)munmap(s->facts, sizeof(*s->facts));
	s->facts = NULL;
}

/* Nothing of the keeper's but its memory, which is a copy, and its rights, which reading takes. */
static _Noreturn void serve(int socket, struct start_facts *facts, pid_t keeper)
{
	struct start_call call;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper || dup2(socket, 0) < 0 ||
	    syscall(SYS_close_range, 1, ~0U, 0) < 0) {
		_exit(1);
	}
	(void)prctl(PR_SET_NAME, "atoll-reader");
	while (recv(0, &call, sizeof(call), 0) == (ssize_t)sizeof(call)) {
		start_read(&call, facts);
		if (send(0, "r", 1, MSG_NOSIGNAL) != 1) {
			break;
		}
	}
	_exit(0);
}

static bool start_reader(struct starts *s)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uintptr_t)&s->reader_pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t self = getpid();
	int ends[2];
	long pid;

	s->facts = mmap(NULL, sizeof(*s->facts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (s->facts == MAP_FAILED) {
		s->facts = NULL;
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		(void)munmap(s->facts, sizeof(*s->facts));
		s->facts = NULL;
		return false;
	}
	s->reader = ends[0];
	pid = clone_process(&args, &s->reader_pidfd);
	if (pid == 0) {
		serve(ends[1], s->facts, self);
	}
	(void)fd_close(ends[1]);
	if (pid < 0) {
		s->reader_pidfd = FD_NONE;
		s->reader = fd_close(s->reader);
		(void)munmap(s->facts, sizeof(*s->facts));
		s->facts = NULL;
	}
	return pid > 0;
}

/* What the reader finds, in s->facts. False: it found nothing in time. */
static bool ask_reader(struct starts *s, const struct start_call *call)
{
	struct pollfd w = {.fd = FD_NONE, .events = POLLIN};
	char byte;

	if (s->hangs >= STARTS_HANGS || (!s->facts && !start_reader(s))) {
		return false;
	}
	w.fd = s->reader;
	if (send(s->reader, call, sizeof(*call), MSG_NOSIGNAL | MSG_DONTWAIT) ==
		    (ssize_t)sizeof(*call) &&
	    poll(&w, 1, STARTS_WAIT_MS) == 1 && recv(s->reader, &byte, 1, MSG_DONTWAIT) == 1) {
		return true;
	}
	s->hangs++;
	starts_rest(s);
	return false;
}

/* ---- the record ---- */

static json_t *arguments(const struct execve_args *a)
{
	_cleanup_json_ json_t *list = json_array();
	size_t from = 0;
	uint32_t i;

	for (i = 0; list && i < a->n; i++) {
		if (json_array_append_new(list, json_text_n(a->text + from, a->end[i] - from)) <
		    0) {
			return NULL;
		}
		from = a->end[i];
	}
	return TAKE_PTR(list);
}

/* The number of the command whose process group it is in: that of the command's first process. */
static unsigned command_of(const struct keeper *k, pid_t group)
{
	for (size_t i = 0; group > 0 && i < k->n_commands; i++) {
		if (k->commands[i]->inside.pid == group) {
			return k->commands[i]->number;
		}
	}
	return 0;
}

/* NULL: out of memory. Whose process died knows nothing of itself. */
static json_t *event_of(const struct start_facts *f, unsigned command)
{
	json_t *event = json_object();
	int r = event ? 0 : -ENOMEM;

	if (f) {
		r = r < 0 ? r : json_put(event, "path", json_text(f->args.path));
		r = r < 0 ? r : json_put(event, "argv", arguments(&f->args));
		r = r < 0 || !f->args.more
			    ? r
			    : json_put(event, "argv_more", json_integer(f->args.more));
		r = r < 0 || !f->args.cut ? r : json_put(event, "argv_cut", json_true());
		r = r < 0 || !f->cwd[0] ? r : json_put(event, "cwd", json_text(f->cwd));
		r = r < 0 || !f->pid ? r : json_put(event, "pid", json_integer(f->pid));
		r = r < 0 || !f->parent ? r : json_put(event, "parent", json_integer(f->parent));
		r = r < 0 || !f->via[0] ? r : json_put(event, "via", json_text(f->via));
	}
	r = r < 0 || !command ? r : json_put(event, "command", json_integer(command));
	r = r < 0 || (f && !f->unread) ? r : json_put(event, "unread", json_true());
	if (r < 0) {
		json_decref(event);
		return NULL;
	}
	return event;
}

static uint64_t bytes_of(const struct start_facts *f)
{
	return strlen(f->args.path) + strlen(f->cwd) + strlen(f->via) +
	       (f->args.n ? f->args.end[f->args.n - 1] : 0);
}

static bool is_full(const struct starts *s)
{
	return s->recorded >= STARTS_MAX || s->bytes >= STARTS_MAX_BYTES;
}

/* The command that is on its way to this very exec: it is still our own program. */
static struct command *newcomer(const struct keeper *k, pid_t tid)
{
	for (size_t i = 0; i < k->n_commands; i++) {
		const struct tier_command *inside = &k->commands[i]->inside;

		if (inside->stage == COMMAND_SEIZED && inside->pid == tid) {
			return k->commands[i];
		}
	}
	return NULL;
}

static struct start_call call_of(const struct keeper *k, const struct seccomp_denial *d, bool own)
{
	bool at = d->number == SYS_execveat;

	return (struct start_call){
		.tid = d->tid,
		.path = d->args[at ? 1 : 0],
		.argv = d->args[at ? 2 : 1],
		.dir = at ? (int)(uint32_t)d->args[0] : AT_FDCWD,
		.empty = at && (d->args[4] & AT_EMPTY_PATH),
		.look = !own,
		.level = k->sandbox.walls == WALLS_GUARDED ? 0 : 1,
	};
}

/* Waits with the command for the record's word on it: the last attempt is the one that counts. */
static void note_first(struct command *c, const struct start_facts *f)
{
	json_decref(c->first);
	c->first = event_of(f, c->number);
}

int keeper_see_start(struct keeper *k, const struct seccomp_denial *d, struct err *e)
{
	struct starts *s = &k->starts;
	struct command *own = newcomer(k, d->tid);
	const struct start_call call = call_of(k, d, own);
	struct start_facts direct, *f = &direct;
	int r = 0;

	if (MUTANT(ATOLL_MUTATE_STARTS)) {
		seccomp_continue(k->sandbox.listener, d);
		return 0;
	}
	s->seen++;
	if (is_full(s) && !own) {
		s->left_out++;
		seccomp_continue(k->sandbox.listener, d);
		return 0;
	}
	if (own || k->sandbox.walls == WALLS_GUARDED) {
		start_read(&call, &direct);
	} else {
		f = ask_reader(s, &call) ? s->facts : NULL;
	}
	/* Whoever had its number while we looked may have been somebody else. */
	if (f && !seccomp_pending(k->sandbox.listener, d)) {
		f = NULL;
	}
	if (own) {
		note_first(own, f);
	} else if (f && f->absent) {
		s->unfound++;
	} else {
		s->recorded++;
		s->bytes += f ? bytes_of(f) : 0;
		r = keeper_record(k, "program", event_of(f, f ? command_of(k, f->group) : 0), e);
	}
	if (r >= 0) {
		seccomp_continue(k->sandbox.listener, d);
	}
	return r;
}

int keeper_record_first(struct keeper *k, struct command *c, struct err *e)
{
	if (MUTANT(ATOLL_MUTATE_STARTS) || MUTANT(ATOLL_MUTATE_SECCOMP)) {
		return 0;
	}
	if (!c->first) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "the command's own start was not seen");
	}
	k->starts.recorded++;
	return keeper_record(k, "program", TAKE_PTR(c->first), e);
}

int keeper_record_starts(struct keeper *k, struct err *e)
{
	const struct starts *s = &k->starts;

	return s->left_out > 0
		       ? keeper_record(k, "programs_more",
				       json_pack("{s:I}", "count", (json_int_t)s->left_out), e)
		       : 0;
}
