/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build-time program: compiles the syscall profiles into BPF and prints them as C.
 *
 * Theory of operation. A profile is an allow-list; whatever it does not allow goes to the keeper's
 * listener (SECCOMP_RET_USER_NOTIF): it answers EPERM and records a denial for calls that a payload
 * has no business making (table `refused`, and allowed calls with arguments outside the rules
 * below), and ENOSYS for everything else, in particular for calls younger than this table, so that
 * libraries fall back. Calls under a foreign ABI (int 0x80, x32) reach the listener too and get
 * ENOSYS and a record. execve and execveat are not allowed here either: the keeper writes each into
 * the record and lets it continue, which decides nothing (decision 0031); without a keeper no
 * program starts. Of the container's profiles no other call ever continues.
 * clone3 gets ENOSYS at once because its flags
 * sit in memory that another thread can change; libraries then use clone, whose flags are checked
 * here. A listener that is gone means ENOSYS for all that would have gone to it (seccomp(2)): the
 * wall never opens.
 *
 * Arguments are compared on their low 32 bits where the kernel reads an int (CVE-2019-10063).
 *
 * The process tier has no mount namespace, and the payload runs with its caller's user id there, so
 * each profile comes in two more kinds. "process": calls that change what Landlock does not know
 * (mode, owner, times and length by name; watches) go to the keeper, which does them itself where
 * the policy lets the payload write or read; no sockets but connected pairs, for a socket reaches
 * whoever listens on the host; no System V and POSIX message passing, which is the host's.
 * "guarded": there is no pid namespace either, so signals, new processes and everything else that
 * names a process go to the keeper too, or may name the caller alone.
 *
 * Doing this at build time keeps libseccomp and 0.2 ms out of every start, and gives each profile
 * a digest that is known before it is loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* The profiles, weakest surface first; each bit says which profile a row belongs to. */
enum { P_FILE = 1, P_STRICT = 2, P_DEFAULT = 4, P_NESTED = 8 };
#define ALL (P_FILE | P_STRICT | P_DEFAULT | P_NESTED)
#define NET (P_STRICT | P_DEFAULT | P_NESTED)
#define DEV (P_DEFAULT | P_NESTED)

/* Newer than libseccomp 2.5.4's own table; the numbers are common to all architectures. */
enum {
	NR_CACHESTAT = 451,
	NR_FCHMODAT2 = 452,
	NR_FUTEX_WAKE = 454,
	NR_FUTEX_WAIT = 455,
	NR_FUTEX_REQUEUE = 456,
	NR_MSEAL = 462,
};

/* For what walls a profile is compiled; each kind has all the rules of the one before it. */
enum kind { K_CONTAINER, K_PROCESS, K_GUARDED };

struct group {
	unsigned profiles;
	const char *names; /* blank-separated */
};

