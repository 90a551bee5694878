/* SPDX-License-Identifier: Apache-2.0 */
/* Causes of refusals. */
#include "linux/refusal.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PROFILE ATOLL_DATADIR "/atoll/apparmor.d/atoll"

/* Settings that refuse; the first one that fits what was answered is the cause. */
static const struct cause {
	const char *file; /* below /proc/sys */
	const char *value;
	bool limit; /* a number that is used up; else a right, which root has */
	const char *remedy;
} causes[] = {
	{"kernel/unprivileged_userns_clone", "0", false,
	 "sysctl kernel.unprivileged_userns_clone=1 (for good: a file in /etc/sysctl.d)"},
	{"kernel/apparmor_restrict_unprivileged_userns", "1", false,
	 "install the AppArmor profile that lets atoll make user namespaces: cp " PROFILE
	 " /etc/apparmor.d/atoll && apparmor_parser -r /etc/apparmor.d/atoll"},
	{"user/max_user_namespaces", "0", true,
	 "sysctl user.max_user_namespaces=10000 (for good: a file in /etc/sysctl.d)"},
	{"user/max_mnt_namespaces", "0", true, "sysctl user.max_mnt_namespaces=10000"},
	{"user/max_pid_namespaces", "0", true, "sysctl user.max_pid_namespaces=10000"},
	{"user/max_net_namespaces", "0", true, "sysctl user.max_net_namespaces=10000"},
	{"user/max_ipc_namespaces", "0", true, "sysctl user.max_ipc_namespaces=10000"},
	{"user/max_uts_namespaces", "0", true, "sysctl user.max_uts_namespaces=10000"},
	{"user/max_cgroup_namespaces", "0", true, "sysctl user.max_cgroup_namespaces=10000"},
};

static bool is_right(int code)
{
	return code == EPERM || code == EACCES;
}

static bool is_limit(int code)
{
	return code == ENOSPC || code == EUSERS;
}

static bool fits(const struct cause *c, int code)
{
	bool answered = c->limit ? is_limit(code) : is_right(code) && geteuid() != 0;
	_cleanup_fclose_ FILE *file = NULL;
	char path[128], value[32];

	(void)snprintf(path, sizeof(path), "/proc/sys/%s", c->file);
	file = answered ? fopen(path, "re") : NULL;
	if (!file || !fgets(value, sizeof(value), file)) {
		return false;
	}
	value[strcspn(value, "\n")] = '\0';
	return strcmp(value, c->value) == 0;
}

bool refusal_is_filtered(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "Seccomp:", 8) == 0) {
			return strchr(line, '2') != NULL;
		}
	}
	return false;
}

bool refusal_of_root(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	return geteuid() == 0 && syscall(SYS_capget, &header, data) == 0 &&
	       !(data[0].effective & 1U << CAP_SYS_ADMIN);
}

const char *refusal_remedy(int code)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(causes); i++) {
		if (fits(&causes[i], code)) {
			return causes[i].remedy;
		}
	}
	if (is_limit(code)) {
		return "a limit of namespaces is reached: raise the sysctls user.max_*_namespaces "
		       "here, and in the namespaces around (bwrap: leave out --disable-userns)";
	}
	if (refusal_is_filtered()) {
		return "a seccomp filter is around this process already: start atoll outside of "
		       "that container or sandbox, or allow clone3, unshare, mount, fsopen, "
		       "pivot_root and sethostname in its filter (podman, docker: --security-opt "
		       "seccomp=PROFILE, or seccomp=unconfined)";
	}
	if (!is_right(code)) {
		return "use a kernel 5.12 or newer with CONFIG_USER_NS, CONFIG_PID_NS, "
		       "CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_CGROUPS";
	}
	return "a security module, a container or a chroot around this process refuses it: start "
	       "atoll outside (podman, docker: --security-opt seccomp=unconfined --security-opt "
	       "apparmor=unconfined, and --security-opt systempaths=unconfined or unmask=ALL), or "
	       "load a profile that allows user namespaces and mounts, such as " PROFILE;
}

int refusal_advise(struct err *e)
{
	return is_right(e->code) || is_limit(e->code) || e->code == ENOSYS
		       ? err_advise(e, refusal_remedy(e->code))
		       : -e->code;
}
