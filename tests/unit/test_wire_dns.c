/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS: what is a question, and that answers say to another reader what they should. */
#include "unit.h"

#include <arpa/inet.h>

#include "wire/dns.h"

#define HEAD(flags, qd, an, ns, ar) "\xab\xcd" flags "\0" qd "\0" an "\0" ns "\0" ar
#define ONE                         HEAD("\x01\x20", "\1", "\0", "\0", "\0")
#define ONE_OPT                     HEAD("\x01\x20", "\1", "\0", "\0", "\1")
#define A_IN                        "\0\1\0\1"
#define OPT(size, rest)             "\0\0\x29" size "\0\0\0\0" rest
#define L31                         "abcdefghijklmnopqrstuvwxyz01234"
#define L63                         L31 "-" L31
#define L61                         "abcdefghijklmnopqrstuvwxyz012-abcdefghijklmnopqrstuvwxyz01234"
#define N192                        "\77" L63 "\77" L63 "\77" L63 /* three labels on the wire */
#define T192                        L63 "." L63 "." L63 "."

struct row {
	const char *bytes;
	size_t len;
	int wanted;
	const char *name; /* NULL: not looked at */
	bool odd;         /* the name has other bytes */
	uint16_t size;    /* 0: no OPT record */
};

#define ROW(bytes, wanted, name, odd, size)                          \
	{                                                            \
		bytes, sizeof(bytes) - 1, (wanted), name, odd, size, \
	}
#define GOOD(bytes, name)       ROW(bytes, 0, name, false, 0)
#define EDNS(bytes, name, size) ROW(bytes, 0, name, false, size)
#define ODD(bytes, name)        ROW(bytes, 0, name, true, 0)
#define BAD(bytes, code)        ROW(bytes, code, NULL, false, 0)

