/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's way into a sandbox, as the keeper steers it: asked for, seized before its exec, held
 * after it, released. None of these waits for anything inside: whoever is in the sandbox already
 * may hold a newcomer up, and its exec waits for who answers the filter's listener.
 */
#pragma once

#include <stdbool.h>

struct err;
struct tier_command;
struct tier_event;
struct tier_program;
struct tier_sandbox;

/* Nothing is open yet. */
void tier_command_init(struct tier_command *cmd, const struct tier_program *program);

/* Asks pid 1 of a sandbox for it: operation `exec` of a tier whose pid 1 is behind the walls. */
int tier_command_ask(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e);

/*
 * As far as it has come: call it when `start` is readable, and when a child has changed its state.
 * -ENOENT, -EACCES, ... with kind ERR_GUEST when the program itself cannot be executed; any other
 * kind is a failure of ours.
 */
int tier_command_advance(struct tier_sandbox *sb, struct tier_command *cmd, struct err *e);

/* Lets one that is held run. */
int tier_command_release(struct tier_command *cmd, struct err *e);

/* Sends a signal to its process group. */
void tier_command_signal(const struct tier_command *cmd, int signal);

/* Takes one event, without waiting, once `channel` is readable. */
int tier_command_hear(const struct tier_command *cmd, struct tier_event *ret, struct err *e);

/* Closes what is open. One that was not released is killed, and collected when it is dead: by
 * tier_command_collect(), or by who waits for pid 1. What runs goes on. Safe to repeat. */
void tier_command_done(struct tier_command *cmd);

/* True if nothing of one that was killed is left to be collected; does not wait. */
bool tier_command_collect(struct tier_command *cmd);

/* One event from a socket on which a parent of commands speaks. */
int tier_hear(int fd, struct tier_event *ret, struct err *e);

/* The two ends of a socket to a command that has yet to be born; ours tells who it is. */
int tier_command_start(int *ret_ours, int *ret_theirs, struct err *e);

/* The two ends of a channel. */
int tier_command_channel(int *ret_ours, int *ret_theirs, struct err *e);
