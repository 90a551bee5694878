/* SPDX-License-Identifier: Apache-2.0 */
/* Files as memory. */
#include "workspace/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "workspace/apply-internal.h"
#include "workspace/change-internal.h"

static int copy(int from, int to, size_t max)
{
	char chunk[32768];
	size_t total = 0;
	int r = 0;

	while (r == 0) {
		ssize_t n = read(from, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : 0;
		}
		r = total + (size_t)n > max ? -EFBIG
					    : content_write(to, chunk, (size_t)n, (off_t)total);
		total += (size_t)n;
	}
	return r;
}

int memory_of_file(int root, const char *path, bool own, size_t max, struct err *e)
{
	_cleanup_fd_ int from = path ? entry_open_file(root, path, own) : FD_NONE;
	_cleanup_fd_ int to = memfd_create("atoll-side", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = to < 0 ? -errno : path && from < 0 ? from : 0;

	if (r == 0 && path) {
		r = copy(from, to, max);
	}
	if (r == 0 &&
	    (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
	     lseek(to, 0, SEEK_SET) < 0)) {
		r = -errno;
	}
	return r < 0 ? apply_fail(path ? path : "", r, "cannot read", e) : TAKE_FD(to);
}

int memory_to_file(int root, const char *path, bool own, size_t max, int to, struct err *e)
{
	_cleanup_fd_ int from = entry_open_file(root, path, own);
	int r = from < 0 ? from : copy(from, to, max);

	return r < 0 ? apply_fail(path, r, "cannot copy", e) : 0;
}