static const struct row rows[] = {
	/* Questions. */
	GOOD(ONE "\7example\3com\0" A_IN, "example.com"),
	GOOD(ONE "\7eXAMPLE\3CoM\0" A_IN, "example.com"),
	GOOD(ONE "\0" A_IN, ""),
	GOOD(ONE "\4_dns\1Z\0\0\x40\0\1", "_dns.z"),
	EDNS(ONE_OPT "\1a\0" A_IN OPT("\x04\xd0", "\0\0"), "a", 1232),
	EDNS(ONE_OPT "\1a\0" A_IN OPT("\x02\x00", "\0\0"), "a", 512),
	EDNS(ONE_OPT "\1a\0" A_IN OPT("\x01\xff", "\0\0"), "a", 512),
	EDNS(ONE_OPT "\1a\0" A_IN OPT("\0\0", "\0\0"), "a", 512),
	EDNS(ONE_OPT "\1a\0" A_IN OPT("\xff\xff", "\0\0"), "a", 4096),
	EDNS(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\x10"
						"\0\x0a\0\x08"
						"12345678"
						"\0\x0c\0\0"),
	     "a", 4096),
	/* DO is set (RFC 3225). */
	EDNS(ONE_OPT "\1a\0" A_IN "\0\0\x29\x10\0\0\0\x80\0\0\0", "a", 4096),
	/* AD and CD are, and RD is not. */
	GOOD(HEAD("\0\x30", "\1", "\0", "\0", "\0") "\1a\0" A_IN, "a"),
	/* Labels and names as long as they may be, and longer. */
	GOOD(ONE "\77" L63 "\0" A_IN, L63),
	BAD(ONE "\100" L63 "x\0" A_IN, DNS_FORMERR),
	GOOD(ONE N192 "\75" L61 "\0" A_IN, T192 L61),
	BAD(ONE N192 "\76" L61 "x\0" A_IN, DNS_FORMERR),
	GOOD(ONE N192 "\73" L31 "0123456789012345678901234567\1x\0" A_IN,
	     T192 L31 "0123456789012345678901234567.x"),
	BAD(ONE N192 "\75" L61 "\1x\0" A_IN, DNS_FORMERR),
	BAD(ONE N192 N192 "\0" A_IN, DNS_FORMERR),
	/* Bytes that text cannot say. */
	ODD(ONE "\2ok\11examp\0com\0" A_IN, "ok.examp"),
	ODD(ONE "\2ok\7exam\0le\3com\0" A_IN, "ok.exam"),
	ODD(ONE "\2ok\7exam.le\3com\0" A_IN, "ok.exam"),
	ODD(ONE "\2ok\7exam le\3com\0" A_IN, "ok.exam"),
	ODD(ONE "\2ok\7exam\\le\3com\0" A_IN, "ok.exam"),
	ODD(ONE "\2ok\7exam%le\3com\0" A_IN, "ok.exam"),
	ODD(ONE "\2ok\7ex\xe3\x80\x82le\3com\0" A_IN, "ok.ex"),
	ODD(ONE "\1.\3com\0" A_IN, ""),
	ODD(ONE "\7allowed\1\0\4evil\0" A_IN, "allowed."),
	ODD(ONE "\1*\3com\0" A_IN, ""),
	/* Pointers and other kinds of labels. */
	BAD(ONE "\xc0\x0c" A_IN, DNS_FORMERR),
	BAD(ONE "\1a\xc0\x0c" A_IN, DNS_FORMERR),
	BAD(ONE "\1a\xc0\0" A_IN, DNS_FORMERR),
	BAD(ONE "\x41\1a\0" A_IN, DNS_FORMERR),
	BAD(ONE "\x80\1a\0" A_IN, DNS_FORMERR),
	/* The counts. */
	BAD(HEAD("\1\0", "\0", "\0", "\0", "\0"), DNS_FORMERR),
	BAD(HEAD("\1\0", "\0", "\0", "\0", "\0") "\1a\0" A_IN, DNS_FORMERR),
	BAD(HEAD("\1\0", "\2", "\0", "\0", "\0") "\1a\0" A_IN "\1a\0" A_IN, DNS_FORMERR),
	BAD("\xab\xcd\1\0\1\1\0\0\0\0\0\0\1a\0" A_IN, DNS_FORMERR),
	BAD(HEAD("\1\0", "\1", "\1", "\0", "\0") "\1a\0" A_IN "\0" A_IN "\0\0\0\0\0\0",
	    DNS_FORMERR),
	BAD(HEAD("\1\0", "\1", "\0", "\1", "\0") "\1a\0" A_IN "\0" A_IN "\0\0\0\0\0\0",
	    DNS_FORMERR),
	BAD("\xab\xcd\1\0\0\1\0\0\0\0\1\0\1a\0" A_IN, DNS_FORMERR),
	BAD(HEAD("\1\0", "\1", "\1", "\0", "\0") "\1a\0" A_IN, DNS_FORMERR),
	BAD(HEAD("\1\0", "\1", "\0", "\1", "\0") "\1a\0" A_IN, DNS_FORMERR),
	BAD(HEAD("\1\0", "\1", "\0", "\0", "\2") "\1a\0" A_IN, DNS_FORMERR),
	/* What is behind the question. */
	ROW(ONE "\1a\0" A_IN "\0", DNS_FORMERR, "a", false, 0),
	ROW(ONE "\1a\0" A_IN OPT("\x10\0", "\0\0"), DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN, DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\0") "x", DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\0") OPT("\x10\0", "\0\0"), DNS_FORMERR, "a",
	    false, 0),
	BAD(HEAD("\1\0", "\1", "\0", "\0", "\2") "\1a\0" A_IN OPT("\x10\0", "\0\0")
		    OPT("\x10\0", "\0\0"),
	    DNS_FORMERR),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\1"), DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0"), DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\3\0\x0a\0"), DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\4\0\x0a\0\1"), DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN OPT("\x10\0", "\0\5\0\x0a\0\2x"), DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN "\1a\0\0\x29\x10\0\0\0\0\0\0\0", DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN "\1\0\x29\x10\0\0\0\0\0\0\0", DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN "\xc0\x0c\0\x29\x10\0\0\0\0\0\0\0", DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN "\0\0\1\x10\0\0\0\0\0\0\0", DNS_FORMERR, "a", false, 0),
	ROW(ONE_OPT "\1a\0" A_IN "\0\0\x29\x10\0\0\1\0\0\0\0", DNS_BADVERS, "a", false, 4096),
	/* What is no question, or not for us. */
	BAD("", -EINVAL),
	BAD("\xab\xcd\1\0\0\1\0\0\0\0\0", -EINVAL),
	BAD(HEAD("\x81\x80", "\1", "\0", "\0", "\0") "\1a\0" A_IN, -EINVAL),
	BAD(HEAD("\x11\0", "\1", "\0", "\0", "\0") "\1a\0" A_IN, DNS_NOTIMP),
	BAD(HEAD("\x28\0", "\1", "\0", "\0", "\0") "\1a\0\0\6\0\1", DNS_NOTIMP),
	BAD(HEAD("\x03\0", "\1", "\0", "\0", "\0") "\1a\0" A_IN, DNS_FORMERR),
	ROW(ONE "\7version\4bind\0\0\x10\0\3", DNS_REFUSED, "version.bind", false, 0),
	ROW(ONE "\1a\0\0\1\0\xff", DNS_REFUSED, "a", false, 0),
	ROW(ONE_OPT "\1a\0\0\1\0\3" OPT("\x10\0", "\0\0"), DNS_REFUSED, "a", false, 4096),
};

