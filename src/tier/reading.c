/* SPDX-License-Identifier: Apache-2.0 */
/* Reading back from the kernel what is in force around one process. */
#include "tier/reading.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mutant.h"
#include "linux/seccomp.h"
#include "policy/plan.h"
#include "tier/tier.h"
#include "tier/walls.h"

int reading_file(const struct reading *r, int dir, const char *name, struct buf *b)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	buf_clear(b);
	if (err >= 0) {
		err = buf_read_fd(b, fd);
	}
	return err < 0 ? err_sys(r->e, -err, "cannot read '/proc/PID/%s'", name) : 0;
}

int reading_differs(const struct reading *r, const char *what, const char *found, const char *want)
{
	if (MUTANT(ATOLL_MUTATE_RECEIPT_COMPARE)) {
		return 0;
	}
	return err_set(r->e, ERR_SYSTEM, EBADMSG,
		       "the read-back does not match the plan: %s is '%s', planned is '%s'", what,
		       found, want);
}

/* Adds {"how": how, "value": value}; takes `value`. */
int reading_add(const struct reading *r, const char *name, const char *how, json_t *value)
{
	json_t *entry = json_object();

	if (!entry || json_put(entry, "how", json_string(how)) < 0 ||
	    json_put(entry, "value", value) < 0) {
		json_decref(entry);
		return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return json_put(r->out, name, entry) < 0
		       ? err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory")
		       : 0;
}

/* The value of "Name:\tvalue\n" in a status file, copied without its blanks at both ends. */
static void field(const char *status, const char *name, char *out, size_t size)
{
	const char *line = status;
	size_t len = strlen(name), n;

	out[0] = '\0';
	while (line && (strncmp(line, name, len) != 0 || line[len] != ':')) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line) {
		return;
	}
	line += len;
	line += strspn(line, ": \t");
	n = strcspn(line, "\n");
	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t')) {
		n--;
	}
	if (n >= size) {
		n = size - 1;
	}
	memcpy(out, line, n);
	out[n] = '\0';
}

static int expect(const struct reading *r, const char *status, const char *name, const char *want)
{
	char found[128];

	field(status, name, found, sizeof(found));
	return strcmp(found, want) == 0 ? 0 : reading_differs(r, name, found, want);
}

int reading_namespaces(const struct reading *r)
{
	static const char *const all[][8] = {
		[WALLS_CONTAINER] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"},
		[WALLS_PROCESS] = {"user", "pid"},
		[WALLS_GUARDED] = {NULL},
		[WALLS_NONE] = {NULL},
	};
	const char *const *names = all[r->sb->walls];
	_cleanup_json_ json_t *list = json_object();
	size_t i;

	for (i = 0; names[i]; i++) {
		char path[16], ours[64], theirs[64];
		ssize_t n, m;

		(void)snprintf(path, sizeof(path), "ns/%s", names[i]);
		n = readlinkat(r->self, path, ours, sizeof(ours) - 1);
		m = readlinkat(r->dir, path, theirs, sizeof(theirs) - 1);
		if (n < 0 || m < 0) {
			return err_sys(r->e, errno, "cannot read the %s namespace", names[i]);
		}
		ours[n] = theirs[m] = '\0';
		if (strcmp(ours, theirs) == 0) {
			int err = reading_differs(r, names[i], "the host's namespace", "its own");

			if (err < 0) {
				return err;
			}
		}
		if (json_put(list, names[i], json_string(theirs)) < 0) {
			return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	return reading_add(r, "namespaces", "read", TAKE_PTR(list));
}

/* A map of exactly one id: "inside outside 1". */
static int check_map(const struct reading *r, const char *name, unsigned inside, unsigned outside)
{
	_cleanup_buf_ struct buf b = {};
	unsigned long words[3] = {};
	char want[64], map[96], *end;
	size_t i;
	int err;

	buf_init(&b, 4096);
	err = reading_file(r, r->dir, name, &b);
	if (err < 0) {
		return err;
	}
	end = b.data;
	for (i = 0; end && i < ARRAY_SIZE(words); i++) {
		words[i] = strtoul(end, &end, 10);
	}
	(void)snprintf(map, sizeof(map), "%lu %lu %lu%s", words[0], words[1], words[2],
		       end && strcmp(end, "\n") == 0 ? "" : " and more");
	(void)snprintf(want, sizeof(want), "%u %u 1", inside, outside);
	if (strcmp(map, want) != 0) {
		err = reading_differs(r, name, map, want);
	}
	return err >= 0 ? reading_add(r, name, "read", json_string(map)) : err;
}

/* Four equal ids: real, effective, saved, filesystem. */
static int check_ids(const struct reading *r, const char *status)
{
	const struct plan_identity *id = &r->spec->plan->identity;
	char want[64];
	int err;

	(void)snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", r->spec->host_uid, r->spec->host_uid,
		       r->spec->host_uid, r->spec->host_uid);
	err = expect(r, status, "Uid", want);
	if (err >= 0) {
		(void)snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", r->spec->host_gid,
			       r->spec->host_gid, r->spec->host_gid, r->spec->host_gid);
		err = expect(r, status, "Gid", want);
	}
	if (err >= 0 && id->from_root) {
		err = expect(r, status, "Groups", "");
	}
	if (walls_have_no_namespace(r->sb->walls)) {
		return err; /* no user namespace, no maps */
	}
	if (err >= 0) {
		err = check_map(r, "uid_map", id->uid, r->spec->host_uid);
	}
	return err >= 0 ? check_map(r, "gid_map", id->gid, r->spec->host_gid) : err;
}

