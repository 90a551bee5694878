/* SPDX-License-Identifier: Apache-2.0 */
/* Patches. */
#include "front/cli/patch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#include "base/utf8.h"
#include "linux/landlock.h"
#include "linux/seccomp.h"
#include "workspace/change.h"
#include "workspace/memory.h"

#define DIFF "/usr/bin/diff"
/* More than this on a side is not compared line by line. */
#define SIDE_MAX     (64U << 20)
#define DIFF_SECONDS 60
#define NOBODY       65534
#define LINE_SHOWN   ((size_t)1 << 20)

/* ---- names ---- */

static bool needs_quotes(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	while (*p && *p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\') {
		p++;
	}
	return *p != '\0';
}

/* As git writes a name: in C's quotes where it holds what a line cannot. */
static void add_name(struct buf *out, const char *prefix, const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	if (!needs_quotes(name)) {
		(void)buf_addf(out, "%s%s", prefix, name);
		return;
	}
	(void)buf_addf(out, "\"%s", prefix);
	for (; *p; p++) {
		if (*p == '"' || *p == '\\') {
			(void)buf_addf(out, "\\%c", *p);
		} else if (*p < ' ' || *p >= 0x7f) {
			(void)buf_addf(out, "\\%03o", *p);
		} else {
			(void)buf_addc(out, (char)*p);
		}
	}
	(void)buf_addc(out, '"');
}

/* ---- lines ---- */

static const char *colour_of(const char *line, bool in_hunk)
{
	if (!in_hunk) {
		return "\033[1m";
	}
	return *line == '+'   ? "\033[32m"
	       : *line == '-' ? "\033[31m"
	       : *line == '@' ? "\033[36m"
			      : "";
}

/* Tabs are kept, everything else that a terminal would obey is not. */
static void add_safely(struct buf *out, const char *line, size_t len)
{
	const char *tab;

	while ((tab = memchr(line, '\t', len))) {
		(void)utf8_neutralise(out, line, (size_t)(tab - line));
		(void)buf_addc(out, '\t');
		len -= (size_t)(tab - line) + 1;
		line = tab + 1;
	}
	(void)utf8_neutralise(out, line, len);
}

/* One line, without its end. */
static void put_line(const struct patch_source *s, const char *line, size_t len, bool in_hunk)
{
	const char *colour = s->colours ? colour_of(line, in_hunk) : "";
	_cleanup_buf_ struct buf shown = {};

	(void)fputs(colour, stdout);
	if (s->safe) {
		buf_init(&shown, 8 * LINE_SHOWN);
		add_safely(&shown, line, len < LINE_SHOWN ? len : LINE_SHOWN);
		(void)fwrite(buf_str(&shown), 1, shown.len, stdout);
	} else {
		(void)fwrite(line, 1, len, stdout);
	}
	(void)fputs(*colour ? "\033[0m\n" : "\n", stdout);
}

static void put_head(const struct patch_source *s, struct buf *line)
{
	put_line(s, buf_str(line), line->len, false);
	buf_clear(line);
}

/* "--- a/name", or /dev/null where that side is not there. */
static void put_side(const struct patch_source *s, struct buf *line, const char *mark,
		     const char *prefix, const char *name)
{
	(void)buf_adds(line, mark);
	if (name) {
		add_name(line, prefix, name);
		/* Behind a name with blanks git puts a tab, and takes it for the name's end. */
		(void)buf_adds(line, strchr(name, ' ') && !needs_quotes(name) ? "\t" : "");
	} else {
		(void)buf_adds(line, "/dev/null");
	}
	put_head(s, line);
}

/* ---- diff(1) ---- */

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
	return seccomp_load(SECCOMP_FILTER_GUARDED_STRICT, e);
}