/* Exactly as long as it says, so that a sanitizer sees a read beyond. */
static int parse(const char *bytes, size_t len, struct dns_question *q)
{
	_cleanup_free_ uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, bytes, len);
	return dns_parse(copy, len, q);
}

static void test_questions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct dns_question q = {.id = 1};
		int r = parse(row->bytes, row->len, &q);

		if (r != row->wanted || (row->name && strcmp(q.name, row->name) != 0)) {
			fail_msg("row %zu: %d, '%s'", i, r, q.name);
		}
		if (r < 0) {
			assert_int_equal(q.id, 1);
			continue;
		}
		assert_int_equal(q.id, 0xabcd);
		assert_int_equal(q.recursion, row->bytes[2] & 1);
		if (row->name && (q.plain == row->odd || q.edns != (row->size > 0) ||
				  q.udp_size != (row->size ? row->size : 512))) {
			fail_msg("row %zu: plain %d, edns %d, %u", i, q.plain, q.edns, q.udp_size);
		}
	}
}

/* Each prefix of a good question is none. */
static void test_prefixes(void **state)
{
	static const char whole[] = ONE_OPT "\3wWw\1a\0" A_IN OPT("\x10\0", "\0\4\0\x0a\0\0");
	struct dns_question q;

	(void)state;
	assert_int_equal(parse(whole, sizeof(whole) - 1, &q), 0);
	assert_int_equal(q.type, DNS_A);
	assert_int_equal(q.class, DNS_IN);
	assert_int_equal(q.asked_len, 11);
	assert_memory_equal(q.asked, "\3wWw\1a\0" A_IN, 11);
	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		assert_int_equal(parse(whole, len, &q), len < 12 ? -EINVAL : DNS_FORMERR);
	}
}

/* A reader of answers that has nothing in common with the writer. */
struct seen {
	unsigned flags, counts[4];
	char question[300]; /* its name in text, letters as they are */
	struct {
		char name[300];
		unsigned type, class, ttl, len;
		const uint8_t *data;
	} record; /* but the OPT record; type 0: there is none */
	bool opt;
	unsigned opt_size, opt_ttl;
	int ede;
	char text[65536];
};

static unsigned number(const uint8_t *m, size_t len, size_t *at, size_t bytes)
{
	unsigned v = 0;

	assert_true(*at + bytes <= len);
	while (bytes-- > 0) {
		v = v << 8 | m[(*at)++];
	}
	return v;
}

static void read_name(const uint8_t *m, size_t len, size_t *at, char out[300])
{
	unsigned n = number(m, len, at, 1);
	size_t written = 0;

	if (n >= 0xc0) {
		size_t there = (n & 0x3f) << 8 | number(m, len, at, 1);

		assert_true(there < *at - 2);
		read_name(m, len, &there, out);
		return;
	}
	while (n > 0) {
		assert_true(n < 64 && *at + n < len && written + n < 255);
		memcpy(out + written, m + *at, n);
		written += n;
		out[written++] = '.';
		*at += n;
		n = number(m, len, at, 1);
	}
	out[written] = '\0';
}

static void read_option(struct seen *s, const uint8_t *m, size_t len, size_t at)
{
	unsigned n;

	if (at == len) {
		return;
	}
	assert_int_equal(number(m, len, &at, 2), 15);
	n = number(m, len, &at, 2);
	assert_int_equal(n, len - at);
	s->ede = (int)number(m, len, &at, 2);
	memcpy(s->text, m + at, len - at);
	s->text[len - at] = '\0';
}

