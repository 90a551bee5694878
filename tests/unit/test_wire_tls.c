/* SPDX-License-Identifier: Apache-2.0 */
/* Hellos of TLS: real ones, however their records are cut, and what is wrong in what way. */
#include "unit.h"

#include "wire/tls.h"

/* By OpenSSL 3.0, as an offer of TLS 1.3 with ALPN; its padding, the zeros at its end, is left to
 * the compiler. */
static const uint8_t client_13[517] = {
	0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0xa2, 0x3a, 0x76, 0xe8,
	0xd3, 0xd7, 0x88, 0x7f, 0xfe, 0x41, 0xf1, 0xa6, 0x15, 0xfe, 0xbd, 0x0b, 0x95, 0xda, 0xa9,
	0xb2, 0x93, 0x0c, 0xfe, 0xdf, 0x31, 0xa0, 0xc8, 0x03, 0x55, 0xa7, 0x35, 0xe7, 0x20, 0x04,
	0x08, 0x06, 0x0e, 0x96, 0x5f, 0x1b, 0x7c, 0x3d, 0x6d, 0xe0, 0x54, 0xec, 0x14, 0xe9, 0xc0,
	0x87, 0xe7, 0xc4, 0xf2, 0x76, 0x5d, 0x8f, 0x92, 0x1f, 0x67, 0xda, 0x04, 0x34, 0x10, 0x40,
	0xc2, 0x00, 0x10, 0x13, 0x02, 0x13, 0x03, 0x13, 0x01, 0xc0, 0x2c, 0xc0, 0x30, 0xc0, 0x2b,
	0xc0, 0x2f, 0x00, 0xff, 0x01, 0x00, 0x01, 0xa3, 0x00, 0x00, 0x00, 0x14, 0x00, 0x12, 0x00,
	0x00, 0x0f, 0x77, 0x77, 0x77, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e, 0x63,
	0x6f, 0x6d, 0x00, 0x0b, 0x00, 0x04, 0x03, 0x00, 0x01, 0x02, 0x00, 0x0a, 0x00, 0x16, 0x00,
	0x14, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x1e, 0x00, 0x19, 0x00, 0x18, 0x01, 0x00, 0x01, 0x01,
	0x01, 0x02, 0x01, 0x03, 0x01, 0x04, 0x00, 0x23, 0x00, 0x00, 0x00, 0x10, 0x00, 0x0e, 0x00,
	0x0c, 0x02, 0x68, 0x32, 0x08, 0x68, 0x74, 0x74, 0x70, 0x2f, 0x31, 0x2e, 0x31, 0x00, 0x16,
	0x00, 0x00, 0x00, 0x17, 0x00, 0x00, 0x00, 0x0d, 0x00, 0x2a, 0x00, 0x28, 0x04, 0x03, 0x05,
	0x03, 0x06, 0x03, 0x08, 0x07, 0x08, 0x08, 0x08, 0x09, 0x08, 0x0a, 0x08, 0x0b, 0x08, 0x04,
	0x08, 0x05, 0x08, 0x06, 0x04, 0x01, 0x05, 0x01, 0x06, 0x01, 0x03, 0x03, 0x03, 0x01, 0x03,
	0x02, 0x04, 0x02, 0x05, 0x02, 0x06, 0x02, 0x00, 0x2b, 0x00, 0x05, 0x04, 0x03, 0x04, 0x03,
	0x03, 0x00, 0x2d, 0x00, 0x02, 0x01, 0x01, 0x00, 0x33, 0x00, 0x26, 0x00, 0x24, 0x00, 0x1d,
	0x00, 0x20, 0x71, 0x3a, 0x9e, 0xc5, 0x0b, 0xc3, 0x08, 0x8b, 0xd5, 0x2c, 0xd7, 0xaa, 0x1f,
	0x69, 0x4a, 0x2d, 0xe1, 0x39, 0x16, 0xc6, 0xb1, 0x6d, 0x33, 0x65, 0xae, 0xd5, 0xbf, 0x1f,
	0xf3, 0xc6, 0xab, 0x3c, 0x00, 0x15, 0x00, 0xe0,
};

