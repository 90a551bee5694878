/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of what the host provides beside walls: groups, ids, state, tool chains, other tiers. */
#include "front/cli/doctor-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/group.h"
#include "keeper/state.h"
#include "policy/path.h"
#include "policy/plan.h"
#include "policy/policy.h"
#include "policy/toolchain.h"

#define HANDFUL 5

extern char **environ;

/* ---- limits ---- */

#define DELEGATE                                            \
	"as root: systemctl edit user@.service, and there " \
	"[Service] Delegate=cpu memory pids; then log in anew"

static void say_no_group(struct finding *f, const struct err *why)
{
	char remedy[sizeof(f->remedy)];

	doctor_take(f, DOCTOR_WEAK, why->msg);
	(void)snprintf(remedy, sizeof(remedy), "%s", f->remedy);
	if (!remedy[0] && geteuid() != 0) {
		(void)snprintf(remedy, sizeof(remedy),
			       "log in with a session of systemd on control groups version 2 "
			       "(apt install dbus-user-session; kernel command line "
			       "systemd.unified_cgroup_hierarchy=1), or run atoll as root");
	} else if (!remedy[0]) {
		(void)snprintf(remedy, sizeof(remedy),
			       "in a container, delegate a group to it (systemd: Delegate=yes); "
			       "on a host, mount -t cgroup2 none /sys/fs/cgroup");
	}
	doctor_remedy(f, "%s", remedy);
	doctor_add(f, "; the keeper's sampler takes the place of a group");
}

/* Makes nothing: the default policy, which is run, makes a group. */
void doctor_groups(struct finding *f, const char *scratch)
{
	struct err why = {};
	struct group g;

	(void)scratch;
	group_find(&g, &why);
	switch (g.kind) {
	case GROUP_NONE:
		say_no_group(f, &why);
		break;
	case GROUP_V1:
		doctor_set(f, DOCTOR_OK, "version 1, below '%s'", g.v1.parent[CGROUP1_MEMORY]);
		break;
	case GROUP_V2:
		doctor_set(f, DOCTOR_OK, "version 2, below '%s'", g.v2.parent);
		break;
	case GROUP_SCOPE:
		doctor_set(f, g.no_cpu ? DOCTOR_WEAK : DOCTOR_OK,
			   "version 2, scopes of the user's service manager below '%s'%s", g.scope,
			   g.no_cpu ? "; it has no cpu controller, so only whole CPUs can be given"
				    : "");
		if (g.no_cpu) {
			doctor_remedy(f, "%s", DELEGATE);
		}
		break;
	}
	group_done(&g);
}

/* Which of the controllers the kernel has: proc's table is "name hierarchy groups enabled". */
void doctor_controllers(struct finding *f, const char *scratch)
{
	static const char *const names[] = {"memory", "pids", "cpu"};
	_cleanup_fclose_ FILE *file = fopen("/proc/cgroups", "re");
	bool on[ARRAY_SIZE(names)] = {}, v1 = false;
	_cleanup_buf_ struct buf missing = {};
	char line[256];
	size_t i;

	(void)scratch;
	while (file && fgets(line, sizeof(line), file)) {
		char *rest = line;
		const char *name = doctor_word(&rest), *hierarchy = doctor_word(&rest);
		bool enabled;

		(void)doctor_word(&rest);
		enabled = strcmp(doctor_word(&rest), "1") == 0;
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			if (strcmp(name, names[i]) == 0 && enabled) {
				on[i] = true;
				v1 = v1 || strcmp(hierarchy, "0") != 0;
			}
		}
	}
	if (!file) {
		doctor_set(f, DOCTOR_INFO, "unknown: cannot read /proc/cgroups");
		return;
	}
	buf_init(&missing, 256);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!on[i]) {
			(void)buf_addf(&missing, "%s%s", missing.len > 0 ? ", " : "", names[i]);
		}
	}
	if (missing.len == 0) {
		doctor_set(f, DOCTOR_OK, "memory, pids and cpu (version %d)", v1 ? 1 : 2);
		return;
	}
	doctor_set(f, DOCTOR_WEAK, "the kernel has no controller %s", buf_str(&missing));
	doctor_remedy(f, "%sCONFIG_MEMCG, CONFIG_CGROUP_PIDS and CONFIG_CFS_BANDWIDTH",
		      on[0] ? "" : "boot with cgroup_enable=memory; else a kernel with ");
}

