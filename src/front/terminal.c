/* SPDX-License-Identifier: Apache-2.0 */
/* Raw mode with a guarantee. */
#include "front/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

/* A signal handler must reach both; the second is -1 when there is nothing to restore. */
static struct termios saved;              /* global: for the signal handler */
static volatile sig_atomic_t raw_fd = -1; /* global: for the signal handler */

void terminal_restore(void)
{
	if (raw_fd >= 0) {
		/* From a background group this would stop us; SIGTTOU is ignored meanwhile. */
		void (*old)(int) = signal(SIGTTOU, SIG_IGN);

		(void)tcsetattr(raw_fd, TCSADRAIN, &saved);
		(void)signal(SIGTTOU, old);
		raw_fd = -1;
	}
}

static void fatal(int signal_number)
{
	terminal_restore();
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

void terminal_raw(int fd, bool shared)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	static bool hooked; /* global: atexit must be asked once */
	struct termios raw;
	size_t i;

	/* Already raw, and perhaps changed meanwhile by a shell: what was saved first stands. */
	if (raw_fd < 0 && tcgetattr(fd, &saved) < 0) {
		return;
	}
	if (!hooked) {
		(void)atexit(terminal_restore);
		for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
			(void)signal(crashes[i], fatal);
		}
		hooked = true;
	}
	raw = saved;
	cfmakeraw(&raw);
	if (shared) {
		raw.c_oflag = saved.c_oflag;
	}
	raw_fd = fd;
	(void)tcsetattr(fd, TCSADRAIN, &raw);
}

void terminal_size(int fd, int *ret_rows, int *ret_columns)
{
	struct winsize size = {};

	*ret_rows = 24;
	*ret_columns = 80;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
		*ret_rows = size.ws_row;
		*ret_columns = size.ws_col;
	}
}