/* The same of TLS 1.2. */
static const uint8_t client_12[] = {
	0x16, 0x03, 0x01, 0x00, 0xa1, 0x01, 0x00, 0x00, 0x9d, 0x03, 0x03, 0x3e, 0xf4, 0xb5,
	0x7a, 0x15, 0x30, 0x59, 0xd3, 0x23, 0x4f, 0x33, 0xa0, 0x13, 0x53, 0x07, 0x74, 0x04,
	0x0c, 0xbb, 0x4d, 0x07, 0xeb, 0xe4, 0x51, 0xfe, 0x78, 0x89, 0xf8, 0xd3, 0x6d, 0x89,
	0x60, 0x00, 0x00, 0x0a, 0xc0, 0x2c, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2f, 0x00, 0xff,
	0x01, 0x00, 0x00, 0x6a, 0x00, 0x00, 0x00, 0x14, 0x00, 0x12, 0x00, 0x00, 0x0f, 0x6f,
	0x6c, 0x64, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e, 0x6f, 0x72, 0x67,
	0x00, 0x0b, 0x00, 0x04, 0x03, 0x00, 0x01, 0x02, 0x00, 0x0a, 0x00, 0x0c, 0x00, 0x0a,
	0x00, 0x1d, 0x00, 0x17, 0x00, 0x1e, 0x00, 0x19, 0x00, 0x18, 0x00, 0x23, 0x00, 0x00,
	0x00, 0x16, 0x00, 0x00, 0x00, 0x17, 0x00, 0x00, 0x00, 0x0d, 0x00, 0x2a, 0x00, 0x28,
	0x04, 0x03, 0x05, 0x03, 0x06, 0x03, 0x08, 0x07, 0x08, 0x08, 0x08, 0x09, 0x08, 0x0a,
	0x08, 0x0b, 0x08, 0x04, 0x08, 0x05, 0x08, 0x06, 0x04, 0x01, 0x05, 0x01, 0x06, 0x01,
	0x03, 0x03, 0x03, 0x01, 0x03, 0x02, 0x04, 0x02, 0x05, 0x02, 0x06, 0x02,
};

/* What it answers to them, and to the first where it wants a key of another group. */
static const uint8_t server_13[] = {
	0x16, 0x03, 0x03, 0x00, 0x7a, 0x02, 0x00, 0x00, 0x76, 0x03, 0x03, 0x17, 0x78, 0xec, 0xed,
	0x05, 0x4e, 0x8d, 0xf1, 0xcc, 0x22, 0xf9, 0xe9, 0x6e, 0x59, 0x29, 0x20, 0xfe, 0x39, 0xf2,
	0x05, 0x3f, 0xa1, 0x69, 0xbe, 0x1f, 0x98, 0x0f, 0x5c, 0x01, 0x92, 0x5c, 0x78, 0x20, 0x04,
	0x08, 0x06, 0x0e, 0x96, 0x5f, 0x1b, 0x7c, 0x3d, 0x6d, 0xe0, 0x54, 0xec, 0x14, 0xe9, 0xc0,
	0x87, 0xe7, 0xc4, 0xf2, 0x76, 0x5d, 0x8f, 0x92, 0x1f, 0x67, 0xda, 0x04, 0x34, 0x10, 0x40,
	0xc2, 0x13, 0x02, 0x00, 0x00, 0x2e, 0x00, 0x2b, 0x00, 0x02, 0x03, 0x04, 0x00, 0x33, 0x00,
	0x24, 0x00, 0x1d, 0x00, 0x20, 0x40, 0xa7, 0xbd, 0x12, 0x25, 0x7c, 0x41, 0xf9, 0xf9, 0x39,
	0xe0, 0x99, 0xb7, 0xc6, 0xe7, 0xc6, 0x07, 0xd4, 0x2b, 0x39, 0x86, 0x24, 0xde, 0xc5, 0xe3,
	0x84, 0x23, 0xbf, 0x37, 0x53, 0x8e, 0x7c,
};

