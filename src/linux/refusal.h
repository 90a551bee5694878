/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the kernel refuses what an ordinary user may do with namespaces and mounts, and what can be
 * done about it: settings of the host, a seccomp filter or a security module around this process, a
 * limit of namespaces, a kernel without them.
 */
#pragma once

#include <stdbool.h>

struct err;

/* True where a seccomp filter is around this process already. */
bool refusal_is_filtered(void);

/* True for root without CAP_SYS_ADMIN, as in a container: it may not copy or change mounts. */
bool refusal_of_root(void);

/* What to do about an errno value of such a call; never NULL. */
const char *refusal_remedy(int code);

/* Adds the remedy to an error of such a call; other errors, such as want of memory, stay as they
 * are. Returns -e->code. */
int refusal_advise(struct err *e);

#define REFUSAL_ROOT_REMEDY                                                             \
	"start atoll there as an ordinary user (podman, docker: --user 1000), or give " \
	"the container the capability (--cap-add SYS_ADMIN)"

#define REFUSAL_PROC_REMEDY                                                                 \
	"parts of /proc are covered by mounts, as in a container: start atoll outside, or " \
	"uncover "                                                                          \
	"it (podman: --security-opt unmask=ALL, docker: --security-opt systempaths=unconfined)"
