/* SPDX-License-Identifier: Apache-2.0 */
/* Answering the sandbox's questions for names, over UDP and TCP (RFC 1035, RFC 7766). */
#pragma once

struct gateway;
struct server;

/* Takes both sockets. NULL: out of memory, or they cannot be waited for. */
struct server *server_new(struct gateway *g, int udp, int tcp);

/* Connections that have said nothing for a while are closed. */
void server_tick(struct server *s);
