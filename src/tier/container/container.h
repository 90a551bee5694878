/* SPDX-License-Identifier: Apache-2.0 */
/* The container tier: namespaces, a view of its own, Landlock, seccomp. */
#pragma once

struct tier_ops;

extern const struct tier_ops tier_container;