static const uint8_t server_12[] = {
	0x16, 0x03, 0x03, 0x00, 0x41, 0x02, 0x00, 0x00, 0x3d, 0x03, 0x03, 0x18, 0x94, 0x39,
	0x72, 0xc7, 0xd5, 0xef, 0x2f, 0xfc, 0x92, 0x8d, 0xd9, 0x67, 0x3c, 0xef, 0xd4, 0x7a,
	0xf1, 0x85, 0x1f, 0xfb, 0x08, 0x33, 0x6f, 0x9f, 0x33, 0xcb, 0xb7, 0xc1, 0x82, 0x13,
	0x2d, 0x00, 0xc0, 0x2c, 0x00, 0x00, 0x15, 0xff, 0x01, 0x00, 0x01, 0x00, 0x00, 0x0b,
	0x00, 0x04, 0x03, 0x00, 0x01, 0x02, 0x00, 0x23, 0x00, 0x00, 0x00, 0x17, 0x00, 0x00,
};

static const uint8_t server_retry[] = {
	0x16, 0x03, 0x03, 0x00, 0x58, 0x02, 0x00, 0x00, 0x54, 0x03, 0x03, 0xcf, 0x21, 0xad,
	0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
	0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33,
	0x9c, 0x20, 0x04, 0x08, 0x06, 0x0e, 0x96, 0x5f, 0x1b, 0x7c, 0x3d, 0x6d, 0xe0, 0x54,
	0xec, 0x14, 0xe9, 0xc0, 0x87, 0xe7, 0xc4, 0xf2, 0x76, 0x5d, 0x8f, 0x92, 0x1f, 0x67,
	0xda, 0x04, 0x34, 0x10, 0x40, 0xc2, 0x13, 0x02, 0x00, 0x00, 0x0c, 0x00, 0x2b, 0x00,
	0x02, 0x03, 0x04, 0x00, 0x33, 0x00, 0x02, 0x00, 0x17,
};

#define BYTES(string) string, sizeof(string) - 1
#define RANDOM        "01234567890123456789012345678901"
#define FIRST         "\3\3" RANDOM "\0\0\2\x13\1\1\0"

/* What is built here: a message, or records. */
struct built {
	uint8_t bytes[40000];
	size_t len;
};