/* The keeper's own filters, if it runs under some, are inherited and count as well. */
static int check_seccomp(const struct reading *r, const char *status, const char *own)
{
	enum syscall_profile profile = r->spec->plan->syscalls;
	char found[32], want[32], digest[DIGEST_HEX_SIZE];
	unsigned long inherited;
	json_t *value;
	int err = expect(r, status, "Seccomp", "2");

	field(own, "Seccomp_filters", found, sizeof(found));
	inherited = strtoul(found, NULL, 10);
	(void)snprintf(want, sizeof(want), "%lu", inherited + 1 + (r->spec->affinity > 0));
	if (err >= 0) {
		err = expect(r, status, "Seccomp_filters", want);
	}
	if (err < 0) {
		return err;
	}
	seccomp_digest(walls_filter(r->sb->walls, profile), digest);
	value = json_pack("{s:s, s:s, s:s}", "profile", syscall_profile_name(profile), "filters",
			  want, "sha256", digest);
	return reading_add(r, "seccomp", "read", value);
}

/* None, but at tier none those of the user, which the keeper has as well. */
static int check_capabilities(const struct reading *r, const char *status, const char *own)
{
	static const char *const caps[] = {"CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"};
	bool users = r->sb->walls == WALLS_NONE;
	size_t n = ARRAY_SIZE(caps) - (!users && !r->sb->bounded);
	char want[32] = "0000000000000000";
	int err = 0;

	for (size_t i = 0; err >= 0 && i < n; i++) {
		if (users) {
			field(own, caps[i], want, sizeof(want));
		}
		err = expect(r, status, caps[i], want);
	}
	return err < 0 ? err
		       : reading_add(r, "capabilities", "read",
				     json_string(users ? "the user's"
						 : r->sb->bounded
							 ? "none"
							 : "none; the bounding set is the "
							   "caller's, which no_new_privs makes "
							   "meaningless"));
}

int reading_status(const struct reading *r)
{
	_cleanup_buf_ struct buf status = {}, own = {};
	int err;

	buf_init(&status, 65536);
	buf_init(&own, 65536);
	err = reading_file(r, r->dir, "status", &status);
	if (err >= 0) {
		err = reading_file(r, r->self, "status", &own);
	}
	if (err >= 0) {
		err = check_ids(r, buf_str(&status));
	}
	if (err >= 0) {
		err = check_capabilities(r, buf_str(&status), buf_str(&own));
	}
	if (err >= 0) {
		err = expect(r, buf_str(&status), "NoNewPrivs", "1");
	}
	if (err >= 0) {
		err = reading_add(r, "no_new_privs", "read", json_true());
	}
	if (err >= 0) {
		err = expect(r, buf_str(&status), "Threads", "1");
	}
	return err >= 0 ? check_seccomp(r, buf_str(&status), buf_str(&own)) : err;
}

