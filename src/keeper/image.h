/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image of a copy: a file of a fixed size with an ext4 in it, mounted through a loop device.
 * What is written there cannot outgrow it, whoever looks. Root's alone: nobody else may mount.
 *
 *   IMAGE/upper, IMAGE/work   the layers of an overlay, as keeper/copy.h has them
 *
 * A payload writes to it through file systems only, never to its bytes; and what is mounted is
 * attached nowhere: it is there for who holds its descriptor.
 */
#pragma once

#include <stdint.h>

struct err;

#define IMAGE_NAME "image"

/* The host's mkfs.ext4(8), by its path; NULL: there is none. */
const char *image_program(void);

/*
 * Makes the image in directory `dir`, sparse, and returns its mount, detached and writable. It
 * needs mkfs.ext4(8) and a loop device; e says what is missing.
 */
int image_make(int dir, uint64_t size, struct err *e);

/* The mount of an image that is there, read-only. -ENOENT, without a word: `dir` has none. -EBUSY:
 * the sandbox that writes it is not all gone. */
int image_open(int dir, struct err *e);
