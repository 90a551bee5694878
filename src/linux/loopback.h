/* SPDX-License-Identifier: Apache-2.0 */
/* The loopback interface of this process's network namespace: rtnetlink(7), netdevice(7). */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

struct err;

int loopback_up(struct err *e);

/* One more address of it; the route to all addresses needs one that is none of 127.0.0.0/8, or
 * getaddrinfo(3) with AI_ADDRCONFIG finds no network. */
int loopback_add_address(struct in_addr address, struct err *e);

/* All addresses of a family become local: what is sent to any of them stays in the namespace. */
int loopback_take_all(sa_family_t family, struct err *e);
