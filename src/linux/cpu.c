/* SPDX-License-Identifier: Apache-2.0 */
/* Where a child starts. */
#include "linux/cpu.h"

#include <errno.h>

#include "base/err.h"

bool cpu_affinity(pid_t pid, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	return sched_getaffinity(pid, sizeof(*ret), ret) == 0;
}

bool cpu_others(const cpu_set_t *all, cpu_set_t *ret)
{
	int here = sched_getcpu();

	*ret = *all;
	if (here >= 0) {
		CPU_CLR((size_t)here, ret);
	}
	return here >= 0 && CPU_COUNT(ret) > 0;
}

void cpu_move(pid_t pid, const cpu_set_t *where)
{
	(void)sched_setaffinity(pid, sizeof(*where), where);
}

void cpu_push(pid_t child, const cpu_set_t *all)
{
	cpu_set_t others;

	if (cpu_others(all, &others)) {
		cpu_move(child, &others);
	}
}

int cpu_restore(const cpu_set_t *all, struct err *e)
{
	cpu_set_t now;

	/* Where sched_setaffinity(2) is filtered, the push has failed and so would this. */
	if (cpu_affinity(0, &now) && CPU_EQUAL(&now, all)) {
		return 0;
	}
	return sched_setaffinity(0, sizeof(*all), all) < 0
		       ? err_sys(e, errno, "cannot take the CPU affinity back")
		       : 0;
}
