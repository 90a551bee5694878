/* SPDX-License-Identifier: Apache-2.0 */
/* One interface over three ways to a control group. */
#include "keeper/group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mutant.h"
#include "keeper/scope.h"

#define CPU_PERIOD_US 100000U
/* atoll-init is one task of the group. */
#define PLUS_INIT(processes) ((processes) + 1ULL)

const char *group_name(enum group_kind kind)
{
	static const char *const names[] = {
		[GROUP_NONE] = "none",
		[GROUP_V1] = "cgroup v1",
		[GROUP_V2] = "cgroup v2",
		[GROUP_SCOPE] = "cgroup v2, systemd scope",
	};

	return names[kind];
}

static uint64_t quota_us(const struct plan_limits *plan)
{
	return (uint64_t)plan->cpus_milli * CPU_PERIOD_US / 1000;
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

/* ---- finding ---- */

static bool find_v1(struct group *g, struct err *why)
{
	size_t i;

	if (cgroup1_find(&g->v1, why) < 0) {
		return false;
	}
	for (i = 0; i < g->v1.n; i++) {
		if (access(g->v1.parent[i], W_OK) < 0) {
			(void)err_sys(why, errno, "this user may not make groups below '%s'",
				      g->v1.parent[i]);
			return false;
		}
	}
	return true;
}

static bool find_scope(struct group *g, struct err *why)
{
	_cleanup_free_ char *manager = NULL;
	bool cpu = false;

	if (cgroup2_find_manager(&g->v2, &manager, &cpu, why) < 0 || scope_available(why) < 0) {
		return false;
	}
	if (asprintf(&g->scope, "%s/app.slice", manager) < 0) {
		g->scope = NULL;
		(void)err_set(why, ERR_SYSTEM, ENOMEM, "out of memory");
		return false;
	}
	g->no_cpu = !cpu;
	g->no_io = !cgroup2_offers_io(manager);
	return true;
}

void group_init(struct group *g)
{
	size_t i;

	*g = (struct group){.v2 = CGROUP2_NONE, .oom = FD_NONE};
	for (i = 0; i < CGROUP1_COUNT; i++) {
		g->tasks[i] = g->v1.dir[i] = FD_NONE;
	}
}

void group_find(struct group *g, struct err *why)
{
	group_init(g);
	if (find_v1(g, why)) {
		g->kind = GROUP_V1;
		return;
	}
	if (why->code != EOPNOTSUPP) {
		return; /* version 1 it is, and not for this user */
	}
	if (cgroup2_find(&g->v2, why) >= 0) {
		g->kind = GROUP_V2;
		return;
	}
	cgroup2_done(&g->v2);
	if (geteuid() != 0 && find_scope(g, why)) {
		g->kind = GROUP_SCOPE;
	}
}

void group_want_freezer(struct group *g)
{
	struct err ignored = {};

	if (g->kind == GROUP_V1 && cgroup1_want_freezer(&g->v1, &ignored) >= 0 &&
	    access(g->v1.parent[CGROUP1_FREEZER], W_OK) < 0) {
		g->v1.n = CGROUP1_FREEZER;
	}
}

int group_freeze(const struct group *g, bool on, struct err *e)
{
	if (g->kind == GROUP_NONE) {
		return err_set(e, ERR_USER, EOPNOTSUPP,
			       "a sandbox is paused by its control group, and this one has none; "
			       "'atoll doctor' says how to get one");
	}
	if (g->kind == GROUP_V1 && g->v1.n <= CGROUP1_FREEZER) {
		return err_set(e, ERR_USER, EOPNOTSUPP,
			       "on control groups of version 1 only a sandbox that 'atoll create' "
			       "has made can be paused, where the freezer controller is mounted");
	}
	return g->kind == GROUP_V1 ? cgroup1_freeze(&g->v1, on, e) : cgroup2_freeze(&g->v2, on, e);
}

int group_want_io(struct group *g, struct err *e)
{
	struct err why = {};

	if (g->kind == GROUP_V1) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "control groups of version 1 do not hold what is written through "
			       "the page cache; boot with systemd.unified_cgroup_hierarchy=1, or "
			       "leave the limit out");
	}
	if (g->kind == GROUP_SCOPE && g->no_io) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "the io controller is not delegated to this user's service "
			       "manager; as root: systemctl edit user@.service, and there "
			       "[Service] Delegate=cpu memory pids io; then end all sessions of "
			       "this user (loginctl terminate-user) and log in anew");
	}
	if (g->kind == GROUP_V2 && cgroup2_want_io(&g->v2, &why) < 0) {
		return err_set(e, ERR_POLICY, EOPNOTSUPP,
			       "%s; delegate it (systemd: Delegate=cpu memory pids io), or use a "
			       "kernel with CONFIG_BLK_DEV_THROTTLING",
			       why.msg);
	}
	g->io = true;
	return disk_list(&g->disks, &g->n_disks, e);
}