static void add(struct built *b, const void *bytes, size_t len)
{
	assert_true(len <= sizeof(b->bytes) - b->len);
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static void add16(struct built *b, size_t v)
{
	add(b, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void add_record(struct built *b, uint8_t type, const void *bytes, size_t len)
{
	const uint8_t head[] = {type, 3, 1, (uint8_t)(len >> 8), (uint8_t)len};

	add(b, head, sizeof(head));
	add(b, bytes, len);
}

static void add_message(struct built *b, uint8_t type, const void *bytes, size_t len)
{
	const uint8_t head[] = {type, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

	add(b, head, sizeof(head));
	add(b, bytes, len);
}

/* Either side's; from memory that ends where the bytes end, so that a sanitizer sees a read beyond.
 */
static int read_hello(bool server, const uint8_t *bytes, size_t len, struct tls_hello *h)
{
	_cleanup_free_ uint8_t *exact = malloc(len ? len : 1);

	memcpy(exact, bytes, len);
	return server ? tls_server_hello(exact, len, &h->version) : tls_client_hello(exact, len, h);
}

/*
 * What is said of the bytes; and that a part of them, and more than them, give no other verdict.
 * `whole`: less than all of them give none at all.
 */
static int verdict(bool server, const struct built *b, bool whole, struct tls_hello *h)
{
	struct tls_hello other = {};
	struct built more = *b;
	int said = -EAGAIN, r;
	int last = read_hello(server, b->bytes, b->len, h);

	for (size_t len = 0; len < b->len; len++) {
		r = read_hello(server, b->bytes, len, &other);
		if (r != said && said != -EAGAIN) {
			fail_msg("%zu bytes: %d after %d", len, r, said);
		}
		if (r != -EAGAIN && (whole || r != last)) {
			fail_msg("%zu of %zu bytes: %d", len, b->len, r);
		}
		said = r;
	}
	if (last != -EAGAIN) {
		add(&more, BYTES("\0\xff more"));
		r = read_hello(server, more.bytes, more.len, &other);
		assert_int_equal(r, last);
		assert_int_equal(other.version, h->version);
		assert_string_equal(other.name, h->name);
	}
	return last;
}

static const struct {
	const char *what;
	const uint8_t *bytes;
	size_t len;
	bool server;
	int wanted;
	const char *name;
	uint16_t version;
} real[] = {
	{"client, TLS 1.3", client_13, sizeof(client_13), false, 0, "www.example.com", 0x0304},
	{"client, TLS 1.2", client_12, sizeof(client_12), false, 0, "old.example.org", 0x0303},
	{"server, TLS 1.3", server_13, sizeof(server_13), true, 0, "", 0x0304},
	{"server, TLS 1.2", server_12, sizeof(server_12), true, 0, "", 0x0303},
	{"server, again", server_retry, sizeof(server_retry), true, 1, "", 0x0304},
};

static void check_real(size_t i, const struct built *b)
{
	struct tls_hello h = {.ech = true};
	int r = verdict(real[i].server, b, true, &h);

	if (r != real[i].wanted || strcmp(h.name, real[i].name) != 0 ||
	    h.version != real[i].version || h.ech != real[i].server) {
		fail_msg("%s: %d, '%s', %04x", real[i].what, r, h.name, h.version);
	}
}

/* Cut into records at each place, into three and into single bytes. */
static void test_real(void **state)
{
	static struct built b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(real); i++) {
		const uint8_t *message = real[i].bytes + 5;
		size_t len = real[i].len - 5;

		b.len = 0;
		add(&b, real[i].bytes, real[i].len);
		check_real(i, &b);
		for (size_t cut = 1; cut < len; cut++) {
			b.len = 0;
			add_record(&b, 22, message, cut);
			add_record(&b, 22, message + cut, len - cut);
			check_real(i, &b);
		}
		b.len = 0;
		add_record(&b, 22, message, 3);
		add_record(&b, 22, message + 3, 2);
		add_record(&b, 22, message + 5, len - 5);
		check_real(i, &b);
		b.len = 0;
		for (size_t at = 0; at < len; at++) {
			add_record(&b, 22, message + at, 1);
		}
		check_real(i, &b);
	}
}

/* A key share as long as X25519MLKEM768's is, and a hello that just has room, or has not. */
static void test_long(void **state)
{
	static const struct {
		size_t share;
		int wanted;
	} rows[] = {
		{1216, 0},
		{4000, 0},
		{16384 - 5 - 4 - 41 - 12, 0},
		{16384 - 5 - 4 - 41 - 11, -E2BIG},
		{16384, -E2BIG},
		{30000, -E2BIG},
	};
	static struct built body, message, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = rows[i].share;
		static const uint8_t share[30000];
		struct tls_hello h = {};

		body.len = b.len = 0;
		add(&body, BYTES(FIRST));
		add16(&body, n + 10);
		add16(&body, 0x33);
		add16(&body, n + 6);
		add16(&body, n + 4);
		add16(&body, 0x11ec);
		add16(&body, n);
		add(&body, share, n);
		message.len = 0;
		add_message(&message, 1, body.bytes, body.len);
		add_record(&b, 22, message.bytes, message.len < 16384 ? message.len : 16384);
		assert_int_equal(verdict(false, &b, rows[i].wanted == 0, &h), rows[i].wanted);
	}
	/* Short enough, but for the heads of its records; what is too much is never waited for. */
	b.len = 0;
	for (size_t at = 0; at < 3000; at++) {
		add_record(&b, 22, at == 0 ? "\1" : at == 2 ? "\x10" : "\0", 1);
	}
	assert_int_equal(read_hello(false, b.bytes, 16383, &(struct tls_hello){}), -EAGAIN);
	assert_int_equal(read_hello(false, b.bytes, 16384, &(struct tls_hello){}), -E2BIG);
	assert_int_equal(read_hello(false, b.bytes, b.len, &(struct tls_hello){}), -E2BIG);
}

#define NAME_AB   "\0\0\0\x08\0\6\0\0\3a.b"
#define VERSIONS3 "\0\x2b\0\5\4\3\4\3\3"
#define T63       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789."
#define T252      T63 T63 T63 T63

/* The extensions of a hello. */
static const struct {
	const char *bytes;
	size_t len;
	int wanted;
	const char *name;
	uint16_t version;
	bool ech;
} extensions[] = {
	{BYTES(""), 0, "", 0x0303, false},
	{BYTES(NAME_AB), 0, "a.b", 0x0303, false},
	{BYTES(NAME_AB VERSIONS3), 0, "a.b", 0x0304, false},
	{BYTES(VERSIONS3 NAME_AB), 0, "a.b", 0x0304, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3A.b"), 0, "A.b", 0x0303, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3a.."), 0, "a..", 0x0303, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3!~%"), 0, "!~%", 0x0303, false},
	{BYTES("\0\0\1\2\1\0\0\0\xfd" T252 "z"), 0, T252 "z", 0x0303, false},
	/* Two extensions, two names, other kinds of names. */
	{BYTES(NAME_AB NAME_AB), -EPROTO, NULL, 0, false},
	{BYTES(NAME_AB VERSIONS3 "\0\0\0\x08\0\6\0\0\3c.d"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x0e\0\x0c\0\0\3a.b\0\0\3c.d"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x0e\0\x0c\0\0\3a.b\0\0\3a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x0e\0\x0c\0\0\3a.b\1\0\3c.d"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x0e\0\x0c\1\0\3a.b\0\0\3c.d"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\1\0\3a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\xff\0\3a.b"), -EPROTO, NULL, 0, false},
	/* Lengths. */
	{BYTES("\0\0\0\0"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\2\0\0"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\5\0\3\0\0\0"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\5\0\0\3a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\7\0\0\3a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\2a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\4a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x09\0\6\0\0\3a.bx"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x09\0\6\0\0\3a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x07\0\6\0\0\3a.b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\1\3\1\1\0\0\xfe" T252 "zz"), -EPROTO, NULL, 0, false},
	{BYTES(NAME_AB "\0"), -EPROTO, NULL, 0, false},
	{BYTES(NAME_AB "\0\x10\0"), -EPROTO, NULL, 0, false},
	{BYTES(NAME_AB "\0\x10\0\1"), -EPROTO, NULL, 0, false},
	/* Bytes of the name. */
	{BYTES("\0\0\0\x08\0\6\0\0\3a\0b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3a.\0"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3a b"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3a\nb"), -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3a\x1f"
	       "b"),
	 -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3a\x7f"
	       "b"),
	 -EPROTO, NULL, 0, false},
	{BYTES("\0\0\0\x08\0\6\0\0\3\xe3\x80\x82"), -EPROTO, NULL, 0, false},
	/* Names that are not in the open. */
	{BYTES(NAME_AB "\xfe\x0d\0\1\1"), 0, "a.b", 0x0303, true},
	{BYTES("\xff\xce\0\0" NAME_AB), 0, "a.b", 0x0303, true},
	{BYTES("\xfe\x0d\0\1\1" NAME_AB "\xfe\x0d\0\1\1"), -EPROTO, NULL, 0, false},
	/* GREASE, as extensions and as versions; extensions that nobody here knows, even twice. */
	{BYTES("\x0a\x0a\0\0" NAME_AB "\0\x2b\0\7\6\x5a\x5a\3\4\3\3"
	       "\xfa\xfa\0\1\0"),
	 0, "a.b", 0x0304, false},
	{BYTES("\x12\x34\0\0\x12\x34\0\0"), 0, "", 0x0303, false},
	/* Versions. */
	{BYTES("\0\x2b\0\3\2\3\1"), 0, "", 0x0301, false},
	{BYTES("\0\x2b\0\7\6\3\3\x7f\x1c\3\1"), 0, "", 0x0303, false},
	{BYTES("\0\x2b\0\3\2\x0a\x0a"), -EPROTO, NULL, 0, false},
	{BYTES("\0\x2b\0\1\0"), -EPROTO, NULL, 0, false},
	{BYTES("\0\x2b\0\0"), -EPROTO, NULL, 0, false},
	{BYTES("\0\x2b\0\4\3\3\4\3"), -EPROTO, NULL, 0, false},
	{BYTES("\0\x2b\0\4\2\3\4\3"), -EPROTO, NULL, 0, false},
	{BYTES("\0\x2b\0\3\4\3\4"), -EPROTO, NULL, 0, false},
	{BYTES(VERSIONS3 VERSIONS3), -EPROTO, NULL, 0, false},
};

