/* SPDX-License-Identifier: Apache-2.0 */
/* atoll-ledger serve, until everything is open. */
#pragma once

struct err;

struct serve {
	const char *directory, *socket, *user; /* NULL: as it is installed */
	int home;                              /* the directory, locked for life */
	int listener;
};

/* The words behind `serve`. 1: it was --help. */
int serve_parse(struct serve *s, int argc, char **argv, struct err *e);

/* Opens the directory and the socket, and gives up root. */
int serve_open(struct serve *s, struct err *e);
