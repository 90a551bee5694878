/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long output, a screen at a time.
 *
 * What is printed is held back until it is more than the terminal shows at once; only then the
 * caller's pager is started, with the caller's environment. It gets what would have gone to the
 * terminal, which is neutralised (utf8.h) before it comes here. While it runs, signals of the
 * keyboard are its business, and when it has been left, whoever prints stops (ferror(3)): nothing
 * of that is an error.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/buf.h"

struct pager {
	FILE *out; /* where to print; standard output where there is nothing to page */
	const char *command;
	struct buf held;
	int rows, columns; /* of the terminal */
	int row, column;   /* where what is held ends */
	bool in_colour;    /* inside of an escape of ours */
	int to;            /* the pager or, where none could be had, the terminal */
	pid_t child;       /* 0: none */
	int error;         /* errno of a write that failed; not EPIPE of a pager */
	struct sigaction before[3];
};

/* `wanted`: there is a terminal's output to page; it needs one on standard output, and a pager:
 * $ATOLL_PAGER, else $PAGER, else less. Empty or "cat" is none. `p` must stay where it is. */
void pager_init(struct pager *p, bool wanted);

/* Prints what is left and waits until the pager is left; CLI_OK, or CLI_FAILED after having said
 * that something could not be written. */
int pager_done(struct pager *p);
