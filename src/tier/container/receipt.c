/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receipt of the container tier.
 *
 * Theory of operation. The payload is stopped after its exec and before its first instruction.
 * Everything here is read from the outside, by the keeper, through /proc/PID of that process; each
 * wall of the plan has a check that compares what is in force with what was planned, and adds a
 * member to the document that says what was found and how ("read" from the kernel, or "probed" by
 * our own code where the kernel shows nothing). The first difference ends the start: EBADMSG.
 */
#include "tier/container/container-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/mutant.h"
#include "linux/seccomp.h"
#include "tier/tier.h"

/* A mount table, an environment or a status file larger than this is not one of ours. */
#define MAX_TEXT (1024 * 1024)

struct reading {
	struct tier_sandbox *sb;
	const struct tier_spec *spec;
	int dir;  /* /proc/PID of the payload; of pid 1 for the survey */
	int self; /* /proc/self of the keeper */
	json_t *out;
	struct err *e;
};

static int read_at(const struct reading *r, int dir, const char *name, struct buf *b)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	buf_clear(b);
	if (err >= 0) {
		err = buf_read_fd(b, fd);
	}
	return err < 0 ? err_sys(r->e, -err, "cannot read '/proc/PID/%s'", name) : 0;
}

static int differs(const struct reading *r, const char *what, const char *found, const char *want)
{
	if (MUTANT(ATOLL_MUTATE_RECEIPT_COMPARE)) {
		return 0;
	}
	return err_set(r->e, ERR_SYSTEM, EBADMSG,
		       "the read-back does not match the plan: %s is '%s', planned is '%s'", what,
		       found, want);
}

/* Adds {"how": how, "value": value}; takes `value`. */
static int add(const struct reading *r, const char *name, const char *how, json_t *value)
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
	return strcmp(found, want) == 0 ? 0 : differs(r, name, found, want);
}

static int check_namespaces(const struct reading *r)
{
	static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
	_cleanup_json_ json_t *list = json_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
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
			int err = differs(r, names[i], "the host's namespace", "its own");

			if (err < 0) {
				return err;
			}
		}
		if (json_put(list, names[i], json_string(theirs)) < 0) {
			return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	return add(r, "namespaces", "read", TAKE_PTR(list));
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
	err = read_at(r, r->dir, name, &b);
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
		err = differs(r, name, map, want);
	}
	return err >= 0 ? add(r, name, "read", json_string(map)) : err;
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
	if (err >= 0) {
		err = check_map(r, "uid_map", id->uid, r->spec->host_uid);
	}
	return err >= 0 ? check_map(r, "gid_map", id->gid, r->spec->host_gid) : err;
}

/* The keeper's own filters, if it runs under some, are inherited and count as well. */
static int check_seccomp(const struct reading *r, const char *status, const char *own)
{
	static const enum seccomp_filter filters[] = {
		[SYSCALLS_FILE] = SECCOMP_FILTER_FILE,
		[SYSCALLS_STRICT] = SECCOMP_FILTER_STRICT,
		[SYSCALLS_DEFAULT] = SECCOMP_FILTER_DEFAULT,
		[SYSCALLS_NESTED] = SECCOMP_FILTER_NESTED,
	};
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
	seccomp_digest(filters[profile], digest);
	value = json_pack("{s:s, s:s, s:s}", "profile", syscall_profile_name(profile), "filters",
			  want, "sha256", digest);
	return add(r, "seccomp", "read", value);
}

