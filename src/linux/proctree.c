/* SPDX-License-Identifier: Apache-2.0 */
/* Process trees. */
#include "linux/proctree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* How long the end of a tree may take. A process that sleeps in the kernel for good holds it up. */
#define END_SECONDS 10

/* States of a thread (proc_pid_stat(5)). */
#define DEAD    "ZXx"
#define STOPPED "Tt"

struct task {
	char state;
	pid_t parent;
	unsigned threads;
	unsigned long long born; /* in ticks since boot */
};

/* A file that is gone, or whose process is. */
static bool read_text(int dir, const char *path, char *text, size_t size)
{
	_cleanup_fd_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* The state, behind the name's last parenthesis; NULL: there is none. */
static char *find_state(char *stat)
{
	char *p = strrchr(stat, ')');

	return p && strlen(p) >= 4 ? p + 2 : NULL;
}

/* Calls `visit` with each thread's folder of /proc and its name, until it says no. */
static void each_thread(pid_t pid, bool (*visit)(int dir, const char *thread, void *to), void *to)
{
	char path[32];
	struct dirent *entry;
	DIR *tasks;
	bool more = true;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && more && (entry = readdir(tasks))) {
		more = entry->d_name[0] == '.' || visit(dirfd(tasks), entry->d_name, to);
	}
	if (tasks) {
		(void)closedir(tasks);
	}
}

/* What runs outweighs what waits in the kernel, that what is stopped, and that what is dead. */
static bool add_state(int dir, const char *thread, void *to)
{
	static const char order[] = "xXZtTD";
	char path[64], text[1024], *now, *all = to;

	(void)snprintf(path, sizeof(path), "%.20s/stat", thread);
	now = read_text(dir, path, text, sizeof(text)) ? find_state(text) : NULL;
	if (now && (!strchr(order, *now) || strchr(order, *now) > strchr(order, *all))) {
		*all = *now;
	}
	return strchr(order, *all) != NULL;
}

/*
 * Fields 3, 4, 20 and 22 of stat. False: it is gone. The state is that of the first thread, which
 * may have ended while others go on.
 */
static bool read_task(pid_t pid, struct task *ret)
{
	char path[32], text[1024], *p;
	unsigned long long field[23] = {};
	int i;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	p = read_text(AT_FDCWD, path, text, sizeof(text)) ? find_state(text) : NULL;
	if (!p) {
		return false;
	}
	*ret = (struct task){.state = *p++};
	for (i = 4; i <= 22; i++) {
		field[i] = strtoull(p, &p, 10);
	}
	ret->parent = (pid_t)field[4];
	ret->threads = (unsigned)field[20];
	ret->born = field[22];
	if (strchr(DEAD, ret->state) && ret->threads > 1) {
		each_thread(pid, add_state, &ret->state);
	}
	return true;
}

void proctree_done(struct proctree *t)
{
	free(t->members);
	*t = (struct proctree){};
}

static int add(struct proctree *t, struct proctree_member m)
{
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct proctree_member *more = realloc(t->members, room * sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		t->members = more;
		t->room = room;
	}
	t->members[t->n++] = m;
	return 0;
}

int proctree_add(struct proctree *t, pid_t pid)
{
	return add(t, (struct proctree_member){.pid = pid});
}

/* A walk: `parent` is the member whose children are read, SIZE_MAX: the root. */
struct walk {
	struct proctree *tree;
	pid_t root;
	size_t parent;
	int r;
};

/*
 * Adds a number from the children file of the walk's place, if the process is one: its parent is
 * that one, or if that has ended meanwhile, one further up.
 */
static void add_child(struct walk *w, pid_t pid)
{
	struct proctree_member *m = w->tree->members;
	size_t parent = w->parent;
	struct task task;

	if (!read_task(pid, &task)) {
		return;
	}
	while (parent != SIZE_MAX && m[parent].pid != task.parent) {
		parent = m[parent].parent;
	}
	if (parent == SIZE_MAX ? task.parent == w->root : m[parent].born <= task.born) {
		w->r = add(w->tree, (struct proctree_member){pid, task.born, parent});
	}
}

