/* SPDX-License-Identifier: Apache-2.0 */
/* Arming, reading back and watching limits. */
#include "keeper/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "tier/tier.h"

#define CPU_PERIOD_US 100000U
#define MS            1000000LL
/* Less CPU than this between two looks is "doing nothing" for the idle limit: one percent. */
#define IDLE_SHARE 100
/* Where pids begin again after the largest (RESERVED_PIDS, kernel/pid.c). */
#define FIRST_PID_AGAIN 300
/* How fast memory can fill at worst; decides how often the sampler must look. */
#define FILL_BYTES_PER_MS (8ULL * 1024 * 1024)

const char *limit_name(enum limit l)
{
	static const char *const names[] = {
		[LIMIT_NONE] = "none",     [LIMIT_WALL] = "wall",     [LIMIT_CPU_TIME] = "cpu",
		[LIMIT_IDLE] = "idle",     [LIMIT_MEMORY] = "memory", [LIMIT_OUTPUT] = "output",
		[LIMIT_STARTS] = "starts",
	};

	return names[l];
}

static bool host_has_swap(void)
{
	_cleanup_fd_ int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {};
	const char *line;

	buf_init(&b, 65536);
	if (fd < 0 || buf_read_fd(&b, fd) < 0) {
		return true; /* unknown: assume the worse */
	}
	line = strchr(buf_str(&b), '\n'); /* the heading */
	return line && line[1];
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

int limits_choose(struct limits *l, const struct plan *plan, struct err *e)
{
	struct err why = {};
	size_t i;
	int r;

	*l = (struct limits){.plan = &plan->limits, .oom = FD_NONE};
	for (i = 0; i < CGROUP1_COUNT; i++) {
		l->procs[i] = l->cgroup.dir[i] = FD_NONE;
	}
	r = cgroup1_find(&l->cgroup, &why);
	for (i = 0; r >= 0 && i < CGROUP1_COUNT; i++) {
		if (access(l->cgroup.parent[i], W_OK) < 0) {
			r = err_sys(&why, errno, "this user may not make groups below '%s'",
				    l->cgroup.parent[i]);
		}
	}
	l->group = r >= 0;
	if (!l->group) {
		return check_sampler(l->plan, &why, e);
	}
	return 0;
}

json_t *limits_paths(const struct limits *l, const char *id)
{
	_cleanup_json_ json_t *paths = json_array();
	size_t i;

	for (i = 0; paths && l->group && i < CGROUP1_COUNT; i++) {
		json_t *path = json_sprintf("%s/atoll-%s", l->cgroup.parent[i], id);

		if (json_array_append_new(paths, path) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(paths);
}

/* The swap of a group is counted with its memory, or there is none to count. */
static int arm_memory(struct limits *l, struct err *e)
{
	uint64_t memory = l->plan->memory;
	int r = cgroup1_write(&l->cgroup, CGROUP1_MEMORY, "memory.limit_in_bytes", memory, e);

	if (r < 0) {
		return r;
	}
	if (cgroup1_has(&l->cgroup, CGROUP1_MEMORY, "memory.memsw.limit_in_bytes")) {
		return cgroup1_write(&l->cgroup, CGROUP1_MEMORY, "memory.memsw.limit_in_bytes",
				     memory, e);
	}
	if (host_has_swap()) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "this host swaps but does not account swap to groups; boot with "
			       "swapaccount=1, or switch swap off");
	}
	l->no_swap_limit = true;
	return 0;
}

static int arm_group(struct limits *l, const char *id, struct err *e)
{
	uint64_t quota = (uint64_t)l->plan->cpus_milli * CPU_PERIOD_US / 1000;
	char name[64];
	int r;

	(void)snprintf(name, sizeof(name), "atoll-%s", id);
	r = cgroup1_make(&l->cgroup, name, e);
	if (r >= 0) {
		r = arm_memory(l, e);
	}
	if (r >= 0) {
		/* atoll-init is one task of the group. */
		r = cgroup1_write(&l->cgroup, CGROUP1_PIDS, "pids.max", l->plan->processes + 1ULL,
				  e);
	}
	if (r >= 0) {
		r = cgroup1_write(&l->cgroup, CGROUP1_CPU, "cpu.cfs_period_us", CPU_PERIOD_US, e);
	}
	if (r >= 0) {
		r = cgroup1_write(&l->cgroup, CGROUP1_CPU, "cpu.cfs_quota_us", quota, e);
	}
	if (r >= 0) {
		r = l->oom = cgroup1_oom_event(&l->cgroup, e);
	}
	return r >= 0 ? cgroup1_open_tasks(&l->cgroup, l->procs, e) : r;
}

void limits_delegate(const struct limits *l, struct tier_spec *spec)
{
	if (!l->group) {
		spec->limit_nproc = true;
		spec->affinity = l->plan->cpus_milli / 1000;
	}
}

int limits_arm(struct limits *l, const char *id, struct err *e)
{
	int r;

	if (!l->group) {
		return 0;
	}
	r = arm_group(l, id, e);
	if (r < 0) {
		return err_wrap(e, "cannot arm the limits");
	}
	l->n_procs = CGROUP1_COUNT;
	return 0;
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

/* One value of a group: what the kernel says must be what was asked for, in whole pages. */
static int group_entry(const struct limits *l, json_t *list, const char *name,
		       enum cgroup1_controller k, const char *file, uint64_t want, struct err *e)
{
	uint64_t have = 0;
	int r = cgroup1_read(&l->cgroup, k, file, &have, e);

	if (r >= 0 && have != want && (have > want || want - have >= 4096)) {
		r = err_set(e, ERR_SYSTEM, EBADMSG,
			    "the read-back does not match the plan: %s is %llu, planned is %llu",
			    file, (unsigned long long)have, (unsigned long long)want);
	}
	return r >= 0 ? entry(list, name, "cgroup v1", have, e) : r;
}

static int group_receipt(const struct limits *l, json_t *list, struct err *e)
{
	uint64_t quota = (uint64_t)l->plan->cpus_milli * CPU_PERIOD_US / 1000;
	const char *memory =
		l->no_swap_limit ? "memory.limit_in_bytes" : "memory.memsw.limit_in_bytes";
	int r = group_entry(l, list, "memory", CGROUP1_MEMORY, memory, l->plan->memory, e);

	if (r >= 0) {
		r = group_entry(l, list, "processes", CGROUP1_PIDS, "pids.max",
				l->plan->processes + 1ULL, e);
	}
	return r >= 0 ? group_entry(l, list, "cpus", CGROUP1_CPU, "cpu.cfs_quota_us", quota, e) : r;
}

int limits_receipt(const struct limits *l, pid_t pid, json_t **ret, struct err *e)
{
	const struct plan_limits *p = l->plan;
	const struct {
		const char *name, *mechanism;
		uint64_t value;
	} rows[] = {
		{"open_files", "rlimit", p->open_files},
		{"file_size", "rlimit", p->file_size},
		{"scratch", "tmpfs size", p->scratch},
		{"output", "keeper", p->output},
		{"starts", "keeper", p->starts},
		{"wall_ms", "keeper", (uint64_t)(p->wall / MS)},
		{"cpu_ms", l->group ? "keeper, cgroup v1 accounting" : "keeper, sampler",
		 (uint64_t)(p->cpu_time / MS)},
		{"idle_ms", "keeper", (uint64_t)(p->idle / MS)},
	};
	_cleanup_json_ json_t *list = json_array();
	size_t i;
	int r = 0;

	if (l->group) {
		r = cgroup1_has_member(&l->cgroup, pid, e);
		r = r < 0 ? r : group_receipt(l, list, e);
	} else {
		r = entry(list, "memory", "sampler", p->memory, e);
		r = r < 0 ? r
			  : entry(list, "processes", "rlimit in the user namespace", p->processes,
				  e);
		r = r < 0 ? r
			  : entry(list, "cpus", "affinity, locked by seccomp", p->cpus_milli / 1000,
				  e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++) {
		r = entry(list, rows[i].name, rows[i].mechanism, rows[i].value, e);
	}
	if (r >= 0) {
		*ret = TAKE_PTR(list);
	}
	return r;
}

void limits_start(struct limits *l)
{
	l->started_ns = l->last_look_ns = l->last_active_ns = l->starts_since_ns = clock_now_ns();
}

/* Sums up the sandbox now: by the group's accounting, or by looking at every process. */
static void measure(struct limits *l, const struct tier_sandbox *sb, uint64_t *ret_memory)
{
	struct sample sample;
	uint64_t usage = 0;

	if (l->group) {
		struct err ignored = {};

		/* A failed read leaves the last figure; the group itself enforces the limit. */
		if (cgroup1_read(&l->cgroup, CGROUP1_CPUACCT, "cpuacct.usage", &usage, &ignored) ==
		    0) {
			l->cpu_ns = usage;
		}
		(void)cgroup1_read(&l->cgroup, CGROUP1_MEMORY, "memory.max_usage_in_bytes",
				   &l->peak_memory, &ignored);
		*ret_memory = 0;
		return;
	}
	if (!sample_take(&l->sampler, sb->proc, l->plan->memory, &sample)) {
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

/* How long until the nearest deadline could be missed, within 5 to 250 ms. */
static int next_look(const struct limits *l, int64_t now, uint64_t memory)
{
	int64_t ms = 250, left = (l->plan->wall - (now - l->started_ns)) / MS + 1;

	if (!l->group) {
		uint64_t headroom = l->plan->memory > memory ? l->plan->memory - memory : 0;
		int64_t fill = (int64_t)(headroom / FILL_BYTES_PER_MS);

		ms = fill < ms ? fill : ms;
	}
	ms = left < ms ? left : ms;
	return ms < 5 ? 5 : (int)ms;
}

enum limit limits_look(struct limits *l, const struct tier_sandbox *sb, uint64_t bytes,
		       int *ret_next_ms)
{
	int64_t now = clock_now_ns(), since = now - l->last_look_ns;
	uint64_t memory = 0;

	measure(l, sb, &memory);
	if (bytes != l->last_bytes || (int64_t)(l->cpu_ns - l->last_cpu_ns) > since / IDLE_SHARE) {
		l->last_active_ns = now;
	}
	l->last_bytes = bytes;
	l->last_cpu_ns = l->cpu_ns;
	l->last_look_ns = now;
	*ret_next_ms = next_look(l, now, memory);
	if (now - l->started_ns >= l->plan->wall) {
		return LIMIT_WALL;
	}
	if ((int64_t)l->cpu_ns >= l->plan->cpu_time) {
		return LIMIT_CPU_TIME;
	}
	if (memory > l->plan->memory) {
		return LIMIT_MEMORY;
	}
	if (bytes > l->plan->output) {
		return LIMIT_OUTPUT;
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

enum limit limits_settle(struct limits *l)
{
	struct err ignored = {};
	uint64_t peak = 0;

	if (!l->group) {
		return LIMIT_NONE;
	}
	if (cgroup1_read(&l->cgroup, CGROUP1_MEMORY, "memory.max_usage_in_bytes", &peak,
			 &ignored) == 0) {
		l->peak_memory = peak;
	}
	(void)cgroup1_read(&l->cgroup, CGROUP1_CPUACCT, "cpuacct.usage", &l->cpu_ns, &ignored);
	return cgroup1_stat(&l->cgroup, CGROUP1_MEMORY, "memory.oom_control", "oom_kill") > 0
		       ? LIMIT_MEMORY
		       : LIMIT_NONE;
}

int limits_disarm(struct limits *l, struct err *e)
{
	size_t i;

	for (i = 0; i < CGROUP1_COUNT; i++) {
		l->procs[i] = fd_close(l->procs[i]);
	}
	l->oom = fd_close(l->oom);
	return l->group ? cgroup1_destroy(&l->cgroup, e) : 0;
}

void limits_done(struct limits *l)
{
	cgroup1_done(&l->cgroup);
	sampler_done(&l->sampler);
	l->oom = fd_close(l->oom);
}
