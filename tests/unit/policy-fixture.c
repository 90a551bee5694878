/* SPDX-License-Identifier: Apache-2.0 */
/* The fixture of the tests of the policy. */
#include "policy-fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* dir/name; the text lives in one of a few rotating buffers. */
const char *at(const struct fixture *f, const char *name)
{
	static char text[8][PATH_MAX]; /* global: storage of a test helper */
	static unsigned next;          /* global: as above */
	char *out = text[next++ % ARRAY_SIZE(text)];

	assert_true(snprintf(out, PATH_MAX, "%s/%s", f->dir, name) < PATH_MAX);
	return out;
}

void make_dir(const struct fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0755), 0);
}

/* Writes a file below dir and returns its path. */
const char *make_file(const struct fixture *f, const char *name, mode_t mode, const char *text)
{
	const char *path = at(f, name);
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

void set_path(struct fixture *f, const char *path)
{
	assert_true(snprintf(f->env_path, sizeof(f->env_path), "PATH=%s", path) <
		    (int)sizeof(f->env_path));
}

void add_variable(struct fixture *f, char *text)
{
	assert_true(f->n_environ + 1 < ARRAY_SIZE(f->environ));
	f->environ[f->n_environ++] = text;
	f->environ[f->n_environ] = NULL;
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char made[] = "/tmp/atoll-policy-XXXXXX";

	if (!f || !mkdtemp(made) || chmod(made, 0755) < 0) {
		free(f);
		return -1;
	}
	(void)snprintf(f->dir, sizeof(f->dir), "%s", made);
	(void)snprintf(f->home, sizeof(f->home), "%s/home", made);
	(void)snprintf(f->ws, sizeof(f->ws), "%s/ws", made);
	(void)snprintf(f->env_home, sizeof(f->env_home), "HOME=%s/home", made);
	make_dir(f, "home");
	make_dir(f, "ws");
	(void)snprintf(f->floor, sizeof(f->floor), "%s",
		       make_file(f, "floor.yaml", 0644, "version: 1\n"));
	set_path(f, SYSTEM_PATH);
	add_variable(f, f->env_home);
	add_variable(f, f->env_path);
	*state = f;
	return chdir(f->ws);
}

static int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	int r = chdir("/");

	r |= nftw(f->dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return r;
}

void ask(struct asked *a, const struct fixture *f, const char *file)
{
	*a = (struct asked){};
	a->req.floor = f->floor;
	a->req.file = file;
	a->req.overrides = a->overrides;
	a->req.environ = f->environ;
}

void option(struct asked *a, const char *key, const char *value)
{
	assert_true(a->req.n_overrides < ARRAY_SIZE(a->overrides));
	a->overrides[a->req.n_overrides++] =
		(struct policy_override){.key = key, .value = value, .option = "--option"};
}

/* The plan, or the failure of the test. */
struct plan planned(const struct asked *a)
{
	struct plan p = {};
	struct err e = {};

	if (policy_plan(&a->req, &p, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	assert_int_equal(e.code, 0);
	return p;
}

/* Fails the test unless the plan is refused with a message that contains `part`. */
void refused(const struct asked *a, const char *part)
{
	struct plan p = {};
	struct err e = {};

	if (policy_plan(&a->req, &p, &e) >= 0) {
		plan_done(&p);
		fail_msg("not refused; expected: %s", part);
	}
	if (!strstr(e.msg, part)) {
		fail_msg("expected: %s\ngot:      %s", part, e.msg);
	}
	assert_null(p.name); /* untouched */
}

const char *plan_variable(const struct plan *p, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < p->n_env; i++) {
		if (strncmp(p->env[i], name, len) == 0 && p->env[i][len] == '=') {
			return p->env[i] + len + 1;
		}
	}
	return NULL;
}

bool plan_reads(const struct plan *p, const char *path)
{
	for (size_t i = 0; i < p->n_read; i++) {
		if (strcmp(p->read[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

bool plan_notes(const struct plan *p, const char *part)
{
	for (size_t i = 0; i < p->n_notes; i++) {
		if (strstr(p->notes[i], part)) {
			return true;
		}
	}
	return false;
}
