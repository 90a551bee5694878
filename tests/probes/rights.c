/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt for each right that Landlock knows, in any ABI: rights DIR OWN NAME PID. DIR is a
 * directory outside with `victim`, `program`, `empty/` and `full/file`; OWN one that may be
 * written; NAME an abstract socket somebody listens on, PID a process outside.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "probe.h"

static const char *in(const char *dir, const char *name)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void try_open(const char *name, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	probe_call(name, fd);
	if (fd >= 0) {
		(void)close(fd);
	}
}

static void execute(const char *path)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl(path, path, (char *)NULL);
		_exit(errno == EACCES || errno == EPERM ? 126 : 127);
	}
	(void)waitpid(pid, &status, 0);
	probe_say("execute", WIFEXITED(status) && WEXITSTATUS(status) == 126 ? -1 : 0, EACCES);
}

static void files(const char *dir, const char *own)
{
	execute(in(dir, "program"));
	try_open("read_file", in(dir, "victim"), O_RDONLY);
	try_open("write_file", in(dir, "victim"), O_WRONLY);
	try_open("append_file", in(dir, "victim"), O_WRONLY | O_APPEND);
	try_open("read_dir", dir, O_RDONLY | O_DIRECTORY);
	try_open("make_reg", in(dir, "new"), O_WRONLY | O_CREAT | O_EXCL);
	try_open("make_tmpfile", dir, O_WRONLY | O_TMPFILE);
	try_open("truncate:open", in(dir, "victim"), O_RDONLY | O_TRUNC);
	try_open("truncate:ioctl", in(dir, "victim"), O_ACCMODE | O_TRUNC);
	try_open("ioctl_dev:open", "/dev/ptmx", O_ACCMODE);
	probe_call("truncate", truncate(in(dir, "victim"), 1));
	probe_call("remove_dir", rmdir(in(dir, "empty")));
	probe_call("remove_file", unlink(in(dir, "full/file")));
	probe_call("make_dir", mkdir(in(dir, "d"), 0700));
	probe_call("make_sym", symlink("victim", in(dir, "s")));
	probe_call("make_fifo", mknod(in(dir, "f"), S_IFIFO | 0600, 0));
	probe_call("make_sock", mknod(in(dir, "u"), S_IFSOCK | 0600, 0));
	probe_call("make_char", mknod(in(dir, "c"), S_IFCHR | 0600, makedev(1, 3)));
	probe_call("make_block", mknod(in(dir, "b"), S_IFBLK | 0600, makedev(7, 0)));
	probe_call("refer:link", link(in(dir, "victim"), in(own, "linked")));
	probe_call("refer:rename", rename(in(dir, "victim"), in(own, "renamed")));
	try_open("mine", in(own, "mine"), O_WRONLY | O_CREAT);
	probe_call("refer:into", rename(in(own, "mine"), in(dir, "mine")));
	probe_call("exchange", renameat2(AT_FDCWD, in(own, "mine"), AT_FDCWD, in(dir, "victim"),
					 RENAME_EXCHANGE));
}

/* Any socket answers for the network namespace that it was made in. */
static void list_interfaces(void)
{
	char room[1024];
	struct ifconf list = {.ifc_len = sizeof(room), .ifc_buf = room};
	int pair[2] = {-1, -1};

	(void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
	probe_call("interfaces", ioctl(pair[0], SIOCGIFCONF, &list));
}

static void network(const char *name)
{
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int pair[2];

	probe_call("bind_tcp", tcp < 0 ? -1 : bind(tcp, (struct sockaddr *)&any, sizeof(any)));
	(void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", name);
	probe_call("abstract",
		   local < 0 ? -1
			     : connect(local, (struct sockaddr *)&address,
				       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
						   strlen(name))));
	list_interfaces();
	/* Each end of a pair of datagram sockets can send to any address. */
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0) {
		probe_call("abstract:pair", -1);
		return;
	}
	probe_call("abstract:pair",
		   sendto(pair[0], "x", 1, 0, (struct sockaddr *)&address,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))));
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		return 2;
	}
	files(argv[1], argv[2]);
	network(argv[3]);
	probe_call("signal", kill((pid_t)strtol(argv[4], NULL, 10), 0));
	return 0;
}
