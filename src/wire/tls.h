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
	bool ech; /* an encrypted ClientHello (RFC 9849, drafts): the name inside may be another */
	uint16_t version; /* the highest that is offered: 0x0303 is TLS 1.2, 0x0304 TLS 1.3 */
	size_t size;      /* how many of the bytes are it: its records */
};

/*
 * From the first `len` bytes of a client: 0 and all of *ret; -EAGAIN: so far it can be one, and
 * more bytes are needed; -EPROTO: it is none, or not without doubt; -E2BIG: it does not end within
 * TLS_HELLO_MAX bytes. A name with a byte below 33 or above 126 is -EPROTO. Whatever it says but
 * -EAGAIN, it also says with more bytes; what follows the hello's last record is not looked at.
 */
int tls_client_hello(const uint8_t *bytes, size_t len, struct tls_hello *ret);

/*
 * The version that a ServerHello agrees to (supported_versions before legacy_version), from the
 * first bytes of a server: as above, but that more may be in its record, and 1 for a request to try
 * again. A second ClientHello answers that, and no server has to compare its name with the first
 * one's. An alert is -EPROTO.
 */
int tls_server_hello(const uint8_t *bytes, size_t len, uint16_t *ret_version);
