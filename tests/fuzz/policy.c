/* SPDX-License-Identifier: Apache-2.0 */
/* The loader of policy documents: any bytes either load or give one error with its place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char name[] = "fuzz.yaml:";
	struct policy p;
	struct err e = {};
	int r = policy_load("fuzz.yaml", LAYER_FILE, (const char *)data, size, &p, &e);

	if (r >= 0) {
		/* What was accepted is complete and bounded. */
		if (!p.v[KEY_VERSION].set || e.code != 0) {
			abort();
		}
	} else if (e.kind != ERR_POLICY || e.code != EINVAL ||
		   strncmp(e.msg, name, sizeof(name) - 1) != 0) {
		abort();
	}
	policy_done(&p);
	return 0;
}