/* Descriptor i must be our pipe's end or the sandbox's own terminal, and there is no fourth. */
static int check_descriptor(const struct reading *r, int i)
{
	char name[16], link[128], own[32];
	struct stat want, have;
	int number = -1;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "fd/%d", i);
	if (r->program->tty & 1U << i) {
		n = readlinkat(r->dir, name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		(void)ioctl(r->program->terminal, TIOCGPTN, &number);
		(void)snprintf(own, sizeof(own), "/dev/pts/%d", number);
		return number >= 0 && strcmp(link, own) == 0
			       ? 0
			       : reading_differs(r, name, link, "the sandbox's terminal");
	}
	if (fstatat(r->dir, name, &have, 0) < 0 || fstat(r->program->stdio[i], &want) < 0) {
		return err_sys(r->e, errno, "cannot look at descriptor %d of the payload", i);
	}
	return have.st_dev == want.st_dev && have.st_ino == want.st_ino
		       ? 0
		       : reading_differs(r, name, "another file", "a pipe of the keeper");
}

/* How many descriptors the payload has open, or -errno. */
static int count_descriptors(const struct reading *r)
{
	_cleanup_fd_ int fd = openat(r->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	struct stat st;
	int count = 0;
	DIR *list;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return -errno;
	}
	/* From 6.2 on st_size of /proc/PID/fd is the number of descriptors; before, it is 0. */
	if (st.st_size > 0) {
		return st.st_size < INT_MAX ? (int)st.st_size : INT_MAX;
	}
	list = fdopendir(fd);
	if (!list) {
		return -errno;
	}
	(void)TAKE_FD(fd);
	while ((entry = readdir(list))) {
		count += entry->d_name[0] != '.';
	}
	(void)closedir(list);
	return count;
}

int reading_descriptors(const struct reading *r)
{
	int i, n, err = 0;

	for (i = 0; err >= 0 && i < 3; i++) {
		err = check_descriptor(r, i);
	}
	if (err < 0) {
		return err;
	}
	n = count_descriptors(r);
	if (n < 0) {
		return err_sys(r->e, -n, "cannot count the descriptors of the payload");
	}
	if (n != 3) {
		char found[16];

		(void)snprintf(found, sizeof(found), "%d", n);
		err = reading_differs(r, "number of descriptors", found, "3");
	}
	return err >= 0 ? reading_add(r, "descriptors", "read", json_integer(n)) : err;
}

/* The memory that the kernel laid out at exec: exactly the plan's strings, in order. */
int reading_environment(const struct reading *r)
{
	char *const *env = r->program->env;
	_cleanup_buf_ struct buf b = {}, want = {};
	size_t i;
	int err;

	buf_init(&b, 4 * READING_MAX_TEXT);
	buf_init(&want, 4 * READING_MAX_TEXT);
	for (i = 0; env[i]; i++) {
		(void)buf_add(&want, env[i], strlen(env[i]) + 1);
	}
	err = want.failed ? err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory")
			  : reading_file(r, r->dir, "environ", &b);
	if (err < 0) {
		return err;
	}
	if (b.len != want.len || memcmp(buf_str(&b), buf_str(&want), b.len) != 0) {
		err = reading_differs(r, "the environment", "different",
				      "what the policy declares");
	}
	return err >= 0 ? reading_add(r, "environment", "read", json_integer((json_int_t)i)) : err;
}

