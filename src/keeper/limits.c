/* SPDX-License-Identifier: Apache-2.0 */
/* Arming, reading back and watching limits. */
#include "keeper/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "linux/cgroup-file.h"
#include "linux/disk.h"
#include "linux/mountinfo.h"
#include "linux/tree.h"
#include "tier/tier.h"

#define MS 1000000LL
/* Less CPU than this between two looks is "doing nothing" for the idle limit: one percent. */
#define IDLE_SHARE 100
/* Where pids begin again after the largest (RESERVED_PIDS, kernel/pid.c). */
#define FIRST_PID_AGAIN 300
/* How fast memory can fill at worst; decides how often the sampler must look. */
#define FILL_BYTES_PER_MS (8ULL * 1024 * 1024)
/* Nothing to see before. Most commands of a busy agent end by then, and no look is paid for. */
#define FIRST_LOOK_MS 5
#define LOOK_MS       250
/* Of a sandbox in which nobody can do anything. */
#define REST_MS 10000

const char *limit_name(enum limit l)
{
	static const char *const names[] = {
		[LIMIT_NONE] = "none",     [LIMIT_WALL] = "wall",
		[LIMIT_CPU_TIME] = "cpu",  [LIMIT_IDLE] = "idle",
		[LIMIT_MEMORY] = "memory", [LIMIT_OUTPUT] = "output",
		[LIMIT_STARTS] = "starts", [LIMIT_SCRATCH] = "scratch",
		[LIMIT_COPY] = "copy",     [LIMIT_SESSION] = "session",
		[LIMIT_PAUSED] = "paused", [LIMIT_ACCOUNT] = "account",
	};

	return names[l];
}

/* What the sampler cannot do is refused here, before anything is made. */
static int check_sampler(const struct plan_limits *plan, const struct err *why, struct err *e)
{
	if (plan->mechanism == MECHANISM_GROUP) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "the policy asks for limits by control group, and there is none: "
			       "%s; run as "
			       "root, or accept weaker limits by name with "
			       "'execution: {limits: {mechanism: any}}'",
			       why->msg);
	}
	if (plan->cpus_milli % 1000 != 0) {
		return err_set(
			e, ERR_POLICY, EOPNOTSUPP,
			"a fraction of a CPU needs a control group, and there is none: %s; ask for "
			"whole CPUs",
			why->msg);
	}
	return 0;
}

/* Whole CPUs only: what cannot be counted is pinned. */
static int check_pinning(const struct plan_limits *plan, struct err *e)
{
	return plan->cpus_milli % 1000 == 0 ? 0
					    : err_set(e, ERR_POLICY, EOPNOTSUPP,
						      "a fraction of a CPU needs the cpu "
						      "controller, which is not delegated to "
						      "this user's service manager; ask for whole "
						      "CPUs, or as root: systemctl "
						      "edit user@.service, and there [Service] "
						      "Delegate=cpu memory pids");
}

static int check_place(const struct mount_table *mounts, const char *path, struct err *e)
{
	const char *type;
	struct stat st;

	if (!path || stat(path, &st) < 0) {
		return 0; /* what is not there is not shown */
	}
	return disk_find_elsewhere(mounts, path, st.st_dev, &type) == 0
		       ? 0
		       : err_set(e, ERR_POLICY, EOPNOTSUPP,
				 "'%s' is, or holds, a file system that is on no disk of this host "
				 "(%s); leave the limit out, or work on a copy",
				 path, type);
}

/* Everything that the payload can read or write must be where io.max holds. */
static int check_places(const struct plan *plan, struct err *e)
{
	_cleanup_(mount_table_done) struct mount_table mounts = {};
	enum workspace_mode mode;
	size_t i;
	int r = mount_table_read(&mounts, e);

	r = r < 0 ? r : check_place(&mounts, "/usr", e);
	for (i = 0; r >= 0 && i < plan_n_works(plan); i++) {
		r = check_place(&mounts, plan_work(plan, i, &mode)->path, e);
	}
	for (i = 0; r >= 0 && i < plan->n_read; i++) {
		r = check_place(&mounts, plan->read[i].path, e);
	}
	return r;
}

