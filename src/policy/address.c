/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of special addresses. */
#include "policy/address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

/* What tells these from all others: address_is_metadata(). */
static const char metadata[] = "the address of a metadata service";

struct range4 {
	uint32_t from; /* in the order of the host */
	unsigned bits;
	const char *what;
};

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* IANA IPv4 Special-Purpose Address Registry (RFC 6890), multicast (RFC 5771), metadata services.
 */
static const struct range4 ranges4[] = {
	{V4(0, 0, 0, 0), 8, "an address of this network"},
	{V4(10, 0, 0, 0), 8, "a private address"},
	{V4(100, 100, 100, 200), 32, metadata},
	{V4(100, 64, 0, 0), 10, "a shared address of a provider (CGNAT)"},
	{V4(127, 0, 0, 0), 8, "a loopback address"},
	{V4(168, 63, 129, 16), 32, metadata},
	{V4(169, 254, 169, 254), 32, metadata},
	{V4(169, 254, 170, 0), 24, metadata}, /* ECS, EKS: keys of a task */
	{V4(169, 254, 0, 0), 16, "a link-local address"},
	{V4(172, 16, 0, 0), 12, "a private address"},
	{V4(192, 0, 0, 192), 32, metadata},
	{V4(192, 0, 0, 0), 24, "a reserved address"},
	{V4(192, 0, 2, 0), 24, "an address for documentation"},
	{V4(192, 88, 99, 0), 24, "a reserved address"},
	{V4(192, 168, 0, 0), 16, "a private address"},
	{V4(198, 18, 0, 0), 15, "an address for benchmarks"},
	{V4(198, 51, 100, 0), 24, "an address for documentation"},
	{V4(203, 0, 113, 0), 24, "an address for documentation"},
	{V4(224, 0, 0, 0), 4, "a multicast address"},
	{V4(240, 0, 0, 0), 4, "a reserved address"},
};

struct range6 {
	uint8_t from[16];
	unsigned bits;
	const char *what;
};

/*
 * IANA IPv6 Special-Purpose Address Registry; of all the others, only 2000::/3 is given out to
 * anybody (RFC 4291). The first that fits counts.
 */
static const struct range6 ranges6[] = {
	{{[15] = 1}, 128, "a loopback address"},
	{{0}, 128, "an address of this network"},
	{{0xfd, 0x00, 0x0e, 0xc2}, 32, metadata},
	{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}, 128, metadata},
	{{0xfc}, 7, "a private address"},
	{{0xfe, 0x80}, 10, "a link-local address"},
	{{0xff}, 8, "a multicast address"},
	{{0x20, 0x01, 0x0d, 0xb8}, 32, "an address for documentation"},
	{{0x3f, 0xff}, 20, "an address for documentation"},
	{{0x20, 0x01}, 23, "a reserved address"},
	{{0x20, 0x02}, 16, "an address of a tunnel (6to4)"},
};

static bool in_range6(const uint8_t *a, const struct range6 *r)
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;

	if (memcmp(a, r->from, whole) != 0) {
		return false;
	}
	return rest == 0 || (a[whole] ^ r->from[whole]) >> (8 - rest) == 0;
}

static const char *special4(uint32_t a)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges4); i++) {
		if ((a ^ ranges4[i].from) >> (32 - ranges4[i].bits) == 0) {
			return ranges4[i].what;
		}
	}
	return NULL;
}

/* The IPv4 address that is meant by an IPv6 one: mapped (RFC 4291), or through NAT64 (RFC 6052). */
static bool inner4(const uint8_t *a, uint32_t *ret)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

	if (memcmp(a, mapped, sizeof(mapped)) != 0 && memcmp(a, nat64, sizeof(nat64)) != 0) {
		return false;
	}
	*ret = V4(a[12], a[13], a[14], (uint32_t)a[15]);
	return true;
}

static const char *special6(const uint8_t *a)
{
	uint32_t inner;

	if (inner4(a, &inner)) {
		return special4(inner);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges6); i++) {
		if (in_range6(a, &ranges6[i])) {
			return ranges6[i].what;
		}
	}
	return (a[0] & 0xe0) == 0x20 ? NULL : "a reserved address";
}

struct address address_meant(const struct address *a)
{
	uint32_t inner;

	return a->family == AF_INET6 && inner4(a->v6.s6_addr, &inner)
		       ? (struct address){.family = AF_INET, .v4.s_addr = htonl(inner)}
		       : *a;
}

const char *address_special(const struct address *a)
{
	return a->family == AF_INET ? special4(ntohl(a->v4.s_addr)) : special6(a->v6.s6_addr);
}

bool address_is_metadata(const struct address *a)
{
	return address_special(a) == metadata;
}

bool address_parse(const char *host, struct address *ret)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = strlen(host);

	*ret = (struct address){.family = AF_INET};
	if (inet_pton(AF_INET, host, &ret->v4) == 1) {
		return true;
	}
	if (host[0] != '[' || len < 4 || len - 2 >= sizeof(text) || host[len - 1] != ']') {
		return false;
	}
	memcpy(text, host + 1, len - 2);
	text[len - 2] = '\0';
	ret->family = AF_INET6;
	return inet_pton(AF_INET6, text, &ret->v6) == 1;
}
