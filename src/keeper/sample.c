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

/* Reads a small /proc file into `text`; false if the process is gone. */
static bool read_small(int proc, const char *pid, const char *name, char *text, size_t size)
{
	char path[64];
	_cleanup_fd_ int fd = FD_NONE;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", pid, name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Fields 14 to 17 of stat, in clock ticks, counted after the name's last parenthesis (proc(5)). */
static uint64_t cpu_of(int proc, const char *pid)
{
	char text[1024], *p;
	uint64_t ticks = 0;
	int i;

	if (!read_small(proc, pid, "stat", text, sizeof(text))) {
		return 0;
	}
	p = strrchr(text, ')');
	for (i = 2; p && i < 14; i++) {
		p = strchr(p + 1, ' ');
	}
	for (i = 0; p && i < 4; i++) {
		ticks += strtoull(p, &p, 10);
	}
	return ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* The second field of statm, in pages. */
static uint64_t resident_of(int proc, const char *pid)
{
	char text[256], *p;

	if (!read_small(proc, pid, "statm", text, sizeof(text))) {
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

static uint64_t share_of(int proc, const char *pid)
{
	char text[4096];

	if (!read_small(proc, pid, "smaps_rollup", text, sizeof(text))) {
		return 0;
	}
	return kilobytes_after(text, "\nPss:") + kilobytes_after(text, "\nSwapPss:");
}

/* Calls `measure` for every process and returns the sum. */
static uint64_t sum(int proc, uint64_t (*measure)(int, const char *))
{
	int copy = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *d;
	uint64_t total = 0;

	if (!dir) {
		(void)fd_close(copy);
		return 0;
	}
	while ((d = readdir(dir))) {
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9') {
			total += measure(proc, d->d_name);
		}
	}
	(void)closedir(dir);
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

void sample_take(int proc, uint64_t limit, struct sample *ret)
{
	uint64_t scratch = scratch_of(proc);

	*ret = (struct sample){};
	ret->cpu_ns = sum(proc, cpu_of);
	ret->memory = sum(proc, resident_of) + scratch;
	if (ret->memory > limit) {
		ret->memory = sum(proc, share_of) + scratch;
	}
}
