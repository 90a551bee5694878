/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in a sandbox that lives (exec.c), and what the main command shares with them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct command;
struct err;
struct keeper;
struct message;
struct pollfd;

/* request.c: receives CONTROL_EXEC, which came with these descriptors; fills in the command. */
int keeper_receive_exec(const struct keeper *k, struct command *c, const struct message *m,
			const int *fds, size_t n, struct err *e);

/* Begins one. Takes the connection and the descriptors. */
void keeper_exec(struct keeper *k, int front, const struct message *m, int *fds, size_t n);

/* A command that is not the main one, as far as poll(2) has news of it. */
int keeper_serve(struct keeper *k, struct command *c, const struct pollfd *w, struct err *e);

/* What its parent says of a command that runs, or the end of that one. 1: the command has ended, as
 * c->exited and c->status say; 2: pid 1 has, and everything with it; 0: neither. */
int keeper_hear(struct keeper *k, struct command *c, struct err *e);

/* Says in the record how it ended, once. */
int keeper_record_end(struct keeper *k, struct command *c, struct err *e);

/* A child of ours has changed its state. -errno with k->error set where that cannot be recorded. */
int keeper_follow(struct keeper *k);

/* Ends those whose time is up, and takes those that are over out of the list; returns when to do so
 * again, by clock_now_ns(), or INT64_MAX. */
int64_t keeper_settle(struct keeper *k);
