/* SPDX-License-Identifier: Apache-2.0 */
/* Program starts in the record, and the process that looks at them. */
#include "keeper/starts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mutant.h"
#include "keeper/keeper-internal.h"
#include "linux/clone.h"
#include "linux/pidns.h"
#include "linux/seccomp.h"

/* How long the end waits for a reader that was killed. */
#define REST_MS 1000

/* ---- the reader ---- */

void starts_init(struct starts *s)
{
	*s = (struct starts){
		.pidns = FD_NONE, .root = FD_NONE, .reader = FD_NONE, .reader_pidfd = FD_NONE};
}

static void end_reader(struct starts *s)
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

void starts_look(struct starts *s, bool rests)
{
	if (s->facts && (rests || clock_now_ns() - s->asked_ns > STARTS_IDLE_NS)) {
		end_reader(s);
	}
}

void starts_done(struct starts *s)
{
	end_reader(s);
	s->pidns = fd_close(s->pidns);
	s->root = fd_close(s->root);
}

/* Nothing of the keeper's but its memory, which is a copy, and its rights, which reading takes. */
static _Noreturn void serve(int socket, int root, struct start_facts *facts, pid_t keeper)
{
	struct start_call call;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper || dup2(socket, 0) < 0 ||
	    dup2(root < 0 ? socket : root, 1) < 0 || syscall(SYS_close_range, 2, ~0U, 0) < 0) {
		_exit(1);
	}
	(void)prctl(PR_SET_NAME, "atoll-reader");
	while (recv(0, &call, sizeof(call), 0) == (ssize_t)sizeof(call)) {
		call.root = call.root < 0 ? FD_NONE : 1;
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
		serve(ends[1], s->root, s->facts, self);
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

static bool ask_reader(struct starts *s, const struct start_call *call)
{
	if (s->hangs >= STARTS_HANGS || (!s->facts && !start_reader(s))) {
		return false;
	}
	if (send(s->reader, call, sizeof(*call), MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)sizeof(*call)) {
		s->hangs++; /* it was killed, from outside or for want of memory */
		end_reader(s);
		return false;
	}
	s->asked_ns = clock_now_ns();
	return true;
}

/* What it has found is in s->facts. False: it found nothing in time. */
static bool await_reader(struct starts *s)
{
	struct pollfd w = {.fd = s->reader, .events = POLLIN};
	char byte;

	if (recv(s->reader, &byte, 1, MSG_DONTWAIT) == 1 ||
	    (poll(&w, 1, STARTS_WAIT_MS) == 1 && recv(s->reader, &byte, 1, MSG_DONTWAIT) == 1)) {
		return true;
	}
	s->hangs++;
	end_reader(s);
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

/* NULL: out of memory. `f` is NULL where nothing of it could be read, `who` where it was gone. */
static json_t *event_of(const struct start_facts *f, const struct pidns_numbers *who,
			unsigned command)
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
		r = r < 0 || !f->via[0] ? r : json_put(event, "via", json_text(f->via));
	}
	if (who) {
		r = r < 0 || !who->pid ? r : json_put(event, "pid", json_integer(who->pid));
		r = r < 0 || !who->parent ? r
					  : json_put(event, "parent", json_integer(who->parent));
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

static struct start_call call_of(const struct seccomp_denial *d, bool own)
{
	bool at = d->number == SYS_execveat;

	return (struct start_call){
		.tid = d->tid,
		.path = d->args[at ? 1 : 0],
		.argv = d->args[at ? 2 : 1],
		.dir = at ? (int)(uint32_t)d->args[0] : AT_FDCWD,
		.empty = at && (d->args[4] & AT_EMPTY_PATH),
		.look = !own,
	};
}

/* What is the same for all inside: the pid namespace, where there is one, and the root, unless it
 * can be changed (chroot(2), namespaces). Nothing that cannot be opened is missed. */
static void open_common(struct keeper *k)
{
	struct starts *s = &k->starts;
	char path[48];

	if (s->pidns < 0 && !walls_have_no_namespace(k->sandbox.walls)) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", k->sandbox.init);
		s->pidns = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (s->root < 0 && k->plan.syscalls != SYSCALLS_NESTED) {
		(void)snprintf(path, sizeof(path), "/proc/%d/root", k->sandbox.init);
		s->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
}

/* What can be known: *ret_f is NULL where nothing was read. False: the caller is gone, and whoever
 * had its number while we looked may have been somebody else. */
static bool look(struct keeper *k, const struct seccomp_denial *d, bool own,
		 struct start_facts *direct, struct start_facts **ret_f, struct pidns_numbers *who)
{
	struct start_call call = call_of(d, own);
	struct starts *s = &k->starts;
	bool asked = false;

	*ret_f = NULL;
	open_common(k);
	call.root = s->root;
	if (own || walls_have_no_namespace(k->sandbox.walls)) {
		start_read(&call, direct);
		*ret_f = direct;
	} else {
		asked = ask_reader(s, &call);
	}
	(void)pidns_numbers(s->pidns, d->tid, who);
	if (asked && await_reader(s)) {
		*ret_f = s->facts;
	}
	return seccomp_pending(k->sandbox.listener, d);
}

/* Its own first start waits with a command until the record has the command. Of several attempts
 * the last is the one that counts. */
static int note(struct keeper *k, struct command *own, const struct start_facts *f,
		const struct pidns_numbers *who, struct err *e)
{
	struct starts *s = &k->starts;

	if (own) {
		json_decref(own->first);
		own->first = event_of(f, who, own->number);
		return 0;
	}
	if (f && f->absent) {
		s->unfound++;
		return 0;
	}
	s->recorded++;
	s->bytes += f ? bytes_of(f) : 0;
	return keeper_record(k, "program", event_of(f, who, who ? command_of(k, who->group) : 0),
			     e);
}

int keeper_see_start(struct keeper *k, const struct seccomp_denial *d, struct err *e)
{
	struct starts *s = &k->starts;
	struct command *own = newcomer(k, d->tid);
	struct start_facts direct, *f;
	struct pidns_numbers who;
	int r = 0;

	if (MUTANT(ATOLL_MUTATE_STARTS)) {
		seccomp_continue(k->sandbox.listener, d);
		return 0;
	}
	s->seen++;
	if (is_full(s) && !own) {
		s->left_out++;
	} else {
		bool there = look(k, d, own != NULL, &direct, &f, &who);

		r = note(k, own, there ? f : NULL, there ? &who : NULL, e);
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