/* A limit of I/O is armed as the policy says, or nothing starts. */
static int want_io(struct limits *l, const struct plan *plan, const struct err *why, struct err *e)
{
	int r;

	if (l->group.kind == GROUP_NONE) {
		r = err_set(e, ERR_POLICY, EOPNOTSUPP,
			    "it needs a control group of version 2, and there is none: %s; run as "
			    "root, or leave the limit out",
			    why->msg);
	} else {
		r = group_want_io(&l->group, e);
		r = r < 0 ? r : check_places(plan, e);
	}
	return r < 0 ? err_wrap(e, "execution.limits.io") : 0;
}

void limits_find(struct limits *l)
{
	*l = (struct limits){};
	group_find(&l->group, &l->no_group);
}

int limits_choose(struct limits *l, const struct plan *plan, bool lives, struct err *e)
{
	l->plan = &plan->limits;
	if (plan->syscalls == SYSCALLS_NESTED) {
		group_hide(&l->group);
	}
	if (lives) {
		group_want_freezer(&l->group);
	}
	if (plan->limits.io > 0) {
		int r = want_io(l, plan, &l->no_group, e);

		if (r < 0) {
			return r;
		}
	}
	return l->group.kind == GROUP_NONE ? check_sampler(l->plan, &l->no_group, e)
	       : l->group.no_cpu           ? check_pinning(l->plan, e)
					   : 0;
}

void limits_delegate(const struct limits *l, struct tier_spec *spec)
{
	spec->limit_nproc = l->group.kind == GROUP_NONE;
	if (l->group.kind == GROUP_NONE || l->group.no_cpu) {
		spec->affinity = l->plan->cpus_milli / 1000;
	}
}

int limits_arm(struct limits *l, const char *id, pid_t first, struct err *e)
{
	return group_make(&l->group, id, l->plan, first, e);
}

/* What holds a copy to its size. */
static const char *copy_mechanism(enum tier_copy_kind kind)
{
	return kind == TIER_COPY_MOUNT   ? "size of its image"
	       : kind == TIER_COPY_TMPFS ? "tmpfs size"
					 : "keeper, sampler";
}

static int entry(json_t *list, const char *name, const char *mechanism, uint64_t value,
		 struct err *e)
{
	json_t *o = json_pack("{s:s, s:s, s:I}", "name", name, "mechanism", mechanism, "value",
			      (json_int_t)value);

	return !o || json_array_append_new(list, o) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		       : 0;
}

/* What the keeper looks at: "keeper, by output, exec and connection"; all of it: "keeper". */
static void idle_mechanism(uint32_t signals, char text[64])
{
	static const char *const names[] = {"output", "cpu", "exec", "connection"};
	unsigned left = (unsigned)__builtin_popcount(signals & IDLE_ALL);
	const char *join = ", by ";
	size_t n = (size_t)snprintf(text, 64, "keeper");

	for (size_t i = 0; (signals & IDLE_ALL) != IDLE_ALL && i < ARRAY_SIZE(names); i++) {
		if (signals & (1U << i)) {
			n += (size_t)snprintf(text + n, 64 - n, "%s%s", join, names[i]);
			join = --left == 1 ? " and " : ", ";
		}
	}
}

int limits_receipt(const struct limits *l, const struct tier_sandbox *sb, pid_t pid, json_t **ret,
		   struct err *e)
{
	const struct plan_limits *p = l->plan;
	char idle[64];
	const struct {
		const char *name, *mechanism;
		uint64_t value;
	} rows[] = {
		{"open_files", "rlimit", p->open_files},
		{"file_size", "rlimit", p->file_size},
		{"output", "keeper", p->output},
		{"starts", "keeper", p->starts},
		{"wall_ms", "keeper", (uint64_t)(p->wall / MS)},
		{"cpu_ms",
		 l->group.kind == GROUP_NONE ? "keeper, sampler"
					     : "keeper, accounting of the group",
		 (uint64_t)(p->cpu_time / MS)},
		{"idle_ms", idle, (uint64_t)(p->idle / MS)},
		{"session_ms", "keeper", (uint64_t)(p->session / MS)},
		{"pauses", "keeper", p->pauses},
		{"paused_ms", "keeper", (uint64_t)(p->paused / MS)},
	};
	_cleanup_json_ json_t *list = json_array();
	size_t i;
	int r = 0;

