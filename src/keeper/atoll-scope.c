/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll-scope NAME PID MEMORY TASKS CPU IO: asks the caller's service manager for a transient scope
 * around a process (org.freedesktop.systemd1(5), StartTransientUnit), and ends when it stands.
 * CPU is microseconds for each second, 0 for no limit; IO is 1 for the io controller, too. Words of
 * failure go to standard error.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#define MANAGER   "org.freedesktop.systemd1"
#define OBJECT    "/org/freedesktop/systemd1"
#define INTERFACE "org.freedesktop.systemd1.Manager"
/* A manager that is busy for longer has other worries. */
#define PATIENCE_US 20000000ULL

struct wait {
	const char *job; /* its object path, NULL before it is known */
	char result[32]; /* "done", "failed", ...; empty before the end */
	char last[128];  /* the job that ended last: it may be ours, before we know its name */
	char last_result[32];
};

static int on_removed(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const char *path, *unit, *result;
	struct wait *w = data;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0) {
		return 0;
	}
	(void)snprintf(w->last, sizeof(w->last), "%s", path);
	(void)snprintf(w->last_result, sizeof(w->last_result), "%s", result);
	if (w->job && strcmp(w->job, path) == 0) {
		(void)snprintf(w->result, sizeof(w->result), "%s", result);
	}
	return 0;
}

static int property(sd_bus_message *m, const char *name, uint64_t value)
{
	return sd_bus_message_append(m, "(sv)", name, "t", value);
}

/* The call's message: name, mode, properties, no auxiliary units. */
static int fill(sd_bus_message *m, char **argv)
{
	const uint64_t memory = strtoull(argv[3], NULL, 10), tasks = strtoull(argv[4], NULL, 10);
	const uint64_t cpu = strtoull(argv[5], NULL, 10);
	char unit[128];
	int r;

	(void)snprintf(unit, sizeof(unit), "%s.scope", argv[1]);
	r = sd_bus_message_append(m, "ss", unit, "fail");
	r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(sv)");
	r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Description", "s", "A sandbox of atoll");
	r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Slice", "s", "app.slice");
	r = r < 0 ? r
		  : sd_bus_message_append(m, "(sv)", "PIDs", "au", 1,
					  (uint32_t)strtoul(argv[2], NULL, 10));
	/* Forgotten when empty, also after running out of memory. */
	r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "CollectMode", "s", "inactive-or-failed");
	/* What was delegated the manager leaves alone: memory.oom.group is written by the keeper.
	 */
	r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Delegate", "b", 1);
	r = r < 0 ? r : property(m, "MemoryMax", memory);
	r = r < 0 ? r : property(m, "MemorySwapMax", 0);
	r = r < 0 ? r : property(m, "TasksMax", tasks);
	if (r >= 0 && cpu > 0) {
		r = property(m, "CPUQuotaPerSecUSec", cpu);
	}
	/* Brings the controller; what it is to hold is written by the keeper. */
	if (r >= 0 && strcmp(argv[6], "1") == 0) {
		r = sd_bus_message_append(m, "(sv)", "IOAccounting", "b", 1);
	}
	r = r < 0 ? r : sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

/* The user's bus; a session without the variable still has it at the usual place. */
static int open_bus(sd_bus **ret)
{
	char place[64];

	if (!getenv("XDG_RUNTIME_DIR") && !getenv("DBUS_SESSION_BUS_ADDRESS")) {
		(void)snprintf(place, sizeof(place), "/run/user/%u", geteuid());
		(void)setenv("XDG_RUNTIME_DIR", place, 1);
	}
	return sd_bus_open_user(ret);
}

static int wait_for(sd_bus *bus, struct wait *w)
{
	while (!w->result[0]) {
		int r = sd_bus_process(bus, NULL);

		if (r == 0) {
			r = sd_bus_wait(bus, PATIENCE_US);
			r = r == 0 ? -ETIMEDOUT : r;
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int say(int r, const char *what, const sd_bus_error *error)
{
	fprintf(stderr, "%s: %s\n", what, error && error->message ? error->message : strerror(-r));
	return 1;
}

int main(int argc, char **argv)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL, *reply = NULL;
	struct wait w = {};
	sd_bus *bus = NULL;
	int r;

	if (argc != 7) {
		fprintf(stderr, "usage: atoll-scope NAME PID MEMORY TASKS CPU IO\n");
		return 2;
	}
	r = open_bus(&bus);
	if (r < 0) {
		return say(r, "cannot reach the user's bus", NULL);
	}
	(void)sd_bus_set_method_call_timeout(bus, PATIENCE_US);
	r = sd_bus_match_signal(bus, NULL, MANAGER, OBJECT, INTERFACE, "JobRemoved", on_removed,
				&w);
	r = r < 0 ? r
		  : sd_bus_call_method(bus, MANAGER, OBJECT, INTERFACE, "Subscribe", &error, NULL,
				       NULL);
	r = r < 0 ? r
		  : sd_bus_message_new_method_call(bus, &call, MANAGER, OBJECT, INTERFACE,
						   "StartTransientUnit");
	r = r < 0 ? r : fill(call, argv);
	r = r < 0 ? r : sd_bus_call(bus, call, PATIENCE_US, &error, &reply);
	r = r < 0 ? r : sd_bus_message_read(reply, "o", &w.job);
	if (r < 0) {
		return say(r, "the service manager refused", &error);
	}
	if (strcmp(w.job, w.last) == 0) {
		(void)snprintf(w.result, sizeof(w.result), "%s", w.last_result);
	}
	r = wait_for(bus, &w);
	if (r < 0) {
		return say(r, "the service manager does not answer", NULL);
	}
	if (strcmp(w.result, "done") != 0) {
		fprintf(stderr, "the job ended as '%s'\n", w.result);
		return 1;
	}
	return 0;
}
