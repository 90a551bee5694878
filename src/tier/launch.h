/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of a start, as the tiers share it; the order of the calls is that of this
 * header. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct builder;
struct err;
struct tier_event;
struct tier_ops;
struct tier_sandbox;
struct tier_spec;

void launch_init(struct tier_sandbox *sb, const struct tier_ops *ops, const struct tier_spec *spec);

/*
 * Clones the builder with these CLONE_* flags; there it calls `run`, which does not return.
 * *ret_refused is the errno of a clone3(2) that failed, and 0 in every other case.
 */
int launch_clone(struct tier_sandbox *sb, uint64_t flags, void (*run)(struct builder *),
		 int *ret_refused, struct err *e);

/* The builder may begin: its id maps are written, if it has any. */
int launch_begin(struct tier_sandbox *sb, struct err *e);

/* Sends BUILD_PARTS: `fds` are the mounts by the bits of `mounts`, then the groups. */
int launch_parts(const struct tier_sandbox *sb, uint32_t mounts, size_t n_groups, const int *fds,
		 size_t n, struct err *e);

/* Waits for the builder's report; its own words are passed on. */
int launch_await(struct tier_sandbox *sb, struct err *e);

/* These are operations of struct tier_ops as they stand. */
int launch_hold(struct tier_sandbox *sb, struct err *e);
int launch_release(struct tier_sandbox *sb, struct err *e);
int launch_hear(struct tier_sandbox *sb, struct tier_event *ret, struct err *e);
void launch_count(struct tier_sandbox *sb);
int launch_signal(struct tier_sandbox *sb, int signal);
void launch_done(struct tier_sandbox *sb); /* calls the tier's own stop */

/* Waits for the payload, if it is held, for init, and for whatever else has ended. */
void launch_reap(struct tier_sandbox *sb);
