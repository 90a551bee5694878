/* SPDX-License-Identifier: Apache-2.0 */
/* What bench-serve and bench-load have agreed upon. */
#pragma once

/* Of a small request, and of its answer. */
#define LOAD_BYTES 100
#define LOAD_HOST  "good.example"