/* ---- ids and state ---- */

void doctor_payload_id(struct finding *f, const char *scratch)
{
	struct err e = {};
	uid_t id;

	(void)scratch;
	if (geteuid() != 0) {
		doctor_set(f, DOCTOR_INFO, "not needed: the payload keeps the caller's id");
	} else if (state_host_id(true, &id, &e) < 0) {
		doctor_take(f, DOCTOR_MISSING, e.msg);
	} else {
		doctor_set(f, DOCTOR_OK, "an id that nobody has can be given to the payload");
	}
}

/* How much of the path exists: the length of its longest part that does. */
static size_t existing(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	char *slash;

	while (copy && access(copy, F_OK) < 0 && (slash = strrchr(copy, '/')) && slash > copy) {
		*slash = '\0';
	}
	return copy ? strlen(copy) : strlen(path);
}

/* Takes a sandbox's directory, with its locks, as a run does. */
static int use_state(struct err *e)
{
	struct state s;
	struct state_sandbox sb = {.dir = FD_NONE};
	int r = state_open(&s, e);

	if (r >= 0) {
		r = state_name(&sb, e);
		r = r < 0 ? r : state_create(&s, &sb, e);
	}
	if (r >= 0) {
		r = state_remove(&s, &sb, e);
	}
	state_sandbox_done(&sb);
	state_done(&s);
	return r;
}

/* Removes what use_state() has made: only directories that are empty go. */
static void unmake_state(struct buf *path, size_t before)
{
	static const char *const below[] = {"/sandboxes", "/trail"};
	size_t len = path->len, i;

	for (i = 0; before < len && i < ARRAY_SIZE(below); i++) {
		_cleanup_buf_ struct buf sub = {};

		buf_init(&sub, 8192);
		(void)buf_addf(&sub, "%s%s", path->data, below[i]);
		(void)rmdir(buf_str(&sub));
	}
	while (len > before && len > 1) {
		(void)rmdir(path->data);
		while (len > before && path->data[--len] != '/') {
		}
		path->data[len] = '\0';
	}
}

void doctor_state_directory(struct finding *f, const char *scratch)
{
	_cleanup_buf_ struct buf path = {};
	struct err e = {};
	size_t before;
	int r;

	(void)scratch;
	buf_init(&path, 4096);
	r = state_path(&path, &e);
	if (r >= 0) {
		doctor_set(f, DOCTOR_OK, "'%s' can be used", path.data);
		before = existing(path.data);
		r = use_state(&e);
		unmake_state(&path, before);
	}
	if (r < 0) {
		doctor_take(f, DOCTOR_MISSING, e.msg);
		if (!f->remedy[0]) {
			doctor_remedy(f, "set ATOLL_HOME to a directory of your own that can be "
					 "written");
		}
	}
}

/* The current directory is the workspace of a policy that names none. */
void doctor_workspace(struct finding *f, const char *scratch)
{
	const struct policy_request req = {.environ = environ};
	struct plan plan = {};
	struct err e = {};

	(void)scratch;
	if (policy_plan(&req, &plan, &e) < 0) {
		doctor_take(f, DOCTOR_WEAK, e.msg);
		if (!f->remedy[0]) {
			doctor_remedy(f, "change to a directory of a project, or name one: "
					 "--workspace PATH");
		}
		return;
	}
	doctor_set(f, DOCTOR_OK, "the current directory can be one");
	plan_done(&plan);
}

/* ---- other tiers ---- */

