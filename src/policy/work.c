/* SPDX-License-Identifier: Apache-2.0 */
/* Asking all directories that are worked on. */
#include "policy/work.h"

#include "policy/path.h"
#include "policy/plan.h"

size_t plan_n_works(const struct plan *p)
{
	return p->n_more + (p->workspace_mode != WORKSPACE_NONE);
}

const struct plan_path *plan_work(const struct plan *p, size_t i, enum workspace_mode *ret_mode)
{
	if (p->workspace_mode != WORKSPACE_NONE && i-- == 0) {
		*ret_mode = p->workspace_mode;
		return &p->workspace;
	}
	*ret_mode = p->more[i].mode;
	return &p->more[i].place;
}

bool plan_has_copy(const struct plan *p)
{
	bool found = p->workspace_mode == WORKSPACE_COPY;

	for (size_t i = 0; i < p->n_more; i++) {
		found = found || p->more[i].mode == WORKSPACE_COPY;
	}
	return found;
}

const struct plan_path *plan_work_around(const struct plan *p, const char *path,
					 enum workspace_mode least)
{
	for (size_t i = 0; i < plan_n_works(p); i++) {
		enum workspace_mode mode;
		const struct plan_path *work = plan_work(p, i, &mode);

		if (mode >= least && path_within(path, work->path)) {
			return work;
		}
	}
	return NULL;
}
