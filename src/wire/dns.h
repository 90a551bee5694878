/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages (RFC 1035) of a stub resolver: its questions, and answers of at most one address.
 * No input or output here. What cannot be understood without doubt is no question: one name of the
 * Internet's class, no compression in it, nothing behind it but one OPT record (RFC 6891).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_NAME_MAX 253 /* in text, without the final dot */
#define DNS_WIRE_MAX 255 /* a name as it is sent (RFC 1035, 3.1) */
#define DNS_UDP_MIN  512 /* of an answer that everybody takes (RFC 1035, 4.2.1) */
#define DNS_UDP_MAX  4096

enum {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
	DNS_ANY = 255
};

enum { DNS_IN = 1 }; /* a class */

enum dns_rcode {
	DNS_NOERROR,
	DNS_FORMERR,
	DNS_SERVFAIL,
	DNS_NXDOMAIN,
	DNS_NOTIMP,
	DNS_REFUSED,
	DNS_BADVERS = 16 /* of EDNS; the OPT record has its upper bits */
};

/* Extended errors (RFC 8914, IANA's table). */
enum {
	DNS_EDE_NONE = -1,
	DNS_EDE_OTHER = 0,
	DNS_EDE_BLOCKED = 15,
	DNS_EDE_FILTERED = 17,
	DNS_EDE_PROHIBITED = 18,
	DNS_EDE_NO_REACHABLE = 22,
	DNS_EDE_NETWORK = 23
};

struct dns_question {
	uint16_t id;
	uint16_t type;
	uint16_t class;
	uint8_t opcode; /* to be given back; 0 where it is a question */
	/*
	 * The name in text: labels with dots between, letters in lower case, no final dot; "" is
	 * the root. `plain` is false where a label has another byte than a letter, a digit, '-' or
	 * '_': then the name is cut at that byte, and only to be shown.
	 */
	char name[DNS_NAME_MAX + 1];
	bool plain;
	bool recursion;    /* RD, to be given back */
	bool edns;         /* there is an OPT record: an answer may have one */
	uint16_t udp_size; /* how long an answer by UDP may be: DNS_UDP_MIN to DNS_UDP_MAX */
	/* The question as it was, to be given back; its letters are not ours. */
	uint8_t asked[DNS_WIRE_MAX + 4];
	size_t asked_len;
};

/*
 * 0: a question. -EINVAL: nothing that could be answered (too short, or itself an answer), *ret is
 * untouched. A positive enum dns_rcode: an answer with that code and nothing else is due; what
 * dns_write() needs is set, the name and asked_len may be empty. A class but DNS_IN is DNS_REFUSED.
 */
int dns_parse(const uint8_t *msg, size_t len, struct dns_question *ret);

struct dns_answer {
	enum dns_rcode rcode;
	const struct in_addr *a;     /* one A record, where the question is for one; or NULL */
	const struct in6_addr *aaaa; /* the same */
	const char *ptr; /* a name in text, the same; or NULL, which one that is none counts as */
	uint32_t ttl;    /* seconds, also of what is not there (as an SOA's minimum) */
	int ede;         /* an extended error, where the question has an OPT record */
	const char *ede_text; /* UTF-8, or NULL */
};

/*
 * Writes an answer of at most `size` bytes, and says how long it is. Where that is not enough for
 * all of it the extended error goes first, then the records, the OPT record, the question, and TC
 * is set. 0: not even a header. There is one record, or none; that a name or the record asked for
 * is not there comes with an SOA record of the root, without which nobody remembers it (RFC 2308).
 */
size_t dns_write(const struct dns_question *q, const struct dns_answer *a, uint8_t *out,
		 size_t size);