static int check_status(const struct reading *r)
{
	static const char *const caps[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	_cleanup_buf_ struct buf status = {}, own = {};
	size_t i;
	int err;

	buf_init(&status, 65536);
	buf_init(&own, 65536);
	err = read_at(r, r->dir, "status", &status);
	if (err >= 0) {
		err = read_at(r, r->self, "status", &own);
	}
	if (err >= 0) {
		err = check_ids(r, buf_str(&status));
	}
	for (i = 0; err >= 0 && i < ARRAY_SIZE(caps); i++) {
		err = expect(r, buf_str(&status), caps[i], "0000000000000000");
	}
	if (err >= 0) {
		err = add(r, "capabilities", "read", json_string("none"));
	}
	if (err >= 0) {
		err = expect(r, buf_str(&status), "NoNewPrivs", "1");
	}
	if (err >= 0) {
		err = add(r, "no_new_privs", "read", json_true());
	}
	if (err >= 0) {
		err = expect(r, buf_str(&status), "Threads", "1");
	}
	return err >= 0 ? check_seccomp(r, buf_str(&status), buf_str(&own)) : err;
}

/* \040 and the like, in place (proc_pid_mountinfo(5)). */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

static unsigned parse_attrs(char *options)
{
	unsigned attrs = 0;
	char *word;

	while ((word = strsep(&options, ","))) {
		attrs |= strcmp(word, "ro") == 0       ? MOUNT_ATTR_RDONLY
			 : strcmp(word, "nosuid") == 0 ? MOUNT_ATTR_NOSUID
			 : strcmp(word, "nodev") == 0  ? MOUNT_ATTR_NODEV
			 : strcmp(word, "noexec") == 0 ? MOUNT_ATTR_NOEXEC
						       : 0U;
	}
	return attrs;
}

/* The rule for a mount point: an exact one first, else the deepest tree it lies in. */
static struct view_rule *find_rule(struct view_rule *rules, size_t n, const char *path)
{
	struct view_rule *best = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		size_t len = strlen(rules[i].path);

		if (strcmp(path, rules[i].path) == 0 && !(best && strcmp(best->path, path) == 0)) {
			best = &rules[i];
		} else if (rules[i].tree && strncmp(path, rules[i].path, len) == 0 &&
			   path[len] == '/' && (!best || strlen(best->path) < len)) {
			best = &rules[i];
		}
	}
	return best;
}

/* What comes between the attributes and the type: a mount that receives others, or passes them on,
 * says so there ("shared:1", "master:2"; proc_pid_mountinfo(5)). */
static bool is_private(char *optional)
{
	char *word;

	while ((word = strsep(&optional, " ")) && strcmp(word, "-") != 0) {
		if (strncmp(word, "shared:", 7) == 0 || strncmp(word, "master:", 7) == 0) {
			return false;
		}
	}
	return true;
}

/* One line: "36 35 98:0 /source /point ro,nosuid optional... - type source options". */
static int check_mount(const struct reading *r, char *line, struct view_rule *rules, size_t n,
		       json_t *list)
{
	char *fields[6] = {}, *word, text[64];
	struct view_rule *rule;
	unsigned attrs;
	size_t i = 0;
	json_t *entry;

	while (i < 6 && (word = strsep(&line, " "))) {
		fields[i++] = word;
	}
	if (i < 6) {
		return err_set(r->e, ERR_SYSTEM, EBADMSG, "cannot parse the mount table");
	}
	unescape(fields[4]);
	entry = json_pack("{s:o, s:s}", "path", json_text(fields[4]), "attrs", fields[5]);
	if (!entry || json_array_append_new(list, entry) < 0) {
		return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	attrs = parse_attrs(fields[5]);
	rule = find_rule(rules, n, fields[4]);
	if (!rule) {
		return differs(r, "a mount", fields[4], "no such mount");
	}
	rule->required = false;
	if (!is_private(line)) {
		return differs(r, fields[4], "tied to mounts outside", "private");
	}
	if ((attrs & rule->attrs) != rule->attrs) {
		(void)snprintf(text, sizeof(text), "%s%s%s%s",
			       rule->attrs & MOUNT_ATTR_RDONLY ? "ro " : "",
			       rule->attrs & MOUNT_ATTR_NOSUID ? "nosuid " : "",
			       rule->attrs & MOUNT_ATTR_NODEV ? "nodev " : "",
			       rule->attrs & MOUNT_ATTR_NOEXEC ? "noexec" : "");
		return differs(r, fields[4], "less restricted", text);
	}
	return 0;
}

static int check_mounts(const struct reading *r)
{
	struct view_rule rules[VIEW_MAX_RULES];
	size_t n = view_rules(r->spec->plan, rules), i;
	_cleanup_json_ json_t *list = json_array();
	_cleanup_buf_ struct buf b = {};
	char *rest, *line;
	int err;

	if (n > VIEW_MAX_RULES) {
		return err_set(r->e, ERR_POLICY, E2BIG, "the plan has too many paths");
	}
	buf_init(&b, MAX_TEXT);
	err = read_at(r, r->dir, "mountinfo", &b);
	rest = b.data;
	while (err >= 0 && rest && (line = strsep(&rest, "\n"))) {
		if (*line) {
			err = check_mount(r, line, rules, n, list);
		}
	}
	for (i = 0; err >= 0 && i < n; i++) {
		if (rules[i].required) {
			err = differs(r, rules[i].path, "not mounted", "a mount");
		}
	}
	return err >= 0 ? add(r, "mounts", "read", TAKE_PTR(list)) : err;
}

/* Descriptor i must be our pipe's end or the sandbox's own terminal, and there is no fourth. */
static int check_descriptor(const struct reading *r, int i)
{
	char name[16], link[128];
	struct stat want, have;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "fd/%d", i);
	if (r->spec->tty & 1U << i) {
		n = readlinkat(r->dir, name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		return strcmp(link, "/dev/pts/0") == 0
			       ? 0
			       : differs(r, name, link, "the sandbox's terminal");
	}
	if (fstatat(r->dir, name, &have, 0) < 0 || fstat(r->spec->stdio[i], &want) < 0) {
		return err_sys(r->e, errno, "cannot look at descriptor %d of the payload", i);
	}
	return have.st_dev == want.st_dev && have.st_ino == want.st_ino
		       ? 0
		       : differs(r, name, "another file", "a pipe of the keeper");
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

static int check_descriptors(const struct reading *r)
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
		err = differs(r, "number of descriptors", found, "3");
	}
	return err >= 0 ? add(r, "descriptors", "read", json_integer(n)) : err;
}

