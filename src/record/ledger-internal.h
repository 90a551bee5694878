/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledger's own files share. */
#pragma once

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "record/ledger-remote.h"
#include "record/ledger.h"
#include "record/store.h"

/* A team in a department in a company, and as much again. */
#define LEDGER_DEPTH 8
/* What a page of a listing holds at most, so that a reply stays within LEDGER_REPLY_MAX. */
#define LEDGER_PAGE        500
#define LEDGER_REQUEST_MAX (64 * 1024)
#define LEDGER_REPLY_MAX   (4 * 1024 * 1024)
#define LEDGER_NAME_MAX    64
#define LEDGER_DAY_MS      86400000LL
/* Of any amount that is said to the ledger. */
#define LEDGER_MOST (1LL << 60)

struct ledger {
	struct store *store; /* NULL: the other end of `fd` has it */
	int fd;
	int answer_ms;
	char *path; /* of a socket that is served; NULL: `fd` is atoll-ledger's of our own */
	struct ledger_flight flight;
	pid_t server;
	int64_t (*clock_ms)(void *arg);
	int64_t (*up_ms)(void *arg);
	void *clock_arg;
	char boot[64]; /* of a ledger that is served */
};

/* One request on its way. */
struct ledger_call {
	struct store *s;
	const json_t *in;
	json_t *out;
	int64_t now_ms; /* never before what the ledger has seen */
	int64_t host_ms;
	int64_t uid;      /* who asks; LEDGER_OWNER */
	const char *boot; /* of the writer's host, and how long that is up */
	int64_t up_ms;
};

/* Out of memory, or the members of *c that an op has put in. */
int ledger_no_memory(struct err *e);

/* ---- requests (ledger-handle.c) ---- */

/* A name of ours: letters, digits, '.', '_', '-'. */
int ledger_name(const struct ledger_call *c, const char *key, const char **ret, struct err *e);
/* A text of one line, up to `max` bytes; `otherwise` where it is not there (NULL: it must be). */
int ledger_text(const struct ledger_call *c, const char *key, size_t max, const char *otherwise,
		const char **ret, struct err *e);
/* A number that is not negative; `otherwise` where it is not there (-1: it must be). */
int ledger_amount(const json_t *in, const char *key, int64_t otherwise, int64_t *ret,
		  struct err *e);
/* -1 for another word. */
int ledger_dimension_of(const char *word);

int64_t ledger_day(int64_t ms);
/* The first day of its month. */
int64_t ledger_month(int64_t day);
/* "2026-11-30" and back; -EINVAL. */
void ledger_day_text(int64_t day, char text[16]);
int ledger_day_parse(const char *text, int64_t *ret, struct err *e);

/* ---- tables (ledger-schema.c) ---- */

int ledger_migrate(struct store *s, struct err *e);

/* ---- accounts and budgets (ledger-account.c) ---- */

struct ledger_account {
	char name[LEDGER_NAME_MAX + 1];
	char currency[4];
	char prices[LEDGER_NAME_MAX + 1];
};

/* -ENOENT with the remedy. */
int ledger_find(struct ledger_call *c, const char *name, struct ledger_account *ret, struct err *e);

/* A budget that binds an account, of its own or of one above, as it stands. */
struct ledger_budget {
	const char *account, *period, *model;
	enum ledger_dimension dimension;
	int64_t amount, warn, spent, held;
};
typedef int ledger_budget_fn(void *arg, const struct ledger_budget *b, struct err *e);
int ledger_budgets(struct ledger_call *c, const char *account, ledger_budget_fn *fn, void *arg,
		   struct err *e);

/* How it is said: "4.20 EUR", "90 s". */
void ledger_amount_text(enum ledger_dimension d, int64_t amount, const char *currency,
			char text[64]);

int ledger_op_create(struct ledger_call *c, struct err *e);
int ledger_op_close(struct ledger_call *c, struct err *e);
int ledger_op_list(struct ledger_call *c, struct err *e);
int ledger_op_show(struct ledger_call *c, struct err *e);
int ledger_op_set_budget(struct ledger_call *c, struct err *e);

/* ---- prices (ledger-price.c) ---- */

struct ledger_prices {
	int64_t sheet; /* 0: there is none */
	int64_t of[LEDGER_DIMENSIONS];
};

/* Those in force now, for an account; or those of a sheet, by number. */
int ledger_prices_find(struct ledger_call *c, const struct ledger_account *a,
		       struct ledger_prices *ret, struct err *e);
int ledger_prices_of(struct ledger_call *c, int64_t sheet, struct ledger_prices *ret,
		     struct err *e);
/* What that much costs, rounded up; -EOVERFLOW. */
int ledger_cost(const struct ledger_prices *p, const int64_t used[LEDGER_DIMENSIONS], int64_t *ret,
		struct err *e);
/* The same for tokens of a model, by its price or that of "*". */
int ledger_tokens_cost(struct ledger_call *c, int64_t sheet, const char *model, int64_t in,
		       int64_t out, int64_t *ret, struct err *e);

int ledger_op_price_add(struct ledger_call *c, struct err *e);
int ledger_op_price_show(struct ledger_call *c, struct err *e);

/* ---- spending (ledger-reserve.c, ledger-spend.c, ledger-requests.c) ---- */

int ledger_op_reserve(struct ledger_call *c, struct err *e);
int ledger_op_settle(struct ledger_call *c, struct err *e);
int ledger_op_release(struct ledger_call *c, struct err *e);
int ledger_op_return(struct ledger_call *c, struct err *e);
int ledger_op_tokens_reserve(struct ledger_call *c, struct err *e);
int ledger_op_tokens(struct ledger_call *c, struct err *e);

/* ---- what was used (ledger-report.c) ---- */
int ledger_op_usage(struct ledger_call *c, struct err *e);
int ledger_op_report(struct ledger_call *c, struct err *e);
int ledger_op_orphans(struct ledger_call *c, struct err *e);

/* ---- anchors (ledger-anchor.c), agents (ledger-agent.c) ---- */

int ledger_op_anchor(struct ledger_call *c, struct err *e);
int ledger_op_retire(struct ledger_call *c, struct err *e);
int ledger_op_anchors(struct ledger_call *c, struct err *e);
int ledger_op_agent(struct ledger_call *c, struct err *e);
int ledger_op_agents(struct ledger_call *c, struct err *e);
int ledger_op_agent_lower(struct ledger_call *c, struct err *e);
int ledger_op_agent_restore(struct ledger_call *c, struct err *e);
