/* SPDX-License-Identifier: Apache-2.0 */
/* Fault injection: in a build with -Dfault=true the FAULT-th fallible call fails. */
#pragma once

#include <stdbool.h>

#ifdef ATOLL_FAULT
/* True when this call is the one to fail: the n-th since the last fault_arm(n); 0 disarms. */
bool fault_hit(void);
void fault_arm(unsigned long n);
/* Fallible calls seen since the last fault_arm(). */
unsigned long fault_seen(void);
#else
static inline bool fault_hit(void)
{
	return false;
}
#endif
