/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount API of Linux 5.2 and 5.12 (open_tree, fsopen, mount_setattr, move_mount): a mount is
 * made detached, given its attributes, and attached last, so that it is never seen without them.
 * Descriptors are returned CLOEXEC; attributes are MOUNT_ATTR_* of linux/mount.h.
 */
#pragma once

#include <stdint.h>

struct err;

/* A detached copy of the mount tree at path with `attrs` set on all of it, private: it would
 * otherwise be a peer of what it was copied from, and a mount below one would appear below the
 * other (mount_namespaces(7)). -ENOENT is returned without setting *e, so that optional sources can
 * be skipped. */
int mount_clone(int dirfd, const char *path, uint64_t attrs, struct err *e);

/* Translates the owner ids of a detached mount tree by `userns` (mount_setattr(2),
 * MOUNT_ATTR_IDMAP). `name` is what an error calls it. */
int mount_idmap(int mount, const char *name, int userns, struct err *e);

/* A new filesystem instance; options are name, value pairs ended by NULL. */
int mount_new(const char *type, const char *const *options, uint64_t attrs, struct err *e);

/* -ENOENT sets *e like any other failure; a caller that can go on ignores it. */
int mount_attach(int mount, int dirfd, const char *path, struct err *e);

/* Changes attributes of the mount at path, not of those below it. */
int mount_set(int dirfd, const char *path, uint64_t set, struct err *e);