/* The memory that the kernel laid out at exec: exactly the plan's strings, in order. */
static int check_environment(const struct reading *r)
{
	const struct plan *plan = r->spec->plan;
	_cleanup_buf_ struct buf b = {}, want = {};
	size_t i;
	int err;

	buf_init(&b, 4 * MAX_TEXT);
	buf_init(&want, 4 * MAX_TEXT);
	for (i = 0; i < plan->n_env; i++) {
		(void)buf_add(&want, plan->env[i], strlen(plan->env[i]) + 1);
	}
	err = want.failed ? err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory")
			  : read_at(r, r->dir, "environ", &b);
	if (err < 0) {
		return err;
	}
	if (b.len != want.len || memcmp(buf_str(&b), buf_str(&want), b.len) != 0) {
		err = differs(r, "the environment", "different", "what the policy declares");
	}
	return err >= 0 ? add(r, "environment", "read", json_integer((json_int_t)plan->n_env))
			: err;
}

static int check_rlimits(const struct reading *r)
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
		{RLIMIT_NPROC, "processes", r->spec->limit_nproc ? l->processes + 1ULL : 0},
	};
	_cleanup_json_ json_t *list = json_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit now;

		if (rows[i].resource == RLIMIT_NPROC && rows[i].want == 0) {
			continue;
		}
		if (prlimit(r->sb->payload, rows[i].resource, NULL, &now) < 0) {
			return err_sys(r->e, errno, "cannot read the %s limit back", rows[i].name);
		}
		if (now.rlim_cur != rows[i].want || now.rlim_max != rows[i].want) {
			int err = differs(r, rows[i].name, "another limit", "as planned");

			if (err < 0) {
				return err;
			}
		}
		if (json_put(list, rows[i].name, json_integer((json_int_t)now.rlim_max)) < 0) {
			return err_set(r->e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
	}
	return add(r, "rlimits", "read", TAKE_PTR(list));
}

/* Where CPUs are limited by affinity: no more of them than planned. */
static int check_affinity(const struct reading *r)
{
	cpu_set_t set;
	char found[32], want[32];
	int err = 0;

	if (r->spec->affinity == 0) {
		return 0;
	}
	CPU_ZERO(&set);
	if (sched_getaffinity(r->sb->payload, sizeof(set), &set) < 0) {
		return err_sys(r->e, errno, "cannot read the CPU affinity back");
	}
	(void)snprintf(found, sizeof(found), "%d", CPU_COUNT(&set));
	(void)snprintf(want, sizeof(want), "%u", r->spec->affinity);
	if (CPU_COUNT(&set) > (int)r->spec->affinity) {
		err = differs(r, "the number of CPUs", found, want);
	}
	return err >= 0 ? add(r, "affinity", "read", json_integer(CPU_COUNT(&set))) : err;
}

