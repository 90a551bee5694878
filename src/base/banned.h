/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that nobody here may call; the build includes this file before every C file. */
#pragma once

/*
 * A poisoned name is an error wherever it appears, so the system headers that declare the names
 * come first. What to use instead:
 *   unbounded copies and prints   base/buf.h, snprintf, memcpy with a checked length
 *   numbers from text             strtol and friends with all their errors checked
 *   strtok, asctime and the like  their hidden state is shared by threads: the _r forms
 *   system, popen                 posix_spawn or clone with an explicit argument list
 *   tmpnam, mktemp                O_TMPFILE, memfd_create, mkstemp in a directory of ours
 *   alloca                        a bounded array or the heap
 */
#ifndef __ASSEMBLER__
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#undef alloca

#pragma GCC poison strcpy strcat strncpy strncat stpcpy stpncpy
#pragma GCC poison wcscpy wcscat wcsncpy wcsncat
#pragma GCC poison sprintf vsprintf gets
#pragma GCC poison scanf fscanf sscanf vscanf vfscanf vsscanf
#pragma GCC poison atoi atol atof
#pragma GCC poison strtok asctime ctime gmtime localtime
#pragma GCC poison system popen
#pragma GCC poison tmpnam tempnam mktemp
#pragma GCC poison alloca
#endif
