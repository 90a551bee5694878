/* SPDX-License-Identifier: Apache-2.0 */
/* User namespaces (user_namespaces(7)): id maps, and namespaces that only translate owners. */
#pragma once

#include <sys/types.h>

struct err;

/* Maps exactly one user and one group id into the namespace of `pid`. */
int userns_map(pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid,
	       struct err *e);

/*
 * A namespace that translates the on-disk owner (uid, gid) to (host_uid, host_gid), for idmapped
 * mounts. Returns its descriptor; needs CAP_SETUID and CAP_SETGID. It leaves a killed child behind
 * for the caller to wait for at its leisure.
 */
int userns_for_idmap(uid_t uid, uid_t host_uid, gid_t gid, gid_t host_gid, struct err *e);