	idle_mechanism(p->idle_signals, idle);
	if (l->group.kind != GROUP_NONE) {
		r = group_receipt(&l->group, p, pid, list, e);
	} else {
		r = entry(list, "memory", "sampler", p->memory, e);
		r = r < 0 ? r
			  : entry(list, "processes",
				  walls_have_no_namespace(sb->walls)
					  ? "keeper, at each start"
					  : "rlimit in the user namespace",
				  p->processes, e);
	}
	if (r >= 0 && (l->group.kind == GROUP_NONE || l->group.no_cpu)) {
		r = entry(list, "cpus", "affinity, locked by seccomp", p->cpus_milli / 1000, e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++) {
		r = entry(list, rows[i].name, rows[i].mechanism, rows[i].value, e);
	}
	if (r >= 0 && sb->walls != WALLS_NONE) { /* there the host's own places are used */
		r = entry(list, "scratch", sb->spec->scratch ? "keeper, sampler" : "tmpfs size",
			  p->scratch, e);
	}
	if (r >= 0 && sb->spec->copy.kind != TIER_COPY_NONE) {
		r = entry(list, "copy", copy_mechanism(sb->spec->copy.kind), p->copy, e);
	}
	if (r >= 0) {
		*ret = TAKE_PTR(list);
	}
	return r;
}

/* From now on somebody can use something again. */
static void wake(struct limits *l)
{
	int64_t now = clock_now_ns();

	l->alone = false;
	if (l->due_ns > now + FIRST_LOOK_MS * MS) {
		l->due_ns = now + FIRST_LOOK_MS * MS;
	}
	if (l->rests) {
		l->rests = false;
		l->starts_since_ns = now; /* a rest is no time to spread starts over */
		l->starts_base = l->starts_total;
	}
}

void limits_pause(struct limits *l, bool on)
{
	wake(l);
	l->paused_ns = limits_paused_ns(l);
	l->paused_at_ns = on ? clock_now_ns() : 0;
	l->pauses += on;
}

int64_t limits_paused_ns(const struct limits *l)
{
	return l->paused_ns + (l->paused_at_ns > 0 ? clock_now_ns() - l->paused_at_ns : 0);
}

void limits_begun(struct limits *l)
{
	wake(l);
	if (l->plan->idle_signals & IDLE_EXEC) {
		limits_touch(l);
	}
}

void limits_connection(struct limits *l, bool was, bool is)
{
	if ((l->plan->idle_signals & IDLE_CONNECTION) && (was || is || l->connected)) {
		limits_touch(l);
	}
	l->connected = is;
}

void limits_touch(struct limits *l)
{
	l->last_active_ns = clock_now_ns();
}

void limits_start(struct limits *l, bool one_command)
{
	l->wall = one_command ? l->plan->wall : 0;
	l->started_ns = l->last_look_ns = l->last_active_ns = l->starts_since_ns = clock_now_ns();
	l->due_ns = l->started_ns + FIRST_LOOK_MS * MS;
}

/* Sums up the sandbox now: by the group's accounting, or by looking at every process. */
static void measure(struct limits *l, const struct tier_sandbox *sb, uint64_t *ret_memory)
{
	struct sample sample;

	if (l->group.kind != GROUP_NONE) {
		/* A failed read leaves the last figure; the group itself enforces the limit. */
		group_measure(&l->group, &l->cpu_ns, &l->peak_memory);
		*ret_memory = 0;
		return;
	}
	if (!sample_take(&l->sampler, sb->proc, sb->tree, l->plan->memory, &sample)) {
		*ret_memory = UINT64_MAX; /* blind: what cannot be watched ends */
		return;
	}
	if (sample.cpu_ns > l->cpu_ns) {
		l->cpu_ns = sample.cpu_ns;
	}
	*ret_memory = sample.memory;
	if (sample.memory > l->peak_memory) {
		l->peak_memory = sample.memory;
	}
}

/*
 * Pid 1 is alone: it waits for us, and nobody else will be there before we let a command in. The
 * kernel's number is exact. What the sampler has listed is not: a process that starts the next one
 * and ends may be gone when its turn comes. So it counts only where nobody was started between the
 * count before that look, which has been answered, and the one after it (limits_count()).
 */
static void look_whether_alone(struct limits *l, bool unused)
{
	bool sampled = l->group.kind == GROUP_NONE;

	unused = unused && (sampled ? l->sampler.listed : group_tasks(&l->group)) == 1;
	l->rests = l->paused_at_ns > 0 || (unused && !sampled);
	l->alone = unused && sampled && l->counts == 0;
	l->counts += sampled;
}

/* How long until the nearest deadline could be missed, and not less than 5 ms. */
static int64_t next_look(const struct limits *l, int64_t now, uint64_t memory)
{
	int64_t life = l->wall > 0 && l->wall < l->plan->session ? l->wall : l->plan->session;
	int64_t ms = l->rests ? REST_MS : LOOK_MS;
	int64_t left = (life - (now - l->started_ns)) / MS + 1;

	if (l->paused_at_ns > 0) {
		int64_t rest = (l->plan->paused - limits_paused_ns(l)) / MS + 1;

		left = rest < left ? rest : left;
	}
	if (l->rests) {
		int64_t idle = (l->plan->idle - (now - l->last_active_ns)) / MS + 1;

		left = idle < left ? idle : left;
	} else if (l->group.kind == GROUP_NONE) {
		uint64_t headroom = l->plan->memory > memory ? l->plan->memory - memory : 0;
		int64_t fill = (int64_t)(headroom / FILL_BYTES_PER_MS);

		ms = fill < ms ? fill : ms;
	}
	ms = left < ms ? left : ms;
	return ms < FIRST_LOOK_MS ? FIRST_LOOK_MS : ms;
}

/* What is free on the file system of a directory; 0: nobody says. */
static uint64_t free_at(int dir)
{
	struct statvfs st;

	return fstatvfs(dir, &st) < 0 ? 0 : (uint64_t)st.f_bfree * st.f_frsize;
}

/*
 * Walks over a directory, for at most a twentieth of the time, unless its file system has lost more
 * meanwhile than the directory may still grow by: many files, which make a walk long, are no way
 * to write unseen. As many files as in a tmpfs of that
 * size (view.c of the container tier); one that is too deep to be looked at is too large.
 */
static bool is_full(struct limits_walk *w, int dir, const struct tree_usage *born, uint64_t size)
{
	const struct tree_usage limit = {born->bytes + size,
					 born->inodes + (size / 4096 < 1024 ? 1024 : size / 4096)};
	int64_t begin = clock_now_ns();
	struct tree_usage usage;
	uint64_t free;
	bool seen;

	if (dir < 0) {
		return false;
	}
	free = free_at(dir);
	if (begin - w->look_ns < 20 * w->cost_ns && free + w->left >= w->free) {
		return false;
	}
	w->free = free;
	seen = tree_measure(dir, &limit, &usage);
	w->look_ns = clock_now_ns();
	w->cost_ns = w->look_ns - begin;
	w->left = usage.bytes < limit.bytes ? limit.bytes - usage.bytes : 0;
	return !seen || usage.bytes > limit.bytes || usage.inodes > limit.inodes;
}

enum limit limits_look(struct limits *l, const struct tier_sandbox *sb,
		       const struct limits_places *places, uint64_t bytes, bool unused)
{
	int64_t now = clock_now_ns(), since = now - l->last_look_ns;
	const struct tree_usage nothing = {};
	const uint32_t signals = l->plan->idle_signals;
	uint64_t memory = 0;

	measure(l, sb, &memory);
	if (((signals & IDLE_OUTPUT) && bytes != l->last_bytes) ||
	    ((signals & IDLE_CPU) && (int64_t)(l->cpu_ns - l->last_cpu_ns) > since / IDLE_SHARE) ||
	    ((signals & IDLE_CONNECTION) && l->connected)) {
		l->last_active_ns = now;
	}
	if (l->paused_at_ns > 0) {
		l->last_active_ns = now; /* not idle: somebody has asked for it */
	}
	l->last_bytes = bytes;
	l->last_cpu_ns = l->cpu_ns;
	l->last_look_ns = now;
	look_whether_alone(l, unused);
	l->due_ns = now + next_look(l, now, memory) * MS;
	if (l->exhausted) {
		return LIMIT_ACCOUNT;
	}
	if (l->wall > 0 && now - l->started_ns >= l->wall) {
		return LIMIT_WALL;
	}
	if (now - l->started_ns >= l->plan->session) {
		return LIMIT_SESSION;
	}
	if (l->pauses > 0 && limits_paused_ns(l) >= l->plan->paused) {
		return LIMIT_PAUSED;
	}
	if ((int64_t)l->cpu_ns >= l->plan->cpu_time) {
		return LIMIT_CPU_TIME;
	}
	if (memory > l->plan->memory) {
		return LIMIT_MEMORY;
	}
	if (is_full(&l->scratch, places->scratch, &nothing, l->plan->scratch)) {
		return LIMIT_SCRATCH;
	}
	for (size_t i = 0; i < ARRAY_SIZE(l->copies); i++) {
		const struct limits_copy *c = &places->copies[i];

		if (is_full(&l->copies[i], c->upper, &c->born, l->plan->copy)) {
			return LIMIT_COPY;
		}
	}
	return now - l->last_active_ns >= l->plan->idle ? LIMIT_IDLE : LIMIT_NONE;
}

enum limit limits_count(struct limits *l, int32_t last, int32_t max)
{
	int64_t now = clock_now_ns(), span = now - l->starts_since_ns;
	int64_t made = (int64_t)last - l->last_pid;

