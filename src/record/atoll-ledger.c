/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll-ledger: the ledger on a database server, for one keeper or command; and, as `atoll-ledger
 * serve`, a ledger in a file for all users of a host (ledger-start.c, ledger-server.c).
 *
 * For one of them: standard input is a socket to whoever started it. The first message has the URL;
 * then requests are answered one after the other (ledger_handle()), until the socket ends, or a
 * server that has gone is found out by a request that fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/ledger-internal.h"
#include "record/ledger-server.h"
#include "record/ledger-start.h"
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

static int fail(const struct err *e)
{
	(void)fprintf(stderr, "atoll-ledger: %s\n", e->msg);
	return 1;
}

/* Sorting in memory: there is no other place behind the walls. */
static int open_file(const struct serve *s, struct ledger **ret, struct err *e)
{
	struct ledger_config c = {.serves = true};
	int r = store_open_sqlite(&c.store, s->home, e);

	r = r < 0 ? r : store_run(c.store, "PRAGMA temp_store=MEMORY", NULL, 0, NULL, NULL, e);
	return r < 0 ? r : ledger_open(ret, &c, e);
}

static int serve(int argc, char **argv)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	struct ledger_server *server = NULL;
	struct err e = {};
	struct serve s;
	sigset_t ends;
	int stop, r = serve_parse(&s, argc, argv, &e);

	if (r != 0) {
		return r > 0 ? 0 : fail(&e);
	}
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &ends, NULL);
	stop = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	(void)umask(077);
	r = stop < 0 ? err_sys(&e, errno, "cannot wait for signals") : serve_open(&s, &e);
	r = r < 0 ? r : open_file(&s, &l, &e);
	r = r < 0 ? r
		  : ledger_server_new(&server, s.listener, l, &ledger_server_limits_default, &e);
	/* Behind the walls there is no /dev/urandom: the seed would be the time, and who sends
	 * names that collide would know it. */
	json_object_seed(0);
	r = r < 0 ? r : ledger_server_confine(s.home, &e);
	while (r == 0) {
		r = ledger_server_turn(server, stop, -1, &e);
	}
	ledger_server_free(server);
	return r < 0 ? fail(&e) : 0;
}

int main(int argc, char **argv)
{
	_cleanup_ledger_ struct ledger *l = NULL;
	struct err e = {};

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 1) {
		return strcmp(argv[1], "serve") == 0
			       ? serve(argc - 1, argv + 1)
			       : (fprintf(stderr, "usage: atoll-ledger serve [--help]\n"), 1);
	}
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
