/* SPDX-License-Identifier: Apache-2.0 */
/* atoll-init as the inner side of `atoll cp`. */
#pragma once

/* argv as in linux/parcel.h; the exit status: 1 where it could not go on, 125 for other arguments.
 */
int copy_main(int argc, char **argv);