static const struct group allowed[] = {
	/* files */
	{ALL, "access chdir chown close close_range copy_file_range dup dup2 dup3 "
	      "faccessat faccessat2 fadvise64 fallocate fchdir fchown fchownat "
	      "fdatasync fgetxattr flistxattr flock fremovexattr fstat fstatfs "
	      "fsync ftruncate getcwd getdents getdents64 getxattr lchown lgetxattr link linkat "
	      "listxattr llistxattr lremovexattr lseek lstat mkdir mkdirat newfstatat "
	      "pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead "
	      "readlink readlinkat readv removexattr rename renameat rmdir sendfile "
	      "splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee "
	      "truncate umask unlink unlinkat utime utimensat utimes futimesat vmsplice write "
	      "writev"},
	/*
	 * Not in nested: in a user namespace of its own the payload could give a file of a direct
	 * workspace capabilities, and through owners translated for root they would be the host's.
	 */
	{P_FILE | P_STRICT | P_DEFAULT, "fsetxattr lsetxattr setxattr"},
	/* waiting for files and time */
	{ALL, "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 "
	      "epoll_wait epoll_wait_old eventfd eventfd2 inotify_add_watch inotify_init "
	      "inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents "
	      "io_setup io_submit pipe pipe2 poll ppoll pselect6 select signalfd signalfd4 "
	      "timerfd_create timerfd_gettime timerfd_settime"},
	/* memory */
	{ALL, "brk get_mempolicy madvise memfd_create mincore mlock mlock2 mlockall mmap mprotect "
	      "mremap msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect "
	      "remap_file_pages membarrier"},
	/* processes, threads, identity */
	{ALL, "alarm arch_prctl capget capset exit exit_group fork futex "
	      "futex_waitv get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups "
	      "getitimer getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid "
	      "getrlimit getrusage getsid gettid getuid ioprio_get kill "
	      "landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open "
	      "pidfd_send_signal prctl restart_syscall rseq rt_sigaction rt_sigpending "
	      "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
	      "rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity "
	      "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
	      "sched_yield "
	      "set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups "
	      "setitimer setpgid setregid setresgid setresuid setreuid setrlimit setsid "
	      "setuid sigaltstack tgkill time times tkill uname vfork wait4 waitid sysinfo"},
	/* clocks: reading; the kernel asks a capability for setting */
	{ALL, "adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep gettimeofday "
	      "nanosleep timer_create timer_delete timer_getoverrun timer_gettime timer_settime"},
	/* sockets; which families is decided by rules on socket(2) below */
	{ALL, "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom "
	      "recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown"},
	/* System V and POSIX message passing, inside a namespace of its own */
	{DEV,
	 "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget "
	 "msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget"},
	/* tracing one's own processes: debuggers, strace, LeakSanitizer */
	{DEV, "ptrace"},
	/* payloads that bring a sandbox of their own */
	{P_NESTED, "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree "
		   "pivot_root setdomainname sethostname setns umount2 unshare"},
};

/* Allowed inside namespaces of one's own; from which kind on they are not. */
static const struct {
	enum kind from;
	const char *names;
} withheld[] = {
	/* the keeper's to do; see broker.c of the process tier */
	{K_PROCESS, " chown fchown fchownat futimesat inotify_add_watch lchown truncate utime "
		    "utimensat utimes "},
	/* the host's: whatever has a name or a key there */
	{K_PROCESS, " accept accept4 bind connect listen mq_getsetattr mq_notify mq_open "
		    "mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl "
		    "semget semop semtimedop shmat shmctl shmdt shmget "},
	{K_PROCESS, " fremovexattr fsetxattr lremovexattr lsetxattr removexattr setxattr "},
	{K_GUARDED, " fork kill pidfd_send_signal ptrace rt_sigqueueinfo rt_tgsigqueueinfo tgkill "
		    "tkill vfork "},
};

static const struct {
	unsigned profiles;
	int number;
} allowed_numbers[] = {
	{ALL, NR_CACHESTAT},     {ALL, NR_FUTEX_WAKE}, {ALL, NR_FUTEX_WAIT},
	{ALL, NR_FUTEX_REQUEUE}, {ALL, NR_MSEAL},
};

/* Refused with EPERM and a record wherever the profile does not allow them. */
static const char refused[] =
	"acct add_key bpf chroot create_module delete_module fanotify_init fanotify_mark "
	"finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module io_uring_enter "
	"io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl "
	"lookup_dcookie modify_ldt mount mount_setattr move_mount "
	"name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open "
	"pidfd_getfd pivot_root process_madvise process_mrelease process_vm_readv "
	"process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key "
	"setdomainname sethostname setns settimeofday "
	"clock_settime fsetxattr lsetxattr setxattr stime swapoff swapon sysfs syslog umount "
	"umount2 uselib userfaultfd ustat "
	"vhangup vm86 vm86old vserver _sysctl memfd_secret";

#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)
#define NEW_NAMESPACES_UNSHARE (NEW_NAMESPACES | 0x80 /* CLONE_NEWTIME */)

