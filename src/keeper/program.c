/* SPDX-License-Identifier: Apache-2.0 */
/* Finding them. */
#include "keeper/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

int program_find(const char *name, const char *needed, char path[PATH_MAX], struct err *e)
{
	static const char *const places[] = {"../libexec/atoll/", ""};
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (n < 0) {
		return err_sys(e, errno, "cannot find this program");
	}
	own[n] = '\0';
	slash = strrchr(own, '/');
	for (size_t i = 0; slash && i < ARRAY_SIZE(places); i++) {
		int len;

		slash[1] = '\0';
		len = snprintf(path, PATH_MAX, "%s%s%s", own, places[i], name);
		if (len > 0 && len < PATH_MAX && access(path, X_OK) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
		       "the program %s is not installed beside atoll, so %s; put it there, as "
		       "'make install' does",
		       name, needed);
}