int reading_rlimits(const struct reading *r)
{
	const struct plan_limits *l = &r->spec->plan->limits;
	const struct {
		__rlimit_resource_t resource;
		const char *name;
		uint64_t want;
	} rows[] = {
		{RLIMIT_NOFILE, "open_files", l->open_files},
		{RLIMIT_FSIZE, "file_size", l->file_size},
		{RLIMIT_CORE, "core", 0},
		{RLIMIT_NPROC, "processes",
		 walls_limit_nproc(r->spec, r->sb->walls) ? l->processes + 1ULL : 0},
	};
	_cleanup_json_ json_t *list = json_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit now;

		if (rows[i].resource == RLIMIT_NPROC && rows[i].want == 0) {
			continue;
		}
		if (prlimit(r->pid, rows[i].resource, NULL, &now) < 0) {
			return err_sys(r->e, errno, "cannot read the %s limit back", rows[i].name);
		}
		if (now.rlim_cur != rows[i].want || now.rlim_max != rows[i].want) {
			int err = reading_differs(r, rows[i].name, "another limit", "as planned");

			if (err < 0) {
				return err;
			}
		}
		if (json_put(list, rows[i].name, json_integer((json_int_t)now.rlim_max)) < 0) {
			return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	return reading_add(r, "rlimits", "read", TAKE_PTR(list));
}

/* Where CPUs are limited by affinity: no more of them than planned. */
int reading_affinity(const struct reading *r)
{
	cpu_set_t set;
	char found[32], want[32];
	int err = 0;

	if (r->spec->affinity == 0) {
		return 0;
	}
	CPU_ZERO(&set);
	if (sched_getaffinity(r->pid, sizeof(set), &set) < 0) {
		return err_sys(r->e, errno, "cannot read the CPU affinity back");
	}
	(void)snprintf(found, sizeof(found), "%d", CPU_COUNT(&set));
	(void)snprintf(want, sizeof(want), "%u", r->spec->affinity);
	if (CPU_COUNT(&set) > (int)r->spec->affinity) {
		err = reading_differs(r, "the number of CPUs", found, want);
	}
	return err >= 0 ? reading_add(r, "affinity", "read", json_integer(CPU_COUNT(&set))) : err;
}

int reading_directory(const struct reading *r)
{
	char cwd[4096];
	ssize_t n = readlinkat(r->dir, "cwd", cwd, sizeof(cwd) - 1);
	int err = 0;

	cwd[n > 0 ? n : 0] = '\0';
	if (n <= 0 || (!r->program->anywhere && strcmp(cwd, r->program->cwd) != 0)) {
		err = reading_differs(r, "the working directory", cwd, r->program->cwd);
	}
	return err >= 0 ? reading_add(r, "cwd", "read", json_text(cwd)) : err;
}

int reading_execution(const struct reading *r)
{
	const struct plan *plan = r->spec->plan;

	/* The list is in Landlock's rules, which the builder probed with a file that is not on it.
	 */
	return reading_add(
		r, "execution", plan->exec_any ? "read" : "probed",
		plan->exec_any
			? json_string("any program in the view")
			: json_pack("{s:I, s:s}", "allowed", (json_int_t)plan->n_exec, "kind",
				    "guard-rail: interpreters and loaders can run other code"));
}

/* The filter that was read back lets none pass by the keeper; with which flags it was loaded, only
 * who loaded it knows. */
int reading_starts(const struct reading *r)
{
	return reading_add(r, "program_starts", "probed",
			   json_pack("{s:s, s:b}", "observed", "seccomp notification",
				     "wait_killable", r->sb->killable));
}

/* The payload must be where pid 1 was when it was surveyed. */
int reading_same_namespaces(const struct reading *r)
{
	json_t *surveyed = json_object_get(json_object_get(r->sb->survey, "namespaces"), "value");
	const char *name;
	json_t *link;

	json_object_foreach(surveyed, name, link)
	{
		char path[16], found[64];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "ns/%s", name);
		n = readlinkat(r->dir, path, found, sizeof(found) - 1);
		found[n > 0 ? n : 0] = '\0';
		if (strcmp(found, json_string_value(link)) != 0) {
			return reading_differs(r, path, found, json_string_value(link));
		}
	}
	return 0;
}

int reading_run(struct tier_sandbox *sb, const struct tier_command *cmd, json_t *out,
		reading_check *const *checks, size_t n, struct err *e)
{
	_cleanup_fd_ int dir = FD_NONE, self = FD_NONE;
	struct reading r = {.sb = sb,
			    .spec = sb->spec,
			    .program = cmd ? cmd->program : NULL,
			    .pid = cmd ? cmd->pid : sb->init,
			    .out = out,
			    .e = e};
	char path[32];
	size_t i;
	int err = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d", r.pid);
	r.dir = dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r.self = self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!out || dir < 0 || self < 0) {
		return err_sys(e, errno, "cannot open '%s' for the read-back", path);
	}
	for (i = 0; err >= 0 && i < n; i++) {
		err = checks[i](&r);
	}
	return err;
}