static void read_record(struct seen *s, const uint8_t *m, size_t len, size_t *at)
{
	char name[300];
	unsigned type, class, ttl, n;

	read_name(m, len, at, name);
	type = number(m, len, at, 2);
	class = number(m, len, at, 2);
	ttl = number(m, len, at, 4);
	n = number(m, len, at, 2);
	assert_true(*at + n <= len);
	if (type == 41) {
		assert_false(s->opt);
		assert_string_equal(name, "");
		s->opt = true;
		s->opt_size = class;
		s->opt_ttl = ttl;
		read_option(s, m, *at + n, *at);
	} else {
		assert_int_equal(s->record.type, 0);
		memcpy(s->record.name, name, sizeof(name));
		s->record.type = type;
		s->record.class = class;
		s->record.ttl = ttl;
		s->record.len = n;
		s->record.data = m + *at;
	}
	*at += n;
}

static void read_answer(const uint8_t *m, size_t len, struct seen *s)
{
	size_t at = 2;

	*s = (struct seen){.ede = -1};
	assert_int_equal(m[0], 0xab);
	assert_int_equal(m[1], 0xcd);
	s->flags = number(m, len, &at, 2);
	for (size_t i = 0; i < 4; i++) {
		s->counts[i] = number(m, len, &at, 2);
	}
	assert_true(s->counts[0] <= 1);
	if (s->counts[0] == 1) {
		read_name(m, len, &at, s->question);
		at += 4;
	}
	for (unsigned i = 0; i < s->counts[1] + s->counts[2] + s->counts[3]; i++) {
		read_record(s, m, len, &at);
	}
	assert_int_equal(at, len);
}

/* Answers a question into exactly `size` bytes, and reads that. */
static size_t answer(const char *bytes, size_t len, const struct dns_answer *a, size_t size,
		     struct seen *s, uint8_t out[65536])
{
	_cleanup_free_ uint8_t *exact = malloc(size ? size : 1);
	struct dns_question q;
	size_t n;

	assert_int_equal(parse(bytes, len, &q), a->rcode);
	n = dns_write(&q, a, exact, size);
	assert_true(n <= size);
	memcpy(out, exact, n);
	if (n > 0) {
		read_answer(out, n, s);
	}
	return n;
}

#define ASK(type)       ONE "\3wWw\7eXample\3com\0\0" type "\0\1"
#define ASK_OPT(type)   ONE_OPT "\3wWw\7eXample\3com\0\0" type "\0\1" OPT("\x10\0", "\0\0")
#define BYTES(string)   string, sizeof(string) - 1
#define SOA(a, b, c, d) "\0\0\0\0\0\1" a b c d a b c d a b c d a b c d

static uint8_t written[65536];