static void test_extensions(void **state)
{
	static struct built body, message, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
		struct tls_hello h = {};
		int r;

		body.len = message.len = b.len = 0;
		add(&body, BYTES(FIRST));
		add16(&body, extensions[i].len);
		add(&body, extensions[i].bytes, extensions[i].len);
		add_message(&message, 1, body.bytes, body.len);
		add_record(&b, 22, message.bytes, message.len);
		r = verdict(false, &b, true, &h);
		if (r != extensions[i].wanted ||
		    (r == 0 &&
		     (strcmp(h.name, extensions[i].name) != 0 ||
		      h.version != extensions[i].version || h.ech != extensions[i].ech))) {
			fail_msg("row %zu: %d, '%s', %04x, %d", i, r, h.name, h.version, h.ech);
		}
	}
}

#define S32 "\x20" RANDOM

/* What is before and behind the extensions; a server's, too. */
static const struct {
	const char *bytes;
	size_t len;
	bool server;
	int wanted;
	uint16_t version;
} bodies[] = {
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\1\0"), false, 0, 0x0303},
	{BYTES("\3\1" RANDOM S32 "\0\2\x13\1\1\0"), false, 0, 0x0301},
	{BYTES("\3\0" RANDOM "\0\0\2\x13\1\1\0"), false, 0, 0x0300},
	{BYTES("\3\4" RANDOM "\0\0\2\x13\1\1\0"), false, 0, 0x0303},
	{BYTES("\3\4" RANDOM "\0\0\2\x13\1\1\0\0\0"), false, 0, 0x0303},
	{BYTES(""), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM), false, -EPROTO, 0},
	{BYTES("\2\3" RANDOM "\0\0\2\x13\1\1\0"), false, -EPROTO, 0},
	{BYTES("\xfe\xfd" RANDOM "\0\0\2\x13\1\1\0"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\x21" RANDOM "x"
	       "\0\2\x13\1\1\0"),
	 false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\0\1\0"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\3\x13\1\1\1\0"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\0"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\1"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\1\0\0"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\1\0\0\1"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\1\0\0\0x"), false, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\0\2\x13\1\1\0\0\4\x12\x34\0\0\0"), false, -EPROTO, 0},
	/* A server's. */
	{BYTES("\3\3" RANDOM "\0\x13\1\0"), true, 0, 0x0303},
	{BYTES("\3\1" RANDOM S32 "\x13\1\0\0\0"), true, 0, 0x0301},
	{BYTES("\3\3" RANDOM S32 "\x13\1\0\0\6\0\x2b\0\2\3\4"), true, 0, 0x0304},
	{BYTES("\3\3" RANDOM S32 "\x13\1\0\0\x0a\0\x10\0\0\0\x2b\0\2\3\5"), true, 0, 0x0305},
	{BYTES(""), true, -EPROTO, 0},
	{BYTES("\2\2" RANDOM "\0\x13\1\0"), true, -EPROTO, 0},
	{BYTES("\3\4" RANDOM "\0\x13\1\0"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\x21" RANDOM "x\x13\1\0"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\1\0"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\0x"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\6\0\x2b\0\2\3\3"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\6\0\x2b\0\2\x7f\x1c"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\7\0\x2b\0\3\2\3\4"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\7\0\x2b\0\3\3\4\0"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\5\0\x2b\0\1\3"), true, -EPROTO, 0},
	{BYTES("\3\3" RANDOM "\0\x13\1\0\0\x0c\0\x2b\0\2\3\4\0\x2b\0\2\3\4"), true, -EPROTO, 0},
	{BYTES("\3\1" RANDOM "\0\x13\1\0\0\6\0\x2b\0\2\3\4"), true, -EPROTO, 0},
};

