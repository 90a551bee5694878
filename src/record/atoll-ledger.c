/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll-ledger: the ledger on a database server, for one keeper or command.
 *
 * Standard input is a socket to whoever started it. The first message has the URL; then requests
 * are answered one after the other (ledger_handle()), until the socket ends, or a server that has
 * gone is found out by a request that fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "record/ledger-internal.h"
#include "record/remote.h"

static int answer(json_t *reply)
{
	_cleanup_json_ json_t *taken = reply;

	return taken ? ledger_send(STDIN_FILENO, taken, LEDGER_REPLY_MAX, NULL) : -ENOMEM;
}

static int open_it(struct ledger **ret, struct err *e)
{
	_cleanup_json_ json_t *hello = NULL;
	struct ledger_config c = {};
	const char *url;
	int r = ledger_receive(STDIN_FILENO, LEDGER_REQUEST_MAX, &hello, e);

	if (r < 0) {
		return r;
	}
	url = json_string_value(json_object_get(hello, "url"));
	r = url ? store_open_postgres(&c.store, url, e)
		: err_set(e, ERR_BUG, EINVAL, "the first message has no URL");
	return r < 0 ? r : ledger_open(ret, &c, e);
}

int main(void)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	struct err e = {};

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN); /* of a terminal: whoever asks us decides when it is over */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)prctl(PR_SET_DUMPABLE, 0); /* the URL may have a password in it */
	if (open_it(&l, &e) < 0) {
		(void)answer(ledger_error(&e));
		return 1;
	}
	if (answer(json_object()) < 0) {
		return 1;
	}
	for (;;) {
		_cleanup_json_ json_t *request = NULL, *reply = NULL;

		e = (struct err){};
		if (ledger_receive(STDIN_FILENO, LEDGER_REQUEST_MAX, &request, &e) < 0) {
			return 0;
		}
		if (answer(ledger_handle(l, request, &reply, &e) < 0 ? ledger_error(&e)
								     : TAKE_PTR(reply)) < 0) {
			return 1;
		}
	}
}
