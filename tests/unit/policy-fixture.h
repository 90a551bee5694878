/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with a home, a workspace and documents, for tests of the policy. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/plan.h"
#include "policy/policy.h"

#define SYSTEM_PATH "/usr/local/bin:/usr/bin:/bin"

struct fixture {
	char dir[PATH_MAX / 4]; /* canonical; holds home/, ws/ and floor.yaml */
	char home[PATH_MAX / 2];
	char ws[PATH_MAX / 2];
	char floor[PATH_MAX / 2];
	char env_home[PATH_MAX];
	char env_path[PATH_MAX];
	char *environ[20];
	size_t n_environ;
};

/* A request over the fixture: options are {"key", "value"} pairs named --key. */
struct asked {
	struct policy_override overrides[16];
	struct policy_request req;
};

/* dir/name; the text lives in one of a few rotating buffers. */
const char *at(const struct fixture *f, const char *name);
void make_dir(const struct fixture *f, const char *name);
/* Writes a file below dir and returns its path. */
const char *make_file(const struct fixture *f, const char *name, mode_t mode, const char *text);
void set_path(struct fixture *f, const char *path);
void add_variable(struct fixture *f, char *text);
int fixture_setup(void **state);
int fixture_teardown(void **state);
void ask(struct asked *a, const struct fixture *f, const char *file);
void option(struct asked *a, const char *key, const char *value);
/* The plan, or the failure of the test. */
struct plan planned(const struct asked *a);
/* Fails the test unless the plan is refused with a message that contains `part`. */
void refused(const struct asked *a, const char *part);
const char *plan_variable(const struct plan *p, const char *name);
bool plan_reads(const struct plan *p, const char *path);
bool plan_notes(const struct plan *p, const char *part);