static void must(int r, const char *what)
{
	if (r < 0 && r != -EEXIST) {
		fprintf(stderr, "gen-seccomp: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static int number_of(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR) {
		fprintf(stderr, "gen-seccomp: libseccomp does not know '%s'\n", name);
		exit(1);
	}
	return nr;
}

static void allow(scmp_filter_ctx ctx, int nr)
{
	must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0), "allow");
}

/* Allows a call when the low 32 bits of one argument, under a mask, have one of the values. */
static void allow_if(scmp_filter_ctx ctx, const char *name, unsigned arg, uint64_t mask,
		     const uint64_t *values, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number_of(name), 1,
				      SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, values[i])),
		     name);
	}
}

static bool is_withheld(enum kind kind, const char *name)
{
	char padded[64];
	size_t i;

	(void)snprintf(padded, sizeof(padded), " %s ", name);
	for (i = 0; i < N(withheld); i++) {
		if (kind >= withheld[i].from && strstr(withheld[i].names, padded)) {
			return true;
		}
	}
	return false;
}

static void add_listed(scmp_filter_ctx ctx, unsigned profile, enum kind kind)
{
	size_t i;

	for (i = 0; i < N(allowed); i++) {
		char *copy = strdup(allowed[i].names), *rest = copy, *name;

		while ((allowed[i].profiles & profile) && (name = strsep(&rest, " "))) {
			/* A negative number is a call that this architecture does not have. */
			if (*name && !is_withheld(kind, name) && number_of(name) >= 0) {
				allow(ctx, number_of(name));
			}
		}
		free(copy);
	}
	for (i = 0; i < N(allowed_numbers); i++) {
		if (allowed_numbers[i].profiles & profile) {
			allow(ctx, allowed_numbers[i].number);
		}
	}
}

static void allow_socket(scmp_filter_ctx ctx, int family, int protocol)
{
	must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number_of("socket"), 2,
			      SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, (uint64_t)family),
			      SCMP_CMP(2, SCMP_CMP_MASKED_EQ, 0xffffffff, (uint64_t)protocol)),
	     "socket");
}

/*
 * Pairs that are connected for good. A pair of datagram sockets is not: each end can send to any
 * address.
 */
static void add_pairs(scmp_filter_ctx ctx)
{
	static const uint64_t types[] = {SOCK_STREAM, SOCK_SEQPACKET};
	size_t i;

	/* Without a record: libraries look for daemons that most hosts do not have (nscd). */
	must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), number_of("socket"), 1,
			      SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, AF_UNIX)),
	     "socket");
	for (i = 0; i < N(types); i++) {
		must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number_of("socketpair"), 2,
				      SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, AF_UNIX),
				      SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xf, types[i])),
		     "socketpair");
	}
}

/* Families: UNIX; INET and INET6 with the everyday protocols; NETLINK for ROUTE only. */
static void add_sockets(scmp_filter_ctx ctx, unsigned profile)
{
	static const int protocols[] = {0, 6 /* TCP */, 17 /* UDP */, 1 /* ICMP */,
					58 /* ICMPv6 */};
	static const uint64_t local[] = {AF_UNIX};
	size_t i;

	allow_if(ctx, "socketpair", 0, 0xffffffff, local, N(local));
	allow_if(ctx, "socket", 0, 0xffffffff, local, N(local));
	for (i = 0; (profile & NET) && i < N(protocols); i++) {
		allow_socket(ctx, AF_INET, protocols[i]);
		allow_socket(ctx, AF_INET6, protocols[i]);
	}
	if (profile & DEV) {
		allow_socket(ctx, AF_NETLINK, NETLINK_ROUTE);
	}
}

/*
 * Allows every value of the low 32 bits of `arg` but the refused ones, where `also`, if it is
 * given, holds too. libseccomp takes one test for each argument and rule, so the complement is cut
 * into aligned blocks: starting with all values, a block that holds a refused one is halved by its
 * next lower bit, others are allowed.
 */
