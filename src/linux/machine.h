/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kernel and what processor this is, as far as the kernel and the processor themselves say it
 * without a file being read: what a run must be compared with that is to give the same again.
 */
#pragma once

#include <jansson.h>

/*
 * {"kernel": release, "build": version, "machine": uname(2)'s, "cpu": name (x86 only), "features":
 * {where: bits in hexadecimal}}: hwcap and hwcap2 as getauxval(3) has them and, on x86, the words
 * of CPUID by leaf and register. NULL: out of memory.
 */
json_t *machine_facts(void);
