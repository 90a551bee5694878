/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions and answers of the DNS.
 *
 * TRUST: a question's bytes are the payload's. Nothing of it comes back but its id, its opcode, RD
 * and the question itself, byte by byte: clients compare even the case of its letters. What is
 * decided upon is the name in text, which only a name of plain bytes has.
 *
 * A name without compression is the only one that can be in a question: there is nothing before it
 * that a pointer could mean (RFC 1035, 4.1.4). So the reader follows none, and cannot loop.
 */
#include "wire/dns.h"

#include <errno.h>
#include <string.h>

#include "wire/bytes-internal.h"

#define HEADER_LEN 12
#define LABEL_MAX  63
#define TTL_MAX    0x7fffffffU /* RFC 2181, 8 */

enum {
	FLAG_QR = 0x8000, /* an answer */
	FLAG_TC = 0x0200, /* cut off */
	FLAG_RD = 0x0100, /* recursion, please */
	FLAG_RA = 0x0080, /* recursion can be had; some take an empty answer without it for none */
	OPCODE_SHIFT = 11,
	OPCODE_MASK = 0xf,
};

enum { OPTION_EDE = 15 }; /* RFC 8914 */

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Appends a label to the text, which what a name is on the wire bounds: it is two bytes shorter. */
static void add_label(struct dns_question *q, size_t *len, const uint8_t *label, size_t n)
{
	if (*len > 0 && q->plain) {
		q->name[(*len)++] = '.';
	}
	for (size_t i = 0; i < n && q->plain; i++) {
		uint8_t c = label[i];

		c = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
		q->plain = is_plain(c);
		if (q->plain) {
			q->name[(*len)++] = (char)c;
		}
	}
	q->name[*len] = '\0';
}

/* A byte above 63 where a label's length stands is a pointer, or of a kind that nobody uses. */
static bool take_name(struct bytes *b, struct dns_question *q)
{
	size_t text = 0, wire = 1;

	q->plain = true;
	for (;;) {
		size_t n = bytes_u8(b);
		const uint8_t *label = bytes_take(b, n <= LABEL_MAX ? n : SIZE_MAX);

		wire += 1 + n;
		if (label && n == 0) {
			return true;
		}
		if (!label || wire > DNS_WIRE_MAX) {
			return false;
		}
		add_label(q, &text, label, n);
	}
}

static bool take_question(struct bytes *b, struct dns_question *q)
{
	const uint8_t *begin = b->at;
	bool named = take_name(b, q);

	q->type = bytes_u16(b);
	q->class = bytes_u16(b);
	if (!named || b->broken) {
		return false;
	}
	q->asked_len = (size_t)(b->at - begin);
	memcpy(q->asked, begin, q->asked_len);
	return true;
}

/* The last record, which has to be an OPT record whose options add up (RFC 6891, 6.1.2). */
static int take_opt(struct bytes *b, struct dns_question *q)
{
	bool root = bytes_u8(b) == 0;
	uint16_t type = bytes_u16(b), size = bytes_u16(b);
	uint16_t rcode_version = bytes_u16(b), flags = bytes_u16(b);
	struct bytes options = bytes_range(b, bytes_u16(b));

	(void)flags;
	while (options.left > 0) {
		(void)bytes_u16(&options); /* which one it is */
		(void)bytes_take(&options, bytes_u16(&options));
	}
	if (options.broken || b->left > 0 || !root || type != DNS_OPT) {
		return DNS_FORMERR;
	}
	q->edns = true;
	q->udp_size = size < DNS_UDP_MIN ? DNS_UDP_MIN : size > DNS_UDP_MAX ? DNS_UDP_MAX : size;
	return rcode_version & 0xff ? DNS_BADVERS : 0;
}

int dns_parse(const uint8_t *msg, size_t len, struct dns_question *ret)
{
	struct bytes b = {msg, len, false};
	uint16_t id = bytes_u16(&b), flags = bytes_u16(&b);
	uint16_t questions = bytes_u16(&b), answers = bytes_u16(&b);
	uint16_t authorities = bytes_u16(&b), additional = bytes_u16(&b);
	int r = 0;

	if (b.broken || flags & FLAG_QR) {
		return -EINVAL;
	}
	*ret = (struct dns_question){
		.id = id,
		.opcode = (flags >> OPCODE_SHIFT) & OPCODE_MASK,
		.recursion = flags & FLAG_RD,
		.udp_size = DNS_UDP_MIN,
	};
	if (ret->opcode != 0) {
		return DNS_NOTIMP;
	}
	/* More than one OPT record is wrong (RFC 6891, 6.1.1), and nothing else has a place there.
	 */
	if (flags & FLAG_TC || questions != 1 || answers || authorities || additional > 1 ||
	    !take_question(&b, ret)) {
		return DNS_FORMERR;
	}
	if (additional == 1) {
		r = take_opt(&b, ret);
	} else if (b.left > 0) {
		r = DNS_FORMERR;
	}
	return r ? r : ret->class == DNS_IN ? 0 : DNS_REFUSED;
}

/* An answer on its way: what does not fit is not written, and `full` for good. */
struct out {
	uint8_t *bytes;
	size_t size;
	size_t len;
	bool full;
};

static void put(struct out *o, const void *data, size_t n)
{
	o->full = o->full || n > o->size - o->len;
	if (!o->full && n > 0) {
		memcpy(o->bytes + o->len, data, n);
		o->len += n;
	}
}

static void put8(struct out *o, uint8_t v)
{
	put(o, &v, 1);
}

