/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the service manager through atoll-scope. */
#include "keeper/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/program.h"

#define PROGRAM "atoll-scope"

extern char **environ;

#define NEEDED "the service manager cannot be asked for a control group"

/*
 * The manager is told which process is meant by a number, and takes it for one of its own
 * namespace: from another pid namespace it would put a process of somebody else into the scope, to
 * be limited and killed with it. The kernel says who listens on the manager's socket, as a number
 * of ours, or 0 when it is not to be seen from here.
 */
static int check_pid_namespace(const char *runtime, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct ucred manager = {};
	socklen_t len = sizeof(manager);
	int n = snprintf(name.sun_path, sizeof(name.sun_path), "%s/systemd/private", runtime);

	if (n < 0 || (size_t)n >= sizeof(name.sun_path) || fd < 0 ||
	    connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &manager, &len) < 0) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "this user's service manager does not answer at "
			       "'%s/systemd/private'",
			       runtime);
	}
	return manager.pid > 0 ? 0
			       : err_set(e, ERR_SYSTEM, EOPNOTSUPP,
					 "this user's service manager is outside of this pid "
					 "namespace and cannot be told which process is meant; "
					 "start atoll outside for limits by the kernel");
}

int scope_available(struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *bus = getenv("DBUS_SESSION_BUS_ADDRESS");
	char path[PATH_MAX], place[64], listener[PATH_MAX];
	int r = program_find(PROGRAM, NEEDED, path, e);

	if (!runtime || *runtime != '/') {
		(void)snprintf(place, sizeof(place), "/run/user/%u", geteuid());
		runtime = place;
	}
	r = r < 0 ? r : check_pid_namespace(runtime, e);
	if (r < 0 || (bus && *bus)) {
		return r;
	}
	(void)snprintf(listener, sizeof(listener), "%s/bus", runtime);
	return access(listener, W_OK) == 0 ? 0
					   : err_set(e, ERR_SYSTEM, EOPNOTSUPP,
						     "this user has no D-Bus session ('%s'); "
						     "apt install dbus-user-session, and log "
						     "in anew",
						     listener);
}

int scope_make(const struct scope_request *q, struct err *e)
{
	char path[PATH_MAX], pid[16], memory[24], tasks[24], cpu[24];
	char *const argv[] = {PROGRAM, (char *)q->name,   pid, memory, tasks,
			      cpu,     q->io ? "1" : "0", NULL};
	_cleanup_buf_ struct buf said = {};
	posix_spawn_file_actions_t actions;
	int ends[2], status = 0, r = program_find(PROGRAM, NEEDED, path, e);
	pid_t child;

	if (r < 0) {
		return r;
	}
	(void)snprintf(pid, sizeof(pid), "%d", q->pid);
	(void)snprintf(memory, sizeof(memory), "%" PRIu64, q->memory);
	(void)snprintf(tasks, sizeof(tasks), "%" PRIu64, q->tasks);
	(void)snprintf(cpu, sizeof(cpu), "%" PRIu64, q->cpu_us_per_s);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot create a pipe");
	}
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	r = posix_spawn(&child, path, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)fd_close(ends[1]);
	buf_init(&said, 4096);
	if (r == 0) {
		(void)buf_read_fd(&said, ends[0]);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
		}
	}
	(void)fd_close(ends[0]);
	if (r != 0) {
		return err_sys(e, r, "cannot start '%s'", path);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	if (said.len > 0 && said.data[said.len - 1] == '\n') {
		said.data[said.len - 1] = '\0';
	}
	return err_set(e, ERR_SYSTEM, EIO, "the service manager made no scope: %s",
		       said.len > 0 ? buf_str(&said) : "no word from " PROGRAM);
}
