/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading back from the kernel what is in force around one process, for the receipts of the tiers.
 *
 * A check compares one wall with the plan and adds a member to the document: {"how": ..., "value":
 * ...}, where `how` is "read" (from the kernel, from outside) or "probed" (tried by our own code
 * inside, where the kernel shows nothing). The first difference is -EBADMSG.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

struct buf;
struct err;
struct tier_command;
struct tier_program;
struct tier_sandbox;
struct tier_spec;

/* A mount table, an environment or a status file larger than this is not one of ours. */
#define READING_MAX_TEXT (1024 * 1024)

struct reading {
	struct tier_sandbox *sb;
	const struct tier_spec *spec;
	const struct tier_program *program; /* NULL where the process is not a command's */
	pid_t pid;
	int dir;  /* its /proc/PID */
	int self; /* /proc/self of the keeper */
	json_t *out;
	struct err *e;
};

typedef int reading_check(const struct reading *r);

/* Runs the checks, in order, on a command that is held, or on pid 1 if that is NULL; what they find
 * goes into `out`. */
int reading_run(struct tier_sandbox *sb, const struct tier_command *cmd, json_t *out,
		reading_check *const *checks, size_t n, struct err *e);

/* What checks are made of: a file below r->dir or r->self; a difference; a member (takes value). */
int reading_file(const struct reading *r, int dir, const char *name, struct buf *b);
int reading_differs(const struct reading *r, const char *what, const char *found, const char *want);
int reading_add(const struct reading *r, const char *name, const char *how, json_t *value);

/* The namespaces that the walls of r->sb have of their own, and that they are not the keeper's. */
int reading_namespaces(const struct reading *r);

/* The payload is in the namespaces that were surveyed. */
int reading_same_namespaces(const struct reading *r);

/* Ids and their maps, capabilities, no_new_privs, threads, seccomp. */
int reading_status(const struct reading *r);

/* Of a command alone. */
int reading_directory(const struct reading *r);
int reading_descriptors(const struct reading *r);
int reading_environment(const struct reading *r);

int reading_rlimits(const struct reading *r);
int reading_affinity(const struct reading *r);
int reading_execution(const struct reading *r);
int reading_starts(const struct reading *r);
