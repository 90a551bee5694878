/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of `atoll doctor` share: a finding, and the children in which things are tried.
 *
 * A probe runs in a child of its own and does the real thing there: a wall that is only put up
 * around a child is gone with it. What it finds is one message to the doctor, who waits for a few
 * seconds and no longer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_MISSING, /* cannot be had here */
	DOCTOR_WEAK,    /* works, with less than there could be */
	DOCTOR_INFO,    /* neither good nor bad: a fact to weigh */
	DOCTOR_STATES,
};

/* Fits into a pipe at once (PIPE_BUF), whole or not at all. */
struct finding {
	enum doctor_state state;
	char found[1536];
	char remedy[1024]; /* "" where there is none */
	char limits[64];   /* the default policy: what armed its memory limit */
};

struct probe {
	const char *tier;
	const char *mechanism;
	/* `scratch` is a directory of the doctor's own. */
	void (*run)(struct finding *f, const char *scratch);
};

void doctor_set(struct finding *f, enum doctor_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Appends to what was found. */
void doctor_add(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_remedy(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Our messages carry their remedy after a semicolon: the part before it is what was found. */
void doctor_take(struct finding *f, enum doctor_state state, const char *message);

/* The first line of a small file, without its end; false when it cannot be read. */
bool doctor_line(const char *path, char *out, size_t size);

/* The next word of a line, cut out in place; "" at its end. */
char *doctor_word(char **line);

/* Runs fn in a child in new namespaces (CLONE_NEW*), root of its user namespace where that is one
 * of them. 0, or what the child or the clone failed with. */
int doctor_try(uint64_t namespaces, int (*fn)(struct err *e), struct err *e);

/*
 * Runs one probe in a child for as long as `patience`, and collects whatever that leaves. Returns
 * 0, -EINTR with the signal in *ret_signal when the doctor is to end, or another error of the
 * doctor's own.
 */
int doctor_probe(const struct probe *p, const char *scratch, int patience_ms, struct finding *ret,
		 int *ret_signal, struct err *e);

/* After the last probe: removes what the trials of a policy have left when their keeper was killed.
 */
void doctor_clear(const char *scratch);

/* Once, before the first probe: signals, and orphans come to us. */
int doctor_prepare(struct err *e);

/* The probes. */
void doctor_user_namespace(struct finding *f, const char *scratch);
void doctor_mount(struct finding *f, const char *scratch);
void doctor_proc(struct finding *f, const char *scratch);
void doctor_pivot(struct finding *f, const char *scratch);
void doctor_network(struct finding *f, const char *scratch);
void doctor_other_namespaces(struct finding *f, const char *scratch);
void doctor_idmap(struct finding *f, const char *scratch);
void doctor_overlay(struct finding *f, const char *scratch);
void doctor_bounded_copy(struct finding *f, const char *scratch);
void doctor_seccomp(struct finding *f, const char *scratch);
void doctor_landlock(struct finding *f, const char *scratch);
void doctor_ptrace(struct finding *f, const char *scratch);
void doctor_groups(struct finding *f, const char *scratch);
void doctor_controllers(struct finding *f, const char *scratch);
void doctor_payload_id(struct finding *f, const char *scratch);
void doctor_state_directory(struct finding *f, const char *scratch);
void doctor_workspace(struct finding *f, const char *scratch);
void doctor_egress(struct finding *f, const char *scratch);
void doctor_default_policy(struct finding *f, const char *scratch);
void doctor_newer_landlock(struct finding *f, const char *scratch);
void doctor_processes(struct finding *f, const char *scratch);
void doctor_process_policy(struct finding *f, const char *scratch);
void doctor_microvm_tier(struct finding *f, const char *scratch);
void doctor_toolchains(struct finding *f, const char *scratch);
void doctor_smt(struct finding *f, const char *scratch);
void doctor_ksm(struct finding *f, const char *scratch);
void doctor_swap(struct finding *f, const char *scratch);
void doctor_mitigations(struct finding *f, const char *scratch);
void doctor_perf(struct finding *f, const char *scratch);
void doctor_bpf(struct finding *f, const char *scratch);
void doctor_yama(struct finding *f, const char *scratch);