static void allow_all_but(scmp_filter_ctx ctx, const char *name, const struct scmp_arg_cmp *also,
			  unsigned arg, const uint32_t *values, size_t n, unsigned bits,
			  uint32_t prefix)
{
	uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
	bool hit = false;
	size_t i;

	for (i = 0; i < n; i++) {
		hit = hit || (values[i] & mask) == prefix;
	}
	if (!hit) {
		struct scmp_arg_cmp tests[] = {SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, prefix),
					       also ? *also : (struct scmp_arg_cmp){}};

		must(seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number_of(name), also ? 2 : 1,
					    tests),
		     name);
	} else if (bits < 32) {
		allow_all_but(ctx, name, also, arg, values, n, bits + 1, prefix);
		allow_all_but(ctx, name, also, arg, values, n, bits + 1,
			      prefix | 1U << (31 - bits));
	}
}

/*
 * Everything but pushing input into a terminal (TIOCSTI, CVE-2017-5226), the console's selection
 * (TIOCLINUX, CVE-2023-28100) and line disciplines (TIOCSETD). ioctl(2) takes the request as an
 * unsigned int, so the high half is not looked at, here as in the kernel.
 */
static void add_ioctl(scmp_filter_ctx ctx)
{
	static const uint32_t requests[] = {TIOCSTI, TIOCLINUX, TIOCSETD};

	allow_all_but(ctx, "ioctl", NULL, 1, requests, N(requests), 0, 0);
	allow(ctx, number_of("fcntl"));
}

/*
 * Where files are the host's own: to Landlock an ioctl(2) on a file or a directory is none of its
 * business, and with one that is open for reading its owner can change flags, versions, projects
 * and keys (ioctl_iflags(2), fsverity, fscrypt), or make subvolumes; any socket tells the host's
 * addresses. So these pass: what reads and sets one's terminal and pipes, what reads of files, and
 * clones into one that is open for writing.
 */
static void add_requests(scmp_filter_ctx ctx)
{
	static const uint64_t requests[] = {
		/* terminals, pipes, every descriptor */
		TCGETS, TCSETS, TCSETSW, TCSETSF, TCGETA, TCSETA, TCSETAW, TCSETAF, TCSBRK, TCSBRKP,
		TCXONC, TCFLSH, TIOCEXCL, TIOCNXCL, TIOCGEXCL, TIOCSCTTY, TIOCNOTTY, TIOCGPGRP,
		TIOCSPGRP, TIOCGSID, TIOCOUTQ, TIOCGWINSZ, TIOCSWINSZ, TIOCMGET, TIOCGETD, TIOCGDEV,
		TIOCGPTN, FIONREAD, FIONBIO, FIOASYNC, FIONCLEX, FIOCLEX, FIOQSIZE,
		0x802c542a /* TCGETS2 */, 0x402c542b /* TCSETS2 */, 0x402c542c /* TCSETSW2 */,
		0x402c542d /* TCSETSF2 */,
		/* files */
		FIGETBSZ, FS_IOC_GETFLAGS, FS_IOC_GETVERSION, FS_IOC_FSGETXATTR, FS_IOC_FIEMAP,
		FICLONE, FICLONERANGE};
	/* Who gets a signal when a descriptor is ready; whom a writer has to wait for. */
	static const uint32_t commands[] = {F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE};

	allow_if(ctx, "ioctl", 1, 0xffffffff, requests, N(requests));
	allow_all_but(ctx, "fcntl", NULL, 1, commands, N(commands), 0, 0);
}

/* Where every process of the user has a number: none but the caller itself, which is 0. */
static void add_self(scmp_filter_ctx ctx)
{
	static const char *const calls[] = {"prlimit64", "sched_setaffinity", "sched_setattr",
					    "sched_setparam", "sched_setscheduler"};
	static const uint64_t self[] = {0};
	const struct {
		const char *name;
		uint64_t which;
	} whose[] = {{"setpriority", PRIO_PROCESS}, {"ioprio_set", IOPRIO_WHO_PROCESS}};
	size_t i;

	for (i = 0; i < N(calls); i++) {
		allow_if(ctx, calls[i], 0, 0xffffffff, self, N(self));
	}
	for (i = 0; i < N(whose); i++) {
		must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number_of(whose[i].name), 2,
				      SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, whose[i].which),
				      SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xffffffff, 0)),
		     whose[i].name);
	}
}

