/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors over sockets: the right ones arrive, surplus is closed, nothing leaks on any error.
 */
#include "unit.h"

#include "linux/fdpass.h"

static void open_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(int pair[2])
{
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino && x.st_rdev == y.st_rdev;
}

static void test_round_trip(void **state)
{
	int pair[2], sent[FDPASS_MAX], got[FDPASS_MAX], base = unit_count_fds(), pipes[2];
	size_t counts[] = {0, 1, 2, FDPASS_MAX}, i, j;
	char data[4];

	(void)state;
	open_pair(pair);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t n = FDPASS_MAX;

		for (j = 0; j < counts[i]; j++) {
			sent[j] = j % 2 ? pipes[0] : pair[0];
		}
		assert_int_equal(fdpass_send(pair[0], "abcd", 4, sent, counts[i]), 0);
		assert_int_equal(fdpass_recv(pair[1], data, sizeof(data), got, &n), 4);
		assert_memory_equal(data, "abcd", 4);
		assert_int_equal(n, counts[i]);
		for (j = 0; j < n; j++) {
			assert_true(same_file(got[j], sent[j]));
			assert_int_equal(fcntl(got[j], F_GETFD), FD_CLOEXEC);
			(void)close(got[j]);
		}
	}
	close_pair(pipes);
	close_pair(pair);
	assert_int_equal(unit_count_fds(), base);
}

/* More than was asked for, or a message that does not fit: an error, and all of it is closed. */
static void test_surplus(void **state)
{
	int pair[2], sent[3], got[3] = {-1, -1, -1}, before;
	char data[8];
	size_t n;

	(void)state;
	open_pair(pair);
	sent[0] = sent[1] = sent[2] = pair[0];
	before = unit_count_fds();
	for (n = 0; n < 3; n++) {
		size_t max = n;

		assert_int_equal(fdpass_send(pair[0], "abcd", 4, sent, 3), 0);
		assert_int_equal(fdpass_recv(pair[1], data, sizeof(data), got, &max), -EMSGSIZE);
		assert_int_equal(unit_count_fds(), before);
	}
	assert_int_equal(fdpass_send(pair[0], "abcd", 4, sent, 1), 0);
	assert_int_equal(fdpass_recv(pair[1], data, sizeof(data), NULL, NULL), -EMSGSIZE);
	n = 3;
	assert_int_equal(fdpass_send(pair[0], "abcdefghi", 9, sent, 3), 0);
	assert_int_equal(fdpass_recv(pair[1], data, sizeof(data), got, &n), -EMSGSIZE);
	assert_int_equal(unit_count_fds(), before);
	close_pair(pair);
}

static void test_ends(void **state)
{
	int many[FDPASS_MAX + 1] = {}, pair[2], got[1];
	size_t n = 1;
	char byte;

	(void)state;
	open_pair(pair);
	assert_int_equal(fdpass_send(pair[0], "x", 1, many, FDPASS_MAX + 1), -EINVAL);
	many[0] = -1;
	assert_int_equal(fdpass_send(pair[0], "x", 1, many, 1), -EBADF);
	(void)close(pair[0]);
	assert_int_equal(fdpass_recv(pair[1], &byte, 1, got, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(fdpass_send(pair[1], "x", 1, NULL, 0), -EPIPE);
	(void)close(pair[1]);
	assert_int_equal(fdpass_recv(pair[1], &byte, 1, NULL, NULL), -EBADF);
}

/* Last words are read although their speaker left something unread. */
static void test_last_words(void **state)
{
	int pair[2];
	char byte = 0;

	(void)state;
	open_pair(pair);
	assert_int_equal(fdpass_send(pair[0], "x", 1, NULL, 0), 0);
	assert_int_equal(fdpass_send(pair[1], "unread", 6, NULL, 0), 0);
	(void)close(pair[0]);
	assert_int_equal(fdpass_recv(pair[1], &byte, 1, NULL, NULL), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(fdpass_recv(pair[1], &byte, 1, NULL, NULL), 0);
	(void)close(pair[1]);
}

static void test_credentials(void **state)
{
	struct ucred cred = {};
	int pair[2], on = 1;
	char byte = 'x';

	(void)state;
	open_pair(pair);
	/* Without SO_PASSCRED there is nobody to believe. */
	assert_int_equal(send(pair[0], &byte, 1, 0), 1);
	assert_int_equal(fdpass_recv_cred(pair[1], &byte, 1, &cred), -EPROTO);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	assert_int_equal(send(pair[0], &byte, 1, 0), 1);
	assert_int_equal(fdpass_recv_cred(pair[1], &byte, 1, &cred), 1);
	assert_int_equal(cred.pid, getpid());
	assert_int_equal(cred.uid, getuid());
	assert_int_equal(cred.gid, getgid());
	(void)close(pair[0]);
	assert_int_equal(fdpass_recv_cred(pair[1], &byte, 1, &cred), 0);
	(void)close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_words),  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_surplus),     cmocka_unit_test(test_ends),
		cmocka_unit_test(test_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