json_t *group_paths(const struct group *g, const char *id)
{
	_cleanup_json_ json_t *paths = json_array();
	size_t i;

	/* From the last: who is frozen in it cannot be killed before it goes. */
	for (i = g->v1.n; paths && g->kind == GROUP_V1 && i-- > 0;) {
		if (json_array_append_new(paths, json_sprintf("%s/atoll-%s", g->v1.parent[i], id)) <
		    0) {
			return NULL;
		}
	}
	if (paths && g->kind == GROUP_V2 &&
	    json_array_append_new(paths, json_sprintf("%s/atoll-%s", g->v2.parent, id)) < 0) {
		return NULL;
	}
	if (paths && g->kind == GROUP_SCOPE &&
	    json_array_append_new(paths, json_sprintf("%s/atoll-%s.scope", g->scope, id)) < 0) {
		return NULL;
	}
	return TAKE_PTR(paths);
}

/* ---- version 1 ---- */

/* The swap of a group is counted with its memory, or there is none to count. */
static int arm_memory_v1(struct group *g, uint64_t memory, struct err *e)
{
	int r = cgroup1_write(&g->v1, CGROUP1_MEMORY, "memory.limit_in_bytes", memory, e);

	if (r < 0) {
		return r;
	}
	if (cgroup1_has(&g->v1, CGROUP1_MEMORY, "memory.memsw.limit_in_bytes")) {
		return cgroup1_write(&g->v1, CGROUP1_MEMORY, "memory.memsw.limit_in_bytes", memory,
				     e);
	}
	if (host_has_swap()) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "this host swaps but does not account swap to groups; boot with "
			       "swapaccount=1, or switch swap off");
	}
	g->no_swap_limit = true;
	return 0;
}

static int make_v1(struct group *g, const char *name, const struct plan_limits *plan, struct err *e)
{
	int r = cgroup1_make(&g->v1, name, e);

	if (r >= 0) {
		r = arm_memory_v1(g, plan->memory, e);
	}
	if (r >= 0) {
		r = cgroup1_write(&g->v1, CGROUP1_PIDS, "pids.max", PLUS_INIT(plan->processes), e);
	}
	if (r >= 0) {
		r = cgroup1_write(&g->v1, CGROUP1_CPU, "cpu.cfs_period_us", CPU_PERIOD_US, e);
	}
	if (r >= 0) {
		r = cgroup1_write(&g->v1, CGROUP1_CPU, "cpu.cfs_quota_us", quota_us(plan), e);
	}
	if (r >= 0) {
		r = g->oom = cgroup1_oom_event(&g->v1, e);
	}
	if (r >= 0) {
		r = cgroup1_open_tasks(&g->v1, g->tasks, e);
	}
	g->n_tasks = r >= 0 ? g->v1.n : 0;
	return r;
}

/* ---- version 2 ---- */

static int write_number(const struct cgroup2 *c, const char *file, uint64_t value, struct err *e)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return cgroup2_write(c, file, text, e);
}