/* The scratch tmpfs is as large as planned, in whole pages; its directories are of one instance. */
static int check_scratch(const struct reading *r)
{
	_cleanup_fd_ int tmp = openat(r->dir, "root/tmp", O_PATH | O_CLOEXEC);
	struct statfs fs;
	char found[32], want[32];
	uint64_t size;
	int err = 0;

	if (tmp < 0 || fstatfs(tmp, &fs) < 0) {
		return err_sys(r->e, errno, "cannot read the size of the scratch space back");
	}
	size = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	(void)snprintf(found, sizeof(found), "%llu", (unsigned long long)size);
	(void)snprintf(want, sizeof(want), "%llu",
		       (unsigned long long)r->spec->plan->limits.scratch);
	if (fs.f_type != TMPFS_MAGIC || size == 0 ||
	    size >= r->spec->plan->limits.scratch + (uint64_t)fs.f_bsize) {
		err = differs(r, "the scratch size", found, want);
	}
	return err >= 0 ? add(r, "scratch", "read", json_integer((json_int_t)size)) : err;
}

/* Only lo among the interfaces, and no route that leaves it. */
static int check_network(const struct reading *r)
{
	_cleanup_buf_ struct buf b = {};
	const char *line;
	int err, lines = 0;

	buf_init(&b, MAX_TEXT);
	err = read_at(r, r->dir, "net/dev", &b);
	/* Two heading lines, then one for each interface. */
	for (line = buf_str(&b); err >= 0 && line && *line; lines++) {
		if (lines >= 2 && strncmp(line + strspn(line, " "), "lo:", 3) != 0) {
			return differs(r, "a network interface", "present", "only lo");
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (err >= 0) {
		err = read_at(r, r->dir, "net/route", &b);
	}
	line = strchr(buf_str(&b), '\n');
	if (err >= 0 && line && line[1]) {
		err = differs(r, "a route", "present", "none");
	}
	return err >= 0 ? add(r, "network", "read", json_string("none but its own loopback")) : err;
}

static int check_landlock(const struct reading *r)
{
	if (!plan_uses_landlock(r->spec->plan)) {
		return add(r, "landlock", "read",
			   json_string("off: the plan allows nested sandboxes"));
	}
	/* The builder's probe came back refused, or there would be no BUILD_READY. */
	return add(r, "landlock", "probed",
		   json_pack("{s:i, s:s}", "abi", r->sb->landlock_abi, "writes",
			     "refused outside the writable trees"));
}

static int check_directories(const struct reading *r)
{
	char cwd[4096];
	ssize_t n = readlinkat(r->dir, "cwd", cwd, sizeof(cwd) - 1);
	int err = 0;

	cwd[n > 0 ? n : 0] = '\0';
	if (strcmp(cwd, r->spec->cwd) != 0) {
		err = differs(r, "the working directory", cwd, r->spec->cwd);
	}
	return err >= 0 ? add(r, "cwd", "read", json_text(cwd)) : err;
}

static int add_execution(const struct reading *r)
{
	const struct plan *plan = r->spec->plan;

	/* The list is in Landlock's rules, which the builder probed with a file that is not on it.
	 */
	return add(r, "execution", plan->exec_any ? "read" : "probed",
		   plan->exec_any
			   ? json_string("any program in the view")
			   : json_pack("{s:I, s:s}", "allowed", (json_int_t)plan->n_exec, "kind",
				       "guard-rail: interpreters and loaders can run other code"));
}

/* The payload must be where pid 1 was when it was surveyed. */
static int same_namespaces(const struct reading *r)
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
			return differs(r, path, found, json_string_value(link));
		}
	}
	return 0;
}

static int run_checks(struct tier_sandbox *sb, pid_t pid, json_t *out,
		      int (*const *checks)(const struct reading *), size_t n, struct err *e)
{
	_cleanup_fd_ int dir = FD_NONE, self = FD_NONE;
	struct reading r = {.sb = sb, .spec = sb->spec, .out = out, .e = e};
	char path[32];
	size_t i;
	int err = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
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

int container_survey(struct tier_sandbox *sb, struct err *e)
{
	static int (*const checks[])(const struct reading *) = {
		check_namespaces,
		check_mounts,
		check_network,
	};

	sb->survey = json_object();
	return run_checks(sb, sb->init, sb->survey, checks, ARRAY_SIZE(checks), e);
}

int container_receipt(struct tier_sandbox *sb, json_t **ret, struct err *e)
{
	static int (*const checks[])(const struct reading *) = {
		same_namespaces,   check_status,  check_directories, check_descriptors,
		check_environment, check_rlimits, check_affinity,    check_scratch,
		check_landlock,    add_execution,
	};
	int err = run_checks(sb, sb->payload, sb->survey, checks, ARRAY_SIZE(checks), e);

	if (err >= 0) {
		*ret = json_incref(sb->survey);
	}
	return err;
}