/*
 * Process 1 has the payload's user id, so the kernel lets the payload change its limits and its
 * scheduling: a limit of CPU time kills it, the idle class silences it. Every other id passes, but
 * no group and no user: process 1 is of the payload's user, and its group can be joined.
 */
static void add_init(scmp_filter_ctx ctx, enum kind kind)
{
	static const uint32_t init[] = {1};
	const struct scmp_arg_cmp process =
		SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, PRIO_PROCESS);
	const struct scmp_arg_cmp io_process =
		SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0xffffffff, IOPRIO_WHO_PROCESS);

	if (kind == K_GUARDED) {
		add_self(ctx);
		return;
	}
	allow_all_but(ctx, "prlimit64", NULL, 0, init, N(init), 0, 0);
	allow_all_but(ctx, "sched_setaffinity", NULL, 0, init, N(init), 0, 0);
	allow_all_but(ctx, "sched_setattr", NULL, 0, init, N(init), 0, 0);
	allow_all_but(ctx, "sched_setparam", NULL, 0, init, N(init), 0, 0);
	allow_all_but(ctx, "sched_setscheduler", NULL, 0, init, N(init), 0, 0);
	allow_all_but(ctx, "setpriority", &process, 1, init, N(init), 0, 0);
	allow_all_but(ctx, "ioprio_set", &io_process, 1, init, N(init), 0, 0);
}

/* open(2) and openat(2), whose flags are argument `flags` and whose mode is the next. */
static void add_open(scmp_filter_ctx ctx, const char *name, unsigned flags, enum kind kind)
{
	/*
	 * Landlock decides by the access that a descriptor gives. Two ways to open give none and
	 * reach the file all the same: the access mode 3, for ioctl(2) alone, and O_TRUNC without
	 * writing, which it knows from ABI 3 on.
	 */
	static const uint64_t ways[] = {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC,
					O_RDWR | O_TRUNC};
	static const uint64_t none[] = {0};
	const uint64_t creates = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
	const uint64_t bits = S_ISUID | S_ISGID, way = O_ACCMODE | O_TRUNC;
	size_t i;

	if (kind == K_CONTAINER) {
		allow_if(ctx, name, flags + 1, bits, none, N(none));
		allow_if(ctx, name, flags, creates, none, N(none));
		return;
	}
	for (i = 0; i < N(ways); i++) {
		must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number_of(name), 2,
				      SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, way, ways[i]),
				      SCMP_CMP(flags + 1, SCMP_CMP_MASKED_EQ, bits, 0)),
		     name);
		allow_if(ctx, name, flags, creates | way, &ways[i], 1);
	}
}

/*
 * No file gets a set-user-ID or set-group-ID bit: in a direct workspace it would be there on the
 * host, where nothing says nosuid, with the caller's owner; when root started the sandbox, that is
 * a door to root for every local user. open(2) reads its mode only when it may create. openat2(2)
 * keeps its mode in memory, where no filter sees it, so it answers ENOSYS and programs fall back.
 */
