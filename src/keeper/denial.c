/* SPDX-License-Identifier: Apache-2.0 */
/* The table of denials and their collection. */
#include "keeper/denial.h"

#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "linux/seccomp.h"

static const struct denial_kind kinds[DENIAL_COUNT] = {
	[DENIAL_SYSCALL_ABI] =
		{"syscall.abi", "execution.syscalls",
		 "use programs built for this machine's 64-bit ABI",
		 "none: the 32-bit and x32 entries stay closed; use a microVM for such "
		 "programs",
		 3},
	[DENIAL_SOCKET_FAMILY] =
		{"socket.family", "execution.syscalls",
		 "use UNIX, IPv4 or IPv6 stream and datagram sockets",
		 "none at this tier: other socket families are kernel attack surface", 1},
	[DENIAL_NAMESPACE] = {"namespace.new", "execution.syscalls",
			      "run the program without its own sandbox (for example --no-sandbox)",
			      "execution: {syscalls: nested} lets the payload create namespaces",
			      1},
	[DENIAL_MOUNT] =
		{"mount.refused", "execution.syscalls",
		 "work on the files that are visible; /tmp and the home directory are writable",
		 "filesystem.read shows more; execution: {syscalls: nested} allows mounts in a "
		 "nested namespace",
		 2},
	[DENIAL_TRACE] =
		{"trace.refused", "execution.syscalls",
		 "debug only processes that you started, without process_vm_* and pidfd_getfd",
		 "execution: {syscalls: default} allows ptrace of the payload's own processes; "
		 "the other calls stay closed at this tier",
		 2},
	[DENIAL_TERMINAL] = {"terminal.input", "execution.syscalls",
			     "write to standard output instead of pushing terminal input",
			     "none: pushing input into a terminal is how sandboxes were escaped",
			     4},
	[DENIAL_KERNEL] =
		{"kernel.surface", "execution.syscalls",
		 "use the portable alternative (poll instead of io_uring, files instead of "
		 "keyrings)",
		 "none at this tier: use the microvm tier for programs that need it", 2},
	[DENIAL_DEVICE_NODE] = {"device.node", "execution.syscalls",
				"use the device nodes that are in /dev",
				"none at this tier: device nodes reach drivers", 3},
	[DENIAL_SET_ID] = {"file.set-id", "execution.syscalls",
			   "leave the set-user-ID and set-group-ID bits off",
			   "none: such a file would give the caller's rights to others on the "
			   "host; set the bit outside after looking at the file",
			   2},
	[DENIAL_INIT] = {"process.init", "execution.syscalls",
			 "change the limits and the scheduling of your own processes; process 1 is "
			 "the sandbox's",
			 "none: a payload that can starve process 1 outlives its limits", 4},
	[DENIAL_SYSCALL] = {"syscall.refused", "execution.syscalls",
			    "use another way; the call is not available here",
			    "execution: {syscalls: default} has more calls than strict and file",
			    1},
	[DENIAL_NETWORK] = {"network.none", "network.allow",
			    "work offline: only the sandbox's own loopback is there",
			    "network: {allow: [HOST:PORT]} or --allow HOST[:PORT]"},
	[DENIAL_NET_NAME] = {"network.name", "network.allow",
			     "use a host that the rules allow, or go on without this one",
			     "network: {allow: [HOST:PORT]} or --allow HOST[:PORT]"},
	[DENIAL_NET_DENIED] =
		{"network.denied", "network.deny",
		 "go on without this host: it is denied, whatever else is allowed",
		 "take the host out of network.deny; what a higher layer denies stays "
		 "denied"},
	[DENIAL_NET_ADDRESS] =
		{"network.address", "network.allow",
		 "connect to a host by its name, and at a port that the rules allow",
		 "network: {allow: [HOST:PORT]} or --allow HOST[:PORT]; an address is "
		 "allowed by a rule for that address"},
	[DENIAL_NET_PRIVATE] =
		{"network.private", "network.allow", "use a host that is on the Internet",
		 "private: true in the rule, or --allow HOST:PORT,private, if the "
		 "host is meant to be inside; metadata services stay closed to names",
		 2},
	[DENIAL_NET_PROTOCOL] =
		{"network.protocol", "network.allow",
		 "speak what the rule says: TLS to the very name that was dialled, "
		 "or HTTP requests for it",
		 "protocol: tcp in the rule, or --allow HOST:PORT/tcp, lets anything "
		 "through to that host",
		 1},
	[DENIAL_NET_UDP] = {"network.udp", "network.allow",
			    "use TCP; names are asked of the server in resolv.conf",
			    "none: datagrams go nowhere"},
	[DENIAL_NET_LIMIT] = {"network.limit", "network.limits",
			      "use fewer connections at once, fewer requests and fewer bytes; wait "
			      "before you try again",
			      "network: {limits: {connections: N, requests: N, bytes: SIZE, "
			      "host_bytes: SIZE}} or --connections, --requests, --net-bytes, "
			      "--host-bytes"},
	[DENIAL_PROCESSES] = {"limit.processes", "execution.limits.processes",
			      "start fewer processes and threads at once",
			      "execution: {limits: {processes: N}} or --processes N"},
};

