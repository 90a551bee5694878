/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: the supervisor process of one sandbox. */
#pragma once

/*
 * Runs the life of one sandbox; called in a process of its own, re-exec'd by the front, with the
 * front's socket as KEEPER_FD_FRONT. Returns the exit status of the process.
 */
int keeper_main(void);
