/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll cp: files into a sandbox that lives, and out of it.
 *
 * Theory of operation. Nothing on this side opens a path of the sandbox. The files are read, or
 * made, by a command inside, behind all of its walls (guest/copy.h), and cross as a stream
 * (linux/parcel.h) over that command's standard output or input. What comes out is foreign: it is
 * taken apart by a child that can reach the place it is meant for and nothing else (Landlock), has
 * a filter of system calls, and makes each name from the descriptor of its directory without
 * following it. Links that could lead out of what was copied are not made.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/report.h"
#include "front/cli/sandboxes.h"
#include "front/session.h"
#include "keeper/name.h"
#include "keeper/state.h"
#include "linux/landlock.h"
#include "linux/parcel.h"
#include "linux/seccomp.h"
#include "policy/path.h"
#include "policy/plan.h"

/* Of what was left out; the rest is counted. */
#define MAX_SAID 50
/* Out: an empty directory is 36 bytes of a stream, and a block of a disk. */
#define MAX_MADE 1000000

struct cp_options {
	const char *json; /* --json FILE|- */
	bool quiet;
};

/* One `atoll cp`; what its children find out they write here. */
struct cp {
	const struct cp_options *o;
	char *word;         /* the sandbox */
	const char *inside; /* the path there */
	const char *here;
	bool out; /* of the sandbox */
	struct found {
		struct parcel_count count;
		uint64_t said;
		int error; /* errno that ended it, or 0 */
		bool over; /* it came to its end */
	} * found;         /* shared with the children */
	int place;         /* here: the directory to put it in, or what is sent */
	char name[NAME_MAX + 1];
	bool named;
};

/* ---- what is said ---- */

static void say(void *data, const char *path, enum parcel_problem why, int error)
{
	struct cp *c = data;
	const char *what = *path ? path : c->out ? c->inside : c->here;

	if (c->o->quiet || c->found->said++ >= MAX_SAID) {
		return;
	}
	switch (why) {
	case PARCEL_SPECIAL:
		cli_say("not copied: '%s' is no file, directory or link", what);
		break;
	case PARCEL_OUT:
		cli_say("not copied: '%s' is a link that could lead out of what is copied", what);
		break;
	case PARCEL_DEEP:
		cli_say("not copied: '%s' is more than %d directories deep", what, PARCEL_DEPTH);
		break;
	default:
		cli_say("not copied: '%s': %s", what, strerror(error));
	}
}

/* ---- children ---- */

/* A child that is about to read what the payload may have written. `dir`: all that it may change.
 */
static int confine(int dir, struct err *e)
{
	const struct rlimit none = {0, 0};
	int abi = landlock_abi(), r;
	_cleanup_fd_ int ruleset = FD_NONE;

	if (abi < 1) {
		return err_set(e, ERR_SYSTEM, ENOSYS,
			       "copying needs Landlock, behind which what comes out of a sandbox "
			       "is taken apart; boot with 'landlock' in the lsm= list");
	}
	r = ruleset = landlock_new(abi, e);
	if (r >= 0 && dir >= 0) {
		r = landlock_allow(ruleset, abi, dir, true, LANDLOCK_READ | LANDLOCK_WRITE_TREE, e);
	}
	if (r >= 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)) {
		r = err_sys(e, errno, "cannot limit what takes the files apart");
	}
	r = r < 0 ? r : landlock_enforce(ruleset, e);
	return r < 0 ? r : seccomp_load(SECCOMP_FILTER_GUARDED_STRICT, e);
}

enum { CHILD_STREAM = 3, CHILD_PLACE = 4 };

/* Nothing is open but standard error, the stream and the place, which may be FD_NONE. */
static int keep_only(int stream, int place, struct err *e)
{
	int high = fcntl(stream, F_DUPFD_CLOEXEC, 16);
	int high_place = place < 0 ? FD_NONE : fcntl(place, F_DUPFD_CLOEXEC, 16);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (high < 0 || (place >= 0 && high_place < 0) || null < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(high, CHILD_STREAM) < 0 ||
	    (place >= 0 && dup2(high_place, CHILD_PLACE) < 0) ||
	    close_range(place < 0 ? CHILD_PLACE : CHILD_PLACE + 1, ~0U, 0) < 0) {
		return err_sys(e, errno, "cannot arrange descriptors");
	}
	(void)signal(SIGPIPE, SIG_IGN);
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_sys(e, errno, "cannot follow") : 0;
}

/* Whatever ends the front ends the stream, and then what is half made is removed: no key that goes
 * to all of us, and no death of the front's, comes before that. */
static void stay_to_the_end(void)
{
	static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)signal(signals[i], SIG_IGN);
	}
	(void)prctl(PR_SET_PDEATHSIG, 0);
}

