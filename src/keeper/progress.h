/* SPDX-License-Identifier: Apache-2.0 */
/* A start that takes its time: who waits is told how far it is, and can end it. */
#pragma once

#include <stdint.h>

/* A copy is being made for `arg`, a struct keeper. Tells the front, and the guard of the start.
 * -ECANCELED: somebody asked for the end; -EPIPE: the front went away. */
int keeper_progress(void *arg, uint64_t files, uint64_t bytes);
