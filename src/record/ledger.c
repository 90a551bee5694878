/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as its users have it: requests and replies behind functions. */
#include "record/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record/ledger-internal.h"
#include "record/ledger-anchor.h"
#include "record/ledger-flight.h"
#include "record/ledger-tokens.h"

/* The one of the kernel that runs: a process number means nothing without it. */
static void boot_id(char text[64])
{
	_cleanup_fd_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, 63);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static int open_store(struct ledger *l, const struct ledger_config *c, struct err *e)
{
	int r;

	if (!c->store && c->url && strcmp(c->url, "sqlite") != 0) {
		return ledger_remote_open(l, c->program, c->url, e);
	}
	r = c->store ? 0 : store_open_sqlite(&l->store, c->home, e);
	if (c->store) {
		l->store = c->store;
	}
	return r < 0 ? r : ledger_migrate(l->store, e);
}

int ledger_open(struct ledger **ret, const struct ledger_config *c, struct err *e)
{
	_cleanup_ledger_ struct ledger *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		return ledger_no_memory(e);
	}
	l->fd = FD_NONE;
	l->clock_ms = c->clock_ms;
	l->up_ms = c->up_ms;
	l->clock_arg = c->clock_arg;
	l->answer_ms = c->answer_ms;
	if (c->serves) {
		boot_id(l->boot);
	}
	r = open_store(l, c, e);
	if (r >= 0) {
		*ret = TAKE_PTR(l);
	}
	return r < 0 ? r : 0;
}

void ledger_close(struct ledger *l)
{
	if (!l) {
		return;
	}
	if (l->store) {
		l->store->ops->close(l->store);
	}
	ledger_remote_close(l);
	free(l);
}

void ledger_patience(struct ledger *l, int ms)
{
	if (l->store && l->store->ops->patience) {
		l->store->ops->patience(l->store, ms);
	}
}

bool ledger_is_remote(const struct ledger *l)
{
	return !l->store;
}

int ledger_call(struct ledger *l, json_t *request, json_t **reply, struct err *e)
{
	_cleanup_json_ json_t *taken = request, *got = NULL;
	int r;

	if (!taken) {
		return ledger_no_memory(e);
	}
	r = l->store ? ledger_handle(l, taken, &got, e) : ledger_remote_call(l, taken, &got, e);
	if (r >= 0 && reply) {
		*reply = TAKE_PTR(got);
	}
	return r;
}

/* ---- spending ---- */

static int put_amount(json_t *o, enum ledger_dimension d, int64_t amount)
{
	return amount == 0 ? 0 : json_put(o, ledger_dimension(d), json_integer(amount));
}

int ledger_reserve(struct ledger *l, const struct ledger_reservation *v, json_t **reply,
		   struct err *e)
{
	_cleanup_json_ json_t *most = json_object(), *step = json_object();
	char boot[64];
	int r = most && step ? 0 : -ENOMEM;

	for (int d = 0; d < LEDGER_DIMENSIONS && r >= 0; d++) {
		r = put_amount(most, (enum ledger_dimension)d, v->of[d].most);
		r = r < 0 ? r : put_amount(step, (enum ledger_dimension)d, v->of[d].step);
	}
	if (r < 0) {
		return ledger_no_memory(e);
	}
	boot_id(boot);
	return ledger_call(l,
			   json_pack("{s:s, s:s, s:s, s:o, s:I, s:s, s:O, s:O}", "op", "reserve",
				     "sandbox", v->sandbox, "account", v->account, "user",
				     json_text(v->user ? v->user : ""), "keeper",
				     (json_int_t)v->keeper, "boot", boot, "most", most, "step",
				     step),
			   reply, e);
}

static json_t *usage_request(const char *op, const char *sandbox, const struct ledger_usage *u)
{
	json_t *used = json_object();

	for (int d = 0; used && d < LEDGER_DIMENSIONS; d++) {
		if (put_amount(used, (enum ledger_dimension)d, u->of[d]) < 0) {
			json_decref(used);
			return NULL;
		}
	}
	return used ? json_pack("{s:s, s:s, s:b, s:o}", "op", op, "sandbox", sandbox, "idle",
				u->idle, "used", used)
		    : NULL;
}

