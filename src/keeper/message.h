/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What front and keeper say to each other: fixed-size datagrams on a SOCK_SEQPACKET socket, long
 * texts in memfds that travel with them. The socket is one of a pair that the keeper is born with,
 * or a connection to the control socket that began with CONTROL_EXEC (control.h). End of file on
 * the front's side ends the command, and the sandbox that was made for it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

/* The descriptor that a keeper is born with. */
enum { KEEPER_FD_FRONT = 3 };

enum message_op {
	/* front to keeper */
	MSG_START = 100, /* a, b: rows and columns; with the descriptors of a request, see below */
	MSG_SIGNAL,      /* a: signal for the command's process group */
	MSG_TAKEN,       /* a sandbox without a command: somebody has its id, it may live */
	/* keeper to front */
	MSG_STREAMS, /* a: mask of enum message_stream; fds in that order; b: 1 with the sampler */
	MSG_STOPPED, /* a: the signal that stopped the command */
	MSG_CONTINUED,
	MSG_RESULT,    /* fd: memfd with the result document */
	MSG_SUSPECTED, /* fd: memfd with the sandbox's id: an escape is suspected, it is paused */
	MSG_PROGRESS,  /* a: files of the workspace that are copied by now; b: MiB; each at most
			 INT32_MAX */
};

/* Bits of MSG_STREAMS. */
enum message_stream {
	STREAM_STDIN = 1,    /* write end: what the front reads goes here */
	STREAM_STDOUT = 2,   /* read end */
	STREAM_STDERR = 4,   /* read end */
	STREAM_TERMINAL = 8, /* read end of the terminal's output */
	STREAM_MASTER = 16,  /* master of the sandbox's terminal: input and window size */
};

/*
 * The descriptors of a request: a memfd with JSON, a pidfd of the front itself, and, where a
 * command is to be started, a memfd with its arguments, each ended by a NUL: they need not be
 * UTF-8.
 */
enum { REQUEST_DOCUMENT, REQUEST_PIDFD, REQUEST_ARGV, REQUEST_FDS };

/* A start that takes longer, or is silent for longer where it tells of its progress, has hung on
 * something outside (a dead NFS server, say): SIGALRM ends the keeper. */
#define KEEPER_START_SECONDS 60

struct message {
	uint32_t op;
	int32_t a;
	int32_t b;
};

/*
 * The document of MSG_START is {"plan": plan, "name": text or null, "labels": {text: text},
 * "command": command or null}; that of CONTROL_EXEC is {"command": command}, where a command is
 * {"here": path or null, "cwd": path or null, "tty": mask, "one_output": bool, "detached": bool,
 * "own": bool, "env": [NAME=VALUE], "wall_ns": number}: it starts in `cwd`, else `here` where that
 * is in the view. Results are described in SPECIFICATION.md.
 */

/* A memfd with the text; 0 or more, or -errno with *e set. */
int message_text_fd(const char *text, size_t len, struct err *e);

/* Reads all of such a descriptor, at most `max` bytes; free() the result. NULL with *e set. */
char *message_read_fd(int fd, size_t max, size_t *ret_len, struct err *e);