static const struct {
	enum denial_code code;
	const char *calls; /* blank-separated, blank at both ends */
} classes[] = {
	{DENIAL_SOCKET_FAMILY, " socketpair "},
	{DENIAL_NAMESPACE, " clone unshare setns "},
	{DENIAL_MOUNT, " mount umount umount2 mount_setattr move_mount open_tree fsopen fsconfig "
		       "fsmount fspick pivot_root chroot "},
	{DENIAL_TRACE,
	 " ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp "
	 "process_mrelease "},
	{DENIAL_TERMINAL, " ioctl "},
	{DENIAL_SET_ID, " chmod fchmod fchmodat fchmodat2 creat open openat setxattr fsetxattr "
			"lsetxattr "},
	{DENIAL_INIT, " prlimit64 sched_setaffinity sched_setattr sched_setparam "
		      "sched_setscheduler setpriority ioprio_set "},
	{DENIAL_KERNEL,
	 " bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
	 "io_uring_register add_key keyctl request_key kexec_load kexec_file_load "
	 "init_module finit_module delete_module create_module open_by_handle_at "
	 "name_to_handle_at fanotify_init fanotify_mark syslog acct swapon swapoff reboot "
	 "quotactl quotactl_fd iopl ioperm modify_ldt lookup_dcookie memfd_secret "},
};

const struct denial_kind *denial_kind(enum denial_code code)
{
	return &kinds[code];
}

/* What kind of node was asked for, or that it was to have a set-id bit. */
static enum denial_code classify_node(const struct seccomp_denial *d)
{
	mode_t mode = (mode_t)d->args[strcmp(d->name, "mknodat") == 0 ? 2 : 1];

	return S_ISCHR(mode) || S_ISBLK(mode) ? DENIAL_DEVICE_NODE : DENIAL_SET_ID;
}

/* Where there are no sockets, a plain one for the Internet is a matter of the network. */
static enum denial_code classify_socket(const struct seccomp_denial *d)
{
	uint32_t family = (uint32_t)d->args[0], protocol = (uint32_t)d->args[2];
	bool plain = protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;

	return (family == AF_INET || family == AF_INET6) && plain ? DENIAL_NETWORK
								  : DENIAL_SOCKET_FAMILY;
}

enum denial_code denial_classify(const struct seccomp_denial *d)
{
	char padded[64];
	size_t i;

	if (d->foreign_abi) {
		return DENIAL_SYSCALL_ABI;
	}
	if (strcmp(d->name, "mknod") == 0 || strcmp(d->name, "mknodat") == 0) {
		return classify_node(d);
	}
	if (strcmp(d->name, "renameat2") == 0) {
		return DENIAL_DEVICE_NODE; /* RENAME_WHITEOUT */
	}
	if (strcmp(d->name, "socket") == 0) {
		return classify_socket(d);
	}
	(void)snprintf(padded, sizeof(padded), " %s ", d->name);
	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		if (strstr(classes[i].calls, padded)) {
			return classes[i].code;
		}
	}
	return DENIAL_SYSCALL;
}

static bool is_of_gateway(enum denial_code code)
{
	return code >= DENIAL_NET_NAME && code <= DENIAL_NET_LIMIT;
}

bool denials_add(struct denials *d, enum denial_code code, const char *what, const char *request,
		 uint64_t count)
{
	struct denial_entry *entry;
	bool net = is_of_gateway(code);
	unsigned i, alike = 0;

	d->total += count;
	for (i = 0; i < d->n; i++) {
		entry = &d->entries[i];
		if (entry->code == code && strcmp(entry->what, what) == 0) {
			entry->count += count;
			return false;
		}
		alike += is_of_gateway(entry->code) == net;
	}
	if (alike == (net ? DENIAL_MAX_NET : DENIAL_MAX_OTHER)) {
		d->beyond |= 1U << code;
		return false;
	}
	entry = &d->entries[d->n++];
	*entry = (struct denial_entry){.code = code, .count = count};
	if (request) {
		(void)snprintf(entry->request, sizeof(entry->request), "%s", request);
	} else {
		(void)snprintf(entry->request, sizeof(entry->request), "%u", d->n);
	}
	(void)snprintf(entry->what, sizeof(entry->what), "%s", what);
	return true;
}

json_t *denial_to_json(const struct denial_entry *entry, const char *sandbox)
{
	const struct denial_kind *kind = &kinds[entry->code];

	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:s, s:s}", "code", kind->code, "what",
			 entry->what, "rule", kind->rule, "count", (json_int_t)entry->count,
			 "request_id", json_sprintf("%s.%s", sandbox, entry->request), "agent",
			 kind->agent, "remedy", kind->remedy);
}

unsigned denials_score(const struct denials *d)
{
	unsigned score = 0;

	_Static_assert(DENIAL_COUNT <= 32, "each code has a bit");
	for (unsigned i = 0; i < d->n; i++) {
		score += kinds[d->entries[i].code].weight;
	}
	for (unsigned code = 0; code < DENIAL_COUNT; code++) {
		score += d->beyond & 1U << code ? kinds[code].weight : 0;
	}
	return score;
}

json_t *denials_to_json(const struct denials *d, const char *sandbox)
{
	_cleanup_json_ json_t *list = json_array();
	unsigned i;

	for (i = 0; list && i < d->n; i++) {
		if (json_array_append_new(list, denial_to_json(&d->entries[i], sandbox)) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}
