/* SPDX-License-Identifier: Apache-2.0 */
/* The process tier: seccomp and Landlock, without a view of its own. */
#pragma once

struct tier_ops;

extern const struct tier_ops tier_process;
