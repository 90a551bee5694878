/* SPDX-License-Identifier: Apache-2.0 */
/* Long output, a screen at a time. */
#include "front/cli/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "front/cli/cli.h"
#include "front/terminal.h"

/* More than any terminal shows at once; what is held is never more. */
#define HELD_MAX ((size_t)256 * 1024)

static const int signals[] = {SIGINT, SIGQUIT, SIGPIPE};

/* ---- the screen ---- */

/* Columns that a byte adds; wide characters begin with these. A guess is enough here: less(1)
 * leaves by itself where all fits. */
static int width_of(unsigned char c)
{
	return (c & 0xc0) == 0x80 ? 0 : c >= 0xe3 ? 2 : 1;
}

/* Goes on behind these bytes; false when that is below the screen, whose last row is the prompt's.
 */
static bool fits(struct pager *p, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)data[i];

		if (p->in_colour || c == '\033') {
			p->in_colour = c != 'm';
			continue;
		}
		p->column += c == '\t' ? 8 - p->column % 8 : width_of(c);
		if (c == '\n' || p->column > p->columns) {
			p->row++;
			p->column = c == '\n' ? 0 : width_of(c);
		}
	}
	return p->row + (p->column > 0) < p->rows;
}

/* ---- the program ---- */

static const char *find_command(void)
{
	const char *own = getenv("ATOLL_PAGER"), *usual = getenv("PAGER"), *term = getenv("TERM");
	const char *given = own ? own : usual;

	if (given) {
		return *given && strcmp(given, "cat") != 0 ? given : NULL;
	}
	/* On one that cannot move its cursor a screen at a time is no help. */
	return term && *term && strcmp(term, "dumb") != 0 ? "less" : NULL;
}

/* As execvp(3), but for places relative to the directory that the caller is in: that can be a
 * workspace, where a payload may have put a program of this name. */
static void exec_found(const char *name, char *const argv[])
{
	const char *path = getenv("PATH"), *at = path ? path : "/usr/bin:/bin";
	int found = ENOENT;

	while (*at) {
		size_t len = strcspn(at, ":");
		_cleanup_buf_ struct buf file = {};

		buf_init(&file, 8192);
		if (*at == '/' && buf_addf(&file, "%.*s/%s", (int)len, at, name) >= 0) {
			int error;

			(void)execv(buf_str(&file), argv);
			error = errno;
			/* Nobody misses it in a directory that is closed to the caller. */
			found = access(buf_str(&file), F_OK) == 0 ? error : found;
		}
		at += len + (at[len] == ':');
	}
	errno = found;
}

/* Before the pager is there: what it gets from the keyboard may come at once. */
static void ignore_signals(struct pager *p)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)sigaction(signals[i], &ignore, &p->before[i]);
	}
}

static void restore_signals(const struct pager *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)sigaction(signals[i], &p->before[i], NULL);
	}
}

/* Words and what only a shell understands are for a shell, as git(1) has it. */
static _Noreturn void become_pager(const struct pager *p, int in, int failed)
{
	const char *command = p->command;
	char *argv[] = {(char *)command, NULL};
	int error;

	restore_signals(p);
	if (dup2(in, STDIN_FILENO) >= 0 && setenv("LESS", "FRX", 0) >= 0) {
		if (strpbrk(command, "|&;<>()$`\\\"' \t\n*?[#~=%")) {
			(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		} else if (strchr(command, '/')) {
			(void)execv(command, argv);
		} else {
			exec_found(command, argv);
		}
	}
	error = errno;
	(void)!write(failed, &error, sizeof(error));
	_exit(CLI_NOT_FOUND);
}

/* 0, or -errno: it could not be executed. */
static int start(struct pager *p)
{
	_cleanup_fd_ int in = FD_NONE, out = FD_NONE, told = FD_NONE, tell = FD_NONE;
	int ends[2], error = 0;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	in = ends[0];
	out = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	told = ends[0];
	tell = ends[1];
	p->child = fork();
	if (p->child == 0) {
		become_pager(p, in, tell);
	}
	tell = fd_close(tell);
	if (p->child < 0) {
		p->child = 0;
		return -errno;
	}
	if (read(told, &error, sizeof(error)) == sizeof(error)) {
		(void)waitpid(p->child, NULL, 0);
		p->child = 0;
		return -error;
	}
	p->to = TAKE_FD(out);
	return 0;
}

/* ---- what is printed ---- */

static int write_all(struct pager *p, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(p->to, data, size);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			p->error = p->child > 0 && errno == EPIPE ? 0 : errno;
			return -errno;
		}
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int write_held(struct pager *p)
{
	int r = write_all(p, buf_str(&p->held), p->held.len);

	buf_done(&p->held);
	return r;
}

/* From here on everything goes to the pager; to the terminal, where it cannot be had. */
static void begin(struct pager *p, bool paged)
{
	int r = 0;

	if (paged) {
		ignore_signals(p);
		r = start(p);
	}
	if (p->child == 0) {
		p->to = STDOUT_FILENO;
	}
	if (paged && p->child == 0) {
		restore_signals(p);
	}
	/* That there is no less(1) is nobody's mistake. */
	if (r < 0 && (r != -ENOENT || strcmp(p->command, "less") != 0)) {
		cli_say("cannot start the pager '%s': %s", p->command, strerror(-r));
	}
}

/* The cookie's write: of `size` bytes all, or 0, after which the stream has an error. */
static ssize_t take(void *cookie, const char *data, size_t size)
{
	struct pager *p = cookie;

	if (p->to < 0) {
		if (fits(p, data, size) && buf_add(&p->held, data, size) >= 0) {
			return (ssize_t)size;
		}
		begin(p, true);
		if (write_held(p) < 0) {
			return 0;
		}
	}
	return write_all(p, data, size) < 0 ? 0 : (ssize_t)size;
}

void pager_init(struct pager *p, bool wanted)
{
	const cookie_io_functions_t functions = {.write = take};

	*p = (struct pager){.out = stdout, .to = FD_NONE};
	p->command = wanted && isatty(STDOUT_FILENO) ? find_command() : NULL;
	if (!p->command) {
		return;
	}
	terminal_size(STDOUT_FILENO, &p->rows, &p->columns);
	buf_init(&p->held, HELD_MAX);
	p->out = fopencookie(p, "w", functions);
	if (!p->out) {
		p->out = stdout; /* nothing is lost but the pages */
	}
}

static void wait_for(struct pager *p)
{
	int status = 0;

	p->to = fd_close(p->to); /* the end of what there is to see */
	while (waitpid(p->child, &status, 0) < 0 && errno == EINTR) {
	}
	restore_signals(p);
	if (WIFEXITED(status) &&
	    (WEXITSTATUS(status) == CLI_NOT_FOUND || WEXITSTATUS(status) == CLI_NOT_EXECUTABLE)) {
		cli_say("the pager '%s' could not be run; --no-pager shows it without", p->command);
	}
}

int pager_done(struct pager *p)
{
	if (p->out == stdout) {
		return cli_written();
	}
	(void)fclose(p->out);
	if (p->to < 0) {
		begin(p, false);
		(void)write_held(p);
	}
	if (p->child > 0) {
		wait_for(p);
	}
	if (p->error != 0) {
		cli_say("cannot write to standard output: %s", strerror(p->error));
	}
	return p->error != 0 ? CLI_FAILED : CLI_OK;
}
