/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a plan: defaults, trust and tier, places that are refused, environment. */
#include "policy-fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/json.h"

/* The values that the default profile promises. */
static void test_defaults(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask(&a, f, NULL);
	p = planned(&a);
	assert_string_equal(p.name, "trust-medium");
	assert_int_equal(p.trust, TRUST_MEDIUM);
	assert_int_equal(p.provenance, PROVENANCE_AGENT);
	assert_int_equal(p.tier, TIER_CONTAINER);
	assert_false(p.tier_accepted);
	assert_int_equal(p.workspace_mode, WORKSPACE_COPY);
	assert_string_equal(p.workspace.path, f->ws);
	assert_true(p.workspace.is_dir);
	assert_int_equal(p.n_read, 0);
	assert_true(p.exec_any);
	assert_int_equal(p.syscalls, SYSCALLS_DEFAULT);
	assert_int_equal(p.denials, DENIALS_RECORD);
	assert_int_equal(p.limits.mechanism, MECHANISM_ANY);
	assert_int_equal(p.limits.memory, 2ULL << 30);
	assert_int_equal(p.limits.cpus_milli, 2000);
	assert_int_equal(p.limits.processes, 512);
	assert_int_equal(p.limits.io, 0);
	assert_int_equal(p.limits.wall, 600000000000);
	assert_string_equal(p.identity.home, f->home);
	assert_int_equal(p.identity.from_root, getuid() == 0);
	assert_int_equal(p.identity.uid, getuid() == 0 ? 1000 : getuid());
	assert_string_equal(plan_variable(&p, "PATH"),
			    "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
	assert_string_equal(plan_variable(&p, "HOME"), f->home);
	assert_string_equal(plan_variable(&p, "SHELL"), "/bin/sh");
	assert_string_equal(plan_variable(&p, "LANG"), "C.UTF-8");
	assert_null(plan_variable(&p, "TERM"));
	assert_int_equal(p.n_notes, 0);
	assert_int_equal(strlen(p.policy_digest), 64);
	plan_done(&p);
}

/* Trust against provenance: each pair either stands or is refused. */
static void test_provenance(void **state)
{
	static const struct {
		const char *provenance, *trust;
		const char *refusal; /* NULL: it stands */
	} rows[] = {
		{"reviewed", "high", NULL},
		{"reviewed", "medium", NULL},
		{"reviewed", "low", NULL},
		{"reviewed", "none", NULL},
		{"agent", "high", "trust: high is above medium, the most that provenance agent"},
		{"agent", "medium", NULL},
		{"agent", "low", NULL},
		{"agent", "none", NULL},
		{"external", "high", "trust: high is above low, the most that provenance external"},
		{"external", "medium", "trust: medium is above low, the most that provenance"},
		{"external", "low", NULL},
		{"external", "none", NULL},
		{"agent", "full", "provenance: 'agent' is not for trust full"},
		{"external", "full", "provenance: 'external' is not for trust full"},
		{NULL, "high", "state 'provenance: reviewed' if a person has reviewed the code"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;
		struct plan p;

		ask(&a, f, NULL);
		a.req.accept_tier = "container";
		option(&a, "trust", rows[i].trust);
		if (rows[i].provenance) {
			option(&a, "provenance", rows[i].provenance);
		}
		if (rows[i].refusal) {
			refused(&a, rows[i].refusal);
			continue;
		}
		p = planned(&a);
		assert_string_equal(trust_name(p.trust), rows[i].trust);
		assert_string_equal(provenance_name(p.provenance), rows[i].provenance);
		assert_int_equal(p.tier_accepted, p.trust < TRUST_MEDIUM);
		plan_done(&p);
	}
}

/* External code without a trust level gets the level that it may have. */
static void test_default_trust(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask(&a, f, NULL);
	option(&a, "provenance", "external");
	a.req.accept_tier = "container";
	p = planned(&a);
	assert_int_equal(p.trust, TRUST_LOW);
	assert_int_equal(p.limits.mechanism, MECHANISM_GROUP);
	assert_true(plan_notes(&p, "weaker than trust low asks for (microvm)"));
	plan_done(&p);
}

static void test_tier(void **state)
{
	static const struct {
		const char *trust, *tier, *accept;
		const char *refusal; /* NULL: it is planned, at the tier below */
		enum tier is;        /* none: container */
	} rows[] = {
		{"medium", NULL, NULL, NULL, 0},
		{"medium", "container", NULL, NULL, 0},
		{"medium", "container", "container", NULL, 0},
		{"medium", "microvm", NULL, "the microvm tier is not in this version", 0},
		{"medium", "process", NULL, "--accept-tier process", 0},
		{"medium", "process", "process", NULL, TIER_PROCESS},
		{"medium", NULL, "process", NULL, TIER_PROCESS},
		{"medium", "none", NULL, "it comes with trust full", 0},
		{"medium", NULL, "none", "it comes with trust full", 0},
		{"high", "none", "none", "it comes with trust full", 0},
		{"high", NULL, NULL, NULL, 0},
		{"high", "process", NULL, NULL, TIER_PROCESS},
		{"high", NULL, "process", NULL, TIER_PROCESS},
		{"low", NULL, "process", "'group' asks for control groups alone", 0},
		{"low", NULL, NULL, "with --accept-tier container, which is recorded", 0},
		{"low", NULL, "container", NULL, 0},
		{"low", "container", NULL,
		 "say so on the command line with --accept-tier container", 0},
		{"low", "container", "container", NULL, 0},
		{"low", "container", "process", NULL, 0},
		{"low", "microvm", "container", "--accept-tier: 'container' is weaker than tier",
		 0},
		{"none", "container", "microvm", "--accept-tier container", 0},
		{"none", NULL, "container", NULL, 0},
		{"none", NULL, "vm", "--accept-tier: 'vm' is not one of none, process", 0},
		{"none", NULL, "wasm", "--accept-tier: 'wasm' is not one of", 0},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;
		struct plan p;

		ask(&a, f, NULL);
		a.req.accept_tier = rows[i].accept;
		option(&a, "provenance", "reviewed");
		option(&a, "trust", rows[i].trust);
		if (rows[i].tier) {
			option(&a, "tier", rows[i].tier);
		}
		if (rows[i].refusal) {
			refused(&a, rows[i].refusal);
			continue;
		}
		p = planned(&a);
		assert_int_equal(p.tier, rows[i].is ? rows[i].is : TIER_CONTAINER);
		assert_int_equal(p.tier_accepted,
				 p.trust < TRUST_MEDIUM || (rows[i].is && p.trust == TRUST_MEDIUM));
		plan_done(&p);
	}
}

/* What a trust level fixes cannot be undone by a document or an option. */
static void test_fixed_by_trust(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	ask(&a, f, NULL);
	a.req.accept_tier = "container";
	option(&a, "trust", "low");
	option(&a, "execution.limits.mechanism", "any");
	refused(&a,
		"--option: execution.limits.mechanism: 'any' is refused: trust low allows 'group'");
	ask(&a, f, NULL);
	a.req.accept_tier = "container";
	option(&a, "trust", "none");
	option(&a, "filesystem.workspace.mode", "direct");
	refused(&a,
		"filesystem.workspace.mode: 'direct' is refused: trust none allows 'read-only'");
	ask(&a, f, NULL);
	a.req.accept_tier = "container";
	option(&a, "trust", "low");
	option(&a, "execution.syscalls", "nested");
	refused(&a, "execution.syscalls: 'nested' is refused: trust low allows 'default'");
}

static void test_full_in_a_file(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	ask(&a, f, make_file(f, "p.yaml", 0644, "version: 1\ntrust: full\nprovenance: reviewed\n"));
	refused(&a, "p.yaml:2:8: trust: full may only be named on the command line");
}

static void test_profiles(void **state)
{
	static const struct {
		const char *profile, *also_trust;
		const char *refusal;
	} rows[] = {
		{"dev-assistant", NULL, NULL},
		{"dev-assistant", "medium", NULL},
		{"dev-assistant", "low", "profile: 'dev-assistant' is for trust medium, but"},
		{"dev-assistant", "high", "profile: 'dev-assistant' is for trust medium, but"},
		{"research", NULL, NULL},
		{"strict", NULL, "execution.allow: nothing may be executed yet"},
		{"layered", NULL, NULL},
		{"public-chat", NULL, NULL},
		{"permissive", NULL, "state 'provenance: reviewed'"},
		{"no-such", NULL, "profile: there is no profile 'no-such'"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;
		struct plan p;

		ask(&a, f, NULL);
		a.req.accept_tier = "container";
		option(&a, "profile", rows[i].profile);
		if (rows[i].also_trust) {
			option(&a, "trust", rows[i].also_trust);
		}
		if (rows[i].refusal) {
			refused(&a, rows[i].refusal);
			continue;
		}
		p = planned(&a);
		assert_string_equal(p.name, rows[i].profile);
		plan_done(&p);
	}
}

/* A ceiling on trust from above bounds the profile that a file may choose. */
static void test_profile_under_floor(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_file(f, "floor.yaml", 0644, "version: 1\ntrust: low\n");
	ask(&a, f, NULL);
	a.req.accept_tier = "container";
	option(&a, "profile", "dev-assistant");
	refused(&a, "floor.yaml:2:8 says low");
	ask(&a, f, NULL);
	a.req.accept_tier = "container";
	option(&a, "profile", "public-chat");
	p = planned(&a);
	assert_int_equal(p.trust, TRUST_NONE);
	plan_done(&p);
}

/* Every built-in profile is a document that explains itself. */
static void test_every_profile(void **state)
{
	const struct fixture *f = *state;
	struct policy_profile profile;
	size_t n = 0;

	for (; policy_profile_at(n, &profile); n++) {
		_cleanup_json_ json_t *said = NULL;
		struct err e = {};
		struct asked a;

		ask(&a, f, NULL);
		option(&a, "profile", profile.name);
		option(&a, "provenance", "reviewed");
		if (strcmp(profile.name, "trust-full") == 0) {
			option(&a, "trust", "full"); /* a profile is not enough */
		}
		if (policy_explain(&a.req, &said, &e) < 0) {
			fail_msg("%s: %s", profile.name, e.msg);
		}
		assert_true(json_array_size(said) > 20);
		assert_int_equal(strlen(profile.text), profile.len);
	}
	assert_int_equal(n, 13);
	assert_false(policy_profile_find("trust-wide", &profile));
}

static void test_network_rules(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	ask(&a, f,
	    make_file(f, "p.yaml", 0644,
		      "version: 1\nnetwork:\n  allow:\n    - 'Example.COM.'\n    - {host: a.b, "
		      "ports: [80, 81], private: true}\n    - '10.0.0.1:5,private'\n    - "
		      "{host: a.c, protocol: tcp}\n"));
	p = planned(&a);
	assert_int_equal(p.n_net, 5);
	assert_string_equal(p.net[0], "example.com:443");
	assert_string_equal(p.net[1], "a.b:80,private");
	assert_string_equal(p.net[2], "a.b:81,private");
	assert_string_equal(p.net[3], "10.0.0.1:5,private");
	assert_string_equal(p.net[4], "a.c:443/tcp");
	plan_done(&p);
	ask(&a, f, make_file(f, "p.yaml", 0644, "version: 1\nnetwork:\n  allow: ['10.0.0.1:5']\n"));
	refused(&a, "p.yaml:3:11: network.allow: '10.0.0.1:5' is a private address; write "
		    "'10.0.0.1:5,private' (or private: true) if it is meant");
	ask(&a, f,
	    make_file(f, "p.yaml", 0644,
		      "version: 1\nexecution: {syscalls: strict}\nnetwork:\n  allow: [a.b]\n"));
	refused(&a, "p.yaml:4:11: network.allow: execution.syscalls is 'strict', which has no "
		    "connections; use default, or leave this out");
	ask(&a, f, make_file(f, "p.yaml", 0644, "version: 1\nnetwork: {allow: []}\n"));
	p = planned(&a);
	plan_done(&p);
}

static void test_refused_places(void **state)
{
	static const struct {
		const char *key, *path, *refusal;
	} rows[] = {
		{"filesystem.workspace.path", "/", "'/' is refused: it is the whole host"},
		{"filesystem.workspace.path", "/proc", "it belongs to the kernel"},
		{"filesystem.workspace.path", "/proc/self", "it belongs to the kernel"},
		{"filesystem.workspace.path", "/sys/kernel", "it belongs to the kernel"},
		{"filesystem.workspace.path", "/dev", "it holds devices"},
		{"filesystem.workspace.path", "/dev/shm", "it holds devices"},
		{"filesystem.workspace.path", "/run", "it holds sockets"},
		{"filesystem.workspace.path", "/var/run", "it holds sockets"},
		{"filesystem.workspace.path", "/usr", "it is a system directory"},
		{"filesystem.workspace.path", "/usr/lib", "it is a system directory"},
		{"filesystem.workspace.path", "/bin", "it is a system directory"},
		{"filesystem.workspace.path", "/etc", "it is a system directory"},
		{"filesystem.workspace.path", "/var", "it is a system directory"},
		{"filesystem.workspace.path", "/var/lib", "it is a system directory"},
		{"filesystem.workspace.path", "/tmp", "other users share it"},
		{"filesystem.workspace.path", "/home", "it holds everybody's files"},
		{"filesystem.workspace.path", "~", "it holds all of HOME"},
		{"filesystem.workspace.path", "~/", "it holds all of HOME"},
		{"filesystem.workspace.path", "..", "it holds all of HOME"},
		{"filesystem.workspace.path", "~root", "only ~ alone and ~/"},
		{"filesystem.workspace.path", "/no/such", "No such file or directory"},
		{"filesystem.workspace.path", "../floor.yaml", "it is no directory"},
		{"filesystem.workspace.path", "../to-proc", "it belongs to the kernel"},
		{"filesystem.read", "/", "it is the whole host"},
		{"filesystem.read", "/proc/version", "it belongs to the kernel"},
		{"filesystem.read", "/dev/null", "it is no file and no directory"},
		{"filesystem.read", "/run", "it holds sockets"},
		{"filesystem.read", "/etc", "name the files"},
		{"filesystem.read", "~", "it holds all of HOME"},
		{"filesystem.read", "../socket", "it is no file and no directory"},
		{"filesystem.read", "../fifo", "it is no file and no directory"},
		{"filesystem.read", "../odd\xff", "the text is not UTF-8"},
		{"filesystem.read", "../to-odd", "the path is not UTF-8"},
		{"filesystem.read", "", "an element is empty"},
	};
	const struct fixture *f = *state;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", at(f, "socket"));
	assert_int_equal(bind(s, (const struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(mkfifo(at(f, "fifo"), 0600), 0);
	assert_int_equal(symlink("/proc/self", at(f, "to-proc")), 0);
	make_dir(f, "odd\xff");
	assert_int_equal(symlink("odd\xff", at(f, "to-odd")), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;

		ask(&a, f, NULL);
		option(&a, rows[i].key, rows[i].path);
		refused(&a, rows[i].refusal);
	}
	(void)fd_close(s);
}

/* A relative path starts at the document in a document, at the caller on the command line. */
static void test_relative(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_dir(f, "conf");
	make_dir(f, "conf/tree");
	make_dir(f, "ws/tree");
	make_file(f, "conf/data", 0644, "x");
	ask(&a, f,
	    make_file(f, "conf/p.yaml", 0644,
		      "version: 1\nfilesystem: {workspace: {path: tree}, read: [data]}\n"));
	p = planned(&a);
	assert_string_equal(p.workspace.path, at(f, "conf/tree"));
	assert_true(plan_reads(&p, at(f, "conf/data")));
	plan_done(&p);
	ask(&a, f, NULL);
	option(&a, "filesystem.workspace.path", "tree");
	p = planned(&a);
	assert_string_equal(p.workspace.path, at(f, "ws/tree"));
	plan_done(&p);
}

/* The payload must not be able to rewrite the policy of its next run, on whatever way it is read.
 */
static void test_policy_in_workspace(void **state)
{
	static const char text[] = "version: 1\nname: x\n";
	const struct fixture *f = *state;
	const char *inside;
	struct asked a;
	struct plan p;

	inside = make_file(f, "ws/p.yaml", 0644, text);
	ask(&a, f, inside);
	p = planned(&a); /* it cannot be changed there */
	plan_done(&p);
	option(&a, "filesystem.workspace.mode", "direct");
	refused(&a, "lies in the workspace");
	a.req.file = "p.yaml";
	refused(&a, "lies in the workspace");
	/* A link from outside to the inside, and one inside that leads out. */
	assert_int_equal(symlink(inside, at(f, "link-in.yaml")), 0);
	a.req.file = at(f, "link-in.yaml");
	refused(&a, "lies in the workspace");
	make_file(f, "real.yaml", 0644, text);
	assert_int_equal(symlink("../real.yaml", at(f, "ws/link-out.yaml")), 0);
	a.req.file = at(f, "ws/link-out.yaml");
	refused(&a, "lies in the workspace");
	assert_int_equal(symlink("..", at(f, "ws/up")), 0);
	a.req.file = at(f, "ws/up/real.yaml");
	refused(&a, "lies in the workspace");
	a.req.file = at(f, "ws/../real.yaml");
	refused(&a, "lies in the workspace"); /* ".." is looked up there, too */
	a.req.file = at(f, "real.yaml");
	p = planned(&a);
	assert_true(plan_notes(&p, "is changed directly: there is no copy to review"));
	plan_done(&p);
}

/* What a payload could have changed decides nothing about what is shown. */
static void test_read_through_workspace(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_dir(f, "secret");
	make_dir(f, "ws/data");
	assert_int_equal(symlink(at(f, "secret"), at(f, "ws/link")), 0);
	ask(&a, f, NULL);
	option(&a, "filesystem.read", "link");
	p = planned(&a); /* nobody can change it there */
	assert_true(plan_reads(&p, at(f, "secret")));
	plan_done(&p);
	option(&a, "filesystem.workspace.mode", "direct");
	refused(&a, "'link' leads through the workspace, where the payload may change");
	ask(&a, f, NULL);
	option(&a, "filesystem.workspace.mode", "direct");
	option(&a, "filesystem.read", at(f, "ws/data"));
	refused(&a, "lies in the workspace, which the payload may change");
	ask(&a, f, NULL);
	option(&a, "filesystem.workspace.mode", "direct");
	option(&a, "filesystem.read", at(f, "secret"));
	p = planned(&a);
	plan_done(&p);
}

static void test_environment(void **state)
{
	struct fixture *f = *state;
	struct asked a;
	struct plan p;

	add_variable(f, (char *)"TERM=xterm-256color");
	add_variable(f, (char *)"COLORTERM=true color");
	add_variable(f, (char *)"SECRET=x");
	add_variable(f, (char *)"WANTED=y=z");
	add_variable(f, (char *)"LD_PRELOAD=/evil.so");
	ask(&a, f,
	    make_file(f, "p.yaml", 0644,
		      "version: 1\ndata:\n  env:\n    WANTED: {inherit: true}\n"
		      "    ABSENT: {inherit: true}\n    LANG: de_DE.UTF-8\n    EMPTY: ''\n"));
	p = planned(&a);
	assert_string_equal(plan_variable(&p, "TERM"), "xterm-256color");
	assert_null(plan_variable(&p, "COLORTERM")); /* a blank is no plain value */
	assert_null(plan_variable(&p, "SECRET"));
	assert_null(plan_variable(&p, "LD_PRELOAD"));
	assert_null(plan_variable(&p, "ABSENT"));
	assert_string_equal(plan_variable(&p, "WANTED"), "y=z");
	assert_string_equal(plan_variable(&p, "LANG"), "de_DE.UTF-8");
	assert_string_equal(plan_variable(&p, "EMPTY"), "");
	assert_null(p.env[p.n_env]);
	plan_done(&p);
}

static void test_environment_refused(void **state)
{
	struct fixture *f = *state;
	struct asked a;

	add_variable(f, (char *)"BROKEN=\xff\xfe");
	ask(&a, f, NULL);
	option(&a, "data.env", "BROKEN");
	refused(&a, "data.env: the value of BROKEN is not UTF-8");
	ask(&a, f, NULL);
	option(&a, "data.env", "A=1");
	option(&a, "data.env", "A=2");
	refused(&a, "data.env: 'A' is given twice");
	ask(&a, f, NULL);
	option(&a, "data.env", "1A=1");
	refused(&a, "is no name of a variable");
}

/* As much as execve(2) takes, checked before anything is started. */
static void test_large_environment(void **state)
{
	struct fixture *f = *state;
	static char value[100 * 1024]; /* global: outlives the fixture's use of it */
	char names[12][8];
	struct asked a;
	struct plan p;

	(void)snprintf(value, sizeof(value), "LARGE=%0*d", (int)sizeof(value) - 7, 0);
	add_variable(f, value);
	ask(&a, f, NULL);
	option(&a, "data.env", "LARGE");
	p = planned(&a);
	assert_int_equal(strlen(plan_variable(&p, "LARGE")), sizeof(value) - 7);
	plan_done(&p);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *text = malloc(sizeof(value));

		assert_non_null(text);
		(void)snprintf(text, sizeof(value), "LARG%c=%0*d", (char)('a' + i),
			       (int)sizeof(value) - 7, 0);
		(void)snprintf(names[i], sizeof(names[i]), "LARG%c", (char)('a' + i));
		add_variable(f, text);
		option(&a, "data.env", names[i]);
	}
	refused(&a, "data.env: the variables are larger than 1 MiB together");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		free(f->environ[--f->n_environ]);
	}
}

static void test_bad_options(void **state)
{
	static const struct {
		const char *key, *value, *refusal;
	} rows[] = {
		{"version", "1", "--option: there is no setting 'version'"},
		{"filesystem", "x", "--option: there is no setting 'filesystem'"},
		{"nonsense", "x", "--option: there is no setting 'nonsense'"},
		{"execution.limits.memory", "much", "--option: execution.limits.memory: 'much' is"},
		{"execution.limits.memory", "", "--option: execution.limits.memory: '' is no size"},
		{"time.wall", "5\n", "--option: time.wall: the text contains a control character"},
		{"filesystem.root", "image:x", "this version has no image roots"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct asked a;

		ask(&a, f, NULL);
		option(&a, rows[i].key, rows[i].value);
		refused(&a, rows[i].refusal);
	}
}

static void test_bad_files(void **state)
{
	const struct fixture *f = *state;
	struct asked a;

	ask(&a, f, at(f, "missing.yaml"));
	refused(&a, "missing.yaml': No such file or directory");
	ask(&a, f, f->dir);
	refused(&a, "it is no file");
	ask(&a, f, make_file(f, "p.yaml", 0644, "version: 1\ntrust: [x]\n"));
	refused(&a, "p.yaml:2:8: trust: expected a single value, found a list");
}

static void test_home(void **state)
{
	static const struct {
		const char *home, *inside; /* inside NULL: /home/ and the name */
	} rows[] = {
		{"HOME=/srv/people/me/", "/srv/people/me"},
		{"HOME=/", NULL},
		{"HOME=/usr/lib/me", NULL},
		{"HOME=/etc/x", NULL},
		{"HOME=/a/../etc", NULL},
		{"HOME=/home/\xff", NULL},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char fallback[64];
		struct asked a;
		struct plan p;

		f->environ[0] = (char *)rows[i].home;
		ask(&a, f, NULL);
		p = planned(&a);
		(void)snprintf(fallback, sizeof(fallback), "/home/%s", p.identity.user);
		assert_string_equal(p.identity.home, rows[i].inside ? rows[i].inside : fallback);
		plan_done(&p);
	}
}

static void test_credentials_note(void **state)
{
	const struct fixture *f = *state;
	struct asked a;
	struct plan p;

	make_dir(f, "home/.ssh");
	make_dir(f, "home/data");
	ask(&a, f, NULL);
	option(&a, "filesystem.read", "~/.ssh");
	option(&a, "filesystem.read", "~/data");
	option(&a, "filesystem.read", "/usr/share");
	p = planned(&a);
	assert_true(plan_notes(&p, "where credentials are kept (~/.ssh)"));
	assert_int_equal(p.n_notes, 1);
	assert_int_equal(p.n_read, 2); /* /usr is visible anyway */
	plan_done(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_provenance),
		TEST(test_default_trust),
		TEST(test_tier),
		TEST(test_fixed_by_trust),
		TEST(test_full_in_a_file),
		TEST(test_profiles),
		TEST(test_profile_under_floor),
		TEST(test_every_profile),
		TEST(test_network_rules),
		TEST(test_refused_places),
		TEST(test_relative),
		TEST(test_policy_in_workspace),
		TEST(test_read_through_workspace),
		TEST(test_environment),
		TEST(test_environment_refused),
		TEST(test_large_environment),
		TEST(test_bad_options),
		TEST(test_bad_files),
		TEST(test_home),
		TEST(test_credentials_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
