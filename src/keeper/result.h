/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper says of its sandbox, in documents. Each is a new reference, NULL: out of memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct command;
struct keeper;

/* The document for MSG_RESULT. */
json_t *keeper_result(const struct keeper *k, bool clean);

/* Its argv, as many words as `room` bytes hold; "..." stands for the rest. NULL: out of memory. */
json_t *keeper_words(const struct command *c, size_t room);

/* {"status": n}, {"signal": n}, or null for one that has not ended by itself. */
json_t *keeper_exit_of(const struct command *c);

/* For MSG_RESULT of a command that is not the main one; and of a sandbox that waits for some. */
json_t *keeper_command_result(const struct keeper *k, const struct command *c);
json_t *keeper_created(const struct keeper *k);

/* [{"path", "mode", "sandbox", "copy_kept"}]: the further directories; a copy with the id that it
 * is reviewed by. NULL: out of memory. */
json_t *keeper_more(const struct keeper *k);

/* For MSG_RESULT of a command that nobody waits for, when it runs. */
json_t *keeper_command_started(const struct keeper *k, const struct command *c);

/* The reply to CONTROL_STATUS. NULL: out of memory. */
json_t *keeper_status(const struct keeper *k);

/* The reply to CONTROL_INSPECT. NULL: out of memory. */
json_t *keeper_inspect(const struct keeper *k);

/* "exited", "signalled", "limit:memory", "error:system", ... into text: of the sandbox, of a
 * command. */
void keeper_reason(const struct keeper *k, char *text, size_t size);
void keeper_command_reason(const struct keeper *k, const struct command *c, char *text,
			   size_t size);
