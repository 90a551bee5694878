/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses inside a sandbox with egress by name. Its network namespace has nothing but lo, and
 * a route by which every address is local: a connection arrives at whoever listens at its address,
 * and is refused at once where nobody does. A name stands for an address out of a range that means
 * nothing anywhere else (RFC 2544), and the gateway listens there.
 */
#pragma once

#include <stdint.h>

/* In the order of the host. */
#define EGRESS_NET   0xc6120000U /* 198.18.0.0/15 */
#define EGRESS_MASK  0xfffe0000U
#define EGRESS_OWN   0xc6120001U /* 198.18.0.1: of lo, and where ports are held (see below) */
#define EGRESS_DNS   0xc6120002U /* 198.18.0.2, port 53: what resolv.conf says */
#define EGRESS_FIRST 0xc6120100U /* 198.18.1.0: that of the first name */
#define EGRESS_LAST  0xc613feffU

#define EGRESS_DNS_TEXT "198.18.0.2"

/*
 * Different ports in the rules of one plan. At EGRESS_OWN each of them is bound to and nobody
 * listens: a payload that binds it on all addresses is told that it is in use, and does not get
 * what was meant for a name.
 */
#define EGRESS_PORTS_MAX 64
