/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of control groups. */
#include "linux/cgroup-file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "linux/mountinfo.h"

int cgroup_read_text(int dir, const char *path, struct buf *b)
{
	_cleanup_fd_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	buf_clear(b);
	return fd < 0 ? -errno : buf_read_fd(b, fd);
}

bool cgroup_has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n = strcspn(list, ", \n");

		if (n == len && memcmp(list, word, len) == 0) {
			return true;
		}
		list += n;
		list += *list != '\0';
	}
	return false;
}

char *cgroup_find_mount(const struct mount_table *t, const char *type, const char *controller)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct mount_entry *m = &t->list[i];

		if (strcmp(m->type, type) == 0 &&
		    (!*controller || cgroup_has_word(m->options, controller))) {
			return strdup(m->point);
		}
	}
	return NULL;
}

char *cgroup_find_path(const char *text, const char *controller)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		char *list = strchr(line, ':');
		char *path = list ? strchr(list + 1, ':') : NULL;

		if (path) {
			*path = '\0';
			if (*controller ? cgroup_has_word(list + 1, controller) : !list[1]) {
				return strdup(strcmp(path + 1, "/") == 0 ? "" : path + 1);
			}
		}
	}
	return NULL;
}

uint64_t cgroup_stat(int dir, const char *file, const char *key)
{
	_cleanup_buf_ struct buf b = {};
	const char *line;
	size_t len = strlen(key);

	buf_init(&b, 65536);
	if (cgroup_read_text(dir, file, &b) < 0) {
		return 0;
	}
	for (line = buf_str(&b); line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == ' ') {
			return strtoull(line + len, NULL, 10);
		}
	}
	return 0;
}

void cgroup_kill_members(const char *path)
{
	_cleanup_buf_ struct buf b = {};
	char file[4096];
	const char *line;

	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	buf_init(&b, 1024 * 1024);
	if (cgroup_read_text(AT_FDCWD, file, &b) < 0) {
		return;
	}
	for (line = buf_str(&b); *line; line += strcspn(line, "\n") + 1) {
		long pid = strtol(line, NULL, 10);

		if (pid > 1) {
			(void)kill((pid_t)pid, SIGKILL);
		}
		if (!strchr(line, '\n')) {
			break;
		}
	}
}
