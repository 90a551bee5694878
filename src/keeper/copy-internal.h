/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about copies share: names in a sandbox's directory, and how its copy is opened. */
#pragma once

#include <stdint.h>

struct copy;
struct dirs;
struct err;
struct stat;
struct state_sandbox;

#define COPY_NOTE  "sandbox.json"
#define COPY_KEPT  "kept.json"
#define COPY_DIR   "copy"
#define COPY_FILES "files" /* in COPY_DIR: it is to hold every file */
#define COPY_DIRS  "dirs"  /* the original's directories, as it was copied */
#define COPY_WHOLE "whole" /* and does */
/* Until the sandbox has ended: room on disk for COPY_KEPT, which a payload that fills it leaves
 * none. */
#define COPY_RESERVED "." COPY_KEPT

/* A descriptor of COPY_DIR; -ENOENT without a word. */
int copy_open(const struct state_sandbox *home, struct err *e);

/* The upper layer of an image in COPY_DIR. Without a word: -ENOENT, there is no image; -ENODATA,
 * nobody has come to make layers in it. */
int copy_open_image(int dir, struct err *e);

/* Those that COPY_DIRS names. None where that cannot be read: less of what the payload has removed
 * is shown then, and nothing else. */
void copy_read_dirs(int dir, struct dirs *ret);

/* Since when COPY_DIR holds every file; 0: it does not, or is not whole. */
int64_t copy_whole_since(int dir);

int64_t copy_ctime_of(const struct stat *st);

/* Lets its descriptors go, and with the last of them an image. */
void copy_close(struct copy *c);
