/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaching a ledger that is served for several users.
 *
 * Who listens must be root, or the owner of the directory that the socket is in, and nobody else
 * may write to that directory: else whoever came first would be the ledger, and what it answers
 * decides what may start. The kernel says who called listen(2) (SO_PEERCRED), and the path is the
 * configuration's, in which root has the first word.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "record/ledger-internal.h"

#define PREFIX "unix:"

const char *ledger_socket_path(const char *url)
{
	return strcmp(url, "system") == 0                  ? LEDGER_SYSTEM_SOCKET
	       : strncmp(url, PREFIX, strlen(PREFIX)) == 0 ? url + strlen(PREFIX)
							   : NULL;
}

static int check_listener(const char *path, int fd, struct err *e)
{
	_cleanup_free_ char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;
	struct ucred who = {};
	socklen_t len = sizeof(who);
	struct stat st;

	if (!slash) {
		return ledger_no_memory(e);
	}
	slash[slash == parent] = '\0';
	if (stat(parent, &st) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
		return err_sys(e, errno, "cannot find out who serves the ledger at '%s'", path);
	}
	if ((st.st_mode & 022) || (who.uid != 0 && who.uid != st.st_uid)) {
		return err_set(e, ERR_SYSTEM, EPERM,
			       "who serves the ledger at '%s' (uid %u) is not to be trusted: it "
			       "must be root or the owner of '%s', where nobody else may write",
			       path, (unsigned)who.uid, parent);
	}
	return 0;
}

int ledger_socket_connect(const char *path, int *ret, struct err *e)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = FD_NONE;
	int r;

	if (strlen(path) >= sizeof(name.sun_path)) {
		return err_set(e, ERR_USER, ENAMETOOLONG,
			       "the path of the ledger's socket is too long: '%s'", path);
	}
	memcpy(name.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		return err_sys(e, errno,
			       "cannot reach the ledger at '%s'; is 'atoll-ledger serve' "
			       "running?",
			       path);
	}
	r = check_listener(path, fd, e);
	if (r >= 0) {
		*ret = TAKE_FD(fd);
	}
	return r;
}