/* No swap at all: then memory.max is all the memory there is, as the plan says. */
static int arm_swap_v2(struct group *g, struct err *e)
{
	if (cgroup2_has(&g->v2, "memory.swap.max")) {
		return cgroup2_write(&g->v2, "memory.swap.max", "0", e);
	}
	if (host_has_swap()) {
		return err_set(e, ERR_SYSTEM, EOPNOTSUPP,
			       "this host swaps but does not account swap to groups; boot without "
			       "swapaccount=0, or switch swap off");
	}
	g->no_swap_limit = true;
	return 0;
}

/* The words of io.max for one disk: "MAJOR:MINOR", and what follows it. */
static void name_disk(const struct disk *d, char out[32])
{
	(void)snprintf(out, 32, "%u:%u", d->major, d->minor);
}

static int arm_io(const struct group *g, uint64_t rate, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; !MUTANT(ATOLL_MUTATE_IO) && r >= 0 && i < g->n_disks; i++) {
		char name[32], text[128];

		name_disk(&g->disks[i], name);
		(void)snprintf(text, sizeof(text), "%s rbps=%" PRIu64 " wbps=%" PRIu64, name, rate,
			       rate);
		r = cgroup2_write(&g->v2, "io.max", text, e);
	}
	return r;
}

static int make_v2(struct group *g, const char *name, const struct plan_limits *plan, struct err *e)
{
	char cpu[64];
	int r = cgroup2_make(&g->v2, name, e);

	(void)snprintf(cpu, sizeof(cpu), "%" PRIu64 " %u", quota_us(plan), CPU_PERIOD_US);
	if (r >= 0) {
		r = write_number(&g->v2, "memory.max", plan->memory, e);
	}
	if (r >= 0) {
		r = arm_swap_v2(g, e);
	}
	/* One out of memory, all killed: a half-dead sandbox helps nobody. */
	if (r >= 0) {
		r = cgroup2_write(&g->v2, "memory.oom.group", "1", e);
	}
	if (r >= 0) {
		r = write_number(&g->v2, "pids.max", PLUS_INIT(plan->processes), e);
	}
	r = r >= 0 ? cgroup2_write(&g->v2, "cpu.max", cpu, e) : r;
	return r >= 0 ? arm_io(g, plan->io, e) : r;
}

/* ---- a scope ---- */

static int make_scope(struct group *g, const char *name, const struct plan_limits *plan,
		      pid_t first, struct err *e)
{
	const struct scope_request request = {.name = name,
					      .pid = first,
					      .memory = plan->memory,
					      .tasks = PLUS_INIT(plan->processes),
					      .cpu_us_per_s = g->no_cpu ? 0 : quota_us(plan) * 10,
					      .io = g->io};
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s.scope", g->scope, name) < 0) {
		path = NULL;
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = scope_make(&request, e);
	if (r >= 0) {
		r = cgroup2_adopt(&g->v2, path, e);
	}
	if (r >= 0 && g->hidden) {
		r = cgroup2_settle(&g->v2, first, e);
	}
	if (r >= 0) {
		r = arm_swap_v2(g, e);
	}
	r = r >= 0 ? arm_io(g, plan->io, e) : r;
	if (r < 0) {
		return r;
	}
	g->oom = openat(g->v2.dir, "memory.events", O_RDONLY | O_CLOEXEC);
	return g->oom < 0 ? err_sys(e, errno, "cannot watch the group for running out of memory")
			  : 0;
}

int group_make(struct group *g, const char *id, const struct plan_limits *plan, pid_t first,
	       struct err *e)
{
	char name[64];
	int r = 0;

	(void)snprintf(name, sizeof(name), "atoll-%s", id);
	switch (g->kind) {
	case GROUP_NONE:
		return 0;
	case GROUP_V1:
		r = make_v1(g, name, plan, e);
		break;
	case GROUP_V2:
		r = make_v2(g, name, plan, e);
		break;
	case GROUP_SCOPE:
		r = make_scope(g, name, plan, first, e);
		break;
	}
	return r < 0 ? err_wrap(e, "cannot arm the limits") : 0;
}

