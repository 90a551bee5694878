/* SPDX-License-Identifier: Apache-2.0 */
/* Long texts between front and keeper. */
#include "keeper/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

int message_text_fd(const char *text, size_t len, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("atoll-message", MFD_CLOEXEC);
	size_t done = 0;

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n <= 0) {
			break;
		}
		done += (size_t)n;
	}
	if (fd < 0 || done < len || lseek(fd, 0, SEEK_SET) < 0) {
		return err_sys(e, errno, "cannot write a message");
	}
	return TAKE_FD(fd);
}

char *message_read_fd(int fd, size_t max, size_t *ret_len, struct err *e)
{
	struct buf b;
	int r;

	buf_init(&b, max);
	/* Only of memory: reading anything else might wait for somebody. */
	r = fcntl(fd, F_GET_SEALS) < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -errno : buf_read_fd(&b, fd);
	if (r < 0 || b.len == 0) {
		buf_done(&b);
		(void)err_sys(e, r < 0 ? -r : ENODATA, "cannot read a message");
		return NULL;
	}
	*ret_len = b.len;
	return buf_take(&b);
}