static void add_modes(scmp_filter_ctx ctx, enum kind kind)
{
	static const uint64_t none[] = {0};
	static const uint64_t node_types[] = {0, S_IFREG, S_IFIFO, S_IFSOCK};
	const uint64_t bits = S_ISUID | S_ISGID;

	if (kind == K_CONTAINER) {
		allow_if(ctx, "chmod", 1, bits, none, N(none));
		allow_if(ctx, "fchmod", 1, bits, none, N(none));
		allow_if(ctx, "fchmodat", 2, bits, none, N(none));
		must(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, NR_FCHMODAT2, 1,
				      SCMP_CMP(2, SCMP_CMP_MASKED_EQ, bits, 0)),
		     "fchmodat2");
	}
	allow_if(ctx, "creat", 1, bits, none, N(none));
	add_open(ctx, "open", 1, kind);
	add_open(ctx, "openat", 2, kind);
	must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), number_of("openat2"), 0), "openat2");
	allow_if(ctx, "mknod", 1, S_IFMT | bits, node_types, N(node_types));
	allow_if(ctx, "mknodat", 2, S_IFMT | bits, node_types, N(node_types));
}

/* As on a file system that has no extended attributes: what copies them goes on without. */
static void refuse_attributes(scmp_filter_ctx ctx)
{
	static const char *const calls[] = {"setxattr",    "lsetxattr",    "fsetxattr",
					    "removexattr", "lremovexattr", "fremovexattr"};
	size_t i;

	for (i = 0; i < N(calls); i++) {
		must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), number_of(calls[i]), 0),
		     calls[i]);
	}
}

static void add_conditional(scmp_filter_ctx ctx, unsigned profile, enum kind kind)
{
	static const uint64_t none[] = {0};
	static const uint64_t personas[] = {
		0, 0x0008 /* LINUX32 */, UNAME26, 0x0008 | UNAME26, ADDR_NO_RANDOMIZE, 0xffffffff};

	must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), number_of("clone3"), 0), "clone3");
	if (!(profile & P_NESTED)) {
		if (kind != K_GUARDED) {
			allow_if(ctx, "clone", 0, NEW_NAMESPACES, none, N(none));
		}
		allow_if(ctx, "unshare", 0, NEW_NAMESPACES_UNSHARE, none, N(none));
	} else {
		allow(ctx, number_of("clone"));
	}
	if (profile & DEV) {
		allow_if(ctx, "personality", 0, 0xffffffff, personas, N(personas));
	} else {
		allow_if(ctx, "personality", 0, 0xffffffff, personas, 1);
	}
	/* seccomp(2) itself, but no listener: the one that exists is the keeper's. */
	allow_if(ctx, "seccomp", 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, none, N(none));
	add_modes(ctx, kind);
	add_init(ctx, kind);
	if (kind >= K_PROCESS) {
		add_requests(ctx);
		add_pairs(ctx);
		refuse_attributes(ctx);
	} else {
		add_ioctl(ctx);
		add_sockets(ctx, profile);
	}
	if (!(profile & P_NESTED)) {
		/* What a file leaves behind must not be a device node. */
		allow_if(ctx, "renameat2", 4, RENAME_WHITEOUT, none, N(none));
	} else {
		allow(ctx, number_of("renameat2"));
	}
}

/* Prints a finished filter as an array of struct sock_filter initialisers. */
static void print_filter(FILE *out, scmp_filter_ctx ctx, const char *name)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	struct {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} insn;

	must(seccomp_export_bpf(ctx, fd), "export");
	(void)lseek(fd, 0, SEEK_SET);
	fprintf(out, "static const struct sock_filter filter_%s[] = {\n", name);
	while (read(fd, &insn, sizeof(insn)) == (ssize_t)sizeof(insn)) {
		fprintf(out, "\t{0x%x, %u, %u, 0x%x},\n", insn.code, insn.jt, insn.jf, insn.k);
	}
	fprintf(out, "};\n\n");
	(void)close(fd);
}

static scmp_filter_ctx new_filter(uint32_t otherwise)
{
	scmp_filter_ctx ctx = seccomp_init(otherwise);

	if (!ctx) {
		must(-ENOMEM, "init");
	}
	/* The allow-list is long: a binary tree answers any call in about eight comparisons. */
	must(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimise");
	return ctx;
}

/* `starts`: programs may be started without a keeper that observes it. */
static void print_profile(FILE *out, unsigned profile, enum kind kind, bool starts,
			  const char *name)
{
	scmp_filter_ctx ctx = new_filter(SCMP_ACT_NOTIFY);

	must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_NOTIFY), "bad arch");
	add_listed(ctx, profile, kind);
	add_conditional(ctx, profile, kind);
	if (starts) {
		allow(ctx, number_of("execve"));
	}
	print_filter(out, ctx, name);
	seccomp_release(ctx);
}