static void test_answers(void **state)
{
	static const struct in_addr a4 = {.s_addr = 0x0302a8c0};
	static const struct in6_addr a6 = {.s6_addr = "\xfd\0\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd"};
	static const char a6_text[] = "\xfd\0\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd";
	static const struct {
		const char *ask;
		size_t ask_len;
		struct dns_answer a;
		unsigned type; /* of the one record */
		const char *data;
		size_t len;
	} table[] = {
		{BYTES(ASK("\1")), {.a = &a4, .ttl = 60}, DNS_A, BYTES("\xc0\xa8\2\3")},
		{BYTES(ASK("\1")),
		 {.a = &a4, .aaaa = &a6, .ptr = "x", .ttl = 60},
		 DNS_A,
		 BYTES("\xc0\xa8\2\3")},
		{BYTES(ASK("\x1c")), {.aaaa = &a6, .ttl = 7}, DNS_AAAA, BYTES(a6_text)},
		{BYTES(ASK("\x0c")),
		 {.ptr = "Some.name_-0", .ttl = 7},
		 DNS_PTR,
		 BYTES("\4Some\7name_-0\0")},
		{BYTES(ASK("\x0c")), {.ptr = "", .ttl = 7}, DNS_PTR, BYTES("\0")},
		{BYTES(ASK("\x0c")),
		 {.ptr = T192 L61, .ttl = 7},
		 DNS_PTR,
		 BYTES(N192 "\75" L61 "\0")},
		/* Names that are none. */
		{BYTES(ASK("\x0c")), {.ptr = "a..b"}, DNS_SOA, BYTES(SOA("\0", "\0", "\0", "\0"))},
		{BYTES(ASK("\x0c")), {.ptr = "."}, DNS_SOA, BYTES(SOA("\0", "\0", "\0", "\0"))},
		{BYTES(ASK("\x0c")), {.ptr = L63 "x"}, DNS_SOA, BYTES(SOA("\0", "\0", "\0", "\0"))},
		{BYTES(ASK("\x0c")),
		 {.ptr = T192 L61 "x"},
		 DNS_SOA,
		 BYTES(SOA("\0", "\0", "\0", "\0"))},
		/* What is not there. */
		{BYTES(ASK("\1")), {.ttl = 258}, DNS_SOA, BYTES(SOA("\0", "\0", "\1", "\2"))},
		{BYTES(ASK("\x1c")),
		 {.a = &a4, .ttl = 258},
		 DNS_SOA,
		 BYTES(SOA("\0", "\0", "\1", "\2"))},
		{BYTES(ASK("\xff")),
		 {.a = &a4, .ttl = 258},
		 DNS_SOA,
		 BYTES(SOA("\0", "\0", "\1", "\2"))},
		{BYTES(ASK("\1")),
		 {.a = &a4, .ttl = UINT32_MAX},
		 DNS_A,
		 BYTES("\xc0\xa8\2\3")}, /* its ttl is cut */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		unsigned ttl = table[i].a.ttl < 0x7fffffff ? table[i].a.ttl : 0x7fffffff;
		bool soa = table[i].type == DNS_SOA;
		struct dns_answer a = table[i].a;
		struct seen s;

		a.ede = DNS_EDE_NONE;
		assert_true(answer(table[i].ask, table[i].ask_len, &a, 512, &s, written) > 0);
		assert_int_equal(s.flags, 0x8180);
		assert_int_equal(s.counts[0], 1);
		assert_int_equal(s.counts[1], !soa);
		assert_int_equal(s.counts[2], soa);
		assert_int_equal(s.counts[3], 0);
		assert_memory_equal(written + 12, table[i].ask + 12, table[i].ask_len - 12);
		assert_string_equal(s.record.name, soa ? "" : "wWw.eXample.com.");
		if (s.record.type != table[i].type || s.record.len != table[i].len ||
		    memcmp(s.record.data, table[i].data, table[i].len) != 0 ||
		    s.record.class != 1 || s.record.ttl != ttl) {
			fail_msg("row %zu: type %u, %u bytes, ttl %u", i, s.record.type,
				 s.record.len, s.record.ttl);
		}
	}
}

