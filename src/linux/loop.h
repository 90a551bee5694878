/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop devices (loop(4)): a file as a disk. They need root and /dev/loop-control. A device is let
 * go by the kernel when its last user has closed it, so that nobody has to remember it.
 */
#pragma once

#include <stdbool.h>

struct err;

#define LOOP_PATH_SIZE 32

/*
 * Makes the regular file `fd`, opened for writing unless `read_only`, the content of a free device,
 * whose path is left in `path`. Returns the device's descriptor: to be held until it is mounted.
 * -EBUSY: a device writes to that file, so that another one would see half of it.
 */
int loop_attach(int fd, bool read_only, char path[LOOP_PATH_SIZE], struct err *e);
