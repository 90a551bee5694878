/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the kernel where an address leads: rtnetlink(7). */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* A socket to ask with, or -errno. */
int route_open(void);

/*
 * True where an address is one of this machine's: its routes say that it is local. So does a
 * question that is not answered; where there is no route at all, it is not. `address` is a struct
 * in_addr or in6_addr, as `family` says. Does not wait.
 */
bool route_is_local(int fd, sa_family_t family, const void *address);
