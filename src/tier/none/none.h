/* SPDX-License-Identifier: Apache-2.0 */
/* The tier that is no wall: a program as the user, whose starts are recorded. */
#pragma once

struct tier_ops;

extern const struct tier_ops tier_none;