	if (last < 0) {
		return LIMIT_NONE;
	}
	if (made < 0) {
		made += max - FIRST_PID_AGAIN;
		made = made > 0 ? made : 0;
	}
	l->starts_total += made;
	l->last_pid = last;
	l->counts -= l->counts > 0;
	if (l->alone && made == 0 && l->counts == 0) {
		l->rests = true;
		l->due_ns = l->last_look_ns + next_look(l, l->last_look_ns, 0) * MS;
	}
	l->alone = false;
	if (l->starts_total - l->starts_base > l->plan->starts) {
		/* More than a second's worth, in less than a second or spread over the span? */
		if ((l->starts_total - l->starts_base) * 1000 * MS >
		    span * (int64_t)l->plan->starts) {
			return LIMIT_STARTS;
		}
	}
	if (span >= 1000 * MS) {
		l->starts_since_ns = now;
		l->starts_base = l->starts_total;
	}
	return LIMIT_NONE;
}

void limits_ending(struct limits *l)
{
	l->ran_out = l->group.kind != GROUP_NONE && group_ran_out(&l->group);
}

enum limit limits_settle(struct limits *l)
{
	if (l->group.kind == GROUP_NONE) {
		return LIMIT_NONE;
	}
	group_measure(&l->group, &l->cpu_ns, &l->peak_memory);
	return l->ran_out || group_ran_out(&l->group) ? LIMIT_MEMORY : LIMIT_NONE;
}

int limits_disarm(struct limits *l, struct err *e)
{
	return l->group.kind == GROUP_NONE ? 0 : group_remove(&l->group, e);
}

void limits_done(struct limits *l)
{
	group_done(&l->group);
	sampler_done(&l->sampler);
}
