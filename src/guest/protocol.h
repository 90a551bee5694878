/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper and atoll-init say to each other: fixed-size datagrams. */
#pragma once

#include <stdint.h>

/* Descriptors that atoll-init is started with, close-on-exec for what it starts. */
enum {
	INIT_FD_CONTROL = 3, /* SOCK_SEQPACKET to the keeper, for the life of the sandbox */
	INIT_FD_CHANNEL = 4, /* of the guard alone: the channel of its only command */
};

/* argv[0] where it does not start the payload; argv[2] is then the payload's pid, and argv[1] the
 * descriptor of its terminal ("0", "1", "2") or "-". */
#define INIT_GUARD "atoll-guard"

/* As many commands as one init looks after at once. */
#define INIT_MAX_COMMANDS 64

enum init_op {
	/* keeper to init, on the control socket */
	INIT_EXEC = 1, /* a: mask of the descriptors that are its terminal, b: 1 for init's own
			* program; with INIT_EXEC_FDS */
	INIT_COUNT,    /* asks for INIT_COUNTED */
	INIT_END,      /* exit now; the kernel then ends everything in the namespace */
	/* keeper to the parent of a command, on the command's channel */
	INIT_SIGNAL, /* a: signal for its process group */
	/* init to keeper, on the control socket */
	INIT_COUNTED, /* a: the last process id handed out in the namespace, b: pid_max */
	/* the parent of a command to the keeper, on the command's channel, which ends with it */
	INIT_STOPPED, /* a: the signal that stopped it */
	INIT_CONTINUED,
	INIT_EXITED, /* a: its wait status */
};

struct init_message {
	uint32_t op;
	int32_t a;
	int32_t b;
};

/*
 * The descriptors of INIT_EXEC. `start`: the command, forked and not yet exec'ed, sends one byte
 * (the keeper learns its pid from the credentials), gets one byte back, and execs. If that fails it
 * sends a struct init_exec_failure. `text`: a memfd, struct init_text and then strings, each ended
 * by a NUL: the working directory, the arguments, the environment.
 */
enum {
	INIT_EXEC_START,
	INIT_EXEC_CHANNEL,
	INIT_EXEC_TEXT,
	INIT_EXEC_STDIO, /* three */
	INIT_EXEC_FDS = INIT_EXEC_STDIO + 3
};

struct init_text {
	uint32_t size; /* of everything */
	uint32_t argc; /* at least 1 */
	uint32_t envc;
};

struct init_exec_failure {
	int32_t error; /* errno of the best candidate on PATH, or of what came before */
	int32_t early; /* one of enum init_early */
};

enum init_early {
	INIT_EARLY_NO,    /* it is the program that cannot be executed */
	INIT_EARLY_FORK,  /* no process for it, or none that is ready */
	INIT_EARLY_PLACE, /* the directory cannot be entered */
};
