/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of egress by name (policy/egress.h). */
#pragma once

struct builder;
struct err;
struct reading;

/* Brings lo up, and where the plan has destinations makes all addresses local and sends the keeper
 * the sockets for them (BUILD_NET). */
int network_build(const struct builder *b, int proc, struct err *e);

/* Of the receipt: only lo among the interfaces, and no route that leaves it. */
int network_check(const struct reading *r);