static void test_bodies(void **state)
{
	static struct built message, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct tls_hello h = {};
		int r;

		message.len = b.len = 0;
		add_message(&message, bodies[i].server ? 2 : 1, bodies[i].bytes, bodies[i].len);
		add_record(&b, 22, message.bytes, message.len);
		r = verdict(bodies[i].server, &b, true, &h);
		if (r != bodies[i].wanted || (r == 0 && h.version != bodies[i].version)) {
			fail_msg("row %zu: %d, %04x", i, r, h.version);
		}
	}
}

/* A hello without an extension, and parts of it. */
#define MESSAGE "\1\0\0\x29\3\3" RANDOM "\0\0\2\x13\1\1\0"
#define SERVER  "\2\0\0\x26\3\3" RANDOM "\0\x13\1\0"

/* What is around the message. */
static const struct {
	const char *what;
	const char *bytes;
	size_t len;
	bool server;
	int wanted;
} records[] = {
	{"a hello", BYTES("\x16\3\1\0\x2d" MESSAGE), false, 0},
	{"a record's version", BYTES("\x16\3\xff\0\x2d" MESSAGE), false, 0},
	{"another message in another record",
	 BYTES("\x16\3\1\0\x2d" MESSAGE "\x16\3\1\0\x2d" MESSAGE), false, 0},
	{"early data", BYTES("\x16\3\1\0\x2d" MESSAGE "\x14\3\3\0\1\1\x17\3\3\0\1x"), false, 0},
	{"another message in the record", BYTES("\x16\3\1\0\x5a" MESSAGE MESSAGE), false, -EPROTO},
	{"a byte behind it in its record", BYTES("\x16\3\1\0\x2e" MESSAGE "x"), false, -EPROTO},
	{"the same in the second record",
	 BYTES("\x16\3\1\0\2\1\0\x16\3\1\0\x2c\0\x29\3\3" RANDOM "\0\0\2\x13\1\1\0x"), false,
	 -EPROTO},
	{"an empty record before it", BYTES("\x16\3\1\0\0\x16\3\1\0\x2d" MESSAGE), false, -EPROTO},
	{"an empty record in it", BYTES("\x16\3\1\0\2\1\0\x16\3\1\0\0"), false, -EPROTO},
	{"an alert in it", BYTES("\x16\3\1\0\2\1\0\x15\3\1\0\2\1\0"), false, -EPROTO},
	{"data in it", BYTES("\x16\3\1\0\2\1\0\x17\3\1\0\1x"), false, -EPROTO},
	{"a change of ciphers before it", BYTES("\x14\3\1\0\1\1"), false, -EPROTO},
	{"a record too long", BYTES("\x16\3\1\x40\1"), false, -EPROTO},
	{"a message too long", BYTES("\x16\3\1\0\4\1\0\x40\0"), false, -E2BIG},
	{"a message much too long", BYTES("\x16\3\1\0\4\1\xff\xff\xff"), false, -E2BIG},
	{"an empty message", BYTES("\x16\3\1\0\4\1\0\0\0"), false, -EPROTO},
	{"a server's hello", BYTES("\x16\3\1\0\4\2\0\0\0"), false, -EPROTO},
	{"a hello of a server's type", BYTES("\x16\3\1\0\x2d\2\0\0\x29" FIRST), false, -EPROTO},
	{"no more than its type", BYTES("\x16\3\1\0\x2d\2"), false, -EPROTO},
	{"a message a little too long", BYTES("\x16\3\1\0\4\1\0\x3f\xf8"), false, -E2BIG},
	{"a request for a hello", BYTES("\x16\3\1\0\4\0\0\0\0"), false, -EPROTO},
	{"SSL 2", BYTES("\x80\x2e\1\0\2\0\x15\0\0\0\x10"), false, -EPROTO},
	{"SSL 2 of TLS", BYTES("\x80\x2e\1\3\1\0\x15\0\0\0\x10"), false, -EPROTO},
	{"a record of SSL 2's version", BYTES("\x16\2\0"), false, -EPROTO},
	{"DTLS", BYTES("\x16\xfe\xff"), false, -EPROTO},
	{"HTTP", BYTES("GET / HTTP/1.1\r\n"), false, -EPROTO},
	{"SSH", BYTES("SSH-2.0-x\r\n"), false, -EPROTO},
	{"a NUL", BYTES("\0"), false, -EPROTO},
	{"nothing", BYTES(""), false, -EAGAIN},
	{"a server's", BYTES("\x16\3\1\0\x2a" SERVER), true, 0},
	{"more behind a server's", BYTES("\x16\3\1\0\x2e" SERVER "\x0e\0\0\0"), true, 0},
	{"an alert", BYTES("\x15\3\3\0\2\2\x28"), true, -EPROTO},
	{"a client's", BYTES("\x16\3\1\0\x2d" MESSAGE), true, -EPROTO},
	{"a server's too long", BYTES("\x16\3\1\0\4\2\1\0\0"), true, -E2BIG},
	{"no TLS from a server", BYTES("HTTP/1.1 400 Bad Request\r\n"), true, -EPROTO},
};

static void test_records(void **state)
{
	static struct built b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct tls_hello h = {};
		int r;

		b.len = 0;
		add(&b, records[i].bytes, records[i].len);
		r = verdict(records[i].server, &b, false, &h);
		if (r != records[i].wanted) {
			fail_msg("%s: %d", records[i].what, r);
		}
	}
}

/* What has no verdict, or a bad one, leaves the caller's as it is. */
static void test_untouched(void **state)
{
	struct tls_hello h = {.name = "before", .ech = true, .version = 1};
	uint16_t version = 7;

	(void)state;
	assert_int_equal(tls_client_hello(client_13, sizeof(client_13) - 1, &h), -EAGAIN);
	assert_int_equal(tls_client_hello(server_13, sizeof(server_13), &h), -EPROTO);
	assert_string_equal(h.name, "before");
	assert_int_equal(tls_server_hello(server_13, sizeof(server_13) - 1, &version), -EAGAIN);
	assert_int_equal(tls_server_hello(client_13, sizeof(client_13), &version), -EPROTO);
	assert_int_equal(version, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),       cmocka_unit_test(test_long),
		cmocka_unit_test(test_extensions), cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_records),    cmocka_unit_test(test_untouched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