/* Where CPUs are limited by affinity alone, a payload must not choose its own. */
static void print_affinity(FILE *out)
{
	scmp_filter_ctx ctx = new_filter(SCMP_ACT_ALLOW);

	must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW), "bad arch");
	must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), number_of("sched_setaffinity"), 0),
	     "affinity");
	print_filter(out, ctx, "affinity");
	seccomp_release(ctx);
}

/* Everything passes; what begins a program, a process or a thread goes to the keeper first. */
static void print_open(FILE *out)
{
	static const char *const calls[] = {"execve", "execveat", "clone", "fork", "vfork"};
	scmp_filter_ctx ctx = new_filter(SCMP_ACT_ALLOW);
	size_t i;

	must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_NOTIFY), "bad arch");
	for (i = 0; i < N(calls); i++) {
		must(seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, number_of(calls[i]), 0), calls[i]);
	}
	must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), number_of("clone3"), 0), "clone3");
	print_filter(out, ctx, "open");
	seccomp_release(ctx);
}

/*
 * What the gateway needs: to accept, dial and move bytes, and memory for it. Sockets are those of
 * the Internet; nothing is opened by a path, started, or made executable. No descriptor is handed
 * on, which could make its receiver wait when it closes it (SO_LINGER); and nothing is dialled by
 * sending, of which Landlock's ports know nothing.
 */
static void print_gateway(FILE *out)
{
	static const char *const calls[] = {
		"accept4",         "brk",          "clock_gettime",  "clock_nanosleep", "close",
		"connect",         "epoll_ctl",    "epoll_pwait",    "epoll_wait",      "exit",
		"exit_group",      "fcntl",        "futex",          "getpeername",     "getrandom",
		"getsockname",     "getsockopt",   "gettimeofday",   "madvise",         "mremap",
		"munmap",          "pipe2",        "read",           "recvfrom",        "recvmsg",
		"restart_syscall", "rt_sigreturn", "rt_sigprocmask", "setsockopt",      "shutdown",
		"splice",          "write",        "writev",         "getpid"};
	static const uint64_t none[] = {0};
	static const int protocols[] = {0, 6 /* TCP */, 17 /* UDP */};
	scmp_filter_ctx ctx = new_filter(SCMP_ACT_KILL_PROCESS);
	size_t i;

	must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad arch");
	for (i = 0; i < N(calls); i++) {
		allow(ctx, number_of(calls[i]));
	}
	for (i = 0; i < N(protocols); i++) {
		allow_socket(ctx, AF_INET, protocols[i]);
		allow_socket(ctx, AF_INET6, protocols[i]);
	}
	allow_if(ctx, "mmap", 2, PROT_EXEC, none, N(none));
	allow_if(ctx, "mprotect", 2, PROT_EXEC, none, N(none));
	allow_if(ctx, "sendto", 3, MSG_FASTOPEN, none, N(none));
	print_filter(out, ctx, "gateway");
	seccomp_release(ctx);
}

/*
 * What the ledger's writer needs: to accept connections and answer, SQLite's files (which ones is
 * Landlock's), and memory for both. No socket is made, nothing is started or made executable.
 */
