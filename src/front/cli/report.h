/* SPDX-License-Identifier: Apache-2.0 */
/* How a command ended, said to people and to shells. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

struct err;
struct session;

/* Writes a document to a file, or for "-" to standard output. `written`: the directories that a
 * payload may write to, and where nothing but a plain file will do. */
int report_write(const char *path, const json_t *written, const json_t *doc, struct err *e);

/*
 * Says what a result document holds for people, and returns the exit status that stands for it, as
 * docker(1) and timeout(1) have it. Does not return where the command died of a signal that this
 * process had passed on to it.
 */
int report_result(const json_t *result, bool quiet, const struct session *s, const char *program);

/* Its sandbox was paused, and somebody has to say what becomes of it. */
void report_suspicion(const char *sandbox);