/* The child: 0 and 2 are /dev/null, 1 the pipe, 3 and 4 the contents, and nothing else is open. */
static _Noreturn void become_diff(const int sides[2], int out, int ruleset)
{
	char *argv[] = {"diff", "-u", "-L", "a", "-L", "b", "/proc/self/fd/3", "/proc/self/fd/4",
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

/* Names are ours: the two lines of diff's that have them are left out. True: there was a hunk. */
static bool pass_on(const struct patch_source *s, int from)
{
	FILE *in = fdopen(from, "r");
	char *line = NULL;
	size_t room = 0, n = 0;
	ssize_t len;

	while (in && (len = getline(&line, &room, in)) >= 0) {
		if (++n > 2) {
			put_line(s, line, (size_t)(len - (len > 0 && line[len - 1] == '\n')), true);
		}
	}
	free(line);
	if (in) {
		(void)fclose(in);
	} else {
		(void)fd_close(from);
	}
	return n > 2;
}

static int compare(const struct patch_source *s, const int sides[2], struct err *e)
{
	_cleanup_fd_ int ruleset = open_rules(e), out = FD_NONE;
	int ends[2], status = 0;
	pid_t child;

	if (ruleset < 0) {
		return ruleset;
	}
	(void)fflush(stdout);
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
	(void)pass_on(s, ends[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1) {
		return 0;
	}
	return err_set(e, ERR_SYSTEM, EIO,
		       WIFEXITED(status) && WEXITSTATUS(status) == 127
			       ? "there is no " DIFF "; install diffutils"
			       : "comparing two files line by line failed (wait status 0x%x)",
		       status);
}

/* ---- one change ---- */

static bool is_text(const struct change *c)
{
	return !c->binary && c->before.size <= SIDE_MAX && c->after.size <= SIDE_MAX;
}

/* The lines of one file; `before` or `after` is NULL where it is not there. */
static int put_content(const struct patch_source *s, const struct change *c, const char *before,
		       const char *after, struct buf *line, struct err *e)
{
	_cleanup_fd_ int old = FD_NONE, new = FD_NONE;

	if (!is_text(c)) {
		(void)buf_adds(line, "Binary files ");
		add_name(line, before ? "a/" : "", before ? before : "/dev/null");
		(void)buf_adds(line, " and ");
		add_name(line, after ? "b/" : "", after ? after : "/dev/null");
		(void)buf_adds(line, " differ");
		put_head(s, line);
		return 0;
	}
	if ((!before || c->before.size == 0) && (!after || c->after.size == 0)) {
		return 0;
	}
	old = memory_of_file(s->original, before, false, SIDE_MAX, e);
	new = old < 0 ? FD_NONE : memory_of_file(s->upper, after, true, SIDE_MAX, e);
	if (old < 0 || new < 0) {
		return old < 0 ? old : new;
	}
	put_side(s, line, "--- ", "a/", before);
	put_side(s, line, "+++ ", "b/", after);
	return compare(s, (int[]){old, new}, e);
}

/* A link's target is a file of one line without an end, as git has it. */
static void put_link(const struct patch_source *s, const struct change *c, const char *before,
		     const char *after, struct buf *line)
{
	const char *targets[] = {before ? c->before.target : NULL, after ? c->after.target : NULL};
	int i;

	put_side(s, line, "--- ", "a/", before);
	put_side(s, line, "+++ ", "b/", after);
	(void)buf_addf(line, "@@ -%s +%s @@", before ? "1" : "0,0", after ? "1" : "0,0");
	put_line(s, buf_str(line), line->len, true);
	buf_clear(line);
	for (i = 0; i < 2; i++) {
		if (targets[i]) {
			(void)buf_addf(line, "%c%s", "-+"[i], targets[i]);
			put_line(s, buf_str(line), line->len, true);
			buf_clear(line);
			put_line(s, "\\ No newline at end of file", 27, true);
		}
	}
}

static unsigned git_mode(mode_t mode)
{
	return S_ISLNK(mode) ? 0120000 : mode & 0111 ? 0100755 : 0100644;
}

static bool has_place(mode_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode);
}

static void put_names(const struct patch_source *s, const struct change *c, struct buf *line)
{
	(void)buf_adds(line, "diff --git ");
	add_name(line, "a/", c->from ? c->from : c->path);
	(void)buf_addc(line, ' ');
	add_name(line, "b/", c->path);
	put_head(s, line);
}

static void put_mode(const struct patch_source *s, const char *what, mode_t mode, struct buf *line)
{
	(void)buf_addf(line, "%s %06o", what, git_mode(mode));
	put_head(s, line);
}

/* What is gone and what has come are two entries; everything else is one. */
static int put_entry(const struct patch_source *s, const struct change *c, bool before, bool after,
		     struct err *e)
{
	mode_t mode = after ? c->after.mode : c->before.mode;
	const char *old = before ? c->path : NULL, *new = after ? c->path : NULL;
	_cleanup_buf_ struct buf line = {};

	buf_init(&line, 1 << 20);
	put_names(s, c, &line);
	if (!before || !after) {
		put_mode(s, after ? "new file mode" : "deleted file mode", mode, &line);
	} else if (git_mode(c->before.mode) != git_mode(c->after.mode)) {
		put_mode(s, "old mode", c->before.mode, &line);
		put_mode(s, "new mode", c->after.mode, &line);
	}
	if (c->kind == CHANGE_RENAMED) {
		(void)buf_adds(&line, "similarity index 100%");
		put_head(s, &line);
		(void)buf_adds(&line, "rename from ");
		add_name(&line, "", c->from);
		put_head(s, &line);
		(void)buf_adds(&line, "rename to ");
		add_name(&line, "", c->path);
		put_head(s, &line);
		return 0;
	}
	if (c->kind == CHANGE_MODE) {
		return 0;
	}
	if (S_ISLNK(mode)) {
		put_link(s, c, old, new, &line);
		return 0;
	}
	return put_content(s, c, old, new, &line, e);
}

/* A link that leads elsewhere is another one: patch(1) knows no other way to say it. */
static bool is_replaced(const struct change *c)
{
	return c->kind == CHANGE_TYPE || (c->kind == CHANGE_MODIFIED && S_ISLNK(c->after.mode));
}

/* `removals`: what makes room for the rest, else the rest. */
static int put_change(const struct patch_source *s, const struct change *c, bool removals,
		      struct err *e)
{
	bool before = has_place(c->before.mode), after = has_place(c->after.mode);

	if (c->kind == CHANGE_MODE && git_mode(c->before.mode) == git_mode(c->after.mode)) {
		return 0; /* the format knows but one bit */
	}
	if (c->kind == CHANGE_DELETED || is_replaced(c)) {
		before = before && removals;
		after = after && !removals;
	} else if (removals) {
		return 0;
	}
	return before || after ? put_entry(s, c, before, after, e) : 0;
}

int patch_print(const struct patch_source *s, const struct changes *c, struct err *e)
{
	size_t i;
	int r = 0, pass;

	for (pass = 0; r >= 0 && pass < 2; pass++) {
		for (i = 0; r >= 0 && i < c->n; i++) {
			r = put_change(s, &c->list[i], pass == 0, e);
		}
	}
	return r;
}
