/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a TLS connection (RFC 8446, RFC 5246, RFC 6066): which name a client asks for,
 * and which version a server agrees to. No input or output, no cryptography. Bytes that could be
 * read in two ways are refused: a name that is there twice, lengths that do not add up, a hello
 * that goes on in another message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A ClientHello with a large key share and many extensions is below 4 KiB; it comes in at most so
 * many bytes of records. */
#define TLS_HELLO_MAX 16384

#define TLS_NAME_MAX 253

struct tls_hello {
	char name[TLS_NAME_MAX + 1]; /* server_name, as it is sent; "" without one */
	bool ech; /* an encrypted ClientHello (RFC 9849): the name may be another one inside */
	uint16_t version; /* the highest that is offered: 0x0303 is TLS 1.2, 0x0304 TLS 1.3 */
};

/*
 * From the first `len` bytes of a client: 0 and all of *ret; -EAGAIN: so far it can be one, and
 * more bytes are needed; -EPROTO: it is none, or not without doubt; -E2BIG: it is longer than
 * TLS_HELLO_MAX. A name with a NUL, a control byte or one above 126 is -EPROTO.
 */
int tls_client_hello(const uint8_t *bytes, size_t len, struct tls_hello *ret);

/* The version that a ServerHello agrees to (supported_versions before legacy_version), from the
 * first bytes of a server: 0, -EAGAIN, -EPROTO as above; an alert is -EPROTO. */
int tls_server_hello(const uint8_t *bytes, size_t len, uint16_t *ret_version);