int group_birthplace(const struct group *g)
{
	return g->kind == GROUP_V2 ? g->v2.leaf : FD_NONE;
}

/* ---- reading ---- */

static int read_value(const struct group *g, enum cgroup1_controller k, const char *v1,
		      const char *v2, uint64_t *ret, struct err *e)
{
	return g->kind == GROUP_V1 ? cgroup1_read(&g->v1, k, v1, ret, e)
				   : cgroup2_read(&g->v2, v2, ret, e);
}

static int add_row(const struct group *g, json_t *list, const char *name, uint64_t value,
		   struct err *e)
{
	json_t *row = json_pack("{s:s, s:s, s:I}", "name", name, "mechanism", group_name(g->kind),
				"value", (json_int_t)value);

	return json_array_append_new(list, row) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		       : 0;
}

/* One value: what the kernel says must be what was asked for, in whole pages. */
static int check_value(const struct group *g, json_t *list, const char *name, const char *file,
		       uint64_t have, uint64_t want, struct err *e)
{
	if (have != want && (have > want || want - have >= 4096)) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "the read-back does not match the plan: %s is %" PRIu64
			       ", planned is %" PRIu64,
			       file, have, want);
	}
	return add_row(g, list, name, have, e);
}

static int check_swap(const struct group *g, struct err *e)
{
	uint64_t swap = 0;
	int r;

	if (g->kind == GROUP_V1 || g->no_swap_limit) {
		return 0;
	}
	r = cgroup2_read(&g->v2, "memory.swap.max", &swap, e);
	return r >= 0 && swap != 0 ? err_set(e, ERR_SYSTEM, EBADMSG,
					     "the read-back does not match the plan: "
					     "memory.swap.max is %" PRIu64 ", planned is 0",
					     swap)
				   : r;
}

/* The kernel's line for every disk says what was asked for. */
static int check_io(const struct group *g, uint64_t rate, json_t *list, struct err *e)
{
	bool compare = !MUTANT(ATOLL_MUTATE_RECEIPT_COMPARE);
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < g->n_disks; i++) {
		char name[32], have[256], want[128];

		name_disk(&g->disks[i], name);
		(void)snprintf(want, sizeof(want), "%s rbps=%" PRIu64 " wbps=%" PRIu64 " ", name,
			       rate, rate);
		r = cgroup2_read_line(&g->v2, "io.max", name, have, sizeof(have), e);
		if (compare && r >= 0 && strncmp(have, want, strlen(want)) != 0) {
			r = err_set(e, ERR_SYSTEM, EBADMSG,
				    "the read-back does not match the plan: io.max is '%s', "
				    "planned is '%s'",
				    have, want);
		}
	}
	return r >= 0 && g->io ? add_row(g, list, "io", rate, e) : r;
}

int group_receipt(const struct group *g, const struct plan_limits *plan, pid_t pid, json_t *list,
		  struct err *e)
{
	const struct {
		const char *name;
		enum cgroup1_controller k;
		const char *v1, *v2;
		uint64_t want;
		bool skip;
	} rows[] = {
		{"memory", CGROUP1_MEMORY,
		 g->no_swap_limit ? "memory.limit_in_bytes" : "memory.memsw.limit_in_bytes",
		 "memory.max", plan->memory, false},
		{"processes", CGROUP1_PIDS, "pids.max", "pids.max", PLUS_INIT(plan->processes),
		 false},
		{"cpus", CGROUP1_CPU, "cpu.cfs_quota_us", "cpu.max", quota_us(plan), g->no_cpu},
	};
	int r = g->kind == GROUP_V1 ? cgroup1_has_member(&g->v1, pid, e)
				    : cgroup2_has_member(&g->v2, pid, e);
	size_t i;

	for (i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++) {
		uint64_t have = 0;

		if (rows[i].skip) {
			continue;
		}
		r = read_value(g, rows[i].k, rows[i].v1, rows[i].v2, &have, e);
		if (r >= 0) {
			r = check_value(g, list, rows[i].name,
					g->kind == GROUP_V1 ? rows[i].v1 : rows[i].v2, have,
					rows[i].want, e);
		}
	}
	r = r >= 0 ? check_io(g, plan->io, list, e) : r;
	return r >= 0 ? check_swap(g, e) : r;
}

