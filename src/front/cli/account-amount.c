/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts of the ledger as people write and read them. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "front/cli/account-internal.h"
#include "policy/scalar.h"

#define MOST    (1LL << 60)
#define DECIMAL 6

int account_millionths(const char *text, int64_t *ret, struct err *e)
{
	const char *p = text;
	int64_t n = 0;
	int decimals = -1, digits = 0;

	for (; *p; p++) {
		if (*p == '.' && decimals < 0 && digits > 0) {
			decimals = 0;
			continue;
		}
		if (!isdigit((unsigned char)*p) || decimals == DECIMAL) {
			break;
		}
		digits++;
		decimals += decimals >= 0;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n)) {
			break;
		}
	}
	for (int i = decimals < 0 ? 0 : decimals; i < DECIMAL && *p == '\0'; i++) {
		if (__builtin_mul_overflow(n, 10, &n)) {
			n = MOST + 1;
			break;
		}
	}
	if (*p != '\0' || digits == 0 || decimals == 0 || n > MOST) {
		return err_set(e, ERR_USER, EINVAL,
			       "'%s' is no amount; write digits, with at most %d decimals", text,
			       DECIMAL);
	}
	*ret = n;
	return 0;
}

/* What one of the scalars of a policy says, in parts that the ledger counts. */
static int scaled(int r, uint64_t n, uint64_t part, const char *text, const char *form,
		  int64_t *ret, struct err *e)
{
	if (r < 0 || n / part > MOST) {
		return err_set(e, ERR_USER, EINVAL, "'%s' is no amount of it; write %s", text,
			       form);
	}
	*ret = (int64_t)(n / part);
	return 0;
}

int account_amount(enum ledger_dimension d, const char *text, int64_t *ret, struct err *e)
{
	uint64_t n = 0;
	int r;

	switch (d) {
	case LEDGER_MONEY:
		return account_millionths(text, ret, e);
	case LEDGER_CPU:
	case LEDGER_WALL:
		r = scalar_duration(text, &n);
		return scaled(r, n, 1000000, text, "a time, as 90s or 10h", ret, e);
	case LEDGER_MEMORY:
		r = account_millionths(text, ret, e);
		*ret = r < 0 ? 0 : *ret / 1000000 * 1024 + *ret % 1000000 * 1024 / 1000000;
		return r < 0 ? err_set(e, ERR_USER, EINVAL,
				       "'%s' is no amount of it; write GiB-seconds, as 3600", text)
			     : 0;
	case LEDGER_EGRESS:
		r = scalar_size(text, &n);
		return scaled(r, n, 1, text, "a size, as 10GiB", ret, e);
	case LEDGER_SANDBOXES:
	case LEDGER_TOKENS:
	case LEDGER_DIMENSIONS:
		break;
	}
	r = scalar_int(text, &n);
	return scaled(r, n, 1, text, "a whole number", ret, e);
}

struct account_text account_amount_text(const char *dimension, int64_t amount, const char *currency)
{
	struct account_text t;
	char scalar[SCALAR_TEXT_SIZE];
	uint64_t n = amount > 0 ? (uint64_t)amount : 0;

	if (strcmp(dimension, "money") == 0) {
		(void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%02" PRIu64 "%s%s", n / 1000000,
			       n % 1000000 / 10000, *currency ? " " : "", currency);
		if (n % 10000 != 0) {
			(void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%06" PRIu64 "%s%s",
				       n / 1000000, n % 1000000, *currency ? " " : "", currency);
		}
	} else if (strcmp(dimension, "memory") == 0) {
		(void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%02" PRIu64 " GiB-s", n / 1024,
			       n % 1024 * 100 / 1024);
	} else if (strcmp(dimension, "egress") == 0) {
		(void)snprintf(t.s, sizeof(t.s), "%s", scalar_size_text(n, scalar));
	} else if ((strcmp(dimension, "cpu") == 0 || strcmp(dimension, "wall") == 0) &&
		   n < UINT64_MAX / 1000000) {
		(void)snprintf(t.s, sizeof(t.s), "%s", scalar_duration_text(n * 1000000, scalar));
	} else {
		(void)snprintf(t.s, sizeof(t.s), "%" PRIu64, n);
	}
	return t;
}
