/* SPDX-License-Identifier: Apache-2.0 */
/* What all stores share. */
#include "record/store.h"

#include <errno.h>

#include "base/err.h"
#include "base/fault.h"

int store_run(struct store *s, const char *sql, const struct store_arg *args, size_t n,
	      store_row *fn, void *arg, struct err *e)
{
	if (fault_hit()) {
		return err_set(e, ERR_SYSTEM, EIO, "the ledger cannot be written");
	}
	return s->ops->run(s, sql, args, n, fn, arg, e);
}

int store_number(void *arg, const struct store_cell *cells, struct err *e)
{
	int64_t *n = arg;

	(void)e;
	*n = cells[0].num;
	return 0;
}
