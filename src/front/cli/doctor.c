/* SPDX-License-Identifier: Apache-2.0 */
/* atoll doctor: what this host can enforce, tried for real. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/doctor-internal.h"

#define DEFAULT_POLICY "default policy"
#define PROCESS_POLICY "default policy, accepted"
#define STATE          "state directory"
#define PATIENCE_MS    5000

/* In the order in which they are told; a tier's rows stand together. */
static const struct probe probes[] = {
	{"container", "user namespace", doctor_user_namespace},
	{"container", "mount namespace", doctor_mount},
	{"container", "proc in a pid namespace", doctor_proc},
	{"container", "pivot_root", doctor_pivot},
	{"container", "network namespace", doctor_network},
	{"container", "IPC, UTS, cgroup namespaces", doctor_other_namespaces},
	{"container", "seccomp", doctor_seccomp},
	{"container", "Landlock", doctor_landlock},
	{"container", "ptrace", doctor_ptrace},
	{"container", "idmapped mounts", doctor_idmap},
	{"container", "unused host ids", doctor_payload_id},
	{"container", "control groups", doctor_groups},
	{"container", "group controllers", doctor_controllers},
	{"container", STATE, doctor_state_directory},
	{"container", "workspace", doctor_workspace},
	{"container", "overlay mounts", doctor_overlay},
	{"container", "bounded copies", doctor_bounded_copy},
	{"container", "network by name", doctor_egress},
	{"container", DEFAULT_POLICY, doctor_default_policy},
	{"process", "Landlock ABI", doctor_newer_landlock},
	{"process", "processes", doctor_processes},
	{"process", PROCESS_POLICY, doctor_process_policy},
	{"microvm", "KVM", doctor_microvm_tier},
	{"host", "toolchains", doctor_toolchains},
	{"host", "SMT", doctor_smt},
	{"host", "page merging (KSM)", doctor_ksm},
	{"host", "swap", doctor_swap},
	{"host", "CPU mitigations", doctor_mitigations},
	{"host", "perf events", doctor_perf},
	{"host", "unprivileged BPF", doctor_bpf},
	{"host", "ptrace scope", doctor_yama},
};

static const struct word {
	const char *text;
	const char *colour;
} words[DOCTOR_STATES] = {
	[DOCTOR_OK] = {"ok", "\033[32m"},
	[DOCTOR_MISSING] = {"missing", "\033[31m"},
	[DOCTOR_WEAK] = {"weak", "\033[33m"},
	[DOCTOR_INFO] = {"info", "\033[36m"},
};

/* ---- telling ---- */

static void print_safely(const char *text)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, sizeof(struct finding) * 8);
	(void)utf8_neutralise(&b, text, strlen(text));
	(void)fputs(buf_str(&b), stdout);
}

static void print_row(const struct probe *p, const struct finding *f, const char *tier_before)
{
	const struct word *w = &words[f->state];
	bool colours = cli_colours();

	if (!tier_before || strcmp(tier_before, p->tier) != 0) {
		(void)printf("%s%s:\n", tier_before ? "\n" : "", p->tier);
	}
	(void)printf("  %s%-8s%s %-28s ", colours ? w->colour : "", w->text,
		     colours ? "\033[0m" : "", p->mechanism);
	print_safely(f->found);
	if (f->remedy[0]) {
		(void)fputs("\n           ", stdout);
		print_safely(f->remedy);
	}
	(void)putchar('\n');
}

static const struct finding *find(const struct finding *findings, const char *mechanism)
{
	size_t i = 0;

	while (strcmp(probes[i].mechanism, mechanism) != 0) {
		i++;
	}
	return &findings[i];
}

static void print_closing(const struct finding *findings, const struct finding *verdict)
{
	if (verdict->state == DOCTOR_OK) {
		(void)printf("\nThe default policy can run here, with limits by %s.\n",
			     verdict->limits);
	} else {
		(void)printf("\nThe default policy cannot run here: ");
		print_safely(verdict->found);
		(void)puts(".");
		if (find(findings, PROCESS_POLICY)->state == DOCTOR_OK) {
			(void)puts("The process tier can: atoll run --accept-tier process -- "
				   "COMMAND");
		}
	}
}

static int print_text(const struct finding *findings, const struct finding *verdict)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		print_row(&probes[i], &findings[i], i > 0 ? probes[i - 1].tier : NULL);
	}
	print_closing(findings, verdict);
	return 0;
}

static json_t *row_json(const struct probe *p, const struct finding *f)
{
	_cleanup_json_ json_t *j = json_object();

	if (!j || json_put(j, "tier", json_string(p->tier)) < 0 ||
	    json_put(j, "mechanism", json_string(p->mechanism)) < 0 ||
	    json_put(j, "state", json_string(words[f->state].text)) < 0 ||
	    json_put(j, "found", json_text(f->found)) < 0 ||
	    json_put(j, "remedy", f->remedy[0] ? json_text(f->remedy) : json_null()) < 0) {
		return NULL;
	}
	return TAKE_PTR(j);
}

