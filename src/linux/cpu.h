/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new process may sit on its parent's CPU until that sleeps, although another CPU has nothing to
 * do; where both have work at once, that is up to a millisecond. The parent therefore pushes its
 * child elsewhere, through its affinity, and the child takes its own back: after a message that the
 * parent sends later than the push, never before.
 *
 * The kernel may also let the child run first, on the parent's CPU, and the parent wait: through
 * all of an execve(2). So where a child's way is long it moves itself, before anything else, to
 * where the parent would push it.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

struct err;

/* A process's affinity; 0 is the caller. False: unknown (more CPUs than cpu_set_t holds). */
bool cpu_affinity(pid_t pid, cpu_set_t *ret);

/* Moves a child that has just been made to any of the CPUs in `all` but ours. A child that cannot
 * be moved starts later, and that is all. */
void cpu_push(pid_t child, const cpu_set_t *all);

/* Where a child would be pushed to. False: there is no other CPU, or it is not known. */
bool cpu_others(const cpu_set_t *all, cpu_set_t *ret);

/* Moves a process; where that cannot be it stays, and that is all. */
void cpu_move(pid_t pid, const cpu_set_t *where);

/* The child's side: back to all of them, if it was moved at all. */
int cpu_restore(const cpu_set_t *all, struct err *e);
