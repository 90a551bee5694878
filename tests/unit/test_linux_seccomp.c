/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: what they are, and that what they refuse is refused, named and answered. */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "linux/fdpass.h"
#include "linux/seccomp.h"

#define NO_SUCH_CALL 4242

static void test_digests(void **state)
{
	char digests[SECCOMP_FILTER_COUNT][DIGEST_HEX_SIZE], again[DIGEST_HEX_SIZE];
	int i, j;

	(void)state;
	for (i = 0; i < SECCOMP_FILTER_COUNT; i++) {
		seccomp_digest((enum seccomp_filter)i, digests[i]);
		seccomp_digest((enum seccomp_filter)i, again);
		assert_string_equal(digests[i], again);
		assert_int_equal(strspn(again, "0123456789abcdef"), DIGEST_HEX_SIZE - 1);
		for (j = 0; j < i; j++) {
			assert_string_not_equal(digests[i], digests[j]);
		}
	}
}

static _Noreturn void pin_and_exit(void)
{
	cpu_set_t all;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    seccomp_load(SECCOMP_FILTER_AFFINITY, NULL) < 0) {
		_exit(1);
	}
	(void)sched_getaffinity(0, sizeof(all), &all);
	_exit(sched_setaffinity(0, sizeof(all), &all) == -1 && errno == EPERM ? 0 : 2);
}

static void test_affinity(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		pin_and_exit();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Behind the filter: asks for two calls that are answered by its listener. */
static _Noreturn void ask_and_exit(int socket, enum seccomp_filter filter)
{
	bool killable = false;
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		_exit(1);
	}
	listener = seccomp_load_listener(filter, &killable, NULL);
	if (listener < 0 || fdpass_send(socket, "l", 1, &listener, 1) < 0) {
		_exit(2);
	}
	(void)close(listener);
	errno = 0;
	if (mount("none", "/", "tmpfs", 0, NULL) != -1 || errno != EPERM) {
		_exit(3);
	}
	errno = 0;
	if (syscall(NO_SUCH_CALL, 1, 2, 3) != -1 || errno != ENOSYS) {
		_exit(4);
	}
	_exit(0);
}

static void await(int listener, struct seccomp_denial *d)
{
	struct pollfd pfd = {.fd = listener, .events = POLLIN};

	do {
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		assert_true(pfd.revents & POLLIN);
		assert_int_equal(seccomp_receive(listener, d), 0);
		if (d->number != SYS_mount && d->number != NO_SUCH_CALL) {
			seccomp_refuse(listener, d); /* a sanitizer's own */
		}
	} while (d->number != SYS_mount && d->number != NO_SUCH_CALL);
}

static void listen_to(enum seccomp_filter filter)
{
	int pair[2], listener = FD_NONE, status;
	struct pollfd pfd = {.events = POLLIN};
	struct seccomp_denial d;
	size_t n = 1;
	char byte;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(pair[0]);
		ask_and_exit(pair[1], filter);
	}
	(void)close(pair[1]);
	assert_int_equal(fdpass_recv(pair[0], &byte, 1, &listener, &n), 1);
	await(listener, &d);
	assert_string_equal(d.name, "mount");
	assert_true(d.record);
	assert_false(d.foreign_abi);
	seccomp_refuse(listener, &d);
	await(listener, &d);
	assert_int_equal(d.number, NO_SUCH_CALL);
	assert_string_equal(d.name, "unknown");
	assert_false(d.record);
	assert_int_equal(d.args[0], 1);
	assert_int_equal(d.args[1], 2);
	assert_int_equal(d.args[2], 3);
	seccomp_refuse(listener, &d);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The last process of the filter is gone: the listener says so instead of waiting. */
	pfd.fd = listener;
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_true(pfd.revents & POLLHUP);
	(void)close(listener);
	(void)close(pair[0]);
}

static void test_listeners(void **state)
{
	(void)state;
	listen_to(SECCOMP_FILTER_FILE);
	listen_to(SECCOMP_FILTER_STRICT);
	listen_to(SECCOMP_FILTER_DEFAULT);
	listen_to(SECCOMP_FILTER_PROCESS_STRICT);
	listen_to(SECCOMP_FILTER_PROCESS_DEFAULT);
	listen_to(SECCOMP_FILTER_GUARDED_STRICT);
	listen_to(SECCOMP_FILTER_GUARDED_DEFAULT);
}

/* Behind a filter of which nobody hears: what would have gone to its listener is not there. */
static _Noreturn void start_and_exit(enum seccomp_filter filter)
{
	char *argv[] = {(char *)"/bin/true", NULL};
	bool killable = false;
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		_exit(1);
	}
	listener = seccomp_load_listener(filter, &killable, NULL);
	if (listener < 0) {
		_exit(2);
	}
	(void)close(listener);
	if (execve(argv[0], argv, argv + 1) != -1 || errno != ENOSYS) {
		_exit(3);
	}
	if (syscall(SYS_execveat, AT_FDCWD, argv[0], argv, argv + 1, 0) != -1 || errno != ENOSYS) {
		_exit(4);
	}
	_exit(5);
}

static void test_nothing_starts_without_a_listener(void **state)
{
	int i, status;

	(void)state;
	for (i = 0; i < SECCOMP_FILTER_TOOL; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			start_and_exit((enum seccomp_filter)i);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_nothing_starts_without_a_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
