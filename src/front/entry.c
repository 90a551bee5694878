/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens before main().
 *
 * Theory of operation. Front and keeper are one program, started twice, and before main() both
 * spend their time in the same way: the kernel maps them, the C library asks the processor what it
 * can do (some eighty CPUID instructions, each of which traps in a virtual machine) and relocates
 * itself. One after the other that was a sixth of a start. So the program has an entry of its own
 * in front of the C library's (_start): if the command is one that will need a keeper, that is
 * started at once, and both do their part side by side. The front then makes the plan while the
 * keeper waits for it at its socket. A front that ends without a request, because its policy was
 * refused, closes the socket, and the keeper ends as it does whenever its front goes away
 * (session_unused()).
 *
 * Nothing here may need a C library: no relocation is done yet, there is no thread pointer and so
 * neither errno nor a stack protector, and no function but those of this file can be called. So it
 * makes its system calls itself, has no pointers among its constants, and the build links it alone,
 * without any library, to prove it (meson.build). Started later, from main(), a keeper is started
 * by the same code.
 */
#include "front/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "keeper/message.h"

#define MASK_WORDS 128 /* of a set of CPUs: 8,192 of them, more than any kernel is built for */
#define FAILED     125

#if defined(__clang__)
#define BARE __attribute__((no_stack_protector, no_builtin))
#else
#define BARE __attribute__((no_stack_protector, optimize("no-tree-loop-distribute-patterns")))
#endif

static struct entry_keeper early = {.socket = FD_NONE}; /* global: from before main() */
static bool is_early;                                   /* global: as above */

/* syscall(2) sets errno, which is in the thread's storage; these return -errno, as the kernel does.
 */
#if defined(__x86_64__)

BARE static inline long raw(long number, long a, long b, long c, long d, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

#else

BARE static inline long raw(long number, long a, long b, long c, long d, long f)
{
	long result = syscall(number, a, b, c, d, f);

	return result < 0 ? -errno : result;
}

#endif

/* All CPUs that the caller may use but the one it is on; the set's size in bytes, 0 if none. */
BARE static long other_cpus(unsigned long *set)
{
	long size = raw(SYS_sched_getaffinity, 0, MASK_WORDS * sizeof(*set), (long)set, 0, 0), i;
	unsigned cpu = 0;
	unsigned long any = 0;

	if (size <= 0 || raw(SYS_getcpu, (long)&cpu, 0, 0, 0, 0) < 0 || cpu / 8 >= size) {
		return 0;
	}
	set[cpu / (8 * sizeof(*set))] &= ~(1UL << cpu % (8 * sizeof(*set)));
	for (i = 0; i < size / (long)sizeof(*set); i++) {
		any |= set[i];
	}
	return any ? size : 0;
}

BARE static _Noreturn void leave(void)
{
	for (;;) {
		(void)raw(SYS_exit_group, FAILED, 0, 0, 0, 0);
	}
}

/* The child's side: nothing of the caller's but the socket goes with it. */
BARE static _Noreturn void become_keeper(int socket, char *const *env)
{
	const char name[] = "atoll-keeper", self[] = "/proc/self/exe", nowhere[] = "/dev/null";
	const char *argv[] = {name, NULL};
	const uint64_t no_signals = 0;
	long null, front, i;

	null = raw(SYS_openat, AT_FDCWD, (long)nowhere, O_RDWR | O_CLOEXEC, 0, 0);
	front = raw(SYS_fcntl, socket, F_DUPFD_CLOEXEC, KEEPER_FD_FRONT + 1, 0, 0);
	for (i = 0; i < 3; i++) {
		if (null < 0 || raw(SYS_dup3, null, i, 0, 0, 0) < 0) {
			leave();
		}
	}
	if (raw(SYS_dup3, front, KEEPER_FD_FRONT, 0, 0, 0) < 0 ||
	    (!MUTANT(ATOLL_MUTATE_CLOSE_FDS) &&
	     raw(SYS_close_range, KEEPER_FD_FRONT + 1, ~0U, 0, 0, 0) < 0)) {
		leave();
	}
	(void)raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&no_signals, 0, sizeof(no_signals), 0);
	(void)raw(SYS_execve, (long)self, (long)argv, (long)env, 0, 0);
	leave();
}

