/* SPDX-License-Identifier: Apache-2.0 */
/* How a command ended, said to people and to shells. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

struct session;

/*
 * Says what a result document holds for people, and returns the exit status that stands for it, as
 * docker(1) and timeout(1) have it. Does not return where the command died of a signal that this
 * process had passed on to it.
 */
int report_result(const json_t *result, bool quiet, const struct session *s, const char *program);
