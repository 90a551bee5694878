/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's terminal: raw while a sandbox has one of its own, and restored whatever happens. */
#pragma once

#include <stdbool.h>

/*
 * Puts the terminal into raw mode; from then on any fatal signal and exit(3) restore it. A shared
 * terminal, where others write lines as well, keeps its treatment of output.
 */
void terminal_raw(int fd, bool shared);

/* Back to what it was before terminal_raw(). Safe to repeat, and in a signal handler. */
void terminal_restore(void);

/* Rows and columns, 24 by 80 if the terminal does not say. */
void terminal_size(int fd, int *ret_rows, int *ret_columns);
