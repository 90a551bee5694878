/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper and atoll-init say to each other: fixed-size datagrams. */
#pragma once

#include <stdint.h>

/*
 * Descriptors that atoll-init is started with, all close-on-exec for what it starts. 0, 1 and 2
 * are the payload's.
 */
enum {
	INIT_FD_CONTROL = 3, /* SOCK_SEQPACKET to the keeper, for the life of the sandbox */
	INIT_FD_START = 4,   /* SOCK_SEQPACKET to the keeper, held by the payload until its exec */
};

/* argv[0] of atoll-init where it does not start the payload; argv[2] is then the payload's pid. */
#define INIT_GUARD "atoll-guard"

/*
 * Arguments of atoll-init: argv[1] is the descriptor of the controlling terminal ("0", "1", "2")
 * or "-", argv[2] the working directory, argv[3...] the payload's own argv. Its environment is the
 * payload's.
 */
enum init_op {
	/* keeper to init */
	INIT_SIGNAL = 1, /* a: signal for the payload's process group */
	INIT_COUNT,      /* asks for INIT_COUNTED */
	INIT_END,        /* exit now; the kernel then ends everything in the namespace */
	/* init to keeper */
	INIT_STOPPED, /* a: the signal that stopped the payload */
	INIT_CONTINUED,
	INIT_EXITED,  /* a: wait status of the payload */
	INIT_COUNTED, /* a: the last process id handed out in the namespace, b: pid_max */
};

struct init_message {
	uint32_t op;
	int32_t a;
	int32_t b;
};

/*
 * On INIT_FD_START: the payload, forked and not yet exec'ed, sends one byte (the keeper learns its
 * pid from the credentials), gets one byte back, and execs. If that fails it sends this.
 */
struct init_exec_failure {
	int32_t error; /* errno of the best candidate on PATH */
};
