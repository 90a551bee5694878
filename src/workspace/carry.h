/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying an upper layer (change.h) from one file system to another: from a tmpfs, which ends with
 * its sandbox, to the disk, where its changes wait for somebody to look at them.
 *
 * The layer was written by a payload, and nobody writes it any more. It is read like every other
 * tree of a payload's: through descriptors, without following a link, a bounded number of them held
 * whatever the depth. What is made belongs to the caller, and is the same layer: whiteouts, opaque
 * directories, several names of one file, holes, modes but set-id bits, times, attributes user.*.
 */
#pragma once

struct err;

/*
 * Makes `name` in directory `dir` a copy of the directory `from`: whole, or it is not there. 0, or
 * negative errno with the name that was at work in *e. -EMLINK: a file has more names than the file
 * system of `dir` allows. Memory: the names of the directories beside those on the way to the one
 * at work.
 */
int carry_layer(int from, int dir, const char *name, struct err *e);
