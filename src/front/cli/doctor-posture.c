/* SPDX-License-Identifier: Apache-2.0 */
/* What the host does that no wall of ours changes: information, never a failure. */
#include "front/cli/doctor-internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities"

/* One setting: what each value means and, where it could be better, what to do. */
struct meaning {
	const char *value;
	const char *found;
	const char *remedy;
};

static void say_setting(struct finding *f, const char *path, const struct meaning *table, size_t n)
{
	char value[64];
	size_t i;

	if (!doctor_line(path, value, sizeof(value))) {
		doctor_set(f, DOCTOR_INFO, "unknown: this kernel does not show %s", path);
		return;
	}
	doctor_set(f, DOCTOR_INFO, "%s", value);
	for (i = 0; i < n; i++) {
		if (strcmp(value, table[i].value) == 0) {
			doctor_set(f, DOCTOR_INFO, "%s", table[i].found);
			doctor_remedy(f, "%s", table[i].remedy);
		}
	}
}

void doctor_smt(struct finding *f, const char *scratch)
{
	static const struct meaning table[] = {
		{"0", "off: no two programs share a core at the same time", ""},
		{"1", "on: the payload can share a core with programs outside",
		 "where that matters: echo off > /sys/devices/system/cpu/smt/control"},
	};

	(void)scratch;
	say_setting(f, "/sys/devices/system/cpu/smt/active", table, ARRAY_SIZE(table));
}

void doctor_ksm(struct finding *f, const char *scratch)
{
	static const struct meaning table[] = {
		{"0", "off: equal pages are not merged", ""},
		{"1", "on: merged pages tell by their timing what others hold in memory",
		 "echo 2 > /sys/kernel/mm/ksm/run"},
		{"2", "off: equal pages are not merged", ""},
	};

	(void)scratch;
	say_setting(f, "/sys/kernel/mm/ksm/run", table, ARRAY_SIZE(table));
}

void doctor_perf(struct finding *f, const char *scratch)
{
	static const struct meaning table[] = {
		{"-1", "-1: everybody may measure everything; sandboxes have no perf events",
		 "sysctl kernel.perf_event_paranoid=2"},
		{"0", "0: everybody may measure every CPU; sandboxes have no perf events",
		 "sysctl kernel.perf_event_paranoid=2"},
		{"1", "1: everybody may measure the kernel; sandboxes have no perf events",
		 "sysctl kernel.perf_event_paranoid=2"},
	};

	(void)scratch;
	say_setting(f, "/proc/sys/kernel/perf_event_paranoid", table, ARRAY_SIZE(table));
}

void doctor_bpf(struct finding *f, const char *scratch)
{
	static const struct meaning table[] = {
		{"0", "0: every user may load BPF; sandboxes may not",
		 "sysctl kernel.unprivileged_bpf_disabled=2"},
		{"1", "1: for the privileged only, until the next boot", ""},
		{"2", "2: for the privileged only", ""},
	};

	(void)scratch;
	say_setting(f, "/proc/sys/kernel/unprivileged_bpf_disabled", table, ARRAY_SIZE(table));
}

void doctor_yama(struct finding *f, const char *scratch)
{
	static const struct meaning table[] = {
		{"0", "0: a user's processes may trace each other; a sandbox's cannot see them",
		 "sysctl kernel.yama.ptrace_scope=1"},
		{"1", "1: a process may trace what it has started", ""},
		{"2", "2: for the privileged only", ""},
		{"3", "3: nobody may trace", ""},
	};

	(void)scratch;
	say_setting(f, "/proc/sys/kernel/yama/ptrace_scope", table, ARRAY_SIZE(table));
}

void doctor_swap(struct finding *f, const char *scratch)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/swaps", "re");
	unsigned long long total = 0, used = 0;
	char line[512];
	bool first = true;

	(void)scratch;
	if (!file) {
		doctor_set(f, DOCTOR_INFO, "unknown: cannot read /proc/swaps");
		return;
	}
	while (fgets(line, sizeof(line), file)) {
		char *rest = line;

		(void)doctor_word(&rest); /* name, type, KiB, KiB in use */
		(void)doctor_word(&rest);
		if (!first) {
			total += strtoull(doctor_word(&rest), NULL, 10);
			used += strtoull(doctor_word(&rest), NULL, 10);
		}
		first = false;
	}
	if (total == 0) {
		doctor_set(f, DOCTOR_INFO, "off: memory is never written to a disk");
		return;
	}
	doctor_set(f, DOCTOR_INFO,
		   "%llu MiB, %llu in use: what a payload holds in memory can reach the disk",
		   total / 1024, used / 1024);
	doctor_remedy(f, "where that matters: swapoff -a, or encrypted swap (crypttab(5), swap)");
}

void doctor_mitigations(struct finding *f, const char *scratch)
{
	DIR *dir = opendir(VULNERABILITIES);
	_cleanup_buf_ struct buf names = {};
	const struct dirent *d;
	char path[512], text[256];

	(void)scratch;
	if (!dir) {
		doctor_set(f, DOCTOR_INFO, "unknown: this kernel does not show %s",
			   VULNERABILITIES);
		return;
	}
	buf_init(&names, 1024);
	while ((d = readdir(dir))) {
		(void)snprintf(path, sizeof(path), "%s/%s", VULNERABILITIES, d->d_name);
		if (d->d_name[0] != '.' && doctor_line(path, text, sizeof(text)) &&
		    strstr(text, "Vulnerable")) {
			(void)buf_addf(&names, "%s%s", names.len > 0 ? ", " : "", d->d_name);
		}
	}
	(void)closedir(dir);
	if (names.len == 0) {
		doctor_set(f, DOCTOR_INFO, "the kernel knows of no open hole of this processor");
		return;
	}
	doctor_set(f, DOCTOR_INFO, "the kernel calls this processor vulnerable: %s",
		   buf_str(&names));
	doctor_remedy(f, "update the kernel and the microcode (apt install intel-microcode or "
			 "amd64-microcode), and boot without mitigations=off");
}
