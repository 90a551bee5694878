/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in a tree of any depth.
 *
 * Of the directories on the way down the deepest HELD_MAX keep their descriptors. Coming back above
 * those, ".." leads to the parent, which is taken only if it is the one that was left (its device
 * and inode number); a directory that was moved meanwhile therefore leads nowhere else.
 */
#include "workspace/change-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fault.h"

#define HELD_MAX 32

struct place {
	int fd;
	dev_t dev;
	ino_t ino;
};

static int grow(struct cursor *c)
{
	size_t room = c->room ? c->room * 2 : 64;
	struct place *more;

	if (c->depth + 1 < c->room) {
		return 0;
	}
	more = fault_hit() ? NULL : reallocarray(c->places, room, sizeof(*more));
	if (!more) {
		return -ENOMEM;
	}
	c->places = more;
	c->room = room;
	return 0;
}

int cursor_init(struct cursor *c, int root, bool own)
{
	int r;

	*c = (struct cursor){.held = 1, .own = own};
	r = grow(c);
	if (r < 0) {
		return r;
	}
	c->places[0] = (struct place){.fd = fault_hit() ? (errno = EMFILE, FD_NONE)
							: fcntl(root, F_DUPFD_CLOEXEC, 0)};
	return c->places[0].fd < 0 ? -errno : 0;
}

void cursor_done(struct cursor *c)
{
	size_t i;

	for (i = 0; c->places && i <= c->depth; i++) {
		if (i == 0 || i >= c->held) {
			(void)fd_close(c->places[i].fd);
		}
	}
	free(c->places);
	*c = (struct cursor){};
}

int cursor_fd(const struct cursor *c)
{
	return c->places[c->depth].fd;
}

int cursor_enter(struct cursor *c, const char *name)
{
	_cleanup_rights_ struct rights rights = RIGHTS_NONE;
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;
	int r = grow(c);

	if (r < 0) {
		return r;
	}
	if (c->own) {
		entry_pass(cursor_fd(c), &rights);
	}
	fd = entry_open(cursor_fd(c), name, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	c->depth++;
	c->places[c->depth] = (struct place){TAKE_FD(fd), st.st_dev, st.st_ino};
	if (c->depth - c->held >= HELD_MAX) {
		/* The rights are given back through the parent's, which is deeper than this. */
		c->places[c->held].fd = fd_close(c->places[c->held].fd);
		c->held++;
	}
	return 0;
}

/* The parent of the deepest place again. */
static int recover(struct cursor *c)
{
	struct place *parent = &c->places[c->depth - 1];
	_cleanup_rights_ struct rights rights = RIGHTS_NONE;
	_cleanup_fd_ int fd = FD_NONE;
	struct stat st;

	if (c->own) {
		entry_pass(cursor_fd(c), &rights);
	}
	fd = fault_hit()
		     ? (errno = EMFILE, FD_NONE)
		     : openat(cursor_fd(c), "..", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return entry_failed(-errno) ? -errno : -ESTALE;
	}
	if (st.st_dev != parent->dev || st.st_ino != parent->ino) {
		return -ESTALE;
	}
	parent->fd = TAKE_FD(fd);
	c->held--;
	return 0;
}

int cursor_leave(struct cursor *c, size_t depth)
{
	while (c->depth > depth) {
		int r = c->depth == c->held && c->depth > 1 ? recover(c) : 0;

		if (r < 0) {
			return r;
		}
		c->places[c->depth].fd = fd_close(c->places[c->depth].fd);
		c->depth--;
	}
	return 0;
}