/* A plain fork: vfork and posix_spawn would hold us until the keeper has exec'ed. */
BARE static struct entry_keeper start_keeper(char *const *env)
{
	/* struct sigaction of the kernel: SIG_DFL, no flags. */
	const unsigned long by_default[4] = {0, 0, 0, 0};
	unsigned long others[MASK_WORDS];
	long size = other_cpus(others), pid;
	int pair[2];

	/* Ignored, it would keep the keeper's status from us. */
	(void)raw(SYS_rt_sigaction, SIGCHLD, (long)by_default, 0, sizeof(uint64_t), 0);
	pid = raw(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, (long)pair, 0);
	if (pid < 0) {
		return (struct entry_keeper){.pid = (pid_t)pid, .socket = FD_NONE};
	}
	pid = raw(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		/* Itself as well: it may be the first of us to run, and on this CPU. */
		if (size > 0) {
			(void)raw(SYS_sched_setaffinity, 0, size, (long)others, 0, 0);
		}
		become_keeper(pair[1], env);
	}
	(void)raw(SYS_close, pair[1], 0, 0, 0, 0);
	if (pid < 0) {
		(void)raw(SYS_close, pair[0], 0, 0, 0, 0);
		return (struct entry_keeper){.pid = (pid_t)pid, .socket = FD_NONE};
	}
	if (size > 0) {
		(void)raw(SYS_sched_setaffinity, pid, size, (long)others, 0, 0);
	}
	return (struct entry_keeper){.pid = (pid_t)pid, .socket = pair[0]};
}

struct entry_keeper entry_start_keeper(char *const *env)
{
	return start_keeper(env);
}

#if defined(__x86_64__)

BARE static bool same(const char *a, const char *b)
{
	for (; *a == *b; a++, b++) {
		if (*a == '\0') {
			return true;
		}
	}
	return false;
}

/*
 * Relocation writes to each page of our data, and each of them would be a fault of its own: now it
 * is one call. The headers say which it is (elf(5)); a kernel before 5.14 knows no such advice.
 */
BARE static void map_data(void)
{
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));
	const ElfW(Ehdr) *header = (const void *)__ehdr_start;
	const ElfW(Phdr) *p = (const void *)(__ehdr_start + header->e_phoff);
	int i;

	for (i = 0; i < header->e_phnum; i++) {
		if (p[i].p_type == PT_LOAD && (p[i].p_flags & PF_W)) {
			uintptr_t begin = (uintptr_t)__ehdr_start + p[i].p_vaddr;
			uintptr_t end = begin + p[i].p_memsz;

			begin &= ~(uintptr_t)4095;
			(void)raw(SYS_madvise, (long)begin, (long)(end - begin),
				  MADV_POPULATE_WRITE, 0, 0);
		}
	}
}

/* `stack` is what the kernel left there: argc, argv, NULL, the environment. See execve(2). */
BARE static void start_early(long *stack)
{
	const char run[] = "run", create[] = "create";
	char **argv = (char **)(stack + 1);
	long argc = stack[0], i;

	if (argc < 2 || !(same(argv[1], run) || same(argv[1], create))) {
		return;
	}
	/* What is missing there would be taken by the socket; main() fills the gap first. */
	for (i = 0; i < 3; i++) {
		if (raw(SYS_fcntl, i, F_GETFD, 0, 0, 0) < 0) {
			return;
		}
	}
	early = start_keeper(argv + argc + 1);
	is_early = true;
}

BARE __attribute__((used)) static void entry_before_main(long *stack)
{
	start_early(stack);
	map_data();
}

/* rdx holds what _start hands on to atexit(3). */
__asm__(".pushsection .text.atoll_entry,\"ax\",@progbits\n"
	".globl atoll_entry\n"
	".hidden atoll_entry\n"
	".type atoll_entry,@function\n"
	"atoll_entry:\n"
	"	endbr64\n"
	"	push %rdx\n"
	"	lea 8(%rsp), %rdi\n"
	"	sub $8, %rsp\n"
	"	call entry_before_main\n"
	"	add $8, %rsp\n"
	"	pop %rdx\n"
	"	jmp _start\n"
	".size atoll_entry,.-atoll_entry\n"
	".popsection\n");

#endif

bool entry_take_keeper(struct entry_keeper *ret)
{
	if (!is_early) {
		return false;
	}
	*ret = early;
	is_early = false;
	return true;
}
