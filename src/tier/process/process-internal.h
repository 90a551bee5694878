/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the process tier share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "tier/walls.h"

struct builder;
struct err;
struct seccomp_denial;
struct tier_command;
struct tier_sandbox;
struct tier_spec;

#define PLACES_MAX 128

/* What of the host's files the payload may use: the rows of Landlock, and of the broker. */
struct places {
	struct wall_path rows[PLACES_MAX];
	size_t n;
};

/*
 * The rows that follow from a plan; the first is the scratch directory's, which is made last.
 * `terminal` is the path of the sandbox's terminal, or NULL.
 */
int places_fill(const struct tier_spec *spec, const char *terminal, struct places *ret,
		struct err *e);

/* True if a row at or above the canonical `path` grants `access` (one of enum landlock_access). */
bool places_allow(const struct places *p, const char *path, unsigned access);

/* build.c: the whole life of the process that becomes the guard. Never returns. */
_Noreturn void process_build(struct builder *b);

/* receipt.c: the read-back. */
int process_receipt(struct tier_sandbox *sb, const struct tier_command *cmd, json_t **ret,
		    struct err *e);

/* broker.c: operation `broker` of the tier. */
bool process_broker(struct tier_sandbox *sb, const struct seccomp_denial *d);

/* A broker's answer that is none: the call is not one that is done in the payload's stead. */
#define BROKER_REFUSE INT64_MIN
/* The kernel may do it: it was judged by its registers alone. */
#define BROKER_CONTINUE (INT64_MIN + 1)

/* signals.c: what names a process or makes one, where there is no pid namespace. */
int64_t broker_process(struct tier_sandbox *sb, const struct seccomp_denial *d);

/* Copies `size` bytes of the caller's memory; false if they are not there. */
bool broker_read(const struct seccomp_denial *d, uint64_t address, void *out, size_t size);

/* Argument `i` of a call, where the kernel reads an int. */
int broker_int(const struct seccomp_denial *d, int i);