static void test_refusals(void **state)
{
	static const struct in_addr a4 = {.s_addr = 1};
	static const struct {
		const char *ask;
		size_t len;
		enum dns_rcode rcode;
		unsigned flags, questions, opt_ttl;
		bool opt;
	} table[] = {
		{BYTES(ONE "\1a\0" A_IN "x"), DNS_FORMERR, 0x8181, 1, 0, false},
		{BYTES(ONE "\xc0\x0c" A_IN), DNS_FORMERR, 0x8181, 0, 0, false},
		{BYTES(HEAD("\x29\0", "\1", "\0", "\0", "\0") "\1a\0" A_IN), DNS_NOTIMP, 0xa984, 0,
		 0, false},
		{BYTES(HEAD("\0\0", "\0", "\0", "\0", "\0")), DNS_FORMERR, 0x8081, 0, 0, false},
		{BYTES(ONE_OPT "\1a\0\0\1\0\3" OPT("\x10\0", "\0\0")), DNS_REFUSED, 0x8185, 1, 0,
		 true},
		{BYTES(ONE_OPT "\1a\0" A_IN "\0\0\x29\x10\0\0\1\0\0\0\0"), DNS_BADVERS, 0x8180, 1,
		 0x01000000, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct dns_answer a = {.rcode = table[i].rcode, .a = &a4, .ede = DNS_EDE_NONE};
		struct seen s;

		assert_true(answer(table[i].ask, table[i].len, &a, 512, &s, written) > 0);
		assert_int_equal(s.record.type, 0);
		if (s.flags != table[i].flags || s.counts[0] != table[i].questions ||
		    s.opt != table[i].opt || s.opt_ttl != table[i].opt_ttl) {
			fail_msg("row %zu: flags %04x, %u questions", i, s.flags, s.counts[0]);
		}
	}
}

/* What the caller decides: a name that is not there, a server that cannot be reached. */
static void test_decisions(void **state)
{
	static const struct in_addr a4 = {.s_addr = 1};
	struct dns_answer a = {.a = &a4, .ttl = 5, .ede = DNS_EDE_BLOCKED};
	static const char ask[] = ASK_OPT("\1");
	struct dns_question q;
	struct seen s;

	(void)state;
	assert_int_equal(parse(ask, sizeof(ask) - 1, &q), 0);
	a.rcode = DNS_NXDOMAIN;
	a.ede_text = "no rule names b\xc3\xbc"
		     "cher.example";
	read_answer(written, dns_write(&q, &a, written, q.udp_size), &s);
	assert_int_equal(s.flags, 0x8183);
	assert_int_equal(s.counts[1], 0);
	assert_int_equal(s.record.type, DNS_SOA);
	assert_int_equal(s.record.ttl, 5);
	assert_true(s.opt);
	assert_int_equal(s.opt_size, 4096);
	assert_int_equal(s.opt_ttl, 0);
	assert_int_equal(s.ede, 15);
	assert_string_equal(s.text, a.ede_text);
	a.rcode = DNS_SERVFAIL;
	a.ede = DNS_EDE_OTHER;
	a.ede_text = NULL;
	read_answer(written, dns_write(&q, &a, written, q.udp_size), &s);
	assert_int_equal(s.flags, 0x8182);
	assert_int_equal(s.record.type, 0);
	assert_int_equal(s.ede, 0);
	assert_string_equal(s.text, "");
	/* Who says nothing about EDNS gets no extended error. */
	q.edns = false;
	a.ede_text = "why";
	read_answer(written, dns_write(&q, &a, written, q.udp_size), &s);
	assert_int_equal(s.flags, 0x8182);
	assert_false(s.opt);
	/* An address in a class that it is not in. */
	q.class = 3;
	a.rcode = DNS_NOERROR;
	read_answer(written, dns_write(&q, &a, written, q.udp_size), &s);
	assert_int_equal(s.record.type, 0);
}

/* 12 bytes of header, 21 of question, 16 of a record, 11 of OPT, 6 + 4 of an extended error. */
static void test_sizes(void **state)
{
	static const struct {
		size_t size, len;
		unsigned flags, questions, records, opts;
		int ede;
	} table[] = {
		{0, 0, 0, 0, 0, 0, 0},         {11, 0, 0, 0, 0, 0, 0},
		{12, 12, 0x8380, 0, 0, 0, -1}, {32, 12, 0x8380, 0, 0, 0, -1},
		{33, 33, 0x8380, 1, 0, 0, -1}, {43, 33, 0x8380, 1, 0, 0, -1},
		{44, 44, 0x8380, 1, 0, 1, -1}, {59, 44, 0x8380, 1, 0, 1, -1},
		{60, 60, 0x8380, 1, 1, 1, -1}, {69, 60, 0x8380, 1, 1, 1, -1},
		{70, 70, 0x8180, 1, 1, 1, 17}, {100000, 70, 0x8180, 1, 1, 1, 17},
	};
	static const struct in_addr a4 = {.s_addr = 1};
	static const struct dns_answer a = {.a = &a4, .ede = DNS_EDE_FILTERED, .ede_text = "text"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct seen s = {};
		size_t n = answer(BYTES(ASK_OPT("\1")), &a, table[i].size, &s, written);

		if (n != table[i].len) {
			fail_msg("row %zu: %zu bytes", i, n);
		}
		if (n > 0 && (s.flags != table[i].flags || s.counts[0] != table[i].questions ||
			      s.counts[1] != table[i].records || s.counts[3] != table[i].opts ||
			      s.ede != table[i].ede)) {
			fail_msg("row %zu: flags %04x", i, s.flags);
		}
	}
}

/* A text that no answer could hold, and one that just one of them can. */
static void test_long_texts(void **state)
{
	static const size_t lengths[] = {
		65535 - 12 - 21 - 33 - 11 - 6, 65525, 65530, 65535, 65536, 131070};
	_cleanup_free_ char *text = malloc(131071);
	static const char ask[] = ASK_OPT("\1");
	struct dns_answer a = {.rcode = DNS_NXDOMAIN, .ede = 15, .ede_text = text};
	_cleanup_free_ uint8_t *out = malloc(200000);
	struct dns_question q;

	(void)state;
	assert_int_equal(parse(ask, sizeof(ask) - 1, &q), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(text, 'x', lengths[i]);
		text[lengths[i]] = '\0';
		/* header, question, SOA of the root, OPT */
		assert_int_equal(dns_write(&q, &a, out, 200000),
				 i == 0 ? 65535 : 12 + 21 + 33 + 11);
		assert_int_equal(out[2], i == 0 ? 0x81 : 0x83);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),  cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_answers),    cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_decisions),  cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_long_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
