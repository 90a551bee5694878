/* SPDX-License-Identifier: Apache-2.0 */
/* Enters the kernel by its foreign doors: int 0x80 and the x32 numbers. */
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "probe.h"

#if defined(__x86_64__)

#define X32_BIT 0x40000000L

/* The 32-bit entry: numbers and arguments as on i386. */
static long enter_32(long number, long a, long b)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static const struct {
	const char *name;
	long number;
	long a, b;
} calls_32[] = {
	{"getpid", 20, 0, 0},  {"open", 5, 8, 0},    {"socketcall", 102, 1, 8}, {"mount", 21, 8, 8},
	{"keyctl", 288, 6, 0}, {"chroot", 61, 8, 0}, {"unshare", 310, 0, 0},    {"bpf", 357, 0, 8},
};

static const struct {
	const char *name;
	long number;
} calls_x32[] = {
	{"getpid", SYS_getpid}, {"open", SYS_open},     {"mount", SYS_mount},
	{"bpf", SYS_bpf},       {"keyctl", SYS_keyctl}, {"ptrace", 521},
};

/* Runs fn in a child and reports its result, or the signal that ended it. */
static void in_child(const char *kind, const char *name, long (*fn)(size_t), size_t i)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		long r = fn(i);

		errno = r < 0 ? (int)-r : 0;
		probe_callf(r < 0 ? -1 : 0, "%s:%s", kind, name);
		_exit(0);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status)) {
		printf("{\"probe\": \"%s:%s\", \"errno\": \"signal %d\"}\n", kind, name,
		       WTERMSIG(status));
		(void)fflush(stdout);
	}
}

static long call_32(size_t i)
{
	return enter_32(calls_32[i].number, calls_32[i].a, calls_32[i].b);
}

static long call_x32(size_t i)
{
	long r = syscall(calls_x32[i].number | X32_BIT, -1L, 8L, 8L, 0L, 0L, 0L);

	return r < 0 ? -errno : r;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(calls_32) / sizeof(calls_32[0]); i++) {
		in_child("int80", calls_32[i].name, call_32, i);
	}
	for (size_t i = 0; i < sizeof(calls_x32) / sizeof(calls_x32[0]); i++) {
		in_child("x32", calls_x32[i].name, call_x32, i);
	}
	return 0;
}

#else

int main(void)
{
	puts("{\"probe\": \"abi\", \"errno\": \"this processor is no x86-64\"}");
	return 0;
}

#endif
