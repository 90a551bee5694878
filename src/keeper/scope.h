/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transient scope of the caller's service manager (systemd.scope(5)): a control group with limits
 * around a process that runs already. The manager is asked over D-Bus by a program of its own,
 * atoll-scope, because libsystemd's start-up is more than ours.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct scope_request {
	const char *name; /* the unit, without ".scope" */
	pid_t pid;
	uint64_t memory; /* bytes; there is no swap beside them */
	uint64_t tasks;
	uint64_t cpu_us_per_s; /* CPU time for each second; 0: no limit */
	bool io;               /* with the io controller */
};

/* 0 if atoll-scope is installed and the caller has a bus; -EOPNOTSUPP with the remedy. */
int scope_available(struct err *e);

/* Makes the scope and waits until the process is in it. */
int scope_make(const struct scope_request *request, struct err *e);