/* Out: what arrives on the stream is made in the place. */
static int receive(struct cp *c, int stream, struct err *e)
{
	const struct parcel_rules rules = {
		.links_stay = true, .most = MAX_MADE, .say = say, .data = c};
	int r = keep_only(stream, c->place, e);

	stay_to_the_end();
	r = r < 0 ? r : confine(CHILD_PLACE, e);
	if (r < 0) {
		return r;
	}
	c->found->error = -parcel_receive(CHILD_STREAM, CHILD_PLACE, c->named ? c->name : NULL,
					  &rules, &c->found->count);
	c->found->over = true;
	return 0;
}

/* In: our own files, which are sent. */
static int send_files(struct cp *c, int stream, struct err *e)
{
	int r = keep_only(stream, c->place, e);

	if (r >= 0) {
		(void)parcel_send(CHILD_STREAM, CHILD_PLACE);
	}
	return r;
}

static bool read_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* A number that somebody inside may have made up. */
static int errno_of(uint32_t said)
{
	return said <= 4095 ? (int)said : EPROTO;
}

/* In: what the other side says of it. */
static int listen_to(struct cp *c, int stream, struct err *e)
{
	int r = keep_only(stream, FD_NONE, e);
	struct parcel_told told;
	char path[PATH_MAX];

	r = r < 0 ? r : confine(FD_NONE, e);
	while (r >= 0 && read_all(CHILD_STREAM, &told, sizeof(told))) {
		if (told.why == PARCEL_DONE) {
			c->found->error = errno_of(told.error);
			c->found->over = true;
			break;
		}
		if (told.len >= sizeof(path) || !read_all(CHILD_STREAM, path, told.len)) {
			break;
		}
		path[told.len] = '\0';
		c->found->count.left_out++;
		say(c, path, (enum parcel_problem)told.why, errno_of(told.error));
	}
	return r;
}

typedef int child_fn(struct cp *c, int stream, struct err *e);

static pid_t start_child(struct cp *c, child_fn *fn, int stream, struct err *e)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct err why = {};

		_exit(fn(c, stream, &why) < 0 ? cli_fail(&why) : 0);
	}
	return pid < 0 ? (pid_t)err_sys(e, errno, "cannot start a process") : pid;
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return pid > 0 && status != 0 ? -EIO : 0;
}

/* ---- the command inside ---- */

/* Its three streams are ours while it runs: pipes to the children, and nothing else. */
struct streams {
	int saved[3];
};

static int redirect(struct streams *s, int in, int out, struct err *e)
{
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int now[3] = {in >= 0 ? in : null, out, null};
	int i;

	for (i = 0; i < 3; i++) {
		s->saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 16);
	}
	for (i = 0; i < 3; i++) {
		if (null < 0 || dup2(now[i], i) < 0) {
			return err_sys(e, errno, "cannot redirect");
		}
	}
	return 0;
}

static void restore(struct streams *s)
{
	int i;

	for (i = 0; i < 3; i++) {
		if (s->saved[i] >= 0) {
			(void)dup2(s->saved[i], i);
		} else {
			(void)close(i);
		}
		s->saved[i] = fd_close(s->saved[i]);
	}
}

/* Runs it. The pipes' ends are given away; the children see the end when it has ended. */
static int run_inside(struct cp *c, struct session *s, int in, int out, json_t **ret, struct err *e)
{
	char base[NAME_MAX + 1];
	const char *name = parcel_name(c->here, base); /* all that they hear of our paths */
	char *const get[] = {(char *)PARCEL_PROGRAM, (char *)"out", (char *)c->inside, NULL};
	char *const set[] = {(char *)PARCEL_PROGRAM, (char *)"in", (char *)c->inside,
			     (char *)(name ? name : "."), NULL};
	const struct session_command command = {.argv = c->out ? get : set, .own = true};
	struct streams streams;
	int r = redirect(&streams, in, out, e);

	(void)fd_close(in);
	(void)fd_close(out);
	r = r < 0 ? r : session_exec(s, &command, ret, e);
	restore(&streams);
	return r == -ENOENT && e->code == 0 ? sandbox_absent(c->word, e) : r;
}

static int make_pipe(int ends[2], struct err *e)
{
	return pipe2(ends, O_CLOEXEC) < 0 ? err_sys(e, errno, "cannot create a pipe") : 0;
}