void group_measure(struct group *g, uint64_t *cpu_ns, uint64_t *peak_memory)
{
	struct err ignored = {};
	uint64_t now = 0, usec;

	if (g->kind == GROUP_V1) {
		(void)cgroup1_read(&g->v1, CGROUP1_CPUACCT, "cpuacct.usage", cpu_ns, &ignored);
		(void)cgroup1_read(&g->v1, CGROUP1_MEMORY, "memory.max_usage_in_bytes", peak_memory,
				   &ignored);
	} else if (g->v2.dir >= 0) {
		usec = cgroup2_stat(&g->v2, "cpu.stat", "usage_usec");
		*cpu_ns = usec * 1000 > *cpu_ns ? usec * 1000 : *cpu_ns;
		/* From 5.19 the kernel remembers; before, the most that was seen. */
		if (cgroup2_read(&g->v2, "memory.peak", &now, &ignored) < 0) {
			(void)cgroup2_read(&g->v2, "memory.current", &now, &ignored);
		}
		*peak_memory = now > *peak_memory ? now : *peak_memory;
	}
}

void group_poll(const struct group *g, struct pollfd *pfd)
{
	*pfd = (struct pollfd){.fd = g->oom, .events = g->kind == GROUP_V1 ? POLLIN : POLLPRI};
}

bool group_event(const struct group *g)
{
	char text[512], *hit;
	ssize_t n;

	if (g->kind == GROUP_V1) {
		return true;
	}
	/* Other lines count too (max, high); reading arms the file for the next change. */
	n = pread(g->oom, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		return false;
	}
	text[n] = '\0';
	hit = strstr(text, "\noom_kill ");
	return hit && strtoull(hit + strlen("\noom_kill "), NULL, 10) > 0;
}

uint64_t group_tasks(const struct group *g)
{
	struct err ignored = {};
	uint64_t n = 0;

	if (g->kind == GROUP_V1) {
		(void)cgroup1_read(&g->v1, CGROUP1_PIDS, "pids.current", &n, &ignored);
	} else if (g->v2.dir >= 0) {
		(void)cgroup2_read(&g->v2, "pids.current", &n, &ignored);
	}
	return n;
}

bool group_ran_out(const struct group *g)
{
	if (g->kind == GROUP_V1) {
		return cgroup1_stat(&g->v1, CGROUP1_MEMORY, "memory.oom_control", "oom_kill") > 0;
	}
	return g->v2.dir >= 0 && cgroup2_stat(&g->v2, "memory.events", "oom_kill") > 0;
}

uint64_t group_refused_forks(const struct group *g)
{
	if (g->kind == GROUP_V1) {
		return cgroup1_stat(&g->v1, CGROUP1_PIDS, "pids.events", "max");
	}
	/* Counted where the limit is; before 6.11, where the process is. */
	return g->v2.dir < 0 ? 0
			     : cgroup2_stat(&g->v2, "pids.events", "max") +
				       cgroup2_leaf_stat(&g->v2, "pids.events", "max");
}

int group_remove(struct group *g, struct err *e)
{
	size_t i;

	for (i = 0; i < CGROUP1_COUNT; i++) {
		g->tasks[i] = fd_close(g->tasks[i]);
	}
	g->oom = fd_close(g->oom);
	return g->kind == GROUP_V1 ? cgroup1_destroy(&g->v1, e) : cgroup2_destroy(&g->v2, e);
}

int group_remove_path(const char *path, struct err *e)
{
	return cgroup2_is(path) ? cgroup2_remove(path, e) : cgroup1_remove(path, e);
}

void group_done(struct group *g)
{
	cgroup1_done(&g->v1);
	cgroup2_done(&g->v2);
	g->oom = fd_close(g->oom);
	free(g->scope);
	free(g->disks);
	group_init(g);
}