/* Adds the numbers of one children file, which may be of any length. */
static bool add_children(int dir, const char *thread, void *to)
{
	struct walk *w = to;
	char text[4096];
	_cleanup_fd_ int fd = FD_NONE;
	pid_t pid = 0;
	ssize_t n, i;

	(void)snprintf(text, sizeof(text), "%.20s/children", thread);
	fd = openat(dir, text, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && w->r >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
		for (i = 0; w->r >= 0 && i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid > 0) {
				add_child(w, pid);
				pid = 0;
			}
		}
	}
	return w->r >= 0;
}

int proctree_list(struct proctree *t, pid_t root)
{
	struct walk w = {.tree = t, .root = root, .parent = SIZE_MAX};
	size_t done = 0;

	t->n = 0;
	if (access("/proc/self/task", F_OK) < 0 || access("/proc/thread-self/children", F_OK) < 0) {
		return -ENOSYS;
	}
	each_thread(root, add_children, &w);
	while (w.r >= 0 && done < t->n) {
		const struct proctree_member m = t->members[done];
		size_t before = t->n;
		struct task now;

		w.parent = done++;
		each_thread(m.pid, add_children, &w);
		/* What had its number meanwhile is nobody's parent here. */
		if (t->n > before && (!read_task(m.pid, &now) || now.born != m.born)) {
			t->n = before;
		}
	}
	return w.r;
}

static _Noreturn void hide(int ready)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)!write(ready, "", 1);
	for (;;) {
		(void)pause();
	}
}

bool proctree_sees_all(void)
{
	_cleanup_fd_ int in = FD_NONE, out = FD_NONE;
	struct task task;
	bool seen = false;
	int pair[2];
	pid_t child;
	char byte;

	if (pipe2(pair, O_CLOEXEC) < 0) {
		return false;
	}
	in = pair[0];
	out = pair[1];
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		hide(out);
	}
	out = fd_close(out);
	if (child > 0) {
		seen = read(in, &byte, 1) == 1 && read_task(child, &task);
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	return seen;
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

int proctree_signal(const struct proctree_member *m, int signal)
{
	_cleanup_fd_ int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	struct task now;

	if (fd < 0 || !read_task(m->pid, &now) || now.born != m->born) {
		return -ESRCH;
	}
	return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* Stops what runs; returns how much that was. */
static size_t stop_running(pid_t except, const struct proctree *t)
{
	size_t i, running = 0;

	for (i = 0; i < t->n; i++) {
		const struct proctree_member *m = &t->members[i];
		struct task task;

		if (m->pid == except || !read_task(m->pid, &task) ||
		    strchr(DEAD STOPPED, task.state)) {
			continue;
		}
		(void)proctree_signal(m, SIGSTOP);
		/* One that waits in the kernel (D) stops before it runs again. */
		running += task.state != 'D';
	}
	return running;
}

/* Kills all; returns the first that is still there, or 0. */
static pid_t kill_all(pid_t except, const struct proctree *t)
{
	pid_t left = 0;
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct proctree_member *m = &t->members[i];
		struct task task;

		if (m->pid == except || !read_task(m->pid, &task) || strchr(DEAD, task.state)) {
			continue;
		}
		(void)proctree_signal(m, SIGKILL);
		left = left ? left : m->pid;
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
		quiet = stop_running(except, &t) == 0 ? quiet + 1 : 0;
		(void)sched_yield();
	}
	while (r >= 0 && left > 0 && seconds() < until) {
		r = proctree_list(&t, root);
		left = kill_all(except, &t);
		if (left > 0) {
			await_end(left);
		}
	}
	proctree_done(&t);
	return r < 0 ? r : left > 0 ? -ETIMEDOUT : 0;
}

long proctree_status(pid_t pid, const char *name)
{
	char path[32], text[4096], *line;
	_cleanup_fd_ int fd = FD_NONE;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}