static int copy_out(struct cp *c, struct session *s, json_t **ret, struct err *e)
{
	int ends[2], r = make_pipe(ends, e);
	pid_t child;

	if (r < 0) {
		return r;
	}
	child = start_child(c, receive, ends[0], e);
	(void)fd_close(ends[0]);
	r = child < 0 ? child : run_inside(c, s, FD_NONE, ends[1], ret, e);
	if (child < 0) {
		(void)fd_close(ends[1]);
	}
	return wait_for(child) < 0 && r >= 0 ? err_set(e, ERR_SYSTEM, EIO, "copying failed") : r;
}

static int copy_in(struct cp *c, struct session *s, json_t **ret, struct err *e)
{
	int files[2], answers[2] = {FD_NONE, FD_NONE}, r = make_pipe(files, e);
	pid_t sender = -1, listener = -1;

	if (r < 0) {
		return r;
	}
	r = make_pipe(answers, e);
	if (r >= 0) {
		r = sender = start_child(c, send_files, files[1], e);
	}
	files[1] = fd_close(files[1]);
	if (r >= 0) {
		r = listener = start_child(c, listen_to, answers[0], e);
	}
	answers[0] = fd_close(answers[0]);
	if (r >= 0) {
		r = run_inside(c, s, TAKE_FD(files[0]), TAKE_FD(answers[1]), ret, e);
	}
	files[0] = fd_close(files[0]);
	answers[1] = fd_close(answers[1]);
	(void)wait_for(sender);
	return wait_for(listener) < 0 && r >= 0 ? err_set(e, ERR_SYSTEM, EIO, "copying failed") : r;
}

/* ---- around it ---- */

/* What the payload can write itself, if that is where we are to read or write: links there are its
 * own. 1 or 0, or -errno. */
static int is_theirs(const char *path, const json_t *inspected)
{
	_cleanup_json_ json_t *dirs = sandbox_written(json_object_get(inspected, "plan"));
	const json_t *dir;
	int r = dirs ? 0 : -ENOMEM;
	size_t i;

	json_array_foreach(dirs, i, dir)
	{
		r = r == 0 ? path_passes(path, json_string_value(dir)) : r;
		r = r == -ENOENT ? 0 : r; /* yet to be made, in a place that is not theirs */
	}
	return r;
}

static int open_here(struct cp *c, const json_t *inspected, struct err *e)
{
	int theirs = is_theirs(c->here, inspected);
	int r = theirs;

	if (r >= 0) {
		r = c->place =
			c->out ? parcel_place(c->here, theirs > 0, c->inside, c->name, &c->named)
			       : parcel_open(c->here, theirs > 0);
	}
	if (r == -ELOOP && theirs > 0) {
		return err_set(e, ERR_USER, ELOOP,
			       "'%s' leads through a link in the workspace, which the payload may "
			       "have made; name the place that it leads to",
			       c->here);
	}
	return r < 0 ? err_set(e, ERR_USER, -r, "cannot open '%s': %s", c->here, strerror(-r)) : 0;
}