static void print_ledger(FILE *out)
{
	static const char *const calls[] = {"accept4",
					    "access",
					    "brk",
					    "clock_gettime",
					    "clock_nanosleep",
					    "close",
					    "exit",
					    "exit_group",
					    "faccessat",
					    "faccessat2",
					    "fcntl",
					    "fdatasync",
					    "fstat",
					    "fstatfs",
					    "fsync",
					    "ftruncate",
					    "futex",
					    "getcwd",
					    "geteuid",
					    "getpid",
					    "getrandom",
					    "getsockopt",
					    "gettimeofday",
					    "getuid",
					    "lseek",
					    "lstat",
					    "madvise",
					    "mremap",
					    "munmap",
					    "newfstatat",
					    "open",
					    "openat",
					    "poll",
					    "ppoll",
					    "pread64",
					    "pwrite64",
					    "read",
					    "readlink",
					    "recvfrom",
					    "restart_syscall",
					    "rt_sigreturn",
					    "rt_sigprocmask",
					    "sendto",
					    "shutdown",
					    "stat",
					    "statx",
					    "unlink",
					    "unlinkat",
					    "write",
					    "writev"};
	static const uint64_t none[] = {0};
	scmp_filter_ctx ctx = new_filter(SCMP_ACT_KILL_PROCESS);
	size_t i;

	must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad arch");
	for (i = 0; i < N(calls); i++) {
		allow(ctx, number_of(calls[i]));
	}
	allow_if(ctx, "mmap", 2, PROT_EXEC, none, N(none));
	allow_if(ctx, "mprotect", 2, PROT_EXEC, none, N(none));
	print_filter(out, ctx, "ledger");
	seccomp_release(ctx);
}

static bool is_refused(const char *name)
{
	/* Allowed with some arguments, so a notification means the others. */
	static const char conditional[] =
		" clone unshare personality seccomp socket socketpair ioctl chmod fchmod fchmodat "
		"fchmodat2 creat open openat mknod mknodat prlimit64 sched_setaffinity "
		"sched_setattr sched_setparam sched_setscheduler setpriority ioprio_set fcntl "
		"renameat2 ";
	char padded[64];

	(void)snprintf(padded, sizeof(padded), " %s ", name);
	if (strstr(conditional, padded)) {
		return true;
	}
	padded[strlen(padded) - 1] = '\0';
	const char *hit = refused;
	size_t len = strlen(name);

	while ((hit = strstr(hit, name))) {
		if ((hit == refused || hit[-1] == ' ') && (hit[len] == ' ' || !hit[len])) {
			return true;
		}
		hit += len;
	}
	return false;
}

/* The names of this architecture's calls, for records; `refused` decides EPERM against ENOSYS. */
static void print_names(FILE *out)
{
	int nr;

	fprintf(out,
		"static const struct {\n\tconst char *name;\n\tbool refused;\n} calls[] = {\n");
	for (nr = 0; nr < 500; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name) {
			fprintf(out, "\t[%d] = {\"%s\", %s},\n", nr, name,
				is_refused(name) ? "true" : "false");
			free(name);
		}
	}
	fprintf(out, "};\n");
}

int main(int argc, char **argv)
{
	static const struct {
		unsigned profile;
		enum kind kind;
		const char *name;
	} profiles[] = {
		{P_FILE, K_CONTAINER, "file"},           {P_STRICT, K_CONTAINER, "strict"},
		{P_DEFAULT, K_CONTAINER, "default"},     {P_NESTED, K_CONTAINER, "nested"},
		{P_STRICT, K_PROCESS, "process_strict"}, {P_DEFAULT, K_PROCESS, "process_default"},
		{P_STRICT, K_GUARDED, "guarded_strict"}, {P_DEFAULT, K_GUARDED, "guarded_default"},
	};

	FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;

	size_t i;

	if (!out) {
		fprintf(stderr, "usage: gen-seccomp OUTPUT\n");
		return 1;
	}
	fprintf(out, "/* Generated by gen-seccomp. */\n");
	for (i = 0; i < N(profiles); i++) {
		print_profile(out, profiles[i].profile, profiles[i].kind, false, profiles[i].name);
	}
	print_profile(out, P_STRICT, K_GUARDED, true, "tool");
	print_open(out);
	print_gateway(out);
	print_ledger(out);
	print_affinity(out);
	print_names(out);
	return fclose(out) == 0 ? 0 : 1;
}
