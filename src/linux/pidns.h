/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers that a process has, in a pid namespace below the reader's (pid_namespaces(7)). */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* 0: not known, or not there. */
struct pidns_numbers {
	pid_t pid, parent; /* of the process, as the namespace numbers them */
	pid_t group;       /* as the reader does */
};

/*
 * Of the process of a thread. `ns`: the namespace (/proc/PID/ns/pid), one level below the reader's;
 * FD_NONE: the reader's own. Never waits. False: the thread is gone, or hidden.
 */
bool pidns_numbers(int ns, pid_t tid, struct pidns_numbers *ret);
