/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling processes through a /proc of their own. */
#include "keeper/sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "linux/proctree.h"

/*
 * How long a look at shares may take: it walks over the page tables of each process, and meanwhile
 * nobody watches the other limits. What is left then counts as if it shared nothing.
 */
#define SHARES_NS 1000000000LL

/* Reads a small /proc file into `text`; false if the process is gone. */
static bool read_small(int proc, const char *pid, const char *name, char *text, size_t size)
{
	char path[320];
	_cleanup_fd_ int fd = FD_NONE;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", pid, name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/*
 * Fields 14 to 17 (CPU time) and 22 (start time) of stat, in clock ticks, counted after the name's
 * last parenthesis (proc(5)). False if the process is gone.
 */
static bool read_task(int proc, const char *pid, struct sample_task *ret)
{
	const uint64_t tick = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t field[23] = {};
	char text[1024], *p;
	int i;

	if (!read_small(proc, pid, "stat", text, sizeof(text))) {
		return false;
	}
	p = strrchr(text, ')');
	p = p ? strchr(p + 2, ' ') : NULL; /* behind the state, which is a letter */
	for (i = 4; p && i <= 22; i++) {
		field[i] = strtoull(p, &p, 10);
	}
	*ret = (struct sample_task){.pid = (int)strtol(pid, NULL, 10),
				    .born = field[22],
				    .own = (field[14] + field[15]) * tick,
				    .children = (field[16] + field[17]) * tick};
	return true;
}

static int by_pid(const void *a, const void *b)
{
	const struct sample_task *left = a, *right = b;

	return (left->pid > right->pid) - (left->pid < right->pid);
}

static const struct sample_task *find(const struct sample_task *list, size_t n,
				      const struct sample_task *task)
{
	const struct sample_task *hit =
		n > 0 ? bsearch(task, list, n, sizeof(*list), by_pid) : NULL;

	return hit && hit->born == task->born ? hit : NULL;
}

/*
 * Compares with the last look; returns what all tasks have used so far. A look takes a while: a
 * parent may be read before it waits for a child that is gone when its turn comes. What a child had
 * used is therefore lost only if nobody was handed it by the look after that, either.
 */
static uint64_t settle(struct sampler *s, struct sample_task *now, size_t n)
{
	uint64_t gone = 0, handed = 0, total = 0, late;
	size_t i;

	for (i = 0; i < s->n; i++) {
		gone += find(now, n, &s->seen[i]) ? 0 : s->seen[i].own + s->seen[i].children;
	}
	for (i = 0; i < n; i++) {
		const struct sample_task *before = find(s->seen, s->n, &now[i]);
		uint64_t had = before ? before->children : 0;

		handed += now[i].children > had ? now[i].children - had : 0;
		total += now[i].own + now[i].children;
	}
	late = handed < s->missing_ns ? handed : s->missing_ns;
	s->lost_ns += s->missing_ns - late;
	handed -= late;
	s->missing_ns = gone > handed ? gone - handed : 0;
	free(s->seen);
	s->seen = now;
	s->n = n;
	return total + s->lost_ns;
}

/* The numbers of all processes that `proc` shows. False: out of memory. */
static bool list_all(int proc, struct proctree *ret)
{
	int copy = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *d;
	bool good = true;

	if (!dir) {
		(void)fd_close(copy);
		return true; /* pid 1 is gone; what was counted stays */
	}
	while (good && (d = readdir(dir))) {
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9') {
			good = proctree_add(ret, (pid_t)strtol(d->d_name, NULL, 10)) >= 0;
		}
	}
	(void)closedir(dir);
	return good;
}

static bool list_processes(int proc, pid_t tree, struct proctree *ret)
{
	return tree > 0 ? proctree_list(ret, tree) >= 0 && proctree_add(ret, tree) >= 0
			: list_all(proc, ret);
}

