/* SPDX-License-Identifier: Apache-2.0 */
/* Two contents line by line. */
#include "front/cli/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "linux/landlock.h"
#include "linux/seccomp.h"

#define DIFF         "/usr/bin/diff"
#define DIFF_SECONDS 60
#define NOBODY       65534

static int open_rules(struct err *e)
{
	static const char *const trees[] = {"/usr", "/lib", "/lib32", "/lib64", "/bin"};
	int abi = landlock_abi(), r;
	_cleanup_fd_ int ruleset = FD_NONE;
	size_t i;

	if (abi < 1) {
		return err_set(e, ERR_SYSTEM, ENOSYS,
			       "showing changes line by line needs Landlock, behind which they are "
			       "compared; boot with 'landlock' in the lsm= list");
	}
	r = ruleset = landlock_new(abi, e);
	for (i = 0; r >= 0 && i < ARRAY_SIZE(trees); i++) {
		_cleanup_fd_ int fd = open(trees[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0) {
			r = landlock_allow(ruleset, abi, fd, true, LANDLOCK_READ | LANDLOCK_EXECUTE,
					   e);
		}
	}
	return r < 0 ? r : TAKE_FD(ruleset);
}

static int lock_in(int ruleset, struct err *e)
{
	const struct rlimit seconds = {DIFF_SECONDS, DIFF_SECONDS}, none = {0, 0};
	const struct rlimit memory = {(rlim_t)1 << 30, (rlim_t)1 << 30};

	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			       setresuid(NOBODY, NOBODY, NOBODY) < 0)) {
		return err_sys(e, errno, "cannot become nobody");
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CPU, &seconds) < 0 || setrlimit(RLIMIT_DATA, &memory) < 0 ||
	    setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0) {
		return err_sys(e, errno, "cannot limit what compares");
	}
	if (landlock_enforce(ruleset, e) < 0) {
		return -e->code;
	}
	return seccomp_load(SECCOMP_FILTER_TOOL, e);
}

/* The child: 0 and 2 are /dev/null, 1 the pipe, 3 and 4 the contents, and nothing else is open. */
static _Noreturn void become_diff(const int sides[2], int out, int ruleset)
{
	/* What is binary has been told apart before. */
	char *argv[] = {
		"diff", "-u", "--text", "-L", "a", "-L", "b", "/proc/self/fd/3", "/proc/self/fd/4",
		NULL};
	char *env[] = {"LC_ALL=C", NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), high[5], i;
	const int from[5] = {null, out, null, sides[0], sides[1]};
	struct err e = {};

	for (i = 0; i < 5; i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16);
		if (high[i] < 0) {
			_exit(125);
		}
	}
	ruleset = fcntl(ruleset, F_DUPFD_CLOEXEC, 16);
	for (i = 0; i < 5; i++) {
		if (dup2(high[i], i) < 0) {
			_exit(125);
		}
	}
	if (ruleset < 0 || lock_in(ruleset, &e) < 0 || close_range(5, ~0U, 0) < 0) {
		_exit(125);
	}
	(void)execve(DIFF, argv, env);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Names are the caller's: the two lines of diff's that have them are left out. False: `fn` wants no
 * more. */
static bool pass_on(int from, compare_fn *fn, void *arg)
{
	FILE *in = fdopen(from, "r");
	char *line = NULL;
	size_t room = 0, n = 0;
	bool more = true;
	ssize_t len;

	while (in && more && (len = getline(&line, &room, in)) >= 0) {
		if (++n > 2) {
			more = fn(arg, line, (size_t)(len - (len > 0 && line[len - 1] == '\n')));
		}
	}
	free(line);
	if (in) {
		(void)fclose(in);
	} else {
		(void)fd_close(from);
	}
	return more;
}

static int compare_both(const int sides[2], compare_fn *fn, void *arg, struct err *e)
{
	_cleanup_fd_ int ruleset = open_rules(e), out = FD_NONE;
	int ends[2], status = 0;
	pid_t child;
	bool all;

	if (ruleset < 0) {
		return ruleset;
	}
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot create a pipe");
	}
	out = ends[1];
	child = fork();
	if (child == 0) {
		become_diff(sides, out, ruleset);
	}
	out = fd_close(out);
	if (child < 0) {
		(void)fd_close(ends[0]);
		return err_sys(e, errno, "cannot start a process");
	}
	all = pass_on(ends[0], fn, arg);
	if (!all) {
		(void)kill(child, SIGKILL);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	if (!all || (WIFEXITED(status) && WEXITSTATUS(status) <= 1)) {
		return 0;
	}
	return err_set(e, ERR_SYSTEM, EIO,
		       WIFEXITED(status) && WEXITSTATUS(status) == 127
			       ? "there is no " DIFF "; install diffutils"
			       : "comparing two files line by line failed (wait status 0x%x)",
		       status);
}

/* ---- one side only ---- */

static size_t count_lines(const char *at, const char *end)
{
	size_t n = 0;

	while (at && at < end) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL; /* the last one may have no end */
		n++;
	}
	return n;
}

/* The lines of what has come, or is gone, as diff(1) has them. 0 or -ENOMEM. */
static int pass_side(const char *at, size_t size, char mark, compare_fn *fn, void *arg)
{
	static const char no_end[] = "\\ No newline at end of file";
	const char *end = at + size, *stop;
	size_t n = count_lines(at, end);
	_cleanup_buf_ struct buf line = {};
	bool more;
	int r = 0;

	buf_init(&line, size + 64);
	(void)buf_addf(&line, mark == '+' ? "@@ -0,0 +1" : "@@ -1");
	(void)(n > 1 ? buf_addf(&line, ",%zu", n) : 0);
	(void)buf_adds(&line, mark == '+' ? " @@" : " +0,0 @@");
	more = fn(arg, buf_str(&line), line.len);
	for (; r >= 0 && more && at < end; at = stop ? stop + 1 : end) {
		stop = memchr(at, '\n', (size_t)(end - at));
		buf_clear(&line);
		r = buf_addc(&line, mark);
		r = r < 0 ? r : buf_add(&line, at, (size_t)((stop ? stop : end) - at));
		more = r >= 0 && fn(arg, buf_str(&line), line.len);
		if (more && !stop) {
			more = fn(arg, no_end, sizeof(no_end) - 1);
		}
	}
	return r;
}

static int show_side(int side, size_t size, char mark, compare_fn *fn, void *arg, struct err *e)
{
	char *all = mmap(NULL, size, PROT_READ, MAP_PRIVATE, side, 0);
	int r;

	if (all == MAP_FAILED) {
		return err_sys(e, errno, "cannot look at a file's lines");
	}
	r = pass_side(all, size, mark, fn, arg);
	(void)munmap(all, size);
	return r < 0 ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory") : 0;
}

int compare_lines(const int sides[2], compare_fn *fn, void *arg, struct err *e)
{
	struct stat old, new;

	if (fstat(sides[0], &old) < 0 || fstat(sides[1], &new) < 0) {
		return err_sys(e, errno, "cannot look at a file's lines");
	}
	if (old.st_size > 0 && new.st_size > 0) {
		return compare_both(sides, fn, arg, e);
	}
	if (old.st_size == new.st_size) {
		return 0;
	}
	return old.st_size > 0 ? show_side(sides[0], (size_t)old.st_size, '-', fn, arg, e)
			       : show_side(sides[1], (size_t) new.st_size, '+', fn, arg, e);
}
