/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that travel in memfds: whole, bounded, and read from their start wherever they stand. */
#include "unit.h"

#include "keeper/message.h"

static void round_trip(size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1), *back = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	struct err e = {};
	size_t len = 0, i;

	for (i = 0; i < size; i++) {
		text[i] = (char)(i * 13);
	}
	fd = message_text_fd(text, size, &e);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(lseek(fd, 1, SEEK_SET), 1);
	back = message_read_fd(fd, size, &len, &e);
	assert_non_null(back);
	assert_int_equal(len, size);
	assert_memory_equal(back, text, size);
	assert_int_equal(back[size], '\0');
	assert_null(message_read_fd(fd, size - 1, &len, &e));
	assert_int_equal(e.code, E2BIG);
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {1, 2, 4095, 4096, 4097, 1000000};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		round_trip(sizes[i]);
	}
}

static void test_nothing(void **state)
{
	_cleanup_fd_ int fd = message_text_fd("", 0, NULL);
	struct err e = {};
	size_t len = 7;

	(void)state;
	assert_true(fd >= 0);
	assert_null(message_read_fd(fd, 100, &len, &e));
	assert_int_equal(e.code, ENODATA);
	assert_int_equal(len, 7);
}

/* A front that sends something else than a memfd gets an error, not a keeper that waits. */
static void test_no_file(void **state)
{
	struct err e = {};
	size_t len = 0;
	int pair[2];

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_null(message_read_fd(pair[0], 100, &len, &e));
	assert_int_equal(e.code, EINVAL);
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_null(message_read_fd(FD_NONE, 100, &len, &e));
	assert_int_equal(e.code, EBADF);
}

static void read_under_faults(bool may_fail)
{
	_cleanup_fd_ int fd = message_text_fd("some text", 9, NULL);
	_cleanup_free_ char *back = NULL;
	struct err e = {};
	size_t len = 0;

	back = message_read_fd(fd, 100, &len, &e);
	assert_true(back || (may_fail && e.code == ENOMEM));
}

static void test_faults(void **state)
{
	(void)state;
	unit_faults(read_under_faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