void doctor_microvm_tier(struct finding *f, const char *scratch)
{
	_cleanup_fd_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version = fd < 0 ? -1 : ioctl(fd, KVM_GET_API_VERSION, 0);

	(void)scratch;
	if (version >= 0) {
		doctor_set(f, DOCTOR_INFO, "not in this version; /dev/kvm answers (API %d)",
			   version);
		return;
	}
	doctor_set(f, DOCTOR_INFO, "not in this version; /dev/kvm: %s", strerror(errno));
	if (errno == EACCES || errno == EPERM) {
		doctor_remedy(f, "for later versions: usermod -aG kvm USER, then log in anew");
	} else {
		doctor_remedy(f, "for later versions: modprobe kvm_intel or kvm_amd, on a machine "
				 "with virtualisation switched on in its firmware");
	}
}

/* ---- tool chains ---- */

static bool is_covered(const struct search_path *s, const char *dir)
{
	_cleanup_free_ char *real = realpath(dir, NULL);
	size_t i;

	for (i = 0; real && i < s->n; i++) {
		if (strcmp(s->dirs[i].path, real) == 0 || strcmp(s->dirs[i].path, dir) == 0) {
			return true;
		}
	}
	return !real || path_is_system(dir) || path_is_system(real);
}

/* Adds up to a handful of programs of a directory; counts all. */
static size_t list_programs(const char *path, struct buf *names, size_t shown)
{
	DIR *dir = opendir(path);
	const struct dirent *d;
	size_t n = 0;

	while (dir && (d = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), d->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		    faccessat(dirfd(dir), d->d_name, X_OK, AT_EACCESS) < 0) {
			continue;
		}
		if (shown + n < HANDFUL) {
			(void)buf_addf(names, "%s%s/%s", names->len > 0 ? ", " : "", path,
				       d->d_name);
		}
		n++;
	}
	if (dir) {
		(void)closedir(dir);
	}
	return n;
}

/* Fills the covered directories, and the programs that would not be visible; how many these are. */
static size_t survey_path(const struct search_path *s, struct buf *covered, struct buf *unseen)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = strdup(path ? path : "");
	char *rest = copy;
	size_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->dirs[i].chain) {
			(void)buf_addf(covered, "%s%s", covered->len > 0 ? ", " : "",
				       s->dirs[i].path);
		}
	}
	while (rest) {
		const char *dir = strsep(&rest, ":");

		if (dir[0] == '/' && !is_covered(s, dir)) {
			n += list_programs(dir, unseen, n);
		}
	}
	return n;
}

void doctor_toolchains(struct finding *f, const char *scratch)
{
	_cleanup_(search_path_done) struct search_path s = {};
	_cleanup_buf_ struct buf covered = {}, unseen = {};
	const char *variable = getenv("HOME");
	_cleanup_free_ char *home = variable ? realpath(variable, NULL) : NULL;
	struct plan plan = {};
	struct err e = {};
	size_t n;

	(void)scratch;
	if (search_path_init(getenv("PATH"), home, &plan, &s, &e) < 0) {
		doctor_set(f, DOCTOR_INFO, "%s", e.msg);
		return;
	}
	plan_done(&plan);
	buf_init(&covered, 512);
	buf_init(&unseen, 512);
	n = survey_path(&s, &covered, &unseen);
	doctor_set(f, DOCTOR_INFO, "/usr%s%s%s", covered.len > 0 ? ", " : "", buf_str(&covered),
		   n > 0 ? "" : "; every program of PATH is visible inside");
	if (n > 0) {
		doctor_add(f, "; %zu program%s of PATH would not be visible: %s%s", n,
			   n == 1 ? "" : "s", buf_str(&unseen), n > HANDFUL ? ", ..." : "");
		doctor_remedy(f, "show the directory and put it into PATH: --read DIRECTORY "
				 "--env PATH=DIRECTORY:/usr/bin:/bin");
	}
}
