/* SPDX-License-Identifier: Apache-2.0 */
/* Looking a program up in PATH. */
#include "linux/exec.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int exec_search(const char *path, char *const *argv, char *const *envp)
{
	int best = ENOENT;

	if (argv[0][0] == '\0') {
		return ENOENT;
	}
	if (strchr(argv[0], '/')) {
		(void)execve(argv[0], argv, envp);
		return errno;
	}
	while (path && *path) {
		size_t len = strcspn(path, ":");
		char file[PATH_MAX];
		size_t name = strlen(argv[0]);

		if (len > 0 && *path == '/' && len + name + 2 <= sizeof(file)) {
			memcpy(file, path, len);
			file[len] = '/';
			memcpy(file + len + 1, argv[0], name + 1);
			/* Each exec asks the keeper, and few of the directories have the file. */
			if (access(file, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR)) {
				(void)execve(file, argv, envp);
			}
			if (errno != ENOENT && errno != ENOTDIR) {
				best = errno;
			}
		}
		path += len + (path[len] == ':');
	}
	return best;
}
