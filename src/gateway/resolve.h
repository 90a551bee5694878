/* SPDX-License-Identifier: Apache-2.0 */
/* Asking what a name leads to: the host's /etc/hosts, then its name servers (c-ares). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "policy/address.h"

struct err;
struct gateway;
struct resolver;

#define RESOLVED_MAX 16

struct resolved {
	/* 0; -ENOENT: there is no such name, or it has no address; -EAGAIN: no server answered. */
	int status;
	struct address list[RESOLVED_MAX];
	size_t n;
	int64_t until_ns; /* by clock_now_ns(): how long it may be used */
};

/* With the texts of resolv.conf(5) and hosts(5), of which what no rule names is forgotten. Opens no
 * file. */
int resolver_new(struct gateway *g, const char *resolv_conf, const char *hosts,
		 struct resolver **ret, struct err *e);

/* The host says something else now. What is being asked meanwhile has no answer. */
void resolver_renew(struct resolver *r, const char *resolv_conf, const char *hosts);

/* Calls `done` once, at once or later. */
void resolver_ask(struct resolver *r, const char *host,
		  void (*done)(void *arg, const struct resolved *r), void *arg);

/* How long the gateway may wait before resolver_tick(), in milliseconds; -1: for ever. */
int resolver_timeout(const struct resolver *r);
void resolver_tick(struct resolver *r);
