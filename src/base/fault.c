/* SPDX-License-Identifier: Apache-2.0 */
/* The counter behind fault injection; empty in every other build. */
#include "base/fault.h"

#ifdef ATOLL_FAULT
static unsigned long fault_at;    /* global: armed by a test of this process */
static unsigned long fault_count; /* global: as above */

void fault_arm(unsigned long n)
{
	fault_at = n;
	fault_count = 0;
}

unsigned long fault_seen(void)
{
	return fault_count;
}

bool fault_hit(void)
{
	return ++fault_count == fault_at;
}
#endif