static void put16(struct out *o, uint16_t v)
{
	put(o, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void put32(struct out *o, uint32_t v)
{
	put16(o, (uint16_t)(v >> 16));
	put16(o, (uint16_t)v);
}

/* A name in text as labels; false for one that is none. */
static bool put_name(struct out *o, const char *name)
{
	size_t n;

	for (; *name; name += n + (name[n] == '.')) {
		n = strcspn(name, ".");
		if (n == 0 || n > LABEL_MAX) {
			return false;
		}
		put8(o, (uint8_t)n);
		put(o, name, n);
	}
	put8(o, 0);
	return !o->full;
}

/* The record of an answer, or of what is not there; type 0: none. */
struct record {
	uint16_t type;
	size_t len;
	uint8_t data[DNS_WIRE_MAX];
};

static void record_set(struct record *r, uint16_t type, const void *data, size_t len)
{
	r->type = type;
	r->len = len;
	memcpy(r->data, data, len);
}

/* RFC 1035, 3.3.13; a negative answer lives for the lesser of `ttl` and the last number, which are
 * the same (RFC 2308, 5). The others are for servers that copy zones. */
static void record_set_soa(struct record *r, uint32_t ttl)
{
	struct out o = {.bytes = r->data, .size = sizeof(r->data)};

	r->type = DNS_SOA;
	put_name(&o, ""); /* the server */
	put_name(&o, ""); /* who answers for it */
	put32(&o, 1);     /* serial */
	put32(&o, ttl);   /* refresh */
	put32(&o, ttl);   /* retry */
	put32(&o, ttl);   /* expire */
	put32(&o, ttl);
	r->len = o.len;
}

static void record_find(struct record *r, const struct dns_question *q, const struct dns_answer *a,
			uint32_t ttl)
{
	struct out name = {.bytes = r->data, .size = sizeof(r->data)};
	bool there = a->rcode == DNS_NOERROR;

	r->type = 0;
	if (q->asked_len == 0 || q->class != DNS_IN || (!there && a->rcode != DNS_NXDOMAIN)) {
		return;
	}
	if (there && q->type == DNS_A && a->a) {
		record_set(r, DNS_A, a->a, sizeof(*a->a));
	} else if (there && q->type == DNS_AAAA && a->aaaa) {
		record_set(r, DNS_AAAA, a->aaaa, sizeof(*a->aaaa));
	} else if (there && q->type == DNS_PTR && a->ptr && put_name(&name, a->ptr)) {
		r->type = DNS_PTR;
		r->len = name.len;
	} else {
		record_set_soa(r, ttl);
	}
}

/* The name of the question, which stands behind the header, or the root, whose SOA it is. */
static void put_record(struct out *o, const struct record *r, uint32_t ttl)
{
	if (r->type == DNS_SOA) {
		put_name(o, "");
	} else {
		put16(o, 0xc000 | HEADER_LEN);
	}
	put16(o, r->type);
	put16(o, DNS_IN);
	put32(o, ttl);
	put16(o, (uint16_t)r->len);
	put(o, r->data, r->len);
}

/* RFC 6891, 6.1.2; one option in it at most, the extended error (RFC 8914, 2). */
static void put_opt(struct out *o, const struct dns_answer *a, bool with_ede)
{
	size_t text = with_ede && a->ede_text ? strlen(a->ede_text) : 0;

	put_name(o, "");
	put16(o, DNS_OPT);
	put16(o, DNS_UDP_MAX);
	put32(o, (uint32_t)a->rcode >> 4 << 24);
	if (!with_ede) {
		put16(o, 0);
		return;
	}
	/* A text that these could not count does not fit either. */
	put16(o, (uint16_t)(text + 6));
	put16(o, OPTION_EDE);
	put16(o, (uint16_t)(text + 2));
	put16(o, (uint16_t)a->ede);
	put(o, a->ede_text, text);
}

/* What is left out for want of room: each without what those before it are without. */
enum cut { CUT_NOTHING, CUT_EDE, CUT_RECORD, CUT_OPT, CUT_QUESTION, CUTS };

static void put_answer(struct out *o, const struct dns_question *q, const struct dns_answer *a,
		       enum cut cut)
{
	uint32_t ttl = a->ttl < TTL_MAX ? a->ttl : TTL_MAX;
	bool question = q->asked_len > 0 && cut < CUT_QUESTION;
	bool opt = q->edns && cut < CUT_OPT;
	struct record r;
	bool record, soa;

	record_find(&r, q, a, ttl);
	record = r.type != 0 && cut < CUT_RECORD;
	soa = r.type == DNS_SOA;
	put16(o, q->id);
	put16(o, (uint16_t)(FLAG_QR | (q->opcode & OPCODE_MASK) << OPCODE_SHIFT |
			    (cut > CUT_NOTHING ? FLAG_TC : 0) | (q->recursion ? FLAG_RD : 0) |
			    FLAG_RA | ((unsigned)a->rcode & 0xf)));
	put16(o, question);
	put16(o, record && !soa);
	put16(o, record && soa);
	put16(o, opt);
	if (question) {
		put(o, q->asked, q->asked_len);
	}
	if (record) {
		put_record(o, &r, ttl);
	}
	if (opt) {
		put_opt(o, a, a->ede >= 0 && cut < CUT_EDE);
	}
}

size_t dns_write(const struct dns_question *q, const struct dns_answer *a, uint8_t *out,
		 size_t size)
{
	for (int cut = CUT_NOTHING; cut < CUTS; cut++) {
		struct out o = {.bytes = out, .size = size < UINT16_MAX ? size : UINT16_MAX};

		put_answer(&o, q, a, (enum cut)cut);
		if (!o.full) {
			return o.len;
		}
	}
	return 0;
}