static int print_json(const struct finding *findings, const struct finding *verdict)
{
	_cleanup_json_ json_t *doc = json_object(), *rows = json_array();
	size_t i;
	int r = doc && rows ? 0 : -ENOMEM;

	for (i = 0; r >= 0 && i < ARRAY_SIZE(probes); i++) {
		r = json_array_append_new(rows, row_json(&probes[i], &findings[i])) < 0 ? -ENOMEM
											: 0;
	}
	if (r < 0 || json_put(doc, "version", json_integer(1)) < 0 ||
	    json_put(doc, "default_policy", json_boolean(verdict->state == DOCTOR_OK)) < 0 ||
	    json_put(doc, "rows", TAKE_PTR(rows)) < 0) {
		return -ENOMEM;
	}
	r = json_dumpf(doc, stdout, JSON_INDENT(2));
	(void)putchar('\n');
	return r < 0 && !ferror(stdout) ? -ENOMEM : 0;
}

/* ---- examining ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

/* A directory of our own, in `path`. */
static int make_scratch(char *path, size_t size, struct err *e)
{
	const char *base = getenv("TMPDIR");
	int n = base && *base == '/' ? snprintf(path, size, "%s/atoll-doctor-XXXXXX", base) : -1;

	if (n > 0 && (size_t)n < size && mkdtemp(path)) {
		return 0;
	}
	(void)snprintf(path, size, "/tmp/atoll-doctor-XXXXXX");
	return mkdtemp(path) ? 0
			     : err_sys(e, errno,
				       "cannot make a temporary directory; set TMPDIR to a "
				       "directory that can be written");
}

static int examine(struct finding *findings, int *ret_signal, struct err *e)
{
	char scratch[2048];
	size_t i;
	int r = doctor_prepare(e);

	if (r >= 0) {
		r = make_scratch(scratch, sizeof(scratch), e);
	}
	if (r < 0) {
		return r;
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(probes); i++) {
		r = doctor_probe(&probes[i], scratch, PATIENCE_MS, &findings[i], ret_signal, e);
	}
	doctor_clear(scratch);
	(void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return r;
}

/* The finding that says whether the default policy can run: the trial had a state directory of its
 * own, the caller's runs have the caller's. */
static const struct finding *judge(const struct finding *findings)
{
	const struct finding *policy = find(findings, DEFAULT_POLICY);
	const struct finding *state = find(findings, STATE);

	return policy->state == DOCTOR_OK && state->state == DOCTOR_MISSING ? state : policy;
}

struct doctor_options {
	bool json;
};

static int run(const struct cli_command *c, int argc, char **argv)
{
	static const char out_of_memory[] = "cannot print the result: out of memory";
	struct doctor_options o = {};
	struct cli_operands none;
	struct finding findings[ARRAY_SIZE(probes)];
	const struct finding *verdict;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &none), ending = 0;

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	memset(findings, 0, sizeof(findings));
	r = examine(findings, &ending, &e);
	if (ending) {
		return 128 + ending;
	}
	if (r < 0) {
		return cli_fail(&e);
	}
	verdict = judge(findings);
	r = o.json ? print_json(findings, verdict) : print_text(findings, verdict);
	if (r < 0 || fflush(stdout) != 0 || ferror(stdout)) {
		cli_say("%s%s", r < 0 ? out_of_memory : "cannot write to standard output: ",
			r < 0 ? "" : strerror(errno));
		return CLI_FAILED;
	}
	return verdict->state == DOCTOR_OK ? CLI_OK : 1;
}

static const struct cli_option options[] = {
	CLI_FLAG("--json", "as JSON", .offset = offsetof(struct doctor_options, json)),
	{},
};

static const struct cli_example examples[] = {
	CLI_EXAMPLE("atoll doctor"),
	CLI_EXAMPLE("atoll doctor --json > host.json",
		    .why = "what to keep beside a report of a problem"),
	{},
};

const struct cli_command cli_doctor_command = {
	.name = "doctor",
	.summary = "say what this host can enforce",
	.about =
		"Say what this host can enforce, tier by tier and mechanism by mechanism. Each is\n"
		"tried for real, in a process of its own, and leaves nothing behind; at the end "
		"the\n"
		"default policy is run with /bin/true.\n",
	.notes = "ok: it works; missing: it does not; weak: it works, with less than there could "
		 "be;\n"
		 "info: a fact to weigh. What can be done about it follows on the next line. Root "
		 "can\n"
		 "have more than others: ask as the user who will run sandboxes.\n"
		 "\n"
		 "exit: 0 the default policy can run here, 1 it cannot, 125 the doctor could not "
		 "tell\n",
	.options = options,
	.examples = examples,
	.run = run,
};
