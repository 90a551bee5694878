/* SPDX-License-Identifier: Apache-2.0 */
/* Process trees. */
#include "linux/proctree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long the end of a tree may take. A process that sleeps in the kernel for good holds it up. */
#define END_SECONDS 10

struct task {
	char state;
	pid_t parent;
	unsigned long long born; /* in ticks since boot */
};

/* Fields 3, 4 and 22 of stat, counted behind the name's last parenthesis. False: it is gone. */
static bool read_task(pid_t pid, struct task *ret)
{
	char path[32], text[1024], *p;
	unsigned long long number;
	ssize_t n;
	int fd, i;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	(void)close(fd);
	if (n <= 0) {
		return false;
	}
	text[n] = '\0';
	p = strrchr(text, ')');
	if (!p || strlen(p) < 4) {
		return false;
	}
	ret->state = p[2];
	p += 3;
	for (i = 4; i <= 22; i++) {
		number = strtoull(p, &p, 10);
		ret->parent = i == 4 ? (pid_t)number : ret->parent;
	}
	ret->born = number;
	return true;
}

void proctree_done(struct proctree *t)
{
	free(t->pids);
	*t = (struct proctree){};
}

int proctree_add(struct proctree *t, pid_t pid)
{
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		pid_t *more = realloc(t->pids, room * sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		t->pids = more;
		t->room = room;
	}
	t->pids[t->n++] = pid;
	return 0;
}

/* Adds the numbers of one children file, which may be of any length. */
static int add_children(struct proctree *t, int fd)
{
	char text[4096];
	pid_t pid = 0;
	ssize_t n, i;
	int r = 0;

	while (r >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
		for (i = 0; r >= 0 && i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid > 0) {
				r = proctree_add(t, pid);
				pid = 0;
			}
		}
	}
	return r;
}

/* The children of every thread of one process. */
static int add_process(struct proctree *t, pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *tasks;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && r >= 0 && (entry = readdir(tasks))) {
		int fd;

		if (entry->d_name[0] == '.') {
			continue;
		}
		(void)snprintf(path, sizeof(path), "%.20s/children", entry->d_name);
		fd = openat(dirfd(tasks), path, O_RDONLY | O_CLOEXEC);
		r = fd >= 0 ? add_children(t, fd) : 0;
		(void)close(fd);
	}
	if (tasks) {
		(void)closedir(tasks);
	}
	return r;
}

int proctree_list(struct proctree *t, pid_t root)
{
	size_t done = 0;
	int r;

	t->n = 0;
	if (access("/proc/self/task", F_OK) < 0 || access("/proc/thread-self/children", F_OK) < 0) {
		return -ENOSYS;
	}
	r = add_process(t, root);
	while (r >= 0 && done < t->n) {
		r = add_process(t, t->pids[done++]);
	}
	return r;
}

bool proctree_has(pid_t root, pid_t pid)
{
	struct task child = {.born = ~0ULL}, now;

	while (pid > 1 && pid != root) {
		if (!read_task(pid, &now) || now.born > child.born) {
			return false;
		}
		child = now;
		pid = now.parent;
	}
	return pid == root && root > 0 && child.born != ~0ULL && read_task(root, &now) &&
	       now.born <= child.born;
}

/* Sends a signal to what is below `root` at the moment it is sent. */
static void send_checked(pid_t root, pid_t pid, int signal)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0) {
		return;
	}
	if (proctree_has(root, pid)) {
		(void)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
	}
	(void)close(fd);
}

/* Stops what runs; returns how much that was. */
static size_t stop_running(pid_t root, pid_t except, const struct proctree *t)
{
	size_t i, running = 0;

	for (i = 0; i < t->n; i++) {
		struct task task;

		if (t->pids[i] == except || !read_task(t->pids[i], &task) ||
		    strchr("TtZXx", task.state)) {
			continue;
		}
		send_checked(root, t->pids[i], SIGSTOP);
		/* One that waits in the kernel (D) stops before it runs again. */
		running += task.state != 'D';
	}
	return running;
}

/* Kills all; returns the first that is still there, or 0. */
static pid_t kill_all(pid_t root, pid_t except, const struct proctree *t)
{
	pid_t left = 0;
	size_t i;

	for (i = 0; i < t->n; i++) {
		struct task task;

		if (t->pids[i] == except || !read_task(t->pids[i], &task) ||
		    strchr("ZXx", task.state)) {
			continue;
		}
		send_checked(root, t->pids[i], SIGKILL);
		left = left ? left : t->pids[i];
	}
	return left;
}

static void await_end(pid_t pid)
{
	struct pollfd pfd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (pfd.fd >= 0) {
		(void)poll(&pfd, 1, 20);
		(void)close(pfd.fd);
	}
}

static time_t seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int proctree_end(pid_t root, pid_t except)
{
	const time_t until = seconds() + END_SECONDS;
	struct proctree t = {};
	int quiet = 0, r = 0;
	pid_t left = 1;

	while (r >= 0 && quiet < 2 && seconds() < until) {
		r = proctree_list(&t, root);
		quiet = stop_running(root, except, &t) == 0 ? quiet + 1 : 0;
		(void)sched_yield();
	}
	while (r >= 0 && left > 0 && seconds() < until) {
		r = proctree_list(&t, root);
		left = kill_all(root, except, &t);
		if (left > 0) {
			await_end(left);
		}
	}
	proctree_done(&t);
	return r < 0 ? r : left > 0 ? -ETIMEDOUT : 0;
}
