/* SPDX-License-Identifier: Apache-2.0 */
/* Names outside ASCII, as people write them in policies. What a payload or a server sends is never
 * converted: there names are A-labels, or none. */
#pragma once

#include <stddef.h>

struct err;

/*
 * The text of a rule (policy/hostname.h) with its host as A-labels: mapped, checked and encoded by
 * UTS 46, nontransitional (what browsers do); what characters the result may have is for
 * hostname_canonical(). A text in ASCII stays as it
 * is. 0, or -EINVAL with the reason (kind ERR_POLICY, no place).
 */
int idn_to_ascii(const char *text, char *out, size_t size, struct err *e);
