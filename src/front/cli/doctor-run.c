/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default policy, run for real at a tier: `atoll run -- /bin/true` through the program that
 * runs us, with state and a workspace of its own in the doctor's scratch directory. The same with a
 * gateway, which answers for a name that leads nowhere.
 */
#include "front/cli/doctor-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "keeper/reap.h"
#include "keeper/state.h"
#include "linux/landlock.h"

#define PAYLOAD "/bin/true"
#define ASK     "getent hosts atoll.invalid"

extern char **environ;

struct trial {
	char workspace[4096], state[4096], result[4096], said[4096];
};

static bool name_files(struct trial *t, const char *scratch, const char *tier)
{
	const struct {
		char *out;
		const char *name;
	} files[] = {{t->workspace, "workspace"},
		     {t->state, "state"},
		     {t->result, "result"},
		     {t->said, "said"}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		int n = snprintf(files[i].out, sizeof(t->said), "%s/%s-%s", scratch, tier,
				 files[i].name);

		if (n < 0 || (size_t)n >= sizeof(t->said)) {
			return false;
		}
	}
	/* Root's payload at the process tier owns nothing, and has to pass. */
	return mkdir(t->workspace, 0755) == 0 && chmod(scratch, 0711) == 0;
}

static _Noreturn void start(const struct trial *t, char *const *argv)
{
	int result = open(t->result, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int said = open(t->said, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (result >= 0 && dup2(result, STDOUT_FILENO) >= 0 && said >= 0 &&
	    dup2(said, STDERR_FILENO) >= 0 && chdir(t->workspace) == 0 &&
	    setenv("ATOLL_HOME", t->state, 1) == 0) {
		(void)execve("/proc/self/exe", argv, environ);
		(void)fprintf(stderr, "atoll: cannot start '/proc/self/exe': %s\n",
			      strerror(errno));
	}
	_exit(125);
}

/* What armed the memory limit, as the result document has it. */
static void take_mechanism(struct finding *f, const json_t *result)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result, "limits"), i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));
		const char *by = json_string_value(json_object_get(row, "mechanism"));

		if (name && by && strcmp(name, "memory") == 0) {
			(void)snprintf(f->limits, sizeof(f->limits), "%s", by);
		}
	}
}

/* Its result where the command ended well; NULL: *f says what it says. The caller owns it. */
static json_t *run_trial(struct finding *f, const char *scratch, const char *name,
			 char *const *argv)
{
	json_t *result;
	char text[sizeof(f->found)] = "";
	struct trial t;
	int status = 0;
	pid_t child;

	if (!name_files(&t, scratch, name)) {
		doctor_set(f, DOCTOR_MISSING, "cannot make a directory in '%s': %s", scratch,
			   strerror(errno));
		return NULL;
	}
	child = fork();
	if (child == 0) {
		start(&t, argv);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		doctor_set(f, DOCTOR_MISSING, "cannot start a process: %s", strerror(errno));
		return NULL;
	}
	result = json_load_file(t.result, 0, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && result) {
		return result;
	}
	json_decref(result);
	if (!doctor_line(t.said, text, sizeof(text))) {
		(void)snprintf(text, sizeof(text), "the trial ended with wait status %d", status);
	}
	doctor_take(f, DOCTOR_MISSING, strncmp(text, "atoll: ", 7) == 0 ? text + 7 : text);
	return NULL;
}

/* The default policy at a tier. */
static void run_policy(struct finding *f, const char *scratch, char *tier)
{
	char *argv[] = {"atoll",         "run", "--quiet", "--json", "-",
			"--accept-tier", tier,  "--",      PAYLOAD,  NULL};
	_cleanup_json_ json_t *result = run_trial(f, scratch, tier, argv);

	if (result) {
		take_mechanism(f, result);
		doctor_set(f, DOCTOR_OK, "%s ran behind every wall, with limits by %s", PAYLOAD,
			   f->limits[0] ? f->limits : "an unknown mechanism");
	} else if (!f->remedy[0]) {
		doctor_remedy(
			f,
			"what is missing above; 'atoll run --accept-tier %s -- %s' says it in "
			"full",
			tier, PAYLOAD);
	}
}

void doctor_default_policy(struct finding *f, const char *scratch)
{
	run_policy(f, scratch, (char[]){"container"});
}

void doctor_process_policy(struct finding *f, const char *scratch)
{
	run_policy(f, scratch, (char[]){"process"});
}

/* With --learn nobody outside is asked for the name. */
void doctor_egress(struct finding *f, const char *scratch)
{
	/* A gateway that dies has taken the question with it. */
	char ask[] = "RES_OPTIONS='timeout:1 attempts:1' " ASK " >/dev/null; true";
	char *argv[] = {"atoll", "run",     "--quiet", "--json", "-", "--learn",
			"--",    "/bin/sh", "-c",      ask,      NULL};
	_cleanup_json_ json_t *result = run_trial(f, scratch, "egress", argv);
	const char *gateway = json_string_value(json_object_get(result, "gateway"));

	if (result && gateway && strcmp(gateway, "served") == 0) {
		doctor_set(f, DOCTOR_OK, "the gateway stood behind its walls, and served%s",
			   landlock_abi() < LANDLOCK_ABI_CONNECT
				   ? "; without Landlock ABI 4 (Linux 6.7) nothing holds it to the "
				     "ports of the rules"
				   : "");
	} else if (result) {
		doctor_set(f, DOCTOR_MISSING, "the gateway did not serve");
		doctor_remedy(f,
			      "'atoll run --learn -- " ASK "' tries it again, and 'atoll events' "
			      "of that sandbox says why");
	} else if (!f->remedy[0]) {
		doctor_remedy(f, "what is missing above; 'atoll run --learn -- " ASK
				 "' says it in full");
	}
}

void doctor_clear(const char *scratch)
{
	static const char *const tiers[] = {"container", "process", "egress"};
	struct reaped unused;
	struct state state;
	char path[4096];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tiers); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s-state", scratch, tiers[i]);
		/* The doctor has no other use for its own. */
		if (access(path, F_OK) < 0 || setenv("ATOLL_HOME", path, 1) < 0) {
			continue;
		}
		if (state_open(&state, NULL) >= 0) {
			(void)reap_run(&state, REAP_SANDBOXES, &unused, NULL);
		}
		state_done(&state);
	}
}
