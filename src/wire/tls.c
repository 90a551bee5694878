/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first message of each side of a TLS connection.
 *
 * TRUST: a ClientHello is the payload's, a ServerHello is of whoever answered. The message is put
 * together from its records first and read when all of it is there. Whatever is refused is refused
 * as soon as the byte that is wrong is there, or at the message's end: more bytes never turn one
 * verdict into another, however they are cut.
 */
#include "wire/tls.h"

#include <errno.h>
#include <string.h>

#include "wire/bytes-internal.h"

#define RECORD_HEAD  5
#define RECORD_MAX   16384 /* RFC 8446, 5.1 */
#define MESSAGE_HEAD 4
#define RANDOM_LEN   32
#define SESSION_MAX  32
#define TLS_1_2      0x0303
#define TLS_1_3      0x0304

enum { RECORD_HANDSHAKE = 22 };
enum { CLIENT_HELLO = 1, SERVER_HELLO = 2 };

enum {
	EXTENSION_SERVER_NAME = 0,                /* RFC 6066, 3 */
	EXTENSION_SUPPORTED_VERSIONS = 43,        /* RFC 8446, 4.2.1 */
	EXTENSION_ECH = 0xfe0d,                   /* RFC 9849 */
	EXTENSION_ENCRYPTED_SERVER_NAME = 0xffce, /* what ECH was in its drafts */
};

/* A message, put together. */
struct message {
	uint8_t bytes[TLS_HELLO_MAX];
	size_t len;
	size_t whole; /* how long it will be; 0 where its head is not all there */
	size_t end;   /* where its last record ends, once it is complete */
};

/* The head of a record, as far as it is there; its version means nothing (RFC 8446, 5.1). */
static int take_record(const uint8_t *head, size_t len, size_t *ret_size)
{
	if ((len > 0 && head[0] != RECORD_HANDSHAKE) || (len > 1 && head[1] != 3)) {
		return -EPROTO;
	}
	if (len < RECORD_HEAD) {
		return -EAGAIN;
	}
	*ret_size = (size_t)head[3] << 8 | head[4];
	/* None of a handshake is empty (RFC 8446, 5.1). */
	return *ret_size > 0 && *ret_size <= RECORD_MAX ? 0 : -EPROTO;
}

/* Adds a byte of a record: 1 where the message is complete with it. */
static int add_byte(struct message *m, uint8_t type, uint8_t byte)
{
	m->bytes[m->len++] = byte;
	if (m->len == 1 && byte != type) {
		return -EPROTO;
	}
	if (m->len == MESSAGE_HEAD) {
		m->whole = MESSAGE_HEAD +
			   ((size_t)m->bytes[1] << 16 | (size_t)m->bytes[2] << 8 | m->bytes[3]);
		if (m->whole > TLS_HELLO_MAX - RECORD_HEAD) {
			return -E2BIG;
		}
	}
	return m->len == m->whole;
}

/*
 * The message that a connection begins with. A client sends nothing else with it: behind its hello
 * it waits, or what follows is in records of another type. A server has more to say.
 */
static int gather(const uint8_t *bytes, size_t len, uint8_t type, struct message *m)
{
	size_t at = 0, end, size;

	m->len = m->whole = 0;
	while (at < len) {
		int r = take_record(bytes + at, len - at, &size);

		if (r < 0) {
			return r;
		}
		at += RECORD_HEAD;
		for (end = at + size; at < end && at < len; at++) {
			r = add_byte(m, type, bytes[at]);
			if (r < 0) {
				return r;
			}
			if (r > 0) {
				m->end = end;
				return type == CLIENT_HELLO && at + 1 != end ? -EPROTO : 0;
			}
		}
	}
	return -EAGAIN;
}

/* As above, within the bytes that a hello may have. */
static int gather_within(const uint8_t *bytes, size_t len, uint8_t type, struct message *m)
{
	int r = gather(bytes, len < TLS_HELLO_MAX ? len : TLS_HELLO_MAX, type, m);

	return r == -EAGAIN && len >= TLS_HELLO_MAX ? -E2BIG : r;
}

/* What both begin with: version, random bytes, an identifier of a session. */
static uint16_t take_version(struct bytes *b, const uint8_t **ret_random)
{
	uint16_t version = bytes_u16(b);
	struct bytes session;

	*ret_random = bytes_take(b, RANDOM_LEN);
	session = bytes_range(b, bytes_u8(b));
	b->broken = b->broken || session.left > SESSION_MAX || version >> 8 != 3;
	return version;
}

/* The list of extensions, which ends the message, or is not there at all (RFC 5246, 7.4.1.2). */
static struct bytes take_extensions(struct bytes *b)
{
	struct bytes list = {b->at, 0, b->broken};

	if (b->left > 0) {
		list = bytes_range(b, bytes_u16(b));
	}
	list.broken = list.broken || b->left > 0;
	return list;
}

