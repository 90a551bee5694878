/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of a start, as the tiers share it; the order of the calls is that of this
 * header. */
#pragma once

#include <stdbool.h>
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
 * Clones the builder with these CLONE_* flags; there it calls `run`, which does not return. Where
 * it `starts` the first command itself it gets that one's sockets, too. *ret_refused is the errno
 * of a clone3(2) that failed, and 0 in every other case.
 */
int launch_clone(struct tier_sandbox *sb, uint64_t flags, bool starts,
		 void (*run)(struct builder *), int *ret_refused, struct err *e);

/* The builder may begin: its id maps are written, if it has any. */
int launch_begin(struct tier_sandbox *sb, struct err *e);

/* Sends BUILD_PARTS: `fds` are the mounts by the bits of `mounts`, then the groups. */
int launch_parts(const struct tier_sandbox *sb, uint32_t mounts, size_t n_groups, const int *fds,
		 size_t n, struct err *e);

/* Waits for the builder's report; its own words are passed on. */
int launch_await(struct tier_sandbox *sb, struct err *e);

/* After that, where pid 1 is behind the filter: lets it become atoll-init, which nobody records. */
int launch_pass_init(const struct tier_sandbox *sb, struct err *e);

/* What stopped the builder after its report, if it could say so: -errno; else 0. */
int launch_failed(const struct tier_sandbox *sb, struct err *e);

/* These are operations of struct tier_ops as they stand. */
int launch_hear(struct tier_sandbox *sb, struct tier_event *ret, struct err *e);
void launch_count(struct tier_sandbox *sb);
void launch_done(struct tier_sandbox *sb); /* calls the tier's own stop */

/* Frees what was read for the receipt, which takes as long as init's end does. */
void launch_forget(struct tier_sandbox *sb);

/* Waits for init, and for whatever else has ended. */
void launch_reap(struct tier_sandbox *sb);
