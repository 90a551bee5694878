/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel and the processor. */
#include "linux/machine.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/cleanup.h"
#include "base/json.h"

static int put_bits(json_t *to, const char *where, unsigned long bits)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lx", bits);
	return json_put(to, where, json_string(text));
}

#if defined(__x86_64__)

#define BRAND_LEAF 0x80000002U /* and the two behind it: 48 bytes of text */

/* Of the name that the processor gives itself; it may be padded with blanks. */
static json_t *cpu_name(void)
{
	char name[3 * 16 + 1] = "";
	unsigned leaf, words[4];
	const char *begin;

	/* In a virtual machine each of them costs a few microseconds: the largest is asked for
	 * once. */
	if (__get_cpuid_max(0x80000000U, NULL) < BRAND_LEAF + 2) {
		return json_null();
	}
	for (leaf = 0; leaf < 3; leaf++) {
		__cpuid(BRAND_LEAF + leaf, words[0], words[1], words[2], words[3]);
		memcpy(name + leaf * sizeof(words), words, sizeof(words));
	}
	begin = name + strspn(name, " ");
	return json_text(begin);
}

static int put_cpuid(json_t *to)
{
	unsigned a, b, c, d, max = __get_cpuid_max(0, NULL);
	int r = 0;

	if (max >= 1) {
		__cpuid(1, a, b, c, d);
		r = put_bits(to, "1.eax", a); /* family, model, stepping */
		r = r < 0 ? r : put_bits(to, "1.ecx", c);
		r = r < 0 ? r : put_bits(to, "1.edx", d);
	}
	if (r >= 0 && max >= 7) {
		__cpuid_count(7, 0, a, b, c, d);
		r = put_bits(to, "7.ebx", b);
		r = r < 0 ? r : put_bits(to, "7.ecx", c);
		r = r < 0 ? r : put_bits(to, "7.edx", d);
	}
	return r;
}

#else

static json_t *cpu_name(void)
{
	return json_null();
}

static int put_cpuid(json_t *to)
{
	(void)to;
	return 0;
}

#endif

json_t *machine_facts(void)
{
	_cleanup_json_ json_t *doc = json_object(), *features = json_object();
	struct utsname names;
	int r = doc && features && uname(&names) == 0 ? 0 : -ENOMEM;

	r = r < 0 ? r : json_put(doc, "kernel", json_text(names.release));
	r = r < 0 ? r : json_put(doc, "build", json_text(names.version));
	r = r < 0 ? r : json_put(doc, "machine", json_text(names.machine));
	r = r < 0 ? r : json_put(doc, "cpu", cpu_name());
	r = r < 0 ? r : put_bits(features, "hwcap", getauxval(AT_HWCAP));
	r = r < 0 ? r : put_bits(features, "hwcap2", getauxval(AT_HWCAP2));
	r = r < 0 ? r : put_cpuid(features);
	r = r < 0 ? r : json_put(doc, "features", TAKE_PTR(features));
	return r < 0 ? NULL : TAKE_PTR(doc);
}
