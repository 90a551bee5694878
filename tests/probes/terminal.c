/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes input into its terminal, takes it over, and looks for another one. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "probe.h"

#define HIGH_GARBAGE 0x5a5a5a5a00000000UL

static void push(const char *text)
{
	for (const char *p = text; *p; p++) {
		probe_callf(ioctl(STDIN_FILENO, TIOCSTI, p), "TIOCSTI:%d", (int)(p - text));
		probe_callf(syscall(SYS_ioctl, STDIN_FILENO, HIGH_GARBAGE | TIOCSTI, p),
			    "TIOCSTI+high:%d", (int)(p - text));
	}
}

static void take_over(void)
{
	char selection[] = {3 /* TIOCL_PASTESEL */, 0};
	int discipline = 2;

	probe_call("TIOCLINUX", ioctl(STDIN_FILENO, TIOCLINUX, selection));
	probe_call("TIOCSETD", ioctl(STDIN_FILENO, TIOCSETD, &discipline));
	probe_call("TIOCCONS", ioctl(STDIN_FILENO, TIOCCONS, 0));
}

/* In a session of its own, with no terminal yet: the way to acquire somebody else's. */
static void acquire(char **paths)
{
	pid_t child = fork();

	if (child == 0) {
		probe_call("setsid", setsid());
		probe_call("TIOCSCTTY", ioctl(STDIN_FILENO, TIOCSCTTY, 1));
		for (; *paths; paths++) {
			int fd = open(*paths, O_RDWR | O_CLOEXEC);

			probe_callf(fd, "open:%s", *paths);
			if (fd >= 0) {
				probe_callf(ioctl(fd, TIOCSTI, "i"), "TIOCSTI:%s", *paths);
				(void)!write(fd, "written-by-probe", 16);
				(void)close(fd);
			}
		}
		_exit(0);
	}
	(void)waitpid(child, NULL, 0);
}

/* terminal TEXT [PATH...]: TEXT is what must never be read as input outside. */
int main(int argc, char **argv)
{
	if (argc < 2) {
		return 2;
	}
	(void)signal(SIGTTOU, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	push(argv[1]);
	take_over();
	acquire(argv + 2);
	return 0;
}
