/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of an original at the time of its copy. */
#include "workspace/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fault.h"

#define KEY_DIGITS 16
/* More names than fit into a copy. */
#define FILE_MAX ((off_t)1 << 30)

void dirs_done(struct dirs *d)
{
	free(d->keys);
	*d = (struct dirs){};
}

static uint64_t key_of(const char *path, const char *name, ino_t ino)
{
	const uint64_t number = ino;
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	digest_init(&digest);
	digest_add(&digest, &number, sizeof(number));
	digest_add(&digest, path, strlen(path));
	if (name) {
		digest_add(&digest, "/", *path ? 1 : 0);
		digest_add(&digest, name, strlen(name));
	}
	digest_end(&digest, hex);
	hex[KEY_DIGITS] = '\0';
	return strtoull(hex, NULL, 16);
}

int dirs_add(struct dirs *d, const char *path, ino_t ino)
{
	size_t room = d->room ? d->room * 2 : 64;

	if (d->n == d->room) {
		uint64_t *more = fault_hit() ? NULL : reallocarray(d->keys, room, sizeof(*more));

		if (!more) {
			return -ENOMEM;
		}
		d->keys = more;
		d->room = room;
	}
	d->keys[d->n++] = key_of(path, NULL, ino);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void dirs_sort(struct dirs *d)
{
	if (d->n > 1) {
		qsort(d->keys, d->n, sizeof(*d->keys), by_key);
	}
}

bool dirs_has(const struct dirs *d, const char *path, const char *name, ino_t ino)
{
	uint64_t key;

	if (d->n == 0) {
		return false;
	}
	key = key_of(path, name, ino);
	return bsearch(&key, d->keys, d->n, sizeof(key), by_key) != NULL;
}

int dirs_write(const struct dirs *d, int dir, const char *name)
{
	_cleanup_fd_ int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fault_hit() ? -EIO
	       : fd < 0    ? -errno
			   : buf_write_fd(fd, d->keys, d->n * sizeof(*d->keys));
}

static int read_keys(int fd, struct dirs *d)
{
	size_t size = d->n * sizeof(*d->keys), at = 0;
	ssize_t n = 1;

	while (at < size && n > 0) {
		n = pread(fd, (char *)d->keys + at, size - at, (off_t)at);
		at += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -errno : at < size ? -EBADMSG : 0;
}

/* A search in what is not ascending would only find less. */
int dirs_read(int dir, const char *name, struct dirs *ret)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	*ret = (struct dirs){};
	if (fd < 0 || fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX ||
	    (size_t)st.st_size % sizeof(*ret->keys) != 0) {
		return -EBADMSG;
	}
	ret->n = ret->room = (size_t)st.st_size / sizeof(*ret->keys);
	if (ret->n == 0) {
		return 0;
	}
	ret->keys = fault_hit() ? NULL : calloc(ret->n, sizeof(*ret->keys));
	r = ret->keys ? read_keys(fd, ret) : -ENOMEM;
	if (r < 0) {
		dirs_done(ret);
	}
	return r;
}