/* One name, and it is a host's: no other kind was ever defined (RFC 6066, 3). */
static bool take_name(struct bytes *b, char name[TLS_NAME_MAX + 1])
{
	struct bytes list = bytes_range(b, bytes_u16(b));
	uint8_t type = bytes_u8(&list);
	struct bytes host = bytes_range(&list, bytes_u16(&list));

	if (host.broken || list.left > 0 || b->left > 0 || type != 0 || host.left == 0 ||
	    host.left > TLS_NAME_MAX) {
		return false;
	}
	for (size_t i = 0; i < host.left; i++) {
		if (host.at[i] <= ' ' || host.at[i] > '~') {
			return false;
		}
	}
	memcpy(name, host.at, host.left);
	name[host.left] = '\0';
	return true;
}

/* The highest of a list of versions; values that are no version are there to be ignored (GREASE,
 * RFC 8701), but a list of them alone says nothing. */
static bool take_versions(struct bytes *b, uint16_t *ret)
{
	struct bytes list = bytes_range(b, bytes_u8(b));
	uint16_t highest = 0;

	while (list.left > 0) {
		uint16_t version = bytes_u16(&list);

		if (version >> 8 == 3 && version > highest) {
			highest = version;
		}
	}
	*ret = highest;
	return !list.broken && b->left == 0 && highest > 0;
}

/* An extension that was there before, of those that are looked at, is refused (RFC 8446, 4.2). */
static bool take_extension(struct bytes *list, unsigned *seen, struct tls_hello *h)
{
	uint16_t type = bytes_u16(list);
	struct bytes b = bytes_range(list, bytes_u16(list));
	unsigned bit = 0;
	bool good = true;

	if (b.broken) {
		return false;
	}
	if (type == EXTENSION_SERVER_NAME) {
		bit = 1;
		good = take_name(&b, h->name);
	} else if (type == EXTENSION_SUPPORTED_VERSIONS) {
		bit = 2;
		good = take_versions(&b, &h->version);
	} else if (type == EXTENSION_ECH || type == EXTENSION_ENCRYPTED_SERVER_NAME) {
		bit = type == EXTENSION_ECH ? 4 : 8;
		h->ech = true;
	}
	good = good && !(*seen & bit);
	*seen |= bit;
	return good;
}

int tls_client_hello(const uint8_t *bytes, size_t len, struct tls_hello *ret)
{
	struct bytes b, ciphers, compressions, extensions;
	struct tls_hello h = {};
	const uint8_t *random;
	struct message m;
	unsigned seen = 0;
	int r = gather_within(bytes, len, CLIENT_HELLO, &m);

	if (r < 0) {
		return r;
	}
	b = (struct bytes){m.bytes + MESSAGE_HEAD, m.len - MESSAGE_HEAD, false};
	h.version = take_version(&b, &random);
	/* Only the extension offers more than TLS 1.2 (RFC 8446, 4.2.1). */
	h.version = h.version < TLS_1_2 ? h.version : TLS_1_2;
	ciphers = bytes_range(&b, bytes_u16(&b));
	compressions = bytes_range(&b, bytes_u8(&b));
	extensions = take_extensions(&b);
	if (extensions.broken || ciphers.left < 2 || ciphers.left % 2 || compressions.left < 1) {
		return -EPROTO;
	}
	while (extensions.left > 0) {
		if (!take_extension(&extensions, &seen, &h)) {
			return -EPROTO;
		}
	}
	h.size = m.end;
	*ret = h;
	return 0;
}

/* The server's choice stands alone in the extension, is never an older version, and is made once:
 * after it the version is no longer the one that has to stand before it. */
static bool take_choice(struct bytes *list, uint16_t *version)
{
	uint16_t type = bytes_u16(list);
	struct bytes b = bytes_range(list, bytes_u16(list));

	if (b.broken || type != EXTENSION_SUPPORTED_VERSIONS) {
		return !b.broken;
	}
	if (*version != TLS_1_2) {
		return false;
	}
	*version = bytes_u16(&b);
	return !b.broken && b.left == 0 && *version >> 8 == 3 && *version >= TLS_1_3;
}

/* RFC 8446, 4.1.3: the random bytes that make a ServerHello a request to try again. */
static const uint8_t retry[RANDOM_LEN] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

int tls_server_hello(const uint8_t *bytes, size_t len, uint16_t *ret_version)
{
	struct bytes b, extensions;
	const uint8_t *random;
	struct message m;
	uint16_t version;
	int r = gather_within(bytes, len, SERVER_HELLO, &m);

	if (r < 0) {
		return r;
	}
	b = (struct bytes){m.bytes + MESSAGE_HEAD, m.len - MESSAGE_HEAD, false};
	version = take_version(&b, &random);
	(void)bytes_take(&b, 3); /* cipher and compression */
	extensions = take_extensions(&b);
	if (extensions.broken || version > TLS_1_2) {
		return -EPROTO;
	}
	while (extensions.left > 0) {
		if (!take_choice(&extensions, &version)) {
			return -EPROTO;
		}
	}
	*ret_version = version;
	return memcmp(random, retry, RANDOM_LEN) == 0;
}
