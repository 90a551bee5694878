/* SPDX-License-Identifier: Apache-2.0 */
/* The host view: what of the host's files every payload may read, by table. */
#pragma once

/* The host's programs, absolute, NULL-terminated. On merged-/usr hosts all but /usr are links. */
extern const char *const hostview_trees[];

/*
 * What programs need of /etc, absolute, NULL-terminated. Nothing that holds settings, accounts or
 * credentials of the host is on the table (no gitconfig, npmrc, pip.conf, ssl/private, shadow).
 */
extern const char *const hostview_etc[];