/* An answer that cannot be understood is none that lets anything go on. */
static enum ledger_answer answer_of(const json_t *reply)
{
	const char *word = json_string_value(json_object_get(reply, "answer"));

	return !word                       ? LEDGER_EXHAUSTED
	       : strcmp(word, "ok") == 0   ? LEDGER_OK
	       : strcmp(word, "warn") == 0 ? LEDGER_WARN
					   : LEDGER_EXHAUSTED;
}

static void take_answer(const json_t *reply, enum ledger_answer *ret, char why[256])
{
	const char *text = json_string_value(json_object_get(reply, "why"));

	*ret = answer_of(reply);
	(void)snprintf(why, 256, "%s", text ? text : "");
}

int ledger_settle(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
		  enum ledger_answer *ret, char why[256], struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ledger_call(l, usage_request("settle", sandbox, u), &reply, e);

	if (r >= 0) {
		take_answer(reply, ret, why);
	}
	return r;
}

int ledger_settle_begin(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
			struct err *e)
{
	_cleanup_json_ json_t *request = usage_request("settle", sandbox, u);

	return request ? ledger_remote_begin(l, request, true, e) : ledger_no_memory(e);
}

int ledger_settle_hear(struct ledger *l, enum ledger_answer *ret, char why[256], struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ledger_remote_step(l, &reply, e);

	if (r >= 0) {
		take_answer(reply, ret, why);
	}
	return r;
}

int ledger_release(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
		   json_t **reply, struct err *e)
{
	return ledger_call(l, usage_request("release", sandbox, u), reply, e);
}

int ledger_return(struct ledger *l, const char *sandbox, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ledger_call(l, json_pack("{s:s, s:s}", "op", "return", "sandbox", sandbox), &reply,
			    e);

	return r < 0 ? r : json_is_true(json_object_get(reply, "held"));
}

int ledger_tokens_reserve(struct ledger *l, const char *sandbox, const char *request,
			  const char *model, int64_t in, int64_t out, struct err *e)
{
	return ledger_call(l,
			   json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "op", "tokens-reserve",
				     "sandbox", sandbox, "request", request, "model", model, "in",
				     (json_int_t)in, "out", (json_int_t)out),
			   NULL, e);
}

int ledger_tokens_tell(struct ledger *l, const char *sandbox, const char *request,
		       const char *model, const char *version, int64_t in, int64_t out,
		       int64_t *ret_money, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ledger_call(l,
			    json_pack("{s:s, s:s, s:s*, s:s, s:s, s:I, s:I}", "op", "tokens",
				      "sandbox", sandbox, "request", request, "model", model,
				      "version", version, "in", (json_int_t)in, "out",
				      (json_int_t)out),
			    &reply, e);

	if (r < 0) {
		return r;
	}
	*ret_money = json_integer_value(json_object_get(reply, "money"));
	return answer_of(reply) != LEDGER_EXHAUSTED
		       ? 0
		       : err_set(e, ERR_POLICY, EDQUOT, "%s",
				 json_string_value(json_object_get(reply, "why")));
}

int ledger_tokens(struct ledger *l, const char *sandbox, const char *model, const char *version,
		  int64_t in, int64_t out, int64_t *ret_money, struct err *e)
{
	return ledger_tokens_tell(l, sandbox, NULL, model, version, in, out, ret_money, e);
}

/* ---- anchors ---- */

int ledger_anchor(struct ledger *l, const char *sandbox, int64_t size, const char *head,
		  const char *root, const char *signature, int64_t *ret_n, struct err *e)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ledger_call(l,
			    json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "op", "anchor", "sandbox",
				      sandbox, "size", (json_int_t)size, "head", head, "root", root,
				      "signature", signature),
			    &reply, e);

	if (r >= 0 && ret_n) {
		*ret_n = json_integer_value(json_object_get(reply, "n"));
	}
	return r;
}

int ledger_retire(struct ledger *l, const char *sandbox, const char *why, struct err *e)
{
	return ledger_call(
		l, json_pack("{s:s, s:s, s:s}", "op", "retire", "sandbox", sandbox, "why", why),
		NULL, e);
}
