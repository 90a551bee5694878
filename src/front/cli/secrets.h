/* SPDX-License-Identifier: Apache-2.0 */
/* What of a plan may be secrets. */
#pragma once

#include <jansson.h>

/*
 * What a sandbox of this plan (as its record has it; anything may stand there) was given that may
 * be a secret: [{kind, name}, ...], each once. Kind "variable": a variable of the caller's;
 * "place": a place below HOME where programs keep credentials, relative to it, that it could read
 * ("": all of them). The caller owns it; NULL: out of memory.
 */
json_t *secrets_of(const json_t *plan);

/* "$TOKEN" or "~/.aws", as far as it fits. */
#define SECRET_TEXT_SIZE 128
const char *secret_text(const json_t *secret, char out[SECRET_TEXT_SIZE]);
