/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that come with atoll and are started only where they are needed. */
#pragma once

#include <limits.h>

struct err;

/*
 * Where it is: in ../libexec/atoll where we are installed, beside us in a build tree. Whoever can
 * change those directories can change this program too. -EOPNOTSUPP, with `needed`, half a sentence
 * on what it is needed for ("so ...").
 */
int program_find(const char *name, const char *needed, char path[PATH_MAX], struct err *e);
