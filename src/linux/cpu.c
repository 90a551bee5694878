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

void cpu_push(pid_t child, const cpu_set_t *all)
{
	cpu_set_t others = *all;
	int here = sched_getcpu();

	if (here >= 0) {
		CPU_CLR((size_t)here, &others);
	}
	if (CPU_COUNT(&others) > 0) {
		(void)sched_setaffinity(child, sizeof(others), &others);
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