static bool cpu_of_all(struct sampler *s, int proc, const struct proctree *all, uint64_t *ret)
{
	struct sample_task *list = all->n > 0 ? calloc(all->n, sizeof(*list)) : NULL;
	size_t n = 0, i;

	if (!list) {
		return all->n == 0;
	}
	for (i = 0; i < all->n; i++) {
		char pid[16];

		(void)snprintf(pid, sizeof(pid), "%d", all->members[i].pid);
		n += read_task(proc, pid, &list[n]);
	}
	qsort(list, n, sizeof(*list), by_pid);
	*ret = settle(s, list, n);
	return true;
}

void sampler_done(struct sampler *s)
{
	free(s->seen);
	*s = (struct sampler){};
}

/* The second field of statm, in pages. `task` is a process, or "PID/task/TID". */
static uint64_t resident_of(int proc, const char *task)
{
	char text[256], *p;

	if (!read_small(proc, task, "statm", text, sizeof(text))) {
		return 0;
	}
	p = strchr(text, ' ');
	return p ? strtoull(p, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t kilobytes_after(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : 0;
}

/* What may not be looked at (prctl(2), PR_SET_DUMPABLE) shares nothing, as far as we can tell. */
static uint64_t share_of(int proc, const char *task)
{
	char text[4096];

	if (!read_small(proc, task, "smaps_rollup", text, sizeof(text))) {
		return resident_of(proc, task);
	}
	return kilobytes_after(text, "\nPss:") + kilobytes_after(text, "\nSwapPss:");
}

/* A process whose first thread has ended shows its memory in those that go on. */
static uint64_t measure_threads(int proc, const char *pid, uint64_t (*measure)(int, const char *))
{
	char path[300];
	struct dirent *entry;
	uint64_t found = 0;
	DIR *dir;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/task", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		(void)fd_close(fd);
		return 0;
	}
	while (found == 0 && (entry = readdir(dir))) {
		(void)snprintf(path, sizeof(path), "%s/task/%s", pid, entry->d_name);
		found = entry->d_name[0] == '.' ? 0 : measure(proc, path);
	}
	(void)closedir(dir);
	return found;
}

/* Of a process, or of the first of its threads that still has any. */
static uint64_t measure_one(int proc, pid_t pid, uint64_t (*measure)(int, const char *))
{
	char name[16];
	uint64_t found;

	(void)snprintf(name, sizeof(name), "%d", pid);
	found = measure(proc, name);
	return found > 0 ? found : measure_threads(proc, name, measure);
}

/* What all processes have resident; or their shares, as far as these can be told in time. */
static uint64_t sum(int proc, const struct proctree *all, bool shares)
{
	const int64_t until = clock_now_ns() + SHARES_NS;
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < all->n; i++) {
		bool exact = shares && clock_now_ns() < until;

		total += measure_one(proc, all->members[i].pid, exact ? share_of : resident_of);
	}
	return total;
}

/* All writable tmpfs of a sandbox is one instance; /tmp is a part of it. */
static uint64_t scratch_of(int proc)
{
	_cleanup_fd_ int tmp = openat(proc, "1/root/tmp", O_PATH | O_CLOEXEC);
	struct statfs fs;

	if (tmp < 0 || fstatfs(tmp, &fs) < 0) {
		return 0;
	}
	return (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
}

bool sample_take(struct sampler *s, int proc, pid_t tree, uint64_t limit, struct sample *ret)
{
	uint64_t scratch = tree > 0 ? 0 : scratch_of(proc);
	struct proctree all = {};
	bool good;

	*ret = (struct sample){};
	good = list_processes(proc, tree, &all);
	s->listed = good ? all.n : 0;
	good = good && cpu_of_all(s, proc, &all, &ret->cpu_ns);
	if (good) {
		ret->memory = sum(proc, &all, false) + scratch;
	}
	if (good && ret->memory > limit) {
		ret->memory = sum(proc, &all, true) + scratch;
	}
	proctree_done(&all);
	return good;
}
