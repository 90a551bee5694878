/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a program by its name. */
#pragma once

/*
 * execvp(3) with `path` as PATH. Unlike execvp it never hands a file to /bin/sh, and an EACCES on
 * the way is remembered so that 126 and 127 are told apart. Returns only when it fails: the errno
 * of the best candidate.
 */
int exec_search(const char *path, char *const *argv, char *const *envp);
