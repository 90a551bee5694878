/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was refused without the gateway: connections to where nobody listens, by the RST that
 * answers them, and datagrams. The filter of the socket (tier/container/network.c) lets nothing
 * else through; what comes is looked at as if it did.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "gateway/gateway.h"
#include "gateway/names.h"
#include "gateway/rules.h"

#define TURN        64
#define IP_SHORTEST 20
#define IP_LONGEST  60

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* An address in the words that the payload knows it by. */
static void describe(const struct gateway *g, uint32_t address, char host[HOST_SIZE])
{
	const struct name *n = names_by_address(g, address);
	const struct in_addr a = {htonl(address)};
	char text[INET_ADDRSTRLEN];

	(void)snprintf(host, HOST_SIZE, "%s",
		       n ? n->host : inet_ntop(AF_INET, &a, text, sizeof(text)));
}

/* Why nobody listens at an address. */
static enum gateway_denial reason(const struct gateway *g, uint32_t address)
{
	const struct name *n = names_by_address(g, address);
	const struct address a = {.family = AF_INET, .v4.s_addr = htonl(address)};

	return n && n->n_ports == 0        ? GATEWAY_DENY_NAME
	       : rules_deny_address(g, &a) ? GATEWAY_DENY_DENIED
					   : GATEWAY_DENY_ADDRESS;
}

static void look(struct gateway *g, const uint8_t *packet, size_t len)
{
	size_t header = len >= IP_SHORTEST ? (size_t)(packet[0] & 0xf) * 4 : 0;
	const uint8_t *inner = packet + header;
	char host[HOST_SIZE];

	if (len < IP_SHORTEST || packet[0] >> 4 != 4 || header < IP_SHORTEST || len < header + 4) {
		return;
	}
	if (packet[9] == IPPROTO_UDP) {
		describe(g, word(packet + 16), host);
		(void)report_denial(g, GATEWAY_DENY_UDP, host,
				    (uint16_t)(inner[2] << 8 | inner[3]));
	} else if (packet[9] == IPPROTO_TCP) {
		/* A refusal comes from where the connection was to go. */
		uint32_t from = word(packet + 12);

		describe(g, from, host);
		(void)report_denial(g, reason(g, from), host, (uint16_t)(inner[0] << 8 | inner[1]));
	}
}

void watch_ready(struct source *s, uint32_t events)
{
	struct gateway *g = (struct gateway *)((char *)s - offsetof(struct gateway, observer));

	(void)events;
	for (int i = 0; i < TURN; i++) {
		uint8_t packet[IP_LONGEST + 20];
		ssize_t n = recv(s->fd, packet, sizeof(packet), MSG_DONTWAIT);

		if (n < 0) {
			return;
		}
		look(g, packet, (size_t)n);
	}
}
