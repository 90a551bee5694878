/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule names a host, and which host is denied. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/egress.h"

struct destination;
struct gateway;

/* The rule for a host, which is canonical, at a port; NULL: there is none. An exact one goes before
 * a pattern, a longer pattern before a shorter one, tcp and private before what is narrower. */
const struct destination *rules_find(const struct gateway *g, const char *host, uint16_t port);

/* The ports that rules name for a host; how many. *ret_wild: only patterns name it. */
size_t rules_ports(const struct gateway *g, const char *host, uint16_t ports[EGRESS_PORTS_MAX],
		   bool *ret_wild);

/* Whether it is denied by name. */
bool rules_deny(const struct gateway *g, const char *host);

/* Whether it is denied as an address. */
bool rules_deny_address(const struct gateway *g, const struct address *a);