static int prepare(struct cp *c, struct session *s, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;
	char id[STATE_ID_SIZE];
	struct state state;
	int r = state_open(&state, e);

	r = r < 0 ? r : sandbox_find(&state, c->word, id, e);
	if (r >= 0) {
		r = sandbox_ask(&state, id, CONTROL_INSPECT, &doc, e);
		r = r == -ENOENT ? sandbox_absent(c->word, e) : r;
	}
	r = r < 0 ? r : open_here(c, doc, e);
	if (r >= 0) {
		session_attach(s, openat(state.sandboxes, id,
					 O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
	}
	state_done(&state);
	return r;
}

static int write_report(const struct cp *c, const json_t *result, struct err *e)
{
	_cleanup_json_ json_t *doc = json_object();
	const struct parcel_count *n = &c->found->count;
	int r = json_object_update(doc, (json_t *)result) < 0 ? -ENOMEM : 0;

	r = r < 0 ? r : json_put(doc, "left_out", json_integer((json_int_t)n->left_out));
	if (c->out) {
		r = r < 0 ? r
			  : json_put(doc, "copied",
				     json_pack("{s:I, s:I, s:I, s:I}", "files",
					       (json_int_t)n->files, "bytes", (json_int_t)n->bytes,
					       "directories", (json_int_t)n->directories, "links",
					       (json_int_t)n->links));
	}
	return r < 0 ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		     : sandbox_write_report(c->o->json, result, doc, e);
}

/* The command inside has ended well or badly; and both ends of the stream say the same, or not. */
static int conclude(const struct cp *c, const struct session *s, const json_t *result,
		    struct err *e)
{
	const struct found *f = c->found;
	int status = report_result(result, true, s, "atoll cp");

	if (f->said > MAX_SAID) {
		cli_say("and %" PRIu64 " more", f->said - MAX_SAID);
	}
	if (f->error == E2BIG && c->out) {
		cli_say("not all of it is copied: there are more than %d files, directories and "
			"links",
			MAX_MADE);
		return CLI_FAILED;
	}
	/* 1: it could not go on, and has said why. SIGPIPE: we did not, and know why. */
	if (status > 1 && status != 128 + SIGPIPE) {
		return status;
	}
	if (!f->over || f->error) {
		(void)err_set(e, ERR_SYSTEM, f->error ? f->error : EIO, "%s '%s': %s",
			      c->out ? "cannot copy to" : "cannot copy into the sandbox, to",
			      c->out ? c->here : c->inside,
			      !f->over             ? "the other side ended too early"
			      : f->error == EPROTO ? "what came from the other side is no copy"
						   : strerror(f->error));
		return cli_fail(e);
	}
	if (status != CLI_OK) {
		(void)err_set(e, ERR_SYSTEM, EIO, "the other side ended too early");
		return cli_fail(e);
	}
	return f->count.left_out > 0 ? CLI_REFUSED : CLI_OK;
}

static int copy(struct cp *c)
{
	struct session s = {.socket = FD_NONE, .dir = FD_NONE};
	_cleanup_json_ json_t *result = NULL;
	struct err e = {};
	int r;

	c->found = mmap(NULL, sizeof(*c->found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (c->found == MAP_FAILED) {
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "out of memory");
		return cli_fail(&e);
	}
	r = prepare(c, &s, &e);
	if (r >= 0) {
		r = c->out ? copy_out(c, &s, &result, &e) : copy_in(c, &s, &result, &e);
	}
	session_done(&s);
	if (r >= 0 && c->o->json) {
		r = write_report(c, result, &e);
	}
	r = r < 0 ? cli_fail(&e) : conclude(c, &s, result, &e);
	c->place = fd_close(c->place);
	(void)munmap(c->found, sizeof(*c->found));
	return r;
}

/* The colon of SANDBOX:PATH; a path of this side that has one begins with '/' or "./". */
static char *colon_of(char *word)
{
	char *colon = strchr(word, ':'), *slash = strchr(word, '/');

	return colon && colon > word && (!slash || colon < slash) ? colon : NULL;
}

static int cmd_cp(const struct cli_command *c, int argc, char **argv)
{
	struct cp_options o = {};
	struct cp cp = {.o = &o, .place = FD_NONE};
	struct cli_operands words;
	char *from, *to;
	int r = cli_parse(c, argc, argv, &o, &words);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	from = words.n == 2 ? colon_of(words.words[0]) : NULL;
	to = words.n == 2 ? colon_of(words.words[1]) : NULL;
	if (words.n != 2 || !from == !to) {
		return cli_complain(c->name,
				    "it takes SANDBOX:PATH and a path here, in the order from, to");
	}
	cp.out = from != NULL;
	cp.word = words.words[from ? 0 : 1];
	cp.here = words.words[from ? 1 : 0];
	*(from ? from : to) = '\0';
	cp.inside = (from ? from : to) + 1;
	if (!*cp.inside || !*cp.here) {
		return cli_complain(c->name, "a path is missing behind '%s:'", cp.word);
	}
	return copy(&cp);
}

static const struct cli_option cp_options[] = {
	CLI_TAKES("--json", "FILE|-", CLI_FILE, "write the result as JSON (- is standard output)",
		  .offset = offsetof(struct cp_options, json)),
	CLI_FLAG("--quiet", "do not say what is left out",
		 .offset = offsetof(struct cp_options, quiet)),
	{},
};

static const struct cli_example cp_examples[] = {
	CLI_EXAMPLE("atoll cp Makefile work:/tmp"),
	CLI_EXAMPLE("atoll cp work:/tmp results", .why = "the directory, under that name"),
	{},
};

const struct cli_command cli_cp_command = {
	.name = "cp",
	.summary = "copy files into a sandbox, and out of it",
	.operands = "SANDBOX:PATH PATH | PATH SANDBOX:PATH",
	.operand.kind = CLI_FILE,
	.max_operands = 2,
	.about = "Copy a file, or a directory with all that is in it, into a sandbox that lives or "
		 "out\n"
		 "of it; as for cp(1) into the second where that is a directory, else to that "
		 "name.\n"
		 "It is a command inside that reads or writes there, with the rights of the "
		 "payload.\n",
	.notes = "Devices, sockets and pipes are left out, and on the way out links that could "
		 "lead\n"
		 "out of what is copied; set-user-ID bits, owners, times and attributes are not "
		 "taken\n"
		 "along. The exit status is 1 where something was left out. What leaves the "
		 "sandbox\n"
		 "counts as its output, and is ended by the same limit.\n",
	.options = cp_options,
	.examples = cp_examples,
	.run = cmd_cp,
};
