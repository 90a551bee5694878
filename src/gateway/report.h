/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper is told. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gateway/protocol.h"

struct gateway;

/*
 * Ends of connections that wait to be told, and for how long: each wakes the keeper, which on its
 * way to the processor gets into that of who connects next. They are lost with a gateway that dies,
 * as is all of a connection that had not ended by then.
 */
#define GATEWAY_ENDS_WAITING 16
#define GATEWAY_ENDS_WAIT_MS 5

/*
 * After which time the keeper is told that there are connections, where nothing else told it. Most
 * are over by then: their end tells as much.
 */
#define GATEWAY_CONNECTED_MS 100

/* Tells the keeper. What it has no time for is not told: the sandbox's network does not go on
 * without its record, and the gateway ends. */
void report(struct gateway *g, struct gateway_message *m);

/* Tells it of the end of a connection, a moment later; before anything else is told, at the latest.
 */
void report_end(struct gateway *g, const struct gateway_message *m);

/* Those whose moment is over; and that there are connections, if it is time to say so. */
void report_due(struct gateway *g);

/* For how long there is nothing to tell, if nothing happens, in milliseconds; -1: for ever. */
int report_patience(const struct gateway *g);

/*
 * Something was refused. Of many, what is new is told, and then numbers. Returns the request's id,
 * which the keeper writes down and the sandbox is told; of what is refused again it is that of the
 * first time. 0: there are too many to have one each.
 */
uint32_t report_denial(struct gateway *g, enum gateway_denial why, const char *host, uint16_t port);

/* How a request is called to the sandbox and in the record: "SANDBOX.netN", or "" for 0. Returns
 * `out`. */
#define GATEWAY_REQUEST_SIZE 96
const char *report_id(const struct gateway *g, uint32_t id, char out[GATEWAY_REQUEST_SIZE]);

/* All that has not been told. */
void report_rest(struct gateway *g);
