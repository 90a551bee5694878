/* SPDX-License-Identifier: Apache-2.0 */
/* What is in regular files; either may be sparse, and the original's may change meanwhile. */
#include "workspace/change-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fault.h"

#define CHUNK       32768
#define BINARY_LOOK 8000 /* as git does */
#define COPY_CHUNK  ((size_t)256 * 1024)
#define OPAQUE      "user.overlay.opaque"

/* As much as there is of `size` bytes at `at`, or negative errno. */
static ssize_t read_at(int fd, void *data, size_t size, off_t at)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = fault_hit()
				    ? (errno = ENOMEM, -1)
				    : pread(fd, (char *)data + have, size - have, at + (off_t)have);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		have += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)have;
}

int content_write(int to, const char *data, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = fault_hit() ? (errno = ENOSPC, -1) : pwrite(to, data, len, at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EIO;
		}
		data += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

/* Where there may be something else than zeros, from `at` on; `size`: nowhere. */
static off_t next_data(int fd, off_t at, off_t size)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0) {
		return errno == ENXIO ? size : at;
	}
	return data < size ? data : size;
}

static off_t nearer(off_t a, off_t b)
{
	return a < b ? a : b;
}

int content_same(int fd, int other)
{
	char ours[CHUNK], theirs[CHUNK];
	struct stat a, b;
	off_t at = 0;

	if (fstat(fd, &a) < 0) {
		return -errno;
	}
	if (fstat(other, &b) < 0 || a.st_size != b.st_size) {
		return 0;
	}
	while ((at = nearer(next_data(fd, at, a.st_size), next_data(other, at, a.st_size))) <
	       a.st_size) {
		size_t size = (size_t)nearer(CHUNK, a.st_size - at);
		ssize_t n = read_at(fd, ours, size, at), m = read_at(other, theirs, size, at);

		if (n < 0 || entry_failed((int)m)) {
			return n < 0 ? (int)n : (int)m;
		}
		if (n != (ssize_t)size || m != n || memcmp(ours, theirs, size) != 0) {
			return 0;
		}
		at += n;
	}
	/* A file that shrank meanwhile has no data where it ends. */
	return fstat(other, &b) == 0 && a.st_size == b.st_size;
}

int content_binary(int fd)
{
	char start[BINARY_LOOK];
	ssize_t n = read_at(fd, start, sizeof(start), 0);

	return n < 0 ? (int)n : memchr(start, '\0', (size_t)n) != NULL;
}

int content_digest(int fd, uint64_t size, char *out)
{
	/* Each link: the digest of the links before, and the next chunk. */
	char link[DIGEST_HEX_SIZE + CHUNK] = "";
	uint64_t at = 0;
	ssize_t n;

	do {
		n = read_at(fd, link + DIGEST_HEX_SIZE, CHUNK, (off_t)at);
		if (n < 0) {
			return (int)n;
		}
		digest_hex(link, DIGEST_HEX_SIZE + (size_t)n, link);
		at += (uint64_t)n;
	} while (n == CHUNK && at <= size);
	memcpy(out, link, DIGEST_HEX_SIZE);
	return at == size ? 0 : -ESTALE;
}

static int say_more(const struct content_watch *watch, size_t bytes)
{
	return watch ? watch->more(watch->arg, bytes) : 0;
}

/* From `at` to `end`, which lie in one extent. */
static int copy_extent(int from, int to, char *chunk, off_t at, off_t end,
		       const struct content_watch *watch)
{
	int r = 0;

	while (r == 0 && at < end) {
		size_t want = (size_t)(end - at) < COPY_CHUNK ? (size_t)(end - at) : COPY_CHUNK;
		ssize_t n = pread(from, chunk, want, at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : 0;
		}
		r = content_write(to, chunk, (size_t)n, at);
		r = r < 0 ? r : say_more(watch, (size_t)n);
		at += n;
	}
	return r;
}

int content_copy(int from, int to, const struct content_watch *watch)
{
	_cleanup_free_ char *chunk = NULL;
	off_t at = 0, end;
	struct stat st;
	int r = 0;

	if (ioctl(to, FICLONE, from) == 0) {
		return fstat(from, &st) < 0
			       ? -errno
			       : say_more(watch, (size_t)nearer(st.st_size, st.st_blocks * 512));
	}
	chunk = malloc(COPY_CHUNK);
	if (!chunk || fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0) {
		return chunk ? -errno : -ENOMEM;
	}
	while (r == 0 && (at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		r = end < 0 ? -errno : copy_extent(from, to, chunk, at, end, watch);
		at = end;
	}
	return r < 0 || (at < 0 && errno == ENXIO) ? r : -errno;
}

/* Rights that a file has by its content, and labels that only root may set, are nobody's to copy.
 */
static bool is_portable(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "system.posix_acl_access") == 0;
}

static int copy_attribute(int from, int to, const char *name)
{
	char value[65536];
	ssize_t len = fgetxattr(from, name, value, sizeof(value));

	return fault_hit()                                                 ? -EIO
	       : len < 0 || fsetxattr(to, name, value, (size_t)len, 0) < 0 ? -errno
									   : 0;
}

int content_attributes(int from, int to)
{
	char names[65536];
	ssize_t n = flistxattr(from, names, sizeof(names));
	const char *name;
	int r = 0;

	if (n < 0) {
		return errno == ENOTSUP ? 0 : -errno;
	}
	for (name = names; r == 0 && name < names + n; name += strlen(name) + 1) {
		r = is_portable(name) ? copy_attribute(from, to, name) : 0;
	}
	return r;
}

/* A file system that has no attributes, too few of them, or no room in the file's own place. */
static bool has_no_place(int r)
{
	return r == -EOPNOTSUPP || r == -ENOSPC || r == -E2BIG || r == -ERANGE;
}

int content_layer_attributes(int from, int to, struct content_lost *ret)
{
	char names[65536];
	const char *name;
	ssize_t n;
	int r = 0;

	*ret = (struct content_lost){};
	if (fgetxattr(from, OPAQUE, NULL, 0) >= 0) {
		r = copy_attribute(from, to, OPAQUE); /* first, while there is room for it */
	}
	n = r < 0 ? 0 : flistxattr(from, names, sizeof(names));
	if (n < 0 && errno != ENOTSUP) {
		ret->n = has_no_place(-errno);
		r = ret->n > 0 ? 0 : -errno;
	}
	for (name = names; r == 0 && n > 0 && name < names + n; name += strlen(name) + 1) {
		if (!is_portable(name) || strcmp(name, OPAQUE) == 0) {
			continue;
		}
		r = copy_attribute(from, to, name);
		if (has_no_place(r)) {
			ret->n++;
			ret->access_list = ret->access_list || name[0] == 's';
			r = 0;
		}
	}
	return r;
}
